"""Frames, written in format 4, and read in formats 4 and 3.

A body may come from anybody who can write to the bucket. So a frame is checked whole, before memory is taken
for what it claims: first what it is, then its checksum, its sizes, and what its compressed chunks say of
themselves. The checksum guards against accidents, not against an attacker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from s3kv_flows.store._objects.value_limit import max_value_bytes
from s3kv_flows.store._s3.bodies import Buffer, Pieces
from s3kv_flows.store._values.compression import compress, decompress
from s3kv_flows.store._values.frames import format3, format4
from s3kv_flows.store._values.frames.sections import MAGIC, Frame
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["MAGIC", "about", "codec_name", "is_frame", "pack", "unpack"]

_READERS: Mapping[int, Callable[..., Frame]] = {
    format3.VERSION: format3.read,
    format4.VERSION: format4.read,
}


def is_frame(body: Buffer) -> bool:
    """Return whether a body begins like a frame."""
    return bytes(body[: len(MAGIC)]) == MAGIC


def pack(codec: str, buffers: Sequence[Buffer], about: bytes = b"") -> Pieces:
    """Return the frame of some buffers, which views those that are not compressed.

    Args:
        codec: The name of the codec that made the buffers: up to 16 characters of ASCII.
        buffers: The buffers of the value.
        about: What is said of the value, and is no part of it.
    """
    sections = compress([*buffers, about] if about else buffers)
    return format4.write(codec, sections, about=1 if about else 0)


def unpack(
    codec: str, body: bytearray | memoryview, *, verify_checksum: bool = True, max_bytes: int | None = None
) -> list[memoryview]:
    """Return the buffers of a frame: writable, and views of the body where they are not compressed.

    Args:
        codec: The codec that must have written it.
        body: The frame.
        verify_checksum: Whether to compute the checksum: not needed where a seal has been verified.
        max_bytes: The most memory that the value may take; by default
            :func:`~s3kv_flows.store._objects.value_limit.max_value_bytes`.

    Raises:
        CorruptValueError: The body is not a frame, is damaged, claims too much, or is of another codec or
            format.
    """
    frame = _read(body, verify_checksum=verify_checksum, max_bytes=max_bytes)
    if frame.codec != codec:
        raise CorruptValueError(
            f"the frame was written with codec {frame.codec!r}, not {codec!r}", reason="codec"
        )
    return decompress(frame.sections[: len(frame.sections) - frame.about])


def about(
    body: bytearray | memoryview, *, verify_checksum: bool = True, max_bytes: int | None = None
) -> bytes:
    """Return what a frame says of its value, without the value; nothing where it says nothing.

    Args:
        body: The frame.
        verify_checksum: As for :func:`unpack`; without it, this takes microseconds, whatever the size.
        max_bytes: As for :func:`unpack`.

    Raises:
        CorruptValueError: The body is not a frame, is damaged, claims too much, or is of another format.
    """
    frame = _read(body, verify_checksum=verify_checksum, max_bytes=max_bytes)
    return b"".join(decompress(frame.sections[len(frame.sections) - frame.about :]))


def codec_name(body: bytearray | memoryview) -> str:
    """Return the name of the codec that a frame says it is of: its checksum is not looked at.

    Raises:
        CorruptValueError: As of :func:`unpack`.
    """
    return _read(body, verify_checksum=False, max_bytes=None).codec


def _read(body: bytearray | memoryview, *, verify_checksum: bool, max_bytes: int | None) -> Frame:
    if not is_frame(body):
        raise CorruptValueError("this is no frame of s3kv_flows", reason="not_a_frame")
    if len(body) == len(MAGIC):
        raise CorruptValueError("the frame is truncated", reason="truncated")
    version = body[len(MAGIC)]
    reader = _READERS.get(version)
    if reader is None:
        known = " and ".join(map(str, sorted(_READERS)))
        raise CorruptValueError(
            f"the frame has format {version}; this package reads formats {known}", reason="format"
        )
    limit = max_value_bytes() if max_bytes is None else max_bytes
    return reader(memoryview(body), verify_checksum=verify_checksum, limit=limit)
