"""Hash trees of bodies: leaves of 1 MiB, in any order.

::

    leaf i   hash of the bytes from i MiB on: 1 MiB, or what is left of the body
    root     hash of: "s3kv-flows root v1", length of the body, 1 MiB, all leaves

Numbers have 8 bytes, little endian. An empty body has no leaves. So each range of a download is hashed in its
thread, while its bytes are in the processor's cache, and 32 bytes per MiB are kept. The root depends on the
length, so that no leaf can be left out or added.
"""

from __future__ import annotations

import struct

from s3kv_flows.store._s3.bodies import Body, Buffer, Pieces
from s3kv_flows.store._seals.algorithms import DIGEST_BYTES, Algorithm, Hasher, new_hasher

__all__ = ["LEAF_BYTES", "Leaves", "RangeHasher", "root_of_body", "root_of_leaves"]

LEAF_BYTES = 1 << 20
"""The size of a leaf; ranges begin at its multiples."""

_CONTEXT = b"s3kv-flows root v1"
_NUMBERS = struct.Struct("<QQ")


def root_of_leaves(algorithm: Algorithm, length: int, leaves: Buffer) -> bytes:
    """Return the root of a body.

    Args:
        algorithm: The hash.
        length: The length of the body, in bytes.
        leaves: The digests of all its leaves, joined.
    """
    hasher = new_hasher(algorithm)
    hasher.update(_CONTEXT + _NUMBERS.pack(length, LEAF_BYTES))
    hasher.update(leaves)
    return hasher.digest()


def root_of_body(algorithm: Algorithm, body: Body) -> bytes:
    """Return the root of a body, which is not copied."""
    leaves = Leaves(algorithm, len(body))
    pieces, start = body if isinstance(body, Pieces) else Pieces([body]), 0
    hasher = leaves.range_from(0)
    while view := pieces.view(start, len(pieces)):
        hasher.update(view)
        start += len(view)
    return root_of_leaves(algorithm, len(body), leaves.digests())


class Leaves:
    """The leaves of one body, filled in any order by any number of threads.

    Each leaf has its own bytes of one array, so that threads need no lock.

    Args:
        algorithm: The hash.
        length: The length of the body, in bytes.

    Raises:
        ModuleNotFoundError: BLAKE3 is not installed.
    """

    def __init__(self, algorithm: Algorithm, length: int) -> None:
        new_hasher(algorithm)  # raises here, before any byte of the body is read
        self.algorithm, self.length = algorithm, length
        count = -(-length // LEAF_BYTES)
        self._digests = bytearray(count * DIGEST_BYTES)
        self._missing = bytearray(b"\1" * count)

    def range_from(self, start: int) -> RangeHasher:
        """Return a hasher for the bytes from ``start`` on, which is a multiple of 1 MiB."""
        return RangeHasher(self, start)

    def put(self, index: int, digest: bytes) -> None:
        """Keep the digest of a leaf; a later one replaces it, as bytes that are read again do."""
        self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES] = digest
        self._missing[index] = 0

    @property
    def is_complete(self) -> bool:
        """Whether every leaf is known."""
        return not any(self._missing)

    def digests(self) -> bytes:
        """Return all digests, joined; those of missing leaves are zeros."""
        return bytes(self._digests)


class RangeHasher:
    """Hashes a range of a body as its bytes arrive, in order. For one thread.

    A leaf counts once its last byte has arrived: a range ends at a multiple of 1 MiB, or with the body.

    Args:
        leaves: Where the digests go.
        start: The first byte of the range, a multiple of 1 MiB.

    Raises:
        ValueError: It is not.
    """

    def __init__(self, leaves: Leaves, start: int) -> None:
        if start % LEAF_BYTES or not 0 <= start <= leaves.length:
            raise ValueError(f"a range begins at a multiple of {LEAF_BYTES} in the body, not at {start}")
        self._leaves, self.position = leaves, start
        self._hasher: Hasher | None = None

    def update(self, buffer: Buffer) -> None:
        """Hash the next bytes, without copying them.

        Raises:
            ValueError: They go beyond the end of the body.
        """
        view = memoryview(buffer).cast("B")
        if self.position + len(view) > self._leaves.length:
            raise ValueError("there are more bytes than the body has")
        while len(view):
            size = min(LEAF_BYTES - self.position % LEAF_BYTES, len(view))
            self._add(view[:size])
            view = view[size:]

    def _add(self, part: memoryview) -> None:
        """Hash bytes of one leaf."""
        if self._hasher is None:
            self._hasher = new_hasher(self._leaves.algorithm)
        self._hasher.update(part)
        self.position += len(part)
        if self.position % LEAF_BYTES == 0 or self.position == self._leaves.length:
            self._leaves.put((self.position - 1) // LEAF_BYTES, self._hasher.digest())
            self._hasher = None
