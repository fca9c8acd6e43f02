"""Pickle values with large buffers out of band (protocol 5, PEP 574).

The buffers of numpy, pandas and pyarrow are not copied, and unpickling returns them as writable views of the
downloaded bytes. Arrow's own format was measured beside it: the flights DataFrame (63 MB, 19 columns) takes
8.8 MB with zstd, as a compressed pickle 8.5 MB, within the same time; and Arrow turns Python strings into
another type, loses what only pandas knows, and returns read-only arrays. So values are pickled, except slices
of Arrow: a pickle of a thousand rows of an Arrow table holds the buffers of the whole table (40 MB there),
Arrow's format only the slice (0.2 MB).
"""

from __future__ import annotations

import io
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import cloudpickle

from s3kv_flows.store._layout.secrets import SecretHolder
from s3kv_flows.store._s3.bodies import Buffer
from s3kv_flows.store.errors import CorruptValueError, EncodingError

__all__ = ["Pickler", "dump", "load"]

_MAX_BUFFER_RATIO = 1.25  # buffers up to this many times the bytes in use are kept whole
_PADDING = 4096
_SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGALRM", "SIGINT", "SIGHUP") if hasattr(signal, name)
]
"""What ends a run from outside: Prefect raises from its handlers of SIGTERM, and of SIGALRM at a timeout."""


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """cloudpickle's pickler, which leaves out the bytes that a slice of an Arrow array does not use.

    Args:
        stream: Where the pickle is written to.
        buffers: Takes the out-of-band buffers; None for a pickle that contains them.
    """

    def __init__(self, stream: BinaryIO, buffers: list[pickle.PickleBuffer] | None = None) -> None:
        super().__init__(stream, protocol=5, buffer_callback=None if buffers is None else buffers.append)

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle an object, or NotImplemented for pickle's own way."""
        if isinstance(obj, SecretHolder) and obj.has_secrets():
            if (found := obj.pickled_as()) is not None:
                return found
            raise EncodingError(
                f"this {type(obj).__name__} holds credentials, which would be readable in the bucket: return "
                "the name of a saved store instead, or a store that finds its credentials by itself"
            )
        arrow = sys.modules.get("pyarrow")
        if arrow is not None and isinstance(obj, arrow.Array) and _has_large_unused_part(arrow, obj):
            return _trimmed(arrow, obj).__reduce_ex__(5)
        return super().reducer_override(obj)


def dump(value: Any, pickler: type[Pickler] = Pickler) -> list[Buffer]:
    """Return the pickle of a value and its out-of-band buffers, which are not copied.

    Args:
        value: A value.
        pickler: The class that pickles it.

    Raises:
        EncodingError: The value cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    try:
        pickler(stream, buffers).dump(value)
    except Exception as exc:  # pickling runs the code of any class
        raise EncodingError(f"cloudpickle cannot pickle this {type(value).__name__}: {exc}") from exc
    # The stream's own bytes, not a copy; a view of the stream could outlive it in a garbage collection.
    return [memoryview(stream.getvalue()), *(buffer.raw() for buffer in buffers)]


def load(buffers: Sequence[memoryview], loads: Callable[..., Any] = pickle.loads) -> Any:
    """Return the value of a pickle and its out-of-band buffers, which the value then owns.

    Args:
        buffers: The pickle, and its out-of-band buffers.
        loads: Unpickles them, with the arguments of ``pickle.loads``.

    Raises:
        CorruptValueError: The pickle cannot be unpickled here.
    """
    if not buffers:
        raise CorruptValueError("the frame has no pickle", reason="layout")
    stream, *others = buffers
    # Unpickling runs the code of any class, and that may raise anything: an `exit` in a pickle, which is
    # SystemExit and no Exception, would end the process, and GeneratorExit vanish in a generator. What comes
    # from outside goes on: Ctrl-C, and the exceptions by which handlers of signals end a run.
    try:
        return loads(stream, buffers=others)  # verified; results are trusted
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        if _is_of_signal(exc):
            raise
        raise CorruptValueError(
            f"the frame is intact, but its value cannot be unpickled here: {_described(exc)}",
            reason="unpickle",
        ) from exc


def _is_of_signal(exc: BaseException) -> bool:
    """Tell whether a handler of a signal raised an exception: it ran within the unpickling by chance."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in _SIGNALS}
    frames = traceback.walk_tb(exc.__traceback__)
    return any(frame.f_code in handlers for frame, _ in frames)


def _described(exc: BaseException) -> str:
    """Return an exception in words; its own class says how, and is code of the pickle, too."""
    try:
        return f"{type(exc).__name__}: {exc}"
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # as above
        return "an exception that cannot be shown"


def _has_large_unused_part(arrow: Any, array: Any) -> bool:
    try:
        in_use = array.nbytes
    except arrow.ArrowNotImplementedError:  # Arrow does not know the size of this type
        return False
    return bool(array.get_total_buffer_size() > _MAX_BUFFER_RATIO * in_use + _PADDING)


def _trimmed(arrow: Any, array: Any) -> Any:
    """Return an equal array without unused bytes in its buffers, by a round trip through Arrow's format."""
    if not len(array):  # of which Arrow's format would keep the buffers
        return arrow.nulls(0, array.type)
    batch = arrow.RecordBatch.from_arrays([array], [""])
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    trimmed = arrow.ipc.open_stream(sink.getvalue()).read_next_batch().column(0)
    return trimmed if trimmed.type == array.type else array  # an extension type that is not registered
