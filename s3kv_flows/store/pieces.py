"""A body in pieces: buffers in a row, which are sent without being joined.

The frame of a large array is a short head and the array's own memory. Joining them would take as much
memory again; a multipart upload wants a few megabytes at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import TypeAlias

__all__ = ["Body", "Buffer", "Pieces"]

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
