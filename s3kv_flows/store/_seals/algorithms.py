"""Hashes of bodies: BLAKE3, and SHA-256 where it is not installed.

A seal names its hash: ``b3`` or ``s2``. BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020) takes less
than half of the time of SHA-256 with AVX2, and a fourth with AVX-512. It has no wheels for musl, such as
Alpine Linux: there, seals are written with SHA-256, and everybody reads both.

Its own threads are not used: bodies arrive in several threads already.
"""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol, TypeAlias, get_args

from s3kv_flows.store._s3.bodies import Buffer

try:
    from blake3 import blake3 as _blake3
except ImportError:  # no wheel for this platform
    _blake3 = None  # type: ignore[assignment,misc]  # a class elsewhere

__all__ = ["ALGORITHMS", "DIGEST_BYTES", "Algorithm", "Hasher", "new_hasher", "preferred_algorithm"]

Algorithm: TypeAlias = Literal["b3", "s2"]
"""``b3``: BLAKE3; ``s2``: SHA-256, of the SHA-2 family."""

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

DIGEST_BYTES = 32
"""The size of a digest, of both."""


class Hasher(Protocol):
    """A hash of bytes that are fed to it, as those of ``hashlib``."""

    def update(self, data: Buffer, /) -> object:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the digest of all bytes so far."""


def preferred_algorithm() -> Algorithm:
    """Return the hash of new seals: BLAKE3 where it is installed."""
    return "s2" if _blake3 is None else "b3"


def new_hasher(algorithm: Algorithm) -> Hasher:
    """Return a hasher.

    Raises:
        ModuleNotFoundError: BLAKE3 is not installed. This is no CorruptValueError: those are misses of a
            cache, and every object would be computed again without a word.
    """
    if algorithm == "s2":
        return hashlib.sha256()
    if _blake3 is None:
        raise ModuleNotFoundError(
            "this object was sealed with BLAKE3, which is not installed here: pip install blake3",
            name="blake3",
        )
    return _blake3()
