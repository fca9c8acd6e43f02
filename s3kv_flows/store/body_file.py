"""A body as the file that botocore takes: sent from its own memory, in large blocks."""

from __future__ import annotations

from io import SEEK_CUR, SEEK_END, SEEK_SET

from s3kv_flows.store.pieces import Body, Pieces

__all__ = ["BodyFile", "for_botocore"]

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
