"""SHA-256 digests of bodies and values, and comparison of bodies.

The digest of a value depends on its content, however the value came about.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from typing import Any

import cloudpickle

from s3kv_flows.store._s3.bodies import Body, Buffer, Pieces
from s3kv_flows.store._values.frames import frames
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["content_digest", "digest_or_none", "same_content", "sha256_of"]


def sha256_of(body: Body) -> str:
    """Return the SHA-256 of a body in hex, without copying it into one buffer."""
    if not isinstance(body, Pieces):
        return hashlib.sha256(body).hexdigest()
    digest = hashlib.sha256()
    start = 0
    while view := body.view(start, len(body)):
        digest.update(view)
        start += len(view)
    return digest.hexdigest()


def same_content(codec: str, ours: Body, theirs: Buffer) -> bool:
    """Return whether two bodies have the same content.

    Frames, whose headers differ, are compared by their buffers; other bodies byte by byte. A damaged frame
    equals no other.
    """
    joined = bytes(ours)
    if not (frames.is_frame(joined) and frames.is_frame(theirs)):
        return joined == theirs
    try:
        our_buffers, their_buffers = (frames.unpack(codec, bytearray(body)) for body in (joined, theirs))
    except CorruptValueError:
        return False
    return our_buffers == their_buffers


def content_digest(value: Any, *, with_sharing: bool = False) -> str:
    """Return a digest of the content of a picklable value.

    Args:
        value: The value.
        with_sharing: Whether the digest also depends on which parts of the value are the same object.
            Otherwise a shared part is read as often as it occurs.

    Raises:
        ValueError: The value contains itself.
        TypeError, PicklingError: The value cannot be pickled.
    """
    sink = _Digest()
    buffers = hashlib.sha256()

    def add_buffer(buffer: pickle.PickleBuffer) -> None:
        with buffer.raw() as raw:
            buffers.update(raw)

    pickler = _ContentPickler(sink, protocol=5, buffer_callback=add_buffer)
    pickler.fast = not with_sharing
    pickler.dump(value)
    return sink.hash.hexdigest() + buffers.hexdigest()


def digest_or_none(value: Any, *, with_sharing: bool = False) -> str | None:
    """Return a digest of the content of a value; None where it cannot be pickled, like a generator."""
    try:
        return content_digest(value, with_sharing=with_sharing)
    except (ValueError, TypeError, AttributeError, OSError, RuntimeError, pickle.PicklingError):
        return None  # a class may refuse with any of these


class _Digest:
    """A file that only hashes the bytes written to it."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return len(data)


class _ContentPickler(cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """Pickles arrays by content and classes by name: for digests, not for unpickling."""

    def reducer_override(self, obj: Any) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and type(obj) is numpy.ndarray and not obj.dtype.hasobject:
            content = pickle.PickleBuffer(numpy.ascontiguousarray(obj).view("u1") if obj.size else b"")
            return _part, (obj.dtype.str, str(obj.dtype), obj.shape, content)
        if isinstance(obj, type):
            return _part, (obj.__module__, obj.__qualname__)
        return super().reducer_override(obj)


def _part(*content: object) -> tuple[object, ...]:  # its name and module are in the digests of such values
    return content
