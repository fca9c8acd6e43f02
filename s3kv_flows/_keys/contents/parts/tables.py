"""Frames, series and indexes of pandas, column by column.

Blocks do not count. A multi-index counts by the labels of its rows: levels that no row uses are left over
from slicing. Columns are released one by one.
"""

from __future__ import annotations

from typing import Any

from s3kv_flows._keys.contents.parts.arrays import masked
from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk, name_of
from s3kv_flows._keys.contents.parts.objects import reduced

__all__ = ["PARTS"]


def _frame(walk: Walk, value: Any) -> Parts:
    columns = [walk.settled(column) for column in value._iter_column_arrays()]  # noqa: SLF001
    return Parts(_flags(value), [value.columns, value.index, columns, *_beside(value)])


def _series(walk: Walk, value: Any) -> Parts:
    content = walk.settled(value._values)  # noqa: SLF001  # the array itself
    return Parts(_flags(value), [value.index, value.name, content, *_beside(value)])


def _flags(value: Any) -> bytes:
    return b"unique" if not value.flags.allows_duplicate_labels else b""


def _beside(value: Any) -> list[object]:
    """Return what travels along with a frame: its attrs, and what a subclass adds."""
    found: list[object] = [dict(value.attrs)]
    if not name_of(type(value)).startswith("pandas."):
        found.append({name: getattr(value, name, None) for name in value._metadata})  # noqa: SLF001
    return found


def _index(walk: Walk, value: Any) -> Parts:
    return Parts(b"index", [value.name, walk.settled(value._values), getattr(value, "freq", None)])  # noqa: SLF001


def _range_index(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"range", [value.name, value.start, value.stop, value.step])


def _multi_index(walk: Walk, value: Any) -> Parts:
    levels = [walk.settled(value.get_level_values(number)) for number in range(value.nlevels)]
    return Parts(b"levels", [list(value.names), levels])


def _dates(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    dtype = value.dtype
    return Parts(
        str(dtype).encode(), [value._ndarray, getattr(dtype, "tz", None), getattr(value, "freq", None)]  # noqa: SLF001
    )  # fmt: skip


def _timestamp(walk: Walk, value: Any) -> Parts:
    """A time without a zone has its fold beside what pickle keeps of it."""
    parts = reduced(walk, value)
    is_second = value.tzinfo is None and value.fold == 1
    return parts._replace(label=parts.label + b" fold") if is_second else parts


def _categorical(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"ordered" if value.ordered else b"", [value.categories, value.codes])


def _categories(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"ordered" if value.ordered else b"", [value.categories])


def _intervals(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(value.closed.encode(), [value.left, value.right])


def _nullable(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    # What stands where a value is missing is an accident of how it was computed.
    return Parts(str(value.dtype).encode(), masked(value._data, value._mask))  # noqa: SLF001


def _sparse(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    label = repr((str(value.dtype), len(value), value.kind)).encode()
    return Parts(label, [value.sp_values, value.sp_index.indices, value.fill_value])


def _strings(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    dtype = value.dtype
    label = repr((str(dtype), getattr(dtype, "storage", ""), repr(getattr(dtype, "na_value", "")))).encode()
    return Parts(label, [value._ndarray])  # noqa: SLF001


def _arrow(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    dtype = value.dtype
    label = repr((str(dtype), getattr(dtype, "storage", ""), repr(getattr(dtype, "na_value", "")))).encode()
    return Parts(label, [value._pa_array])  # noqa: SLF001


PARTS: dict[str, PartsOf] = {
    "pandas.DataFrame": _frame,
    "pandas.Series": _series,
    "pandas.Index": _index,
    "pandas.RangeIndex": _range_index,
    "pandas.MultiIndex": _multi_index,
    "pandas.DatetimeLikeArrayMixin": _dates,
    "pandas.DatetimeArray": _dates,
    "pandas.TimedeltaArray": _dates,
    "pandas.PeriodArray": _dates,
    "pandas.Timestamp": _timestamp,
    "pandas.Categorical": _categorical,
    "pandas.CategoricalDtype": _categories,
    "pandas.IntervalArray": _intervals,
    "pandas.BaseMaskedArray": _nullable,
    "pandas.SparseArray": _sparse,
    "pandas.NumpyExtensionArray": _strings,
    "pandas.PandasArray": _strings,
    "pandas.ArrowExtensionArray": _arrow,
}
