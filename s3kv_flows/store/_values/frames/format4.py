"""Format 4 of frames: binary, with a head of 64 bytes.

The layout, all numbers little endian::

    head, 64 bytes
        magic       8 bytes
        format      1 byte
        flags       1 byte    0: an unknown flag is refused
        about       2 bytes   how many sections at the end are about the value: 0 or 1
        sections    4 bytes   their number
        write id   16 bytes   random, so that two writes of equal values have different ETags
        length      8 bytes   of the whole frame
        checksum    8 bytes   XXH3-64 of the whole frame, with zeros in its own place
        codec      16 bytes   ASCII, filled up with NUL
    of each section, 8 bytes
        raw size    63 bits
        compressed   1 bit    the highest: whether it is stored in chunks, or as it is
    of each chunk, in order
        size        4 bytes
    padding to a multiple of 16
    of each section: its chunks, or the section itself, and padding to a multiple of 16

Each chunk is one frame of zstd, of 4 MiB before compression; the last one of a section is smaller. So the raw
size says how many there are. XXH3 takes the time of reading memory, where the CRC-32 of zlib takes as long as
a fast network.
"""

from __future__ import annotations

import re
import secrets
import struct
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import xxhash

from s3kv_flows.store._s3.bodies import Buffer, Pieces
from s3kv_flows.store._values.compression import Section, chunk_count
from s3kv_flows.store._values.frames.sections import (
    MAGIC,
    SECTION_BYTES,
    Frame,
    cut,
    padding,
    require_affordable,
)
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["VERSION", "read", "write"]

VERSION = 4

_HEAD = struct.Struct("<8sBBHI16sQQ16s")
_SECTION_ENTRY = 8
_CHUNK_ENTRY = 4
_COMPRESSED = 1 << 63
_RAW_SIZE = _COMPRESSED - 1
_CHECKSUM = slice(40, 48)
_CODEC = re.compile(rb"([!-~]{1,16})\0*")
_MOST_ABOUT = 1


class _Head(NamedTuple):
    magic: bytes
    version: int
    flags: int
    about: int
    sections: int
    write_id: bytes
    length: int
    checksum: int
    codec: bytes


def write(codec: str, sections: Sequence[Section], *, about: int) -> Pieces:
    """Return the frame of some sections, which views them.

    Args:
        codec: The codec of the value.
        sections: The sections.
        about: How many of them, at the end, are about the value.

    Raises:
        ValueError: The name of the codec has over 16 characters, or others than ASCII.
    """
    if not _CODEC.fullmatch(named := codec.encode()):
        raise ValueError(f"the name of a codec has 1 to 16 printable characters of ASCII, not {codec!r}")
    parts: list[Buffer] = [_tables(sections)]
    for section in sections:
        parts += [*section.stored, bytes(padding(sum(map(len, section.stored))))]
    length = _HEAD.size + sum(map(len, parts))
    write_id = secrets.token_bytes(16)
    head = _Head(MAGIC, VERSION, 0, about, len(sections), write_id, length, 0, named)
    checksum = xxhash.xxh3_64(_HEAD.pack(*head))
    for part in parts:
        checksum.update(part)
    return Pieces([_HEAD.pack(*head._replace(checksum=checksum.intdigest())), *parts])


def read(view: memoryview, *, verify_checksum: bool, limit: int) -> Frame:
    """Check a frame, and return it; memory is taken for its tables alone.

    Args:
        view: The frame.
        verify_checksum: Whether to compute its checksum.
        limit: The most memory that it may claim.

    Raises:
        CorruptValueError: It is damaged, or no frame of this format.
    """
    head = _head(view)
    if verify_checksum and _checksum(view) != head.checksum:
        raise CorruptValueError(
            "the frame is truncated or damaged: its checksum does not match", reason="checksum"
        )
    if head.flags:
        raise CorruptValueError(f"the frame has unknown flags: {head.flags:#x}", reason="format")
    if head.about > min(_MOST_ABOUT, head.sections):
        raise CorruptValueError(
            f"the head of the frame counts {head.about} of {head.sections} sections", reason="layout"
        )
    codec = _CODEC.fullmatch(head.codec)
    if codec is None:
        raise CorruptValueError(f"the frame names no codec, but {head.codec!r}", reason="codec")
    table, start = _table(view, head.sections, limit)
    return Frame(codec[1].decode(), cut(view[start:], table), head.about)


def _table(view: memoryview, sections: int, limit: int) -> tuple[list[tuple[int, Sequence[int]]], int]:
    """Return raw size and sizes of chunks of each section, and where the first one begins."""
    claimed = sections * SECTION_BYTES
    require_affordable(claimed, limit)
    raw_sizes, counts, count = [], [], 0
    for entry in _numbers(view, f"<{sections}Q", _HEAD.size, sections * _SECTION_ENTRY):
        raw_size = entry & _RAW_SIZE
        chunks = 0 if entry == raw_size else chunk_count(raw_size)
        claimed, count = claimed + raw_size, count + chunks
        raw_sizes.append(raw_size)
        counts.append(chunks)
    require_affordable(claimed, limit)
    start = _HEAD.size + sections * _SECTION_ENTRY
    sizes = iter(_numbers(view, f"<{count}I", start, count * _CHUNK_ENTRY)) if count else iter(())
    start += count * _CHUNK_ENTRY
    chunked = [tuple(islice(sizes, number)) if number else () for number in counts]
    return list(zip(raw_sizes, chunked, strict=True)), start + padding(start)


def _head(view: memoryview) -> _Head:
    if len(view) < _HEAD.size:
        raise CorruptValueError("the frame is truncated", reason="truncated")
    head = _Head(*_HEAD.unpack_from(view))
    if head.length != len(view):
        raise CorruptValueError(
            f"the frame is truncated, or longer than it was: it has {len(view)} of {head.length} bytes",
            reason="truncated",
        )
    return head


def _checksum(view: memoryview) -> int:
    checksum = xxhash.xxh3_64(view[: _CHECKSUM.start])
    checksum.update(bytes(_CHECKSUM.stop - _CHECKSUM.start))
    checksum.update(view[_CHECKSUM.stop :])
    return checksum.intdigest()


def _numbers(view: memoryview, table: str, at: int, size: int) -> tuple[int, ...]:
    """Return the numbers of a table, which takes no memory where it does not lie within the frame."""
    if at + size > len(view):
        raise CorruptValueError("the tables do not fit into the frame", reason="layout")
    return struct.unpack_from(table, view, at)


def _tables(sections: Sequence[Section]) -> bytes:
    sizes = [section.raw_size | _COMPRESSED * section.is_compressed for section in sections]
    chunks = [len(chunk) for section in sections if section.is_compressed for chunk in section.stored]
    tables = struct.pack(f"<{len(sizes)}Q", *sizes) + struct.pack(f"<{len(chunks)}I", *chunks)
    return tables + bytes(padding(_HEAD.size + len(tables)))
