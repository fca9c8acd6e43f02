"""Base64url without padding (RFC 4648, section 5), one text per value.

Python's decoder skips characters that it does not know, and ignores the unused bits of the last one, so that
many texts stand for the same bytes. Here every byte string has exactly one text, and all others are refused:
else a seal could be changed without being invalid.
"""

from __future__ import annotations

import base64
import binascii

__all__ = ["decode", "encode"]


def encode(data: bytes) -> str:
    """Return the text of some bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes of a text.

    Raises:
        ValueError: The text is not the one that :func:`encode` returns. The message does not quote it: it may
            be a secret.
    """
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError):
        data = b""
    if not text or encode(data) != text:
        raise ValueError("this is not base64url without padding")
    return data
