"""Purposes of sealed objects: a closed list, each bound by the signature.

A key may be trusted for some of them only, and an object that was sealed for one is refused as another: a
checkpoint that is copied over a result does not pass for it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

__all__ = ["PURPOSES", "Purpose", "parse_purpose"]

Purpose: TypeAlias = Literal["value", "result", "checkpoint", "receipt", "journal", "sweep"]

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def parse_purpose(text: str) -> Purpose:
    """Return the purpose of this name.

    Raises:
        ValueError: There is none.
    """
    for purpose in PURPOSES:
        if purpose == text:
            return purpose
    raise ValueError(f"purposes are {', '.join(PURPOSES)}, and this is another word")
