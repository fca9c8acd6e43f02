"""Frames: a checksum, a header, and the buffers of a value.

The layout is::

    magic      8 bytes   neither JSON nor UTF-8, so that nobody takes a frame for text
    version    1 byte
    checksum   8 bytes   XXH3-64 of all that follows, little endian
    length     4 bytes   of the header, little endian
    header     JSON      codec, write id, and of each section: raw size, sizes of its compressed chunks;
                         how many sections at the end are about the value and no part of it
    sections             each aligned; the raw buffer where it has no compressed chunks

The write id is random: two writes of equal values have different ETags. The checksum is verified before
anything else is parsed; it guards against accidents, not against an attacker. XXH3 computes it at the
speed of memory, where the CRC-32 of zlib takes as long as a fast network does.
"""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import xxhash

from s3kv_flows.store._s3.bodies import Buffer, Pieces
from s3kv_flows.store._values.compression import Section, compress, decompress
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["MAGIC", "about", "is_frame", "pack", "unpack"]

MAGIC = b"\x89S3KV\r\n\x1a"
_VERSION = 3
_PREAMBLE = struct.Struct("<8sBQ")
_LENGTH = struct.Struct("<I")
_HEADER_AT = _PREAMBLE.size + _LENGTH.size
_ALIGNMENT = 16  # bytes; enough for every numpy type


def is_frame(body: Buffer) -> bool:
    """Return whether a body begins like a frame."""
    return bytes(body[: len(MAGIC)]) == MAGIC


def pack(codec: str, buffers: Sequence[Buffer], about: bytes = b"") -> Pieces:
    """Return the frame of some buffers, which views those that are not compressed.

    Args:
        codec: The name of the codec that made the buffers.
        buffers: The buffers of the value.
        about: What is said of the value, and is no part of it.
    """
    sections = compress([*buffers, about] if about else buffers)
    fields: dict[str, object] = {
        "codec": codec,
        "write_id": secrets.token_hex(16),
        "sections": [
            [section.raw_size, [len(chunk) for chunk in section.stored] if section.is_compressed else []]
            for section in sections
        ],
    }
    if about:
        fields["about"] = 1
    header = json.dumps(fields, separators=(",", ":")).encode()
    parts: list[Buffer] = [_padded(header, _HEADER_AT)]
    for section in sections:
        parts += [*section.stored, bytes(-sum(map(len, section.stored)) % _ALIGNMENT)]
    parts.insert(0, _LENGTH.pack(len(parts[0])))
    checksum = xxhash.xxh3_64()
    for part in parts:
        checksum.update(part)
    return Pieces([_PREAMBLE.pack(MAGIC, _VERSION, checksum.intdigest()), *parts])


def unpack(codec: str, body: bytearray | memoryview) -> list[memoryview]:
    """Return the buffers of a frame: writable, and views of the body where they are not compressed.

    Raises:
        CorruptValueError: The body is not a frame, is damaged, or is of another codec or version.
    """
    frame = _read(body)
    if frame.codec != codec:
        raise CorruptValueError(f"the frame was written with codec {frame.codec!r}, not {codec!r}")
    of_value = len(frame.sections) - frame.about
    return decompress(frame.sections[:of_value])


def about(body: bytearray | memoryview) -> bytes:
    """Return what a frame says of its value; nothing where it says nothing.

    Raises:
        CorruptValueError: The body is not a frame, is damaged, or is of another version.
    """
    frame = _read(body)
    return b"".join(decompress(frame.sections[len(frame.sections) - frame.about :]))


class _Frame(NamedTuple):
    codec: str
    sections: list[Section]
    about: int


def _read(body: bytearray | memoryview) -> _Frame:
    if not is_frame(body):
        raise CorruptValueError("this is no frame of s3kv_flows")
    if len(body) < _HEADER_AT:
        raise CorruptValueError("the frame is truncated")
    _, version, checksum = _PREAMBLE.unpack_from(body)
    if version != _VERSION:
        raise CorruptValueError(f"the frame has version {version}; this package reads version {_VERSION}")
    view = memoryview(body)
    if xxhash.xxh3_64_intdigest(view[_PREAMBLE.size :]) != checksum:
        raise CorruptValueError("the frame is truncated or damaged: its checksum does not match")
    start = _HEADER_AT + _LENGTH.unpack_from(body, _PREAMBLE.size)[0]
    try:
        header = json.loads(bytes(view[_HEADER_AT:start]))
        written_by = header["codec"]
        sizes = [(int(raw), [int(chunk) for chunk in chunks]) for raw, chunks in header["sections"]]
        count = int(header.get("about", 0))
    except (ValueError, KeyError, TypeError) as exc:
        raise CorruptValueError(f"the header of the frame cannot be read: {exc!r}") from exc
    if not 0 <= count <= len(sizes):
        raise CorruptValueError(f"the header of the frame counts {count} of {len(sizes)} sections")
    return _Frame(written_by, list(_sections(view[start:], sizes)), count)


def _sections(view: memoryview, sizes: Iterable[tuple[int, list[int]]]) -> Iterable[Section]:
    offset = 0
    for raw_size, chunk_sizes in sizes:
        stored = []
        for size in chunk_sizes or [raw_size]:
            stored.append(view[offset : offset + size])
            offset += size
        offset += -offset % _ALIGNMENT
        yield Section(raw_size, stored, is_compressed=bool(chunk_sizes))


def _padded(header: bytes, offset: int) -> bytes:
    """Pad the header with spaces, which JSON allows, so that the sections are aligned."""
    return header + b" " * (-(offset + len(header)) % _ALIGNMENT)
