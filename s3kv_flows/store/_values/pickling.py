"""Values as pickles whose large buffers stay outside (protocol 5, PEP 574).

The buffers of numpy, pandas and pyarrow are taken as they are, without a copy, and come back as writable
views of the downloaded bytes. Arrow's own format was measured beside it: of the flights DataFrame (63 MB,
19 columns) it takes 8.8 MB with zstd, a compressed pickle 8.5 MB, within the same time; and it turns Python
strings into another type, forgets what only pandas knows, and gives read-only arrays back. So pickles it
is, but for slices: a pickle of a thousand rows of an Arrow table holds the buffers of the whole table
(40 MB there), Arrow's format what is in the slice (0.2 MB).
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Sequence
from typing import Any

import cloudpickle

from s3kv_flows.store._s3.bodies import Buffer
from s3kv_flows.store.errors import CorruptValueError, EncodingError

__all__ = ["dump", "load"]

_MOST_BESIDE = 1.25  # buffers up to so many times what is in use go along as they are
_PADDING = 4096


def dump(value: Any) -> list[Buffer]:
    """Return the pickle of a value and the buffers beside it, which are the value's own.

    Raises:
        EncodingError: It cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    try:
        _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as exc:
        raise EncodingError(f"cloudpickle cannot hold this {type(value).__name__}: {exc}") from exc
    return [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]


def load(buffers: Sequence[memoryview]) -> Any:
    """Return the value of a pickle and the buffers beside it, which become the value's own.

    Raises:
        CorruptValueError: It cannot be unpickled here.
    """
    stream, *others = buffers
    try:
        return pickle.loads(stream, buffers=others)  # noqa: S301  # verified; results are trusted
    except Exception as exc:  # unpickling runs the code of any class
        raise CorruptValueError(
            f"the frame is whole, but its value cannot be unpickled here: {type(exc).__name__}: {exc}"
        ) from exc


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """cloudpickle's, which leaves out what a slice of an Arrow array does not use."""

    def reducer_override(self, obj: Any) -> Any:
        arrow = sys.modules.get("pyarrow")
        if arrow is not None and isinstance(obj, arrow.Array) and _holds_much_beside(arrow, obj):
            return _without_the_rest(arrow, obj).__reduce_ex__(5)
        return super().reducer_override(obj)


def _holds_much_beside(arrow: Any, array: Any) -> bool:
    try:
        in_use = array.nbytes
    except arrow.ArrowNotImplementedError:  # of this type, Arrow cannot tell
        return False
    return bool(array.get_total_buffer_size() > _MOST_BESIDE * in_use + _PADDING)


def _without_the_rest(arrow: Any, array: Any) -> Any:
    """Return an equal array with buffers of its own, by way of Arrow's format, which cuts them off."""
    if not len(array):  # there it does not
        return arrow.nulls(0, array.type)
    batch = arrow.RecordBatch.from_arrays([array], [""])
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    found = arrow.ipc.open_stream(sink.getvalue()).read_next_batch().column(0)
    return found if found.type == array.type else array  # an extension type that is not registered
