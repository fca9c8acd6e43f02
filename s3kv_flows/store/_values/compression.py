"""Compress buffers with zstd where that pays, on all cores.

A buffer is compressed in chunks, in parallel. A sample decides whether compression pays: random floats cost
the time of 192 KiB, and no more. Level 3 gives the size of a table in a feather file, at the speed of a fast
network.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import zstandard

from s3kv_flows.store._s3.bodies import Buffer, large_memory
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["CHUNK_BYTES", "Section", "chunk_count", "compress", "decompress"]

CHUNK_BYTES = 4 << 20
"""The size of a chunk before compression; the last one of a section is smaller."""

_SAMPLE_BYTES = 64 * 1024
_SAMPLES = 3
_WORTHWHILE_RATIO = 0.9  # compress a buffer whose sample shrinks to less than this fraction
_LEVEL = 3
_SMALLEST = 128
_WORTH_THREADS = 256 * 1024  # to start threads takes as long as to compress this much
_LARGE_BYTES = 4 << 20  # buffers of at least this size are allocated in large pages

_OF_THREAD = threading.local()

T = TypeVar("T")
R = TypeVar("R")


class Section(NamedTuple):
    """A buffer as it is stored.

    Attributes:
        raw_size: The size of the buffer, in bytes.
        stored: The compressed chunks, or the buffer itself.
        is_compressed: Whether ``stored`` holds compressed chunks.
    """

    raw_size: int
    stored: Sequence[Buffer]
    is_compressed: bool


def compress(buffers: Sequence[Buffer]) -> list[Section]:
    """Return the buffers as sections to store; buffers that do not shrink are not copied."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    compressible = [view if _is_compressible(view) else view[:0] for view in views]
    jobs = [
        (index, view[start : start + CHUNK_BYTES])
        for index, view in enumerate(compressible)
        for start in range(0, view.nbytes, CHUNK_BYTES)
    ]
    chunks: list[list[bytes]] = [[] for _ in views]
    for (index, _), chunk in zip(
        jobs,
        _on_all_cores(_compress_chunk, [view for _, view in jobs], [view.nbytes for _, view in jobs]),
        strict=True,
    ):
        chunks[index].append(chunk)
    return [
        Section(view.nbytes, compressed, is_compressed=True)
        if compressed and sum(map(len, compressed)) < _WORTHWHILE_RATIO * view.nbytes
        else Section(view.nbytes, [view], is_compressed=False)
        for view, compressed in zip(views, chunks, strict=True)
    ]


def chunk_count(raw_size: int) -> int:
    """Return the number of chunks that a section of this size is compressed in."""
    return -(-raw_size // CHUNK_BYTES)


def decompress(sections: Sequence[Section]) -> list[memoryview]:
    """Return the buffers: uncompressed ones without a copy, the others in new memory.

    No memory is taken before all chunks say that they hold what their sections expect.

    Raises:
        CorruptValueError: A section cannot be decompressed, or does not have its recorded size.
    """
    for section in sections:
        if section.is_compressed:
            _require_declared(section)
    buffers, jobs = [], []
    for section in sections:
        if not section.is_compressed:
            buffers.append(memoryview(section.stored[0]))
            continue
        raw = _allocate(section.raw_size)
        targets = [raw[start : start + CHUNK_BYTES] for start in range(0, section.raw_size, CHUNK_BYTES)]
        buffers.append(raw)
        jobs += list(zip(section.stored, targets, strict=True))
    if sum(target.nbytes for _, target in jobs) < _WORTH_THREADS:
        _decompress_small(jobs)
    else:
        for _ in _on_all_cores(_decompress_chunk, jobs, [target.nbytes for _, target in jobs]):
            pass
    return buffers


def _require_declared(section: Section) -> None:
    """Refuse a section whose chunks declare other sizes than it has, or need more memory than these.

    A frame of zstd declares the size of its content, and the window that its decoder needs (RFC 8878,
    3.1.1.1). A decoder that believes a window of 2 GiB takes it.
    """
    if len(section.stored) != (expected := chunk_count(section.raw_size)):
        raise CorruptValueError(
            f"a section has {len(section.stored)} chunks, expected {expected}", reason="layout"
        )
    remaining = section.raw_size
    for chunk in section.stored:
        size = min(remaining, CHUNK_BYTES)
        remaining -= size
        try:
            declared = zstandard.get_frame_parameters(chunk)
        except zstandard.ZstdError as exc:
            raise CorruptValueError(f"a section cannot be decompressed: {exc}", reason="decompress") from exc
        if declared.content_size != size or declared.window_size > CHUNK_BYTES or declared.dict_id:
            raise CorruptValueError(
                f"a chunk of a section does not declare {size} bytes, or needs more memory",
                reason="decompress",
            )


def _on_all_cores(work: Callable[[T], R], items: Sequence[T], sizes: Iterable[int]) -> Iterable[R]:
    workers = min(os.cpu_count() or 1, len(items)) if sum(sizes) >= _WORTH_THREADS else 1
    return map(work, items) if workers < 2 else map_concurrently(work, items, workers=workers)


def _allocate(size: int) -> memoryview:
    return large_memory(size) if size >= _LARGE_BYTES else memoryview(bytearray(size))


def _compress_chunk(view: memoryview) -> bytes:
    compressed: bytes = zstandard.ZstdCompressor(level=_LEVEL).compress(view)
    return compressed


def _decompress_small(jobs: Sequence[tuple[Buffer, memoryview]]) -> None:
    """Decompress small chunks in this thread, with its own decompressor.

    To make one takes 20 us, ten times as long as a chunk of 1 KiB does. It keeps nothing of what it has read,
    and must not be used by two threads at once.
    """
    if not jobs:
        return
    decompressor = getattr(_OF_THREAD, "decompressor", None)
    if decompressor is None:
        decompressor = _OF_THREAD.decompressor = zstandard.ZstdDecompressor()
    try:
        for chunk, target in jobs:
            target[:] = decompressor.decompress(chunk, allow_extra_data=False)
    except (zstandard.ZstdError, ValueError) as exc:  # ValueError: of another size than the target
        raise CorruptValueError(f"a section cannot be decompressed: {exc}", reason="decompress") from exc


def _decompress_chunk(job: tuple[Buffer, memoryview]) -> None:
    chunk, target = job
    done = 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(chunk) as reader:
            while done < len(target) and (count := reader.readinto(target[done:])):
                done += count
            done += len(reader.read(1))
    except zstandard.ZstdError as exc:
        raise CorruptValueError(f"a section cannot be decompressed: {exc}", reason="decompress") from exc
    if done != len(target):
        raise CorruptValueError(
            f"a chunk of a section does not have {len(target)} bytes", reason="decompress"
        )


def _is_compressible(view: memoryview) -> bool:
    """Return whether compression pays, judged by a sample of at most 192 KiB."""
    if view.nbytes < _SMALLEST:
        return False
    if view.nbytes <= _SAMPLES * _SAMPLE_BYTES:
        return True  # small enough to try
    step = (view.nbytes - _SAMPLE_BYTES) // (_SAMPLES - 1)
    sample = b"".join(view[i * step : i * step + _SAMPLE_BYTES] for i in range(_SAMPLES))
    return len(zstandard.ZstdCompressor(level=1).compress(sample)) < _WORTHWHILE_RATIO * len(sample)
