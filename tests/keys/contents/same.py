"""Values that came about in several ways, and are one to a task.

    python -m tests.keys.contents.same

prints the digest of each, and of each that went through a pickle, as JSON.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import functools
import importlib
import io
import json
import operator
import pathlib
import re
import sys
import types
import uuid
import warnings
import zoneinfo
from array import array
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import SecretStr

from tests.keys.contents import objects as o

Made = list[Callable[[], Any]]


def joined(*parts: str) -> str:
    return "".join(parts)  # not interned


def sum_of(*values: float) -> float:
    return functools.reduce(operator.add, values)


def touched(value: o.Lazy) -> o.Lazy:
    assert value.square
    return value


def attributes(**values: Any) -> o.Dynamic:
    return o.Dynamic(**values)


def later(value: Any, **more: Any) -> Any:
    for name, one in more.items():
        setattr(value, name, one)
    return value


def looked_into(value: Any) -> Any:
    assert vars(value) == {}
    return value


def without_freq(index: Any) -> Any:
    return index._with_freq(None)


def hashed(value: Any) -> Any:
    assert hash(value)
    return value


def filled(data: Any) -> Any:
    assert data.fill_value is not None  # which numpy then keeps
    return data


def chunks(*parts: Any) -> Any:
    return pa.chunked_array([pa.array(part, pa.int64()) for part in parts])


def masked_integers(hidden: int) -> Any:
    return pd.Series(pd.arrays.IntegerArray(np.array([1, hidden]), np.array([False, True])))


def looked_up(index: Any) -> Any:
    assert index.get_loc(index[0]) is not None  # which builds its table
    return index


def used_series(series: Any) -> Any:
    assert series.sum() is not None
    assert series.index.is_unique
    return series


def estimator() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(np.arange(6.0).reshape(3, 2), np.arange(3.0))


def forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    data = np.random.default_rng(1).random((20, 3))
    return RandomForestRegressor(3, random_state=1).fit(data, data[:, 0])


def neighbours() -> Any:
    neighbors = importlib.import_module("sklearn.neighbors")
    return neighbors.KDTree(np.random.default_rng(1).random((20, 3)))


def sparse() -> Any:
    return importlib.import_module("scipy.sparse").csr_matrix(np.eye(3))


def sorted_sparse() -> Any:
    found = sparse()
    assert found.has_sorted_indices
    return found


def team_of(names: str) -> Any:
    return o.team(*names)


def builtin() -> dict[str, Made]:
    numbers = list(range(1000))
    rows = [{"id": number, "name": f"n{number}"} for number in range(3000)]
    part = [1, [2, "x"]]
    return {
        "text": [lambda: "name", lambda: joined("na", "me"), lambda: sys.intern(joined("nam", "e"))],
        "long text": [lambda: "x" * 5000, lambda: joined("x" * 2500, "x" * 2500)],
        "integer": [lambda: 10**20, lambda: 10**10 * 10**10],
        "float": [lambda: 0.5, lambda: sum_of(0.25, 0.25)],
        "bytes": [lambda: b"ab", lambda: bytes([97, 98])],
        "list": [lambda: [1, "a", None], lambda: list(iter((1, "a", None)))],
        "keys of a dict": [lambda: {"name": "name"}, lambda: {joined("na", "me"): joined("nam", "e")}],
        "shared list": [lambda: [part, part], lambda: [[1, [2, "x"]], [1, [2, "x"]]]],
        "shared text": [lambda: ["ab", "ab"], lambda: [joined("a", "b"), joined("a", "b")]],
        "a dict that had more": [lambda: {"a": 1}, lambda: without({"b": 2, "a": 1}, "b")],
        "a dict that had other keys": [
            lambda: {"k" * 5000: 1},
            lambda: without({1: 2, "k" * 5000: 1}, 1),
            lambda: without({"a": 2, "k" * 5000: 1}, "a"),
        ],
        "set": [lambda: {"a", "b", "c"}, lambda: set("cba"), lambda: {*"bca", "d"} - {"d"}],
        "large set": [
            lambda: {f"n{number}" for number in numbers},
            lambda: {f"n{number}" for number in reversed(numbers)},
        ],
        "mixed set": [lambda: {1, "a", (1, "b"), None}, lambda: {None, (1, "b"), "a", 1}],
        "frozen set": [lambda: frozenset("abc"), lambda: frozenset("cab")],
        "sets of sets": [
            lambda: {frozenset("ab"), frozenset("bc")},
            lambda: {frozenset("cb"), frozenset("ba")},
        ],
        "set of objects": [lambda: {o.Frozen(1), o.Frozen("a")}, lambda: {o.Frozen("a"), o.Frozen(1)}],
        "set in a list": [lambda: [1, {"x": {"a", "b"}}], lambda: [1, {"x": {"b", "a"}}]],
        "subclass of set": [lambda: o.Group("abc"), lambda: o.Group("cba")],
        "many rows": [
            lambda: rows,
            lambda: [{"id": number, "name": f"n{number}"} for number in range(3000)],
            lambda: rows[:1] + rows[1:],
        ],
        "rows that are one": [lambda: [part] * 3000, lambda: [[1, [2, joined("x")]] for _ in range(3000)]],
        "fourteen doublings": [lambda: o.shared(14), lambda: o.copied(14)],
        "eleven doublings": [lambda: o.shared(11), lambda: o.copied(11)],
        "sixty doublings": [lambda: o.shared(60), lambda: [o.shared(59), o.shared(59)]],
        "one object or two": [lambda: [o.Point([1])] * 2, lambda: [o.Point([1]), o.Point([1])]],
        "a large list": [lambda: list(range(100_000)), lambda: [*range(50_000), *range(50_000, 100_000)]],
        "a large dict": [
            lambda: {n: str(n) for n in range(30_000)},
            lambda: dict(zip(range(30_000), map(str, range(30_000)), strict=True)),
        ],
        "tuple": [lambda: (1, (2,)), lambda: tuple(iter((1, tuple(iter((2,))))))],
        "named tuple": [lambda: o.Pair(1, b=2), lambda: o.Pair._make([1, 2])],
        "a cycle": [lambda: cycle(1), lambda: cycle(1)],
        "a family": [o.family, o.family],
        "a team": [lambda: team_of("abc"), lambda: team_of("acb")],
        "a team of namesakes": [lambda: team_of("aab"), lambda: team_of("aba")],
        "ordered dict": [
            lambda: collections.OrderedDict(a=1, b=2),
            lambda: reordered(collections.OrderedDict(b=2, a=1), "b"),
        ],
        "deque": [
            lambda: collections.deque([1, 2], 3),
            lambda: collections.deque([0, 0, 1, 2], 3) if 0 else rotated(),
        ],
        "counter": [lambda: collections.Counter("ab"), lambda: collections.Counter(a=1, b=1)],
    }


def without(values: dict[Any, int], name: Any) -> dict[Any, int]:
    del values[name]
    return values


def reordered(values: collections.OrderedDict[str, int], last: str) -> Any:
    values.move_to_end(last)
    return values


def rotated() -> Any:
    values = collections.deque([2, 1], 3)
    values.rotate()
    return values


def cycle(value: int) -> list[Any]:
    found: list[Any] = [value, {value}]
    found.append({"again": found})
    return found


def standard() -> dict[str, Made]:
    when = dt.datetime(2026, 1, 2, 3, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    return {
        "time": [lambda: when, lambda: when + dt.timedelta(0)],
        "zone": [lambda: zoneinfo.ZoneInfo("UTC"), lambda: zoneinfo.ZoneInfo.no_cache("UTC")],
        "span": [lambda: dt.timedelta(hours=24), lambda: dt.timedelta(1)],
        "decimal": [lambda: decimal.Decimal("1.50"), lambda: decimal.Decimal("0.50") + 1],
        "path": [
            lambda: pathlib.PurePosixPath("a/b"),
            lambda: pathlib.PurePosixPath("a") / "b",
            lambda: pathlib.PurePosixPath("a//b/."),
        ],
        "hashed path": [lambda: pathlib.PurePosixPath("a"), lambda: hashed(pathlib.PurePosixPath("a"))],
        "uuid": [lambda: uuid.UUID(int=5), lambda: uuid.UUID(str(uuid.UUID(int=5)))],
        "pattern": [lambda: re.compile("a+", re.IGNORECASE), lambda: re.compile("a+", 2)],
        "stream": [lambda: io.BytesIO(b"abc"), lambda: written(io.BytesIO(), b"abc")],
        "text stream": [
            lambda: io.StringIO("abc"),
            lambda: looked_into(io.StringIO("abc")),
            lambda: written(io.StringIO(), "abc"),
        ],
        "array": [lambda: array("i", [1, 2]), lambda: array("i", [1]) + array("i", [2])],
        "namespace": [lambda: types.SimpleNamespace(a=1, b=2), lambda: types.SimpleNamespace(b=2, a=1)],
        "partial": [
            lambda: functools.partial(o.double, 1),
            lambda: functools.partial(functools.partial(o.double), 1),
            lambda: looked_into(functools.partial(o.double, 1)),
        ],
        "closure": [lambda: o.scaler(2), lambda: o.scaler(2)],
        "bound method": [lambda: o.Slotted(1).own, lambda: o.Slotted(1).own],
        "error": [
            lambda: ValueError("a"),
            lambda: ValueError(joined("a")),
            lambda: looked_into(ValueError("a")),
        ],
        "functions": [lambda: [o.double, len, np.sin, "a".join], lambda: [o.double, len, np.sin, "a".join]],
        "types": [
            lambda: [o.Point, list[int], int | None, np.int64],
            lambda: [o.Point, list[int], int | None, np.int64],
        ],
    }


def written(stream: Any, content: Any) -> Any:
    stream.write(content)
    stream.seek(0)
    return stream


def instances() -> dict[str, Made]:
    return {
        "dataclass": [lambda: o.Point(1, "a"), lambda: later(o.Point(1, None), y=joined("a"))],
        "order of attributes": [lambda: attributes(a=1, b=2), lambda: attributes(b=2, a=1)],
        "order of deep attributes": [lambda: attributes(a=[1], b={2}), lambda: attributes(b={2}, a=[1])],
        "slots": [lambda: o.Slotted(1), lambda: later(o.Slotted(2), x=1)],
        "cached property": [lambda: o.Lazy(2), lambda: touched(o.Lazy(2))],
        "cache left out": [lambda: o.Forgetful(1), lambda: o.Forgetful(1, cache=object())],
        "enum": [lambda: [o.Color.RED, o.Access.READ | o.Access.WRITE], lambda: [o.Color(1), o.Access(3)]],
        "model": [lambda: o.Model(a=1, b=2), lambda: o.Model.model_validate({"b": 2, "a": 1})],
        "model with hidden": [
            lambda: o.Model().with_hidden({1}),
            lambda: o.Model().with_hidden(0).with_hidden({1}),
        ],
        "model of a model": [lambda: o.Model(a=o.Model()), lambda: o.Model(a=o.Model())],
        "secret": [lambda: SecretStr("a"), lambda: SecretStr(joined("a"))],
        "account": [
            lambda: o.Account(user="a", password="b"),
            lambda: o.Account(password=SecretStr("b"), user="a"),
        ],
        "equal to all": [lambda: [o.Equal(1)], lambda: [o.Equal(1)]],
        "many": [
            lambda: [o.Point(n, str(n)) for n in range(9000)],
            lambda: [later(o.Point(0), x=n, y=str(n)) for n in range(9000)],
        ],
        "subclasses": [
            lambda: [o.Words("a"), o.Names([1]), o.Table(a=1), o.Count(1)],
            lambda: [o.Words(joined("a")), o.Names((1,)), o.Table({"a": 1}), o.Count("1")],
        ],
    }


def arrays() -> dict[str, Made]:
    data = np.random.default_rng(1).random((300, 20))
    big = np.random.default_rng(1).random((1500, 1500))
    fields = np.dtype([("a", "i1"), ("b", "i8")], align=True)

    def padded(filling: int) -> Any:
        found = np.frombuffer(bytearray([filling]) * 32, fields)
        found["a"], found["b"] = [1, 2], [3, 4]
        return found

    def long_double(filling: int) -> Any:
        found = np.frombuffer(bytearray([filling]) * 32, "g")
        found[:] = [1.5, 2.5]
        return found

    return {
        "array": [
            lambda: data,
            lambda: data.copy(),
            lambda: np.asfortranarray(data),
            lambda: data[::-1][::-1],
            lambda: data.T.copy().T,
        ],
        "array in pieces": [
            lambda: big,
            lambda: np.asfortranarray(big),
            lambda: np.repeat(big, 2, axis=1)[:, ::2],
        ],
        "slice": [lambda: data[10:20, 3:5], lambda: data[10:20, 3:5].copy()],
        "broadcast": [lambda: np.broadcast_to(np.arange(3), (4, 3)), lambda: np.tile(np.arange(3), (4, 1))],
        "read only": [lambda: np.frombuffer(b"abcd", "i2"), lambda: np.frombuffer(bytearray(b"abcd"), "i2")],
        "one dtype or two": [
            lambda: [np.zeros(2), np.zeros(2)],
            lambda: [np.zeros(2, np.dtype("<f8")), np.zeros(2, "d")],
        ],
        "objects": [
            lambda: np.array(["a", [1], None], object),
            lambda: np.array([None, [1], joined("a")], object)[::-1],
        ],
        "padding": [lambda: padded(0), lambda: padded(255)],
        "long doubles": [lambda: long_double(0), lambda: long_double(1)],
        "eight bytes": [
            lambda: np.arange(3, dtype="q"),
            lambda: np.arange(3, dtype="l"),
            lambda: np.arange(3, dtype="i8"),
        ],
        "neighbours": [neighbours, neighbours],
        "scalar": [lambda: np.float64(1.5), lambda: np.array([1.5])[0]],
        "masked": [
            lambda: np.ma.array([1, 2], mask=[False, True]),
            lambda: filled(np.ma.array([1, 2], mask=[False, True])),
        ],
        "no mask": [lambda: np.ma.array([1, 2]), lambda: np.ma.array([1, 2], mask=[False, False])],
        "texts": [
            lambda: np.array(["a", "bc"], np.dtypes.StringDType()),
            lambda: np.array(["a", "bc"]).astype(np.dtypes.StringDType()),
        ],  # type: ignore[attr-defined, unused-ignore]
        "generator": [lambda: np.random.default_rng(1), lambda: np.random.default_rng(1)],
        "record array": [
            lambda: np.rec.array([(1, "a")], dtype=[("x", "i4"), ("y", "U1")]),
            lambda: np.array([(1, "a")], [("x", "i4"), ("y", "U1")]).view(np.recarray),
        ],
        "sparse": [sparse, sorted_sparse],
        "estimator": [estimator, estimator],
        "forest": [forest, forest],
    }


def tables() -> dict[str, Made]:
    frame = pd.DataFrame(
        {"a": [1, 2, 3], "b": [1.5, None, 3], "c": ["x", None, "z"], "d": pd.date_range("2026", periods=3)}
    )
    numbers = np.random.default_rng(1).random((50, 4))
    levels = pd.MultiIndex.from_product([[1, 2, 3], ["x", "y"]])
    table = pa.table(
        {
            "a": [1, None, 3],
            "b": ["x", None, "zz"],
            "c": [[1], None, [2, None]],
            "d": [{"x": 1}, None, {"x": None}],
        }
    )
    return {
        "frame": [
            lambda: frame,
            lambda: frame.copy(),
            lambda: pd.concat([frame[:1], frame[1:]]),
            lambda: frame.iloc[::-1].iloc[::-1],
        ],
        "blocks": [
            lambda: pd.DataFrame(numbers),
            lambda: pd.DataFrame(dict(enumerate(numbers.T))).set_axis(pd.RangeIndex(4), axis=1),
            lambda: pd.DataFrame(np.asfortranarray(numbers)),
        ],
        "sliced frame": [lambda: frame[1:], lambda: frame.drop(index=0).set_axis(pd.RangeIndex(1, 3))],
        "series": [lambda: frame["a"], lambda: used_series(frame["a"].copy())],
        "category": [
            lambda: pd.Series(["a", "b"], dtype="category"),
            lambda: pd.Series(["a", "b", "a"], dtype="category")[:2],
        ],
        "nullable": [
            lambda: masked_integers(1),
            lambda: masked_integers(7),
            lambda: pd.Series([1, None], dtype="Int64"),
        ],
        "levels": [
            lambda: levels[:2],
            lambda: pd.MultiIndex.from_product([[1], ["x", "y"]]),
            lambda: levels[:2].remove_unused_levels(),
        ],
        "used index": [lambda: pd.Index(["a", "b"]), lambda: looked_up(pd.Index(["a", "b"]))],
        "dates": [
            lambda: pd.date_range("2026", periods=3, tz="UTC"),
            lambda: looked_up(pd.date_range("2026", periods=4, tz="UTC")[:3]),
        ],
        "dates in a zone": [
            lambda: pd.Series(pd.date_range("2026", periods=3, tz="Europe/Berlin")),
            lambda: pd.Series(pd.date_range("2025-12-31", periods=4, tz="Europe/Berlin"))[1:].reset_index(
                drop=True
            ),
        ],
        "periods": [
            lambda: pd.period_range("2026-01", periods=2, freq="M"),
            lambda: pd.PeriodIndex(["2026-01", "2026-02"], freq="M"),
        ],
        "intervals": [lambda: pd.interval_range(0, 2), lambda: pd.IntervalIndex.from_breaks([0, 1, 2])],
        "sparse series": [
            lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1])),
            lambda: pd.Series(pd.arrays.SparseArray([5, 0, 0, 1]))[1:].reset_index(drop=True),
        ],
        "arrow series": [
            lambda: pd.Series(["a", None], dtype="string[pyarrow]"),
            lambda: pd.Series(["x", "a", None], dtype="string[pyarrow]")[1:].reset_index(drop=True),
        ],
        "text series": [
            lambda: pd.Series(["a", "b"]),
            lambda: pd.concat([pd.Series(["a"]), pd.Series(["b"])], ignore_index=True),
        ],
        "object column": [
            lambda: pd.DataFrame({"a": [{"x": {1, 2}}, None]}),
            lambda: pd.DataFrame({"a": [{"x": {2, 1}}, None]}),
        ],
        "times": [
            lambda: [pd.Timestamp("2026", tz="UTC"), pd.Timedelta(1, "s"), pd.NaT, pd.NA],
            lambda: [
                pd.Timestamp("2026-01-01T00:00Z").tz_convert("UTC"),
                pd.Timedelta(1000, "ms").as_unit(pd.Timedelta(1, "s").unit),
                pd.NaT,
                pd.NA,
            ],
        ],
        "offsets": [
            lambda: [pd.offsets.BDay(2), pd.offsets.CustomBusinessDay(), pd.DateOffset(days=1)],
            lambda: [pd.offsets.BDay(1) * 2, pd.offsets.CustomBusinessDay(), pd.DateOffset(days=1)],
        ],
        "table": [
            lambda: table,
            lambda: pa.concat_tables([table[:1], table[1:]]),
            lambda: pa.concat_tables([table, table])[3:],
        ],
        "chunks": [
            lambda: chunks([1, 2, 3]),
            lambda: chunks([1], [2, 3]),
            lambda: chunks([1], [], [2, 3]),
            lambda: chunks([0, 1], [2, 3, 4]).slice(1, 3),
        ],
        "bits": [
            lambda: pa.array([True, None, False] * 5),
            lambda: pa.array([None, *[True, None, False] * 5]).slice(1),
        ],
        "under nulls": [
            lambda: pa.array([1, None]),
            lambda: pa.array(np.array([1, 7]), mask=np.array([False, True])),
        ],
        "dictionary": [
            lambda: pa.array(["a", "b", "a"]).dictionary_encode(),
            lambda: pa.array(["b", "a", "b", "a"]).dictionary_encode().slice(1),
        ],
        "lists": [lambda: pa.array([[1], None, []]), lambda: pa.array([[9, 9], [1], None, []]).slice(1)],
        "maps": [
            lambda: pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())),
            lambda: pa.array([[("b", 2)], [("a", 1)], None], pa.map_(pa.string(), pa.int8())).slice(1),
        ],
        "schema": [lambda: table.schema, lambda: pa.schema(list(table.schema))],
    }


def optional() -> dict[str, Made]:
    """What is not installed everywhere."""
    found: dict[str, Made] = {}
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        pass
    else:
        many = torch.arange(30.0)
        found |= {
            "tensor": [lambda: many[3:9].reshape(2, 3), lambda: torch.arange(3.0, 9.0).reshape(2, 3)],
            "parameter": [lambda: torch.nn.Parameter(many), lambda: torch.nn.Parameter(many.clone())],
            "sparse tensor": [lambda: many.to_sparse(), lambda: many.clone().to_sparse()],
        }
    try:
        attrs = importlib.import_module("attrs")
    except ImportError:
        pass
    else:
        found |= {
            "attrs": [
                lambda: attributes_class(attrs)(1, [2]),
                lambda: later(attributes_class(attrs)(0, [2]), a=1),
            ]
        }
    try:
        pl = importlib.import_module("polars")
    except ImportError:
        return found
    frame = pl.DataFrame(
        {"a": [1, None, 3], "b": ["x", None, "z"], "c": [[1], None, [2, 3]], "d": [1.5, 2.5, None]}
    )
    return found | {
        "polars frame": [
            lambda: frame,
            lambda: frame.clone(),
            lambda: pl.concat([frame[:1], frame[1:]], rechunk=False),
            lambda: pl.concat([frame, frame])[3:],
        ],
        "polars categories": [
            lambda: pl.Series(["a", "b"], dtype=pl.Categorical),
            lambda: pl.Series(["b", "a", "b"], dtype=pl.Categorical)[1:],
        ],
        "polars enum": [
            lambda: pl.Series(["a"], dtype=pl.Enum(["a", "b"])),
            lambda: pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"]))[1:],
        ],
        "polars plan": [
            lambda: frame.lazy().select(pl.col("a") + 1),
            lambda: frame.lazy().select(pl.col("a") + 1),
        ],
        "polars types": [
            lambda: [pl.Int8, pl.List(pl.Int8), pl.Datetime("us", "UTC"), frame.schema],
            lambda: [pl.Int8, pl.List(pl.Int8), pl.Datetime("us", "UTC"), frame.schema],
        ],
    }


_classes: dict[str, Any] = {}


def attributes_class(attrs: Any) -> Any:
    if "Attributes" not in _classes:
        _classes["Attributes"] = attrs.make_class("Attributes", ["a", "b"])
        _classes["Attributes"].__module__ = __name__
        globals()["Attributes"] = _classes["Attributes"]
    return _classes["Attributes"]


def ways() -> dict[str, Made]:
    return builtin() | standard() | instances() | arrays() | tables() | optional()


def digests() -> dict[str, list[str]]:
    """Return the digests of what each way makes, and of that after a pickle."""
    found: dict[str, list[str]] = {}
    encoder = o.encoder()
    for name, made in ways().items():
        values = [make() for make in made]
        found[name] = [encoder.digest(value).hex() for value in values]
        found[name] += [encoder.digest(cloudpickle.loads(cloudpickle.dumps(value))).hex() for value in values]
        found[name] += [encoder.digest([value, value]).hex() for value in values]
        if found[name][: len(values)] != [encoder.digest(value).hex() for value in values]:
            found[name].append("another one the second time")
    return found


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(json.dumps(digests()))  # noqa: T201
