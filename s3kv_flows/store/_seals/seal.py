"""Seals as text, the value of one metadata field.

::

    1:<key id>:<algorithm>:<root>:<signature>

Root and signature are base64url without padding. The 1 is the number of the format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from s3kv_flows.store._seals import base64url
from s3kv_flows.store._seals.algorithms import ALGORITHMS, Algorithm
from s3kv_flows.store._seals.keys.keys import KEY_ID
from s3kv_flows.store.errors import TamperedValueError

__all__ = ["MOST_BYTES", "Seal", "parse_seal"]

MOST_BYTES = 177
"""The size of the longest seal, that of a key with a name of 32 characters."""

_SEAL = re.compile(rf"1:({KEY_ID}):({'|'.join(ALGORITHMS)}):([A-Za-z0-9_-]{{43}}):([A-Za-z0-9_-]{{86}})")


@dataclass(frozen=True)
class Seal:
    """A seal.

    Attributes:
        key_id: The id of the key that signed.
        algorithm: The hash of the body.
        root: The root of the body: 32 bytes.
        signature: The signature of the statement: 64 bytes.
    """

    key_id: str
    algorithm: Algorithm
    root: bytes
    signature: bytes

    def __str__(self) -> str:
        root, signature = base64url.encode(self.root), base64url.encode(self.signature)
        return f"1:{self.key_id}:{self.algorithm}:{root}:{signature}"


def parse_seal(text: str, where: str) -> Seal:
    """Return the seal of a text.

    Args:
        text: The text, which anybody may have written.
        where: The object in messages.

    Raises:
        TamperedValueError: It is no seal of this format (``seal``).
    """
    match = _SEAL.fullmatch(text) if len(text) <= MOST_BYTES else None
    try:
        if match:
            algorithm = cast("Algorithm", match[2])  # one of them, by the expression
            return Seal(match[1], algorithm, base64url.decode(match[3]), base64url.decode(match[4]))
    except ValueError:  # unused bits are set: the same bytes have another text
        pass
    raise TamperedValueError(f"{where} has a seal that cannot be read", reason="seal") from None
