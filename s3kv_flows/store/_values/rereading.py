"""Read once more what may have been damaged on its way here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from s3kv_flows.store.errors import CorruptValueError

__all__ = ["is_damage", "read_and_decode"]

_OF_DAMAGE = {"not_a_frame", "truncated", "format", "checksum"}
"""What is wrong with a body in which a bit flipped, or of which a part is missing: nothing else is looked at
before the checksum. Whatever else cannot be decoded was stored so."""

F = TypeVar("F")
T = TypeVar("T")


def is_damage(exc: CorruptValueError) -> bool:
    """Tell whether the body may be whole where it is stored."""
    return exc.reason in _OF_DAMAGE


def read_and_decode(
    read: Callable[[], F], decode: Callable[[F], T], forget: Callable[[], object] = lambda: None
) -> tuple[F, T]:
    """Return what is read, and what it is decoded to; both once more where it was damaged.

    Args:
        read: Reads the body.
        decode: Decodes it.
        forget: Called before it is read again: a local copy may be what is damaged.

    Raises:
        CorruptValueError: It cannot be decoded, also when it was read again.
    """
    found = read()
    try:
        return found, decode(found)
    except CorruptValueError as exc:
        if not is_damage(exc):
            raise
    forget()
    found = read()
    return found, decode(found)
