"""Verification of values that will be locked, before they are written."""

from __future__ import annotations

from typing import Any

from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.identity import Identity
from s3kv_flows.store.errors import EncodingError

__all__ = ["require_same"]


def require_same(value: Any, decoded: Any) -> None:
    """Refuse a value that comes back as another one: it would be locked for as long as its retention.

    A value without a digest, as one that holds an iterator, is not compared.

    Raises:
        EncodingError: The digests of their contents differ.
    """
    contents = Identity().contents
    try:
        before, after = contents.digest(value), contents.digest(decoded)
    except Unkeyable:
        return
    if before != after:
        raise EncodingError(f"this {type(value).__name__} would come back from its pickle as another value")
