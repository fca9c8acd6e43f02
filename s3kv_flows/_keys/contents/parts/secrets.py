"""Secrets: a slow digest, so that short ones are expensive to guess."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk

__all__ = ["PARTS", "slow_digest"]

_SALT = b"s3kv secret 1"  # fixed: in every process, one digest


@lru_cache(maxsize=256)  # 35 ms each
def slow_digest(digest: bytes) -> bytes:
    """Return a digest of a digest for which everybody who guesses pays, too."""
    return hashlib.scrypt(digest, salt=_SALT, n=2**14, r=8, p=1, dklen=32)


def _secret(walk: Walk, value: Any) -> Parts:
    return Parts(b"secret " + walk.secret(value.get_secret_value()))


PARTS: dict[str, PartsOf] = {
    "pydantic._SecretBase": _secret,
    "pydantic.SecretField": _secret,  # of pydantic.v1
}
"""Prefect's Secret block holds one of pydantic's."""
