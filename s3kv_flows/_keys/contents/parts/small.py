"""Small values, as records, times and numbers, written in place."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import timedelta, timezone
from hashlib import sha256
from typing import Any, NamedTuple

from s3kv_flows._keys.contents.builtin_trees import measure, small_blob
from s3kv_flows._keys.contents.parts.kinds import name_of
from s3kv_flows._keys.contents.parts.objects import Layout, attributes

__all__ = ["SmallValues"]

_ATOMS = frozenset({int, float, bool, type(None), str})
_MOST_INLINE = 512


class _Record(NamedTuple):
    """How instances of one class with the same attributes are written."""

    head: bytes
    values_of: Callable[[dict[str, object]], tuple[object, ...]]


class SmallValues:
    """Writes what is small.

    Args:
        kind_token: Returns what stands for a class.
        layout_of: Returns how an instance holds its attributes, None where it is more than those.
    """

    def __init__(
        self, kind_token: Callable[[type], bytes], layout_of: Callable[[object], Layout | None]
    ) -> None:
        self._kind_token = kind_token
        self._layout_of = layout_of
        self._writers: dict[type, Callable[[Any], bytes | None]] = {}
        self._records: dict[tuple[type, tuple[str, ...]], _Record] = {}

    def small(self, value: object) -> bytes | None:
        """Return all of a value as bytes, or a digest of it; None where it has to be looked into."""
        writer = self._writers.get(type(value))
        if writer is None:
            writer = self._writers[type(value)] = self._writer(value)
        return writer(value)

    def _writer(self, value: object) -> Callable[[Any], bytes | None]:
        kind = type(value)
        content_of = _CONTENTS.get(name_of(kind))
        if content_of is not None:
            head = b"value" + self._kind_token(kind)

            def of_a_value(value: object) -> bytes | None:
                content = content_of(value)
                return None if content is None else head + small_blob(content)

            return of_a_value
        layout = self._layout_of(value)
        if layout is None:
            return _nothing
        if layout.has_dict and not layout.slots:
            return self._of_a_record
        return lambda value: self._of_attributes(kind, attributes(value, layout))

    def _of_a_record(self, value: Any) -> bytes | None:
        held: dict[str, object] = value.__dict__.copy()  # as another thread may add one
        key = type(value), tuple(held)
        record = self._records.get(key)
        if record is None:
            layout = self._layout_of(value)
            if layout is None or not {str}.issuperset(map(type, held)):
                return None
            names = tuple(name for name in sorted(held) if name not in layout.left_out)
            record = self._records[key] = _Record(self._head(type(value), names), _getter(names))
        return _written(record.head, record.values_of(held))

    def _of_attributes(self, kind: type, held: dict[str, object]) -> bytes | None:
        if not {str}.issuperset(map(type, held)):
            return None
        return _written(self._head(kind, tuple(held)), tuple(held.values()))

    def _head(self, kind: type, names: tuple[object, ...]) -> bytes:
        return b"small" + sha256(self._kind_token(kind) + small_blob(names)).digest()


def _nothing(value: object) -> None:  # noqa: ARG001
    return None


def _written(head: bytes, held: tuple[object, ...]) -> bytes | None:
    if not (_ATOMS.issuperset(map(type, held)) or measure(held).small):
        return None
    blob = small_blob(held)
    return head + (blob if len(blob) < _MOST_INLINE else b"long" + sha256(blob).digest())


def _getter(names: tuple[str, ...]) -> Callable[[dict[str, object]], tuple[object, ...]]:
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda held: tuple(held[name] for name in names)


def _time(value: Any) -> tuple[object, ...] | None:
    """The bytes of a time hold its fold, too."""
    zone = () if value.tzinfo is None else _zone(value.tzinfo)
    return None if zone is None else (value.__reduce_ex__(4)[1][0], *zone)


def _zone(value: Any) -> tuple[object, ...] | None:
    if type(value) is timezone:
        offset, *names = value.__getinitargs__()  # type: ignore[attr-defined]  # unknown to the stubs
        return (*_length(offset), *names)
    if name_of(type(value)) == "zoneinfo.ZoneInfo" and value.key is not None:
        return (value.key,)
    return None


def _length(value: timedelta) -> tuple[object, ...]:
    return value.days, value.seconds, value.microseconds


def _number(value: Any) -> tuple[object, ...] | None:
    dtype = value.dtype
    return (dtype.str, value.tobytes()) if dtype.kind in "biufcmM" and dtype.char not in "gG" else None


_NUMBERS = (
    *("bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "datetime64", "timedelta64"),
)

_CONTENTS: dict[str, Callable[[Any], tuple[object, ...] | None]] = {
    "datetime.datetime": _time,
    "datetime.time": _time,
    "datetime.date": lambda value: value.__reduce__()[1],
    "datetime.timedelta": _length,
    "decimal.Decimal": lambda value: (str(value),),
    "fractions.Fraction": lambda value: (value.numerator, value.denominator),
    "uuid.UUID": lambda value: (value.int, value.is_safe.name),
    **{f"numpy.{name}": _number for name in _NUMBERS},
}
"""By the name of the class itself, not of one it is derived from; None for what has more to it."""
