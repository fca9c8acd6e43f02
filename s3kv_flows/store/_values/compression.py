"""zstd, where it pays: in pieces, which all cores compress and decompress at once.

Whether it pays is told by a sample: random floats cost the time of 192 KiB, and no more. Level 3 gives
the size of a table in a feather file, at the speed of a fast network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import zstandard

from s3kv_flows.store._s3.bodies import Buffer, large_memory
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["PIECE_BYTES", "Section", "compress", "decompress"]

PIECE_BYTES = 4 << 20
"""What a piece holds before it is compressed, the last one of a section less."""

_SAMPLE_BYTES = 64 * 1024
_SAMPLES = 3
_WORTH = 0.9  # compress where a sample shrinks to this fraction, or below
_LEVEL = 3
_TOO_SMALL = 128
_LARGE = 4 << 20  # memory from here on comes in large pages

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Section:
    """A buffer as it is stored.

    Attributes:
        raw_size: Its size, in bytes.
        stored: The compressed pieces, or the buffer itself.
        is_compressed: Which of these.
    """

    raw_size: int
    stored: Sequence[Buffer]
    is_compressed: bool


def compress(buffers: Sequence[Buffer]) -> list[Section]:
    """Return the buffers as they are to be stored: those that do not shrink, without a copy."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    chosen = [view if _pays(view) else view[:0] for view in views]
    jobs = [
        (index, view[start : start + PIECE_BYTES])
        for index, view in enumerate(chosen)
        for start in range(0, view.nbytes, PIECE_BYTES)
    ]
    pieces: list[list[bytes]] = [[] for _ in views]
    for (index, _), piece in zip(jobs, _on_all_cores(_compressed, [view for _, view in jobs]), strict=True):
        pieces[index].append(piece)
    return [
        Section(view.nbytes, found, is_compressed=True)
        if found and sum(map(len, found)) < _WORTH * view.nbytes
        else Section(view.nbytes, [view], is_compressed=False)
        for view, found in zip(views, pieces, strict=True)
    ]


def decompress(sections: Iterable[Section]) -> list[memoryview]:
    """Return the buffers; those that are not compressed, without a copy, the others in new memory.

    Raises:
        CorruptValueError: A section does not hold what it should.
    """
    buffers, jobs = [], []
    for section in sections:
        if not section.is_compressed:
            buffers.append(memoryview(section.stored[0]))
            continue
        raw = _memory(section.raw_size)
        places = [raw[start : start + PIECE_BYTES] for start in range(0, section.raw_size, PIECE_BYTES)]
        if len(places) != len(section.stored):
            raise CorruptValueError(f"a section has {len(section.stored)} pieces, not {len(places)}")
        buffers.append(raw)
        jobs += list(zip(section.stored, places, strict=True))
    for _ in _on_all_cores(_decompress_into, jobs):
        pass
    return buffers


def _on_all_cores(work: Callable[[T], R], items: Sequence[T]) -> Iterable[R]:
    workers = min(os.cpu_count() or 1, len(items))
    return map(work, items) if workers < 2 else map_concurrently(work, items, workers=workers)


def _memory(size: int) -> memoryview:
    return large_memory(size) if size >= _LARGE else memoryview(bytearray(size))


def _compressed(view: memoryview) -> bytes:
    compressed: bytes = zstandard.ZstdCompressor(level=_LEVEL).compress(view)
    return compressed


def _decompress_into(job: tuple[Buffer, memoryview]) -> None:
    piece, place = job
    done = 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(piece) as reader:
            while done < len(place) and (count := reader.readinto(place[done:])):
                done += count
            done += len(reader.read(1))
    except zstandard.ZstdError as exc:
        raise CorruptValueError(f"a section cannot be decompressed: {exc}") from exc
    if done != len(place):
        raise CorruptValueError(f"a piece of a section does not hold {len(place)} bytes")


def _pays(view: memoryview) -> bool:
    """Tell from a sample of at most 192 KiB whether compression pays."""
    if view.nbytes < _TOO_SMALL:
        return False
    if view.nbytes <= _SAMPLES * _SAMPLE_BYTES:
        return True  # small enough to try
    step = (view.nbytes - _SAMPLE_BYTES) // (_SAMPLES - 1)
    sample = b"".join(view[i * step : i * step + _SAMPLE_BYTES] for i in range(_SAMPLES))
    return len(zstandard.ZstdCompressor(level=1).compress(sample)) < _WORTH * len(sample)
