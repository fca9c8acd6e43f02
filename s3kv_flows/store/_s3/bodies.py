"""Scatter bodies: several buffers sent as one request body, never joined.

The frame of a large array is a short head and the memory of the array. Joining them would take as much
memory again, and a multipart upload needs a few megabytes at a time. :class:`BodyFile` is such a body as a
file for botocore; :func:`large_memory` and :class:`SpareMemory` provide buffers for large bodies.
"""

from __future__ import annotations

import mmap
import threading
from bisect import bisect_right
from collections.abc import Iterable
from io import SEEK_CUR, SEEK_END, SEEK_SET
from itertools import accumulate
from typing import TypeAlias

__all__ = ["Body", "BodyFile", "Buffer", "Pieces", "SpareMemory", "for_botocore", "large_memory"]

Buffer: TypeAlias = "bytes | bytearray | memoryview"


class Pieces:
    """A sequence of buffers, as one body. They are not copied: changing a buffer changes the body.

    Args:
        buffers: Contiguous buffers, of any item type.
    """

    def __init__(self, buffers: Iterable[Buffer]) -> None:
        views = (memoryview(buffer).cast("B") for buffer in buffers)
        self._views = [view for view in views if view.nbytes]
        self._starts = list(accumulate((view.nbytes for view in self._views), initial=0))

    def __len__(self) -> int:
        """Return the size in bytes."""
        return self._starts[-1]

    def __bytes__(self) -> bytes:
        """Return the body, joined."""
        return b"".join(self._views)

    def copy_to(self, memory: memoryview) -> Pieces:
        """Copy the body into memory of the same size; the copy does not change with the buffers."""
        for view, start in zip(self._views, self._starts, strict=False):
            memory[start : start + view.nbytes] = view
        return Pieces([memory])

    def part(self, start: int, stop: int) -> Pieces:
        """Return the bytes from ``start`` to ``stop``, or to the end where that comes first."""
        views, stop = [], min(stop, len(self))
        while start < stop:
            views.append(self.view(start, stop - start))
            start += len(views[-1])
        return Pieces(views)

    def view(self, start: int, size: int) -> memoryview:
        """Return up to ``size`` bytes from ``start``, within one buffer; none from the end of the body on."""
        if start >= len(self):
            return memoryview(b"")
        index = bisect_right(self._starts, start) - 1
        begin = start - self._starts[index]
        return self._views[index][begin : begin + size]


Body: TypeAlias = "bytes | bytearray | memoryview | Pieces"
"""The types of an encoded value."""

_BLOCK = 1 << 20


class BodyFile:
    """A scatter body as a file, which can be read again when a request is retried.

    urllib3 reads files 16 KiB at a time, with one system call each, so that an upload over plain HTTP takes
    twice the processor time. So :meth:`read` returns more than requested, 1 MiB at least; botocore and
    urllib3 accept that. A block is a view if it lies within one buffer. All blocks but the last are whole:
    over HTTPS, botocore makes a chunk of each, and S3 rejects chunks of less than 8 KiB.

    Args:
        pieces: The body.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces, self._at = pieces, 0

    def __len__(self) -> int:
        """Return the size in bytes."""
        return len(self._pieces)

    def read(self, size: int | None = -1) -> bytes | memoryview:
        """Return the next block, or an empty one at the end; without a size, return the rest."""
        left = len(self) - self._at
        size = left if size is None or size < 0 else min(max(size, _BLOCK), left)
        block: bytes | memoryview = self._pieces.view(self._at, size)
        if len(block) < size:
            block = bytes(self._pieces.part(self._at, self._at + size))
        self._at += len(block)
        return block

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Set the position; return it."""
        self._at = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: len(self)}[whence] + offset
        return self._at


def for_botocore(body: Body) -> bytes | BodyFile:
    """Return a body for botocore: bytes if it is smaller than 1 MiB, else a file."""
    if len(body) < _BLOCK:
        return bytes(body)
    return BodyFile(body if isinstance(body, Pieces) else Pieces([body]))


_LARGE_PAGE = 2 << 20
"""Sizes are rounded up to large pages, so that memory of about one size has the same size."""


def large_memory(size: int) -> memoryview:
    """Allocate writable memory, in large pages if the system supports them.

    numpy does the same for large arrays. Faulting in 128 MiB takes a fourth of the time, which saves a fifth
    of a fast hit.
    """
    if hasattr(mmap, "MAP_PRIVATE"):  # not shared with forked children
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    else:
        memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


class SpareMemory:
    """Keeps one block of large memory for reuse. Thread-safe.

    New memory has to be faulted in by the system each time, and other allocations lose the warm pages that
    they would have reused. On a virtual machine whose host reclaims free memory, 64 MiB took 90 ms, and 8 ms
    when they were warm.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: memoryview | None = None
        self._is_closed = False

    def take(self, size: int) -> memoryview:
        """Return memory of this size: the kept block, unless it is too small or more than twice as large."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None or not size <= len(spare) <= 2 * size + _LARGE_PAGE:
            spare = large_memory(-(-max(size, 1) // _LARGE_PAGE) * _LARGE_PAGE)
        return spare[:size]

    def give_back(self, memory: memoryview) -> None:
        """Keep a block that was taken and is not used any more; free the one kept before."""
        whole = memoryview(memory.obj)
        with self._lock:
            self._spare = None if self._is_closed else whole

    def close(self) -> None:
        """Free the kept block, and keep no block from now on."""
        with self._lock:
            self._spare, self._is_closed = None, True
