"""Sections of a frame, cut out of its body if sizes fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from s3kv_flows.store._objects.value_limit import VARIABLE
from s3kv_flows.store._values.compression import Section, chunk_count
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["ALIGNMENT", "MAGIC", "SECTION_BYTES", "Frame", "cut", "padding", "require_affordable"]

MAGIC = b"\x89S3KV\r\n\x1a"
"""The first bytes of a frame: neither JSON nor UTF-8, so that nobody takes it for text."""

ALIGNMENT = 16
"""The alignment of sections, in bytes; enough for every numpy type."""

SECTION_BYTES = 512
"""What a section takes beside its bytes, at most: some objects of Python."""


class Frame(NamedTuple):
    """A frame that was checked.

    Attributes:
        codec: The codec that wrote it.
        sections: Its sections, which view the body.
        about: How many of them, at the end, are about the value and no part of it.
    """

    codec: str
    sections: list[Section]
    about: int


def padding(size: int) -> int:
    """Return how many bytes follow so many, up to the next section."""
    return -size % ALIGNMENT


def require_affordable(claimed: int, limit: int) -> None:
    """Refuse a frame that claims more memory than a value may take.

    Raises:
        CorruptValueError: It does.
    """
    if claimed > limit:
        raise CorruptValueError(
            f"the frame claims {claimed} bytes of memory, and a value may take {limit}: where it is to be "
            f"trusted, set {VARIABLE} in the environment",
            reason="too_large",
        )


def cut(rest: memoryview, table: Iterable[tuple[int, Sequence[int]]]) -> list[Section]:
    """Return the sections of a frame; nothing is copied.

    Args:
        rest: What follows the head of the frame.
        table: Of each section, its raw size, and the sizes of its compressed chunks; none of these where it
            is stored as it is.

    Raises:
        CorruptValueError: The sizes do not make up the rest exactly, or the number of chunks does not follow
            from the raw size.
    """
    sections, offset = [], 0
    for raw_size, chunks in table:
        if not chunks:
            sections.append(Section(raw_size, [rest[offset : offset + raw_size]], False))
            offset += raw_size
            offset += -offset % ALIGNMENT
            continue
        if len(chunks) != chunk_count(raw_size):
            raise CorruptValueError(
                f"a section of {raw_size} bytes has {len(chunks)} chunks, not {chunk_count(raw_size)}",
                reason="layout",
            )
        stored = []
        for size in chunks:
            stored.append(rest[offset : offset + size])
            offset += size
        offset += -offset % ALIGNMENT
        sections.append(Section(raw_size, stored, True))
    if offset != len(rest):
        raise CorruptValueError(
            f"the sections of the frame take {offset} bytes, and it has {len(rest)} of them", reason="layout"
        )
    return sections
