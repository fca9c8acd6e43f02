"""Format 3 of frames, with a JSON header: read, no longer written.

The layout is::

    magic      8 bytes
    format     1 byte
    checksum   8 bytes   XXH3-64 of all that follows, little endian
    length     4 bytes   of the header, little endian
    header     JSON      codec, write id, and of each section: raw size, sizes of its compressed chunks;
                         how many sections at the end are about the value; padded with spaces
    sections             each padded to a multiple of 16
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from typing import Any, NoReturn

import xxhash

from s3kv_flows.store._values.frames.sections import ALIGNMENT, Frame, cut, require_affordable
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["VERSION", "read"]

VERSION = 3

_PREAMBLE = struct.Struct("<8sBQ")
_LENGTH = struct.Struct("<I")
_HEADER_AT = _PREAMBLE.size + _LENGTH.size

_JSON_MEMORY = 64
"""How many times its own size a header takes at most: the 7 bytes ``[0,[]],`` make lists and a section."""
_MOST_DIGITS = 16
_FIELDS = {"codec", "write_id", "sections", "about"}
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_CODEC = re.compile(r"[!-~]{1,64}")


def read(view: memoryview, *, verify_checksum: bool, limit: int) -> Frame:
    """Check a frame, and return it; memory is taken for its header alone.

    Args:
        view: The frame.
        verify_checksum: Whether to compute its checksum.
        limit: The most memory that it may claim.

    Raises:
        CorruptValueError: It is damaged, or no frame of this format.
    """
    if len(view) < _HEADER_AT:
        raise CorruptValueError("the frame is truncated", reason="truncated")
    _, _, checksum = _PREAMBLE.unpack_from(view)
    if verify_checksum and xxhash.xxh3_64_intdigest(view[_PREAMBLE.size :]) != checksum:
        raise CorruptValueError(
            "the frame is truncated or damaged: its checksum does not match", reason="checksum"
        )
    (length,) = _LENGTH.unpack_from(view, _PREAMBLE.size)
    start = _HEADER_AT + length
    if start > len(view) or start % ALIGNMENT:
        raise CorruptValueError("the header does not fit into the frame", reason="layout")
    require_affordable(length * _JSON_MEMORY, limit)
    fields = _fields(bytes(view[_HEADER_AT:start]))
    codec, table = fields.get("codec"), _table(fields.get("sections"))
    if not isinstance(codec, str) or not _CODEC.fullmatch(codec):
        raise CorruptValueError("the header of the frame names no codec", reason="codec")
    about = fields.get("about", 0)
    if type(about) is not int or about > len(table):
        raise _unreadable(f"it counts {about!r} of {len(table)} sections")
    require_affordable(length * _JSON_MEMORY + sum(raw_size for raw_size, _ in table), limit)
    return Frame(codec, cut(view[start:], table), about)


def _fields(header: bytes) -> dict[str, Any]:
    """Return the fields of a header; nothing is parsed that is nested otherwise than a header is."""
    brackets = header.translate(None, _NO_BRACKETS)
    if brackets != b"{[" + b"[[]]" * ((len(brackets) - 4) // 4) + b"]}":
        raise _unreadable("its lists are nested otherwise")
    try:
        fields = json.loads(
            header.decode("ascii"), parse_int=_size, parse_float=_refuse, parse_constant=_refuse
        )
    except ValueError as exc:
        raise _unreadable(repr(exc)) from exc
    if not isinstance(fields, dict) or not fields.keys() <= _FIELDS:
        raise _unreadable("it has other fields")
    return fields


def _table(sections: Any) -> list[tuple[int, Sequence[int]]]:
    """Return raw size and sizes of chunks of each section: whole numbers, and nothing that passes for one."""
    if not isinstance(sections, list):
        raise _unreadable("it has no list of sections")
    for section in sections:
        if not (isinstance(section, list) and len(section) == 2):
            raise _unreadable("a section is no pair")
        raw_size, chunks = section
        if type(raw_size) is not int or not isinstance(chunks, list):
            raise _unreadable("a section has no size")
        if any(type(size) is not int for size in chunks):
            raise _unreadable("a chunk has no size")
    return [(raw_size, chunks) for raw_size, chunks in sections]


def _size(text: str) -> int:
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise ValueError(f"{text[:_MOST_DIGITS]} is no size")
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:_MOST_DIGITS]} is no whole number")


def _unreadable(why: str) -> CorruptValueError:
    return CorruptValueError(f"the header of the frame cannot be read: {why}", reason="layout")
