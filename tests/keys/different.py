"""Values that a task can tell apart: within each group, each from each other."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import functools
import io
import math
import operator
import pathlib
import re
import struct
import types
import uuid
import warnings
import zoneinfo
from array import array
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.keys import objects as o

UTC = dt.timezone.utc
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NAN = struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0]


def noted(exc: Exception, note: str) -> Exception:
    exc.__notes__ = [note]  # type: ignore[attr-defined, unused-ignore]  # as add_note of 3.11
    return exc


def with_attribute(value: Any, note: Any) -> Any:
    value.note = note
    return value


def positioned(stream: Any, position: int) -> Any:
    stream.seek(position)
    return stream


def masked(data: list[int], mask: Any, **options: Any) -> Any:
    return np.ma.array(data, mask=mask, **options)


def with_attrs(frame: Any, **attrs: Any) -> Any:
    frame.attrs.update(attrs)
    return frame


def matrix(values: list[list[int]]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.matrix(values)


class Meters(np.ndarray[Any, Any]):
    note: Any = None


def numbers() -> dict[str, list[Any]]:
    return {
        "one": [1, True, 1.0, "1", b"1", 1 + 0j, decimal.Decimal(1), fractions.Fraction(1), [1], (1,), {1}, frozenset({1}),
                {1: None}, np.int64(1), np.int32(1), np.float64(1), np.bool_(True), np.array(1), np.array([1]),
                o.Number.ONE, o.Count(1), bytearray(b"1"), memoryview(b"1"), array("b", b"1"), range(1), slice(1),
                pd.Timedelta(1), pa.scalar(1), {"1": None}, [[1]], ((1,),), [(1,)], ([1],)],
        "zero": [0, 0.0, -0.0, False, None, "", b"", [], (), {}, set(), frozenset(), 0j, complex(0, -0.0), complex(-0.0, 0),
                 decimal.Decimal(0), decimal.Decimal("-0"), decimal.Decimal("0.0"), dt.timedelta(0), bytearray(), range(0),
                 collections.OrderedDict(), collections.Counter(), collections.deque(), collections.defaultdict(list),
                 collections.defaultdict(dict), collections.defaultdict(None), types.SimpleNamespace(),
                 types.MappingProxyType({}), {}.keys(), {}.values(), {}.items(), Ellipsis, NotImplemented, object, type,
                 io.BytesIO(), io.StringIO(), collections.ChainMap(), np.array([]), pd.DataFrame(), pd.Series(dtype=float),
                 pd.NaT, pd.NA, pa.nulls(0), pathlib.PurePosixPath(), pathlib.PureWindowsPath(), o.Names(), o.Table(), o.Group()],
        "not a number": [math.nan, -math.nan, NAN, math.inf, -math.inf, np.float64("nan"), np.float32("nan"),
                         decimal.Decimal("nan"), decimal.Decimal("snan"), complex(math.nan, 0), complex(0, math.nan)],
        "large": [2**31, 2**31 - 1, -(2**31), 2**63, 2**64, -(2**63), 10**30, 10**30 + 1, 1e30, float(2**53), 2**53, 2**53 + 1],
        "decimal": [decimal.Decimal("1.0"), decimal.Decimal("1.00"), decimal.Decimal("1E+0"), decimal.Decimal("-1.0")],
        "text": ["a", "A", "a ", "é", "e\u0301", "\ud800", "a\0", b"a", "ab", ["a", "b"], ["ab"], ["a", "b", ""], ["", "a", "b"]],
        "ranges": [range(0, 4, 2), range(0, 3, 2), range(0, 5, 2), [0, 2], slice(0, 2), slice(0, 2, 1)],
    }  # fmt: skip


def containers() -> dict[str, list[Any]]:
    return {
        "order": [{"a": 1, "b": 2}, {"b": 2, "a": 1}, [("a", 1), ("b", 2)], {"a": 2, "b": 1}, {"a": 1, "b": 2, "c": None},
                  collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), collections.Counter(a=1, b=2),
                  types.SimpleNamespace(a=1, b=2), o.Table(a=1, b=2), {"a": 1, "b": 2}.items(), {"a": 1, "b": 2}.keys()],
        "keys": [{1: "a"}, {"1": "a"}, {True: "a"}, {1.0: "a"}, {None: "a"}, {(1,): "a"}, {b"1": "a"}, {frozenset({1}): "a"}],
        "nesting": [[[], []], [[[]]], [[], [], []], [[[], []]], [[], [[]]], [[[]], []], [(), []], [[], ()], [None, None]],
        "sequences": [(1, 2), [1, 2], o.Pair(1, 2), o.Other(1, 2), collections.deque([1, 2]), collections.deque([1, 2], 2),
                      collections.deque([1, 2], 3), {1: 2}, {1, 2}, frozenset({1, 2}), o.Names([1, 2]),
                      with_attribute(o.Names([1, 2]), 1), o.Group([1, 2]), with_attribute(o.Group([1, 2]), 1), np.array([1, 2]),
                      array("i", [1, 2]), array("l", [1, 2]), array("b", [1, 2]), b"\1\2", bytearray(b"\1\2"), range(1, 3)],
        "subclasses": [o.Words("a"), "a", with_attribute(o.Words("a"), 1), with_attribute(o.Words("a"), 2), o.Count(1),
                       with_attribute(o.Count(1), 1), o.Table(), with_attribute(o.Table(), 1)],
        "defaults": [collections.defaultdict(list, a=1), collections.defaultdict(int, a=1), collections.defaultdict(None, a=1),
                     {"a": 1}, collections.defaultdict(lambda: 1, a=1), collections.defaultdict(lambda: 2, a=1)],
        "sets": [{1, 2}, {1, 3}, {1, 2, 3}, {"1", "2"}, {1, "2"}, {1.0, 2.0}, {(1, 2)}, {o.Color.RED}, {o.Color.BLUE}, {None},
                 {frozenset()}, {frozenset({frozenset()})}, set("ab"), {b"a", b"b"}, {"a": None, "b": None}.keys()],
        "large lists": [list(range(20_000)), [*range(19_999), 0], list(range(20_001)), tuple(range(20_000)), [*range(20_000)][::-1],
                        [float(n) for n in range(20_000)], [[n] for n in range(20_000)], [[n] for n in range(20_000)][::-1],
                        [list(range(20_000))], [list(range(10_000)), list(range(10_000, 20_000))],
                        {n: n for n in range(20_000)}, dict.fromkeys(range(20_000)), set(range(20_000)),
                        [{"n": n} for n in range(20_000)], [{"n": n} for n in [*range(19_999), 0]]],
        "shared lists": [o.shared(60), o.shared(61), [o.shared(60)], [o.shared(60), o.shared(59)], [o.shared(59), o.shared(60)],
                         tuple(o.shared(60)), o.shared(3), o.shared(4)],
        "cycles": cyclic(),
    }  # fmt: skip


def cyclic() -> list[Any]:
    own: list[Any] = []
    own.append(own)
    with_one: list[Any] = [1]
    with_one.append(with_one)
    one_after: list[Any] = []
    one_after += [one_after, 1]
    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    tree, other, third = o.family(), o.family(), o.family()
    other.children[0].name = "c"
    third.children[1].children[0].parent = third.children[0]
    a, b = o.Node("a"), o.Node("b")
    a.children, b.children = [a, b], [b, a]
    c, d = o.Node("a"), o.Node("b")
    c.children, d.children = [c, d], [c, d]
    return [own, with_one, one_after, mapping, tree, other, third, tree.children[0], o.team("a", "b"), o.team("b", "a"),
            o.team("a"), o.team("a", "b", "c"), a, c, b, [a, c], [c, a]]  # fmt: skip


def standard() -> dict[str, list[Any]]:
    when = dt.datetime(2026, 10, 25, 2, 30)
    plus_two = dt.timezone(dt.timedelta(hours=2))
    return {
        "times": [when, when.replace(fold=1), when.replace(tzinfo=UTC), when.replace(tzinfo=BERLIN), when.replace(tzinfo=plus_two),
                  when.replace(tzinfo=dt.timezone(dt.timedelta(hours=2), "X")), when.replace(tzinfo=BERLIN, fold=1),
                  when.replace(microsecond=1), when.date(), when.time(), when.time().replace(fold=1), when.isoformat(),
                  when.timestamp(), pd.Timestamp(when), pd.Timestamp(when).as_unit("ns"), np.datetime64(when), np.datetime64(when, "ns"),
                  when.time().replace(tzinfo=UTC), UTC, BERLIN, zoneinfo.ZoneInfo("Europe/Paris"), dt.date(2026, 10, 26)],
        "spans": [dt.timedelta(1), dt.timedelta(0, 1), dt.timedelta(0, 0, 1), dt.timedelta(-1), pd.Timedelta(1, "D"),
                  np.timedelta64(1, "D"), np.timedelta64(24, "h"), np.timedelta64(1, "s"), 86400.0],
        "paths": [pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a/b"), pathlib.Path("a/b"), pathlib.PurePosixPath("a/c"),
                  pathlib.PurePosixPath("/a/b"), pathlib.PurePosixPath("//a/b"), "a/b", pathlib.PurePosixPath("a/../a/b")],
        "names": [uuid.UUID(int=1), uuid.UUID(int=2), str(uuid.UUID(int=1)), uuid.UUID(int=1).bytes, 1],
        "patterns": [re.compile("a"), re.compile("a", re.IGNORECASE), re.compile("b"), re.compile(b"a"), "a", re.IGNORECASE],
        "streams": [io.BytesIO(b"ab"), positioned(io.BytesIO(b"ab"), 1), io.BytesIO(b"ac"), io.StringIO("ab"),
                    positioned(io.StringIO("ab"), 1), io.StringIO("ab", newline=""), b"ab", "ab"],
        "views": [memoryview(b"abcd"), memoryview(bytearray(b"abcd")), memoryview(b"abcd").cast("h"), memoryview(b"abcd").cast("B", (2, 2)),
                  memoryview(b"abcd")[::2], memoryview(b"abcd").toreadonly()[:3], b"abcd", bytearray(b"abcd")],
        "errors": [ValueError("a"), ValueError("b"), TypeError("a"), ValueError("a", 1), ValueError(), o.raised("a", KeyError(1)),
                   o.raised("a", KeyError(2)), noted(ValueError("a"), "x"), noted(ValueError("a"), "y"), KeyError("a"), OSError(1, "a"),
                   OSError(1, "a", "f"), OSError(2, "a"), UnicodeDecodeError("utf8", b"a", 0, 1, "x")],
        "calls": [functools.partial(o.double), functools.partial(o.triple), functools.partial(o.double, 1), functools.partial(o.double, 2),
                  functools.partial(o.double, value=1), functools.partial(o.double, [1]), o.double, o.triple,
                  o.scaler(2), o.scaler(3), o.scaler(2.0), o.scaler([2]), len, sorted, math.sin, math.cos, np.sin, [].append, [1].append,
                  "a".join, "b".join, str.join, str.split, "a".split, operator.itemgetter(1), operator.itemgetter(2),
                  operator.itemgetter(1, 2), operator.attrgetter("a"), operator.attrgetter("b"), operator.methodcaller("a"),
                  operator.methodcaller("a", 1), o.Slotted(1).own, o.Slotted(2).own, o.Slotted.own, dict.fromkeys, o.Table.fromkeys],
        "types": [int, bool, str, list, list[int], list[str], dict[str, int], int | str, int | None, o.Point, o.Place, o.Color, np.int64,
                  np.float64, collections.OrderedDict, dict, Any, type(None), math, operator, np, np.linalg, ValueError],
    }  # fmt: skip


def instances() -> dict[str, list[Any]]:
    return {
        "enums": [o.Color.RED, o.Color.BLUE, o.Shade.RED, o.Number.ONE, o.Access.READ, o.Access.WRITE, o.Access.READ | o.Access.WRITE,
                  o.Access(0), 1, "RED"],
        "dataclasses": [o.Point(1), o.Point(2), o.Place(1), o.Point(1.0), o.Point(True), o.Point("1"), o.Point([1]), o.Point((1,)),
                        o.Point(1, None), o.Point(0, 1), o.Frozen(1), o.Frozen(1, hidden=2), o.Frozen(1, hidden=3), o.Dynamic(x=1, y=0),
                        {"x": 1, "y": 0}, (1, 0), o.Dynamic(x=1, y=0, z=0), o.Dynamic(x=1), o.Point(o.Point(1)), o.Point(o.Place(1)),
                        o.Point("x" * 5000), o.Point("x" * 4999 + "y"), o.Point(b"x" * 5000), o.Point(dt.date(2020, 1, 1))],
        "slots": [o.Slotted(1), o.Slotted(2), o.Slotted(1).own(1), o.Slotted(1).own(None), o.Slotted([]), o.Slotted(())],
        "hidden": [o.Equal(1), o.Equal(2), o.Equal(o.Equal(1)), [o.Equal(1)], [o.Equal(2)], o.Lazy(1), o.Lazy(2), o.Forgetful(1),
                   o.Forgetful(2)],
        "models": [o.Model(), o.Model(a=1), o.Model(a=2), o.Model(a="1"), o.Model(b=1), o.Model(b=2), o.Model(a=1, b=1),
                   o.Model().with_hidden(1), o.Model().with_hidden(2), o.Model.model_construct(a=1, _fields_set={"a", "b"}),
                   o.Model(a=o.Model()), {"a": 1}],
        "secrets": [o.SecretStr("a"), o.SecretStr("b"), "a", o.Account(user="a", password="b"), o.Account(user="a", password="c"),
                    o.Account(user="b", password="b"), [o.SecretStr("a")]],
    }  # fmt: skip


def arrays() -> dict[str, list[Any]]:
    fields = np.dtype([("a", "i1"), ("b", "i8")])
    return {
        "dtypes": [np.zeros(4, kind) for kind in "i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 g c8 c16 ? M8[s] M8[ms] M8[D] m8[s] m8[ms] >i8 >f8 S1 S2 "
                   "U1 U2 O V1 V2".split()] + [np.zeros(4, fields), np.zeros(4, np.dtype(fields.descr, align=True)), [0, 0, 0, 0]],
        "shapes": [np.arange(6), np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2), np.arange(6).reshape(2, 3).T,
                   np.arange(6).reshape(1, 6), np.arange(6).reshape(6, 1), np.arange(6)[::-1], np.zeros((0, 2)), np.zeros((2, 0)),
                   np.zeros(0), np.array(0.0), np.array([0.0]), np.array([[0.0]]), np.float64(0)],
        "content": [np.array([0.0]), np.array([-0.0]), np.array([math.nan]), np.array([NAN]), np.array([None]), np.array([0.0], object),
                    np.array([0], object), np.array([[]], object), np.array(["a"]), np.array(["a"], object), np.array(["a\0"], object),
                    np.array([b"a"]), np.array(["a"], "U2"), np.array(["NaT"], "M8[s]"), np.array([o.Point(1)]), np.array([o.Point(2)]),
                    np.array(["a"], np.dtypes.StringDType()), np.array(["b"], np.dtypes.StringDType())],  # type: ignore[attr-defined, unused-ignore]
        "structured": [np.array([(1, 2)], fields), np.array([(1, 3)], fields), np.array([(1, 2)], [("a", "i1"), ("c", "i8")]),
                       np.array([(1, 2)], [("b", "i1"), ("a", "i8")]), np.array([(1, 2)], np.dtype(fields.descr, align=True)),
                       np.array([(1, 2)], fields).view(np.recarray), np.array([(1, [2, 3])], [("a", "i1"), ("b", "O")]),
                       np.array([(1, [2, 4])], [("a", "i1"), ("b", "O")]), np.array([(1, (2, 3))], [("a", "i1"), ("b", "i8", 2)])],
        "kinds": [matrix([[1, 2]]), np.array([[1, 2]]), np.array([[1, 2]]).view(np.recarray), np.array([[1, 2]]).view(Meters),
                  with_attribute(np.array([[1, 2]]).view(Meters), 1), masked([[1, 2]], False)],  # type: ignore[list-item]
        "masks": [masked([1, 2], [0, 0]), masked([1, 2], [0, 1]), masked([1, 2], [1, 0]), masked([1, 2], [1, 1]), masked([3, 2], [0, 1]),
                  masked([1, 3], [0, 1]), masked([1, 2], [0, 1], fill_value=5), masked([1, 2], [0, 1], hard_mask=True),
                  masked([1.0, 2.0], [0, 1])],  # type: ignore[list-item]
        "descriptions": [np.dtype("i8"), np.dtype("f8"), fields, np.dtype(fields.descr, align=True), np.dtype("M8[s]"), np.dtype(">i8"),
                         np.int64, "i8", np.random.default_rng(1), np.random.default_rng(2), np.random.RandomState(1), np.poly1d([1, 2])],
    }  # fmt: skip


def tables() -> dict[str, list[Any]]:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    days = pd.date_range("2026-01-01", periods=3, tz="UTC")
    local = pd.date_range("2026-01-01", periods=3)
    pairs = pd.MultiIndex.from_product([[1, 2], ["x", "y"]])
    return {
        "frames": [frame, frame[["b", "a"]], frame.rename(columns={"a": "c"}), frame.astype("int32"), frame.astype(float), frame.astype("Int64"),
                   frame.astype(object), frame.set_index("a"), frame.set_index("a", drop=False), frame.set_axis([5, 6]),
                   frame.set_axis([0, 1]), frame.set_axis([0.0, 1.0]), frame.rename_axis("i"), frame.rename_axis(columns="i"),
                   with_attrs(frame.copy(), x=1), with_attrs(frame.copy(), x=2), frame.set_flags(allows_duplicate_labels=False),
                   frame.iloc[::-1], frame.iloc[:1], frame.T, frame.to_numpy(), frame["a"], frame["a"].rename("x"), frame["a"].rename(None),
                   frame["a"].array, frame["a"].to_frame(), frame.to_dict(), frame.astype({"a": "category"}), frame.set_axis(["a", "a"], axis=1),
                   frame.astype("int64[pyarrow]"), frame.astype({"a": "string"})],
        "series": [pd.Series([1, None]), pd.Series([1, None], dtype="Int64"), pd.Series([1, None], dtype=object), pd.Series([1, pd.NA], dtype=object),
                   pd.Series([1, math.nan], dtype=object), pd.Series([1, None], dtype="Float64"), pd.Series([1, None], dtype="Int32"),
                   pd.Series([True, None], dtype="boolean"), pd.Series([1.0, 0.0]), pd.Series([1.0, -0.0]),
                   pd.Series(pd.arrays.SparseArray([1.0, math.nan])), pd.Series([1, None], dtype="int64[pyarrow]"),
                   pd.Series([1, 2], dtype="Sparse[int]"), pd.Series([1, 2])],
        "texts": [pd.Series(["a", None], dtype=object), pd.Series(["a", math.nan], dtype=object), pd.Series(["a", None], dtype="string[python]"),
                  pd.Series(["a", None], dtype="string[pyarrow]"), pd.Series(["a", ""], dtype="string[python]"),
                  pd.Series(["a", "b"], dtype="string[python]"), pd.Series(["a", None], dtype="category"),
                  pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())), pd.Series(["a", None], dtype=pd.ArrowDtype(pa.large_string()))],
        "categories": [pd.Categorical(["a", "b"]), pd.Categorical(["a", "b"], ordered=True), pd.Categorical(["a", "b"], ["b", "a"]),
                       pd.Categorical(["a", "b"], ["a", "b", "c"]), pd.Categorical(["a", None], ["a", "b"]), pd.Categorical([1, 2]),
                       pd.Categorical([1.0, 2.0]), pd.CategoricalIndex(["a", "b"]), pd.Series(pd.Categorical(["a", "b"])),
                       pd.CategoricalDtype(["a"]), pd.CategoricalDtype(["a"], ordered=True), pd.CategoricalDtype()],
        "indexes": [pd.RangeIndex(3), pd.Index([0, 1, 2]), pd.Index([0, 1, 2], name="a"), pd.Index([0, 1, 2], dtype="int32"), pd.RangeIndex(0, 6, 2),
                    pd.Index([0.0, 1, 2]), pd.Index([0, 1, 2], dtype=object), pd.RangeIndex(3, name="a"), pd.Index(["0", "1", "2"]), days,
                    days._with_freq(None), days.tz_convert("Europe/Berlin"), days.tz_localize(None), days.rename("a"), local.as_unit("s"),
                    local.as_unit("ns"), pd.DatetimeIndex(local, freq=None)._with_freq(None).as_unit("s"), pd.period_range("2026-01", periods=3, freq="M"),
                    pd.period_range("2026-01-01", periods=3, freq="D"), pd.timedelta_range("1D", periods=3), pd.interval_range(0, 3),
                    pd.interval_range(0, 3, closed="left"), pd.interval_range(0.0, 3.0), pairs, pairs.set_names(["a", None]),
                    pairs.set_names([None, "a"]), pairs.swaplevel(), pairs[::-1], pairs[:3], pairs.to_flat_index()],
        "offsets": [pd.offsets.Day(1), pd.offsets.Day(2), pd.offsets.BDay(1), pd.offsets.MonthEnd(1), pd.offsets.MonthEnd(1, normalize=True),
                    pd.offsets.CustomBusinessDay(), pd.offsets.CustomBusinessDay(holidays=["2026-01-01"]), pd.DateOffset(days=1),
                    pd.DateOffset(days=2), pd.Period("2026-01", "M"), pd.Period("2026-01-01", "D"), pd.Interval(0, 1), pd.Interval(0, 1, "both"),
                    pd.Interval(0.0, 1.0), pd.Int64Dtype(), pd.Int32Dtype(), pd.StringDtype("python"), pd.StringDtype("pyarrow")],
    }  # fmt: skip


def arrow() -> dict[str, list[Any]]:
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    texts = pa.array(["a", "b", "a"])
    nested = pa.struct([pa.field("x", pa.int8(), nullable=False)])
    return {
        "tables": [table, table.select(["b", "a"]), table.rename_columns(["a", "c"]), table.slice(1), table.replace_schema_metadata({"k": "v"}),
                   table.replace_schema_metadata({"k": "w"}), table.cast(pa.schema([("a", pa.int32()), ("b", pa.string())])),
                   table.cast(pa.schema([pa.field("a", pa.int64(), nullable=False), ("b", pa.string())])), table.schema,
                   table.cast(pa.schema([pa.field("a", pa.int64(), metadata={"k": "v"}), ("b", pa.string())])),
                   table.to_batches()[0], table["a"], table["a"].chunk(0), table.to_pydict(), table.set_column(0, "a", pa.array([1, None]))],
        "types": [pa.array([1, 2], kind) for kind in (pa.int8(), pa.int16(), pa.uint8(), pa.int64(), pa.float32(), pa.float64(), pa.date32(),
                  pa.time32("s"), pa.time32("ms"), pa.timestamp("s"), pa.timestamp("s", "UTC"), pa.timestamp("ms"), pa.duration("s"),
                  pa.decimal128(3, 1), pa.decimal128(3, 0), pa.decimal128(4, 0), pa.decimal256(3, 0))],
        "texts": [texts, texts.cast(pa.large_string()), texts.cast(pa.binary()), texts.cast(pa.string_view()), texts.dictionary_encode(),
                  pa.array(["a", "b", None]), pa.array(["a", "b", ""]), pa.array(["ab", "", "a"]), pa.array(["a", "b"]),
                  texts.cast(pa.dictionary(pa.int8(), pa.string())), pa.array(["ab", "a", ""]), pa.array([None, None, None], pa.string()),
                  pa.array([None, None, None]), pa.array([None, None]), texts.cast(pa.dictionary(pa.int8(), pa.string(), ordered=True))],
        "nested": [pa.array([[1], [2, 3]]), pa.array([[1, 2], [3]]), pa.array([[1, 2, 3], []]), pa.array([[1], None]), pa.array([[1], []]),
                   pa.array([[1], [None]]), pa.array([[1], [2, 3]], pa.large_list(pa.int64())), pa.array([{"x": 1}]), pa.array([{"y": 1}]),
                   pa.array([{"x": 1}, None]), pa.array([{"x": 1}, {"x": None}]), pa.array([{"x": 1}], nested),
                   pa.array([{"x": 1}], pa.struct([("x", pa.int8())])), pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
                   pa.array([[("a", 2)]], pa.map_(pa.string(), pa.int8())), pa.array([[1, 2]], pa.list_(pa.int64(), 2)),
                   pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8(), keys_sorted=True)),
                   pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["a"])]),
                   pa.UnionArray.from_sparse(pa.array([1], pa.int8()), [pa.array([1]), pa.array(["a"])]),
                   pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1]), pa.array(["a"])])],
        "parts": [pa.scalar(1), pa.scalar(1, pa.int8()), pa.scalar(None), pa.scalar("1"), pa.py_buffer(b"a"), pa.py_buffer(b"b"), pa.int8(),
                  pa.int16(), pa.list_(pa.int8()), pa.list_(pa.int16()), pa.field("a", pa.int8()), pa.field("b", pa.int8()), pa.struct([]),
                  pa.list_(pa.field("item", pa.int8(), nullable=False)), pa.list_(pa.field("x", pa.int8()))],
    }  # fmt: skip


GROUPS = {"numbers": numbers, "containers": containers, "standard": standard, "instances": instances, "arrays": arrays, "tables": tables,
          "arrow": arrow}  # fmt: skip
