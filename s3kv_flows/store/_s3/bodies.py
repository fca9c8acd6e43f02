"""A body in pieces: buffers in a row, which are sent without being joined.

The frame of a large array is a short head and the array's own memory. Joining them would take as much
memory again; a multipart upload wants a few megabytes at a time.
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
    """Buffers in a row. They are not copied: who changes one of them changes what is sent.

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
        """Return all of it, joined."""
        return b"".join(self._views)

    def copy_to(self, memory: memoryview) -> Pieces:
        """Return a copy in memory of the same size, which does not change with the buffers."""
        for view, start in zip(self._views, self._starts, strict=False):
            memory[start : start + view.nbytes] = view
        return Pieces([memory])

    def part(self, start: int, stop: int) -> Pieces:
        """Return the bytes from ``start`` to ``stop``, or to the end where that comes first."""
        found, stop = [], min(stop, len(self))
        while start < stop:
            found.append(self.view(start, stop - start))
            start += len(found[-1])
        return Pieces(found)

    def view(self, start: int, size: int) -> memoryview:
        """Return the bytes from ``start`` on, up to a size or the end of a buffer; none from the end on."""
        if start >= len(self):
            return memoryview(b"")
        index = bisect_right(self._starts, start) - 1
        begin = start - self._starts[index]
        return self._views[index][begin : begin + size]


Body: TypeAlias = "bytes | bytearray | memoryview | Pieces"
"""What a codec may make of a value."""

_BLOCK = 1 << 20


class BodyFile:
    """Pieces that are read from the first to the last, as often as a request is sent again.

    What urllib3 sends of a file, it reads 16 KiB at a time, each with a system call of its own, and an
    upload over plain HTTP takes twice the processor time. So :meth:`read` returns more than it is asked for,
    1 MiB at least; botocore and urllib3 take what they get. A block is a view where it lies in one buffer.
    All but the last are whole: over HTTPS, botocore makes a chunk of each, and S3 refuses chunks of less
    than 8 KiB.

    Args:
        pieces: The body.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces, self._at = pieces, 0

    def __len__(self) -> int:
        """Return the size in bytes."""
        return len(self._pieces)

    def read(self, size: int | None = -1) -> bytes | memoryview:
        """Return the next block, at the end an empty one; without a size, all that is left."""
        left = len(self) - self._at
        size = left if size is None or size < 0 else min(max(size, _BLOCK), left)
        block: bytes | memoryview = self._pieces.view(self._at, size)
        if len(block) < size:
            block = bytes(self._pieces.part(self._at, self._at + size))
        self._at += len(block)
        return block

    def tell(self) -> int:
        """Return how much was read."""
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go on from elsewhere; return from where."""
        self._at = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: len(self)}[whence] + offset
        return self._at


def for_botocore(body: Body) -> bytes | BodyFile:
    """Return a body as botocore sends it best: as bytes where it is small."""
    if len(body) < _BLOCK:
        return bytes(body)
    return BodyFile(body if isinstance(body, Pieces) else Pieces([body]))


_STEP = 2 << 20
"""What a large page has: memory of about one size has the same size."""


def large_memory(size: int) -> memoryview:
    """Return writable memory of its own, in large pages where the system has them.

    As numpy asks for with its large arrays, too: to bring 128 MiB in takes a fourth of the time, which is a
    fifth of a fast hit.
    """
    if hasattr(mmap, "MAP_PRIVATE"):  # not shared with forked children
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    else:
        memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


class SpareMemory:
    """Large memory for one purpose, kept where it is given back, to be taken again. May be used by threads.

    Who takes new memory each time waits for the system to bring it in, and so does everybody who takes the
    memory that had been warm otherwise: on a virtual machine, whose host takes back what is free, 64 MiB
    were seen to take 90 ms of whoever came first, and 8 ms when they were there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: memoryview | None = None
        self._is_closed = False

    def take(self, size: int) -> memoryview:
        """Return memory of this size: what is kept, unless it is too small or more than twice as large."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None or not size <= len(spare) <= 2 * size + _STEP:
            spare = large_memory(-(-max(size, 1) // _STEP) * _STEP)
        return spare[:size]

    def give_back(self, memory: memoryview) -> None:
        """Keep memory that was taken and is not looked at any more; the one that was kept is freed."""
        whole = memoryview(memory.obj)
        with self._lock:
            self._spare = None if self._is_closed else whole

    def close(self) -> None:
        """Keep nothing any more, also of what is given back later."""
        with self._lock:
            self._spare, self._is_closed = None, True
