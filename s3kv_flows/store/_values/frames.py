"""Frames: buffers in a row, with a checksum of all of it and a header that tells them apart.

Such is the layout::

    magic      8 bytes   not JSON and not UTF-8, so that nobody takes a frame for a text
    version    1 byte
    checksum   8 bytes   XXH3-64 of all that follows, little endian
    length     4 bytes   of the header, little endian
    header     JSON      codec, write id, and of each section: raw size, sizes of its compressed pieces
    sections             each aligned; without compressed pieces, as they are

The write id is random: two writes of equal values have different ETags. The checksum is verified before
anything else is looked at; it guards against accidents, not against an attacker. XXH3 takes it at the
speed of memory, where the CRC-32 of zlib takes as long as a fast wire does.
"""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Iterable, Sequence

import xxhash

from s3kv_flows.store._s3.bodies import Buffer, Pieces
from s3kv_flows.store._values.compression import Section, compress, decompress
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["MAGIC", "is_frame", "pack", "unpack"]

MAGIC = b"\x89S3KV\r\n\x1a"
_VERSION = 3
_PREAMBLE = struct.Struct("<8sBQ")
_LENGTH = struct.Struct("<I")
_HEADER_AT = _PREAMBLE.size + _LENGTH.size
_ALIGNMENT = 16  # what numpy calls aligned, for every type it has


def is_frame(body: Buffer) -> bool:
    """Tell whether a body begins as a frame does."""
    return bytes(body[: len(MAGIC)]) == MAGIC


def pack(codec: str, buffers: Sequence[Buffer]) -> Pieces:
    """Return the frame of some buffers, which views those that do not compress."""
    sections = compress(buffers)
    header = json.dumps(
        {
            "codec": codec,
            "write_id": secrets.token_hex(16),
            "sections": [
                [section.raw_size, [len(piece) for piece in section.stored] if section.is_compressed else []]
                for section in sections
            ],
        },
        separators=(",", ":"),
    ).encode()
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
        CorruptValueError: This is no frame, or a damaged one, or one of another codec or version.
    """
    if not is_frame(body):
        raise CorruptValueError("this is no frame of s3kv_flows")
    if len(body) < _HEADER_AT:
        raise CorruptValueError("the frame is truncated")
    _, version, checksum = _PREAMBLE.unpack_from(body)
    if version != _VERSION:
        raise CorruptValueError(f"the frame is of version {version}, this package reads {_VERSION}")
    view = memoryview(body)
    if xxhash.xxh3_64_intdigest(view[_PREAMBLE.size :]) != checksum:
        raise CorruptValueError("the frame is truncated or damaged: its checksum does not match")
    start = _HEADER_AT + _LENGTH.unpack_from(body, _PREAMBLE.size)[0]
    try:
        header = json.loads(bytes(view[_HEADER_AT:start]))
        written_by = header["codec"]
        sizes = [(int(raw), [int(piece) for piece in pieces]) for raw, pieces in header["sections"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise CorruptValueError(f"the header of the frame cannot be read: {exc!r}") from exc
    if written_by != codec:
        raise CorruptValueError(f"the frame is of codec {written_by!r}, not {codec!r}")
    return decompress(_sections(view[start:], sizes))


def _sections(view: memoryview, sizes: Iterable[tuple[int, list[int]]]) -> Iterable[Section]:
    at = 0
    for raw_size, pieces in sizes:
        stored = []
        for size in pieces or [raw_size]:
            stored.append(view[at : at + size])
            at += size
        at += -at % _ALIGNMENT
        yield Section(raw_size, stored, is_compressed=bool(pieces))


def _padded(header: bytes, offset: int) -> bytes:
    """Fill up with spaces, which JSON allows, so that what follows is aligned."""
    return header + b" " * (-(offset + len(header)) % _ALIGNMENT)
