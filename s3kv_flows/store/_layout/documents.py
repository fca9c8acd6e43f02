"""Read small JSON documents that others may have written, within bounds.

Python's own parser takes any size and any depth (``RecursionError``), takes the last of two values of one
key, and knows ``NaN``. What reads such a document otherwise decides on something that nobody has written.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["MAX_NUMBER", "is_date_text", "is_number", "is_text", "read_document"]

MAX_NUMBER = 2**53 - 1
"""The largest integer that all programs read from JSON as it is."""

_DEEPEST = 16
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}[+-][0-9]{2}:[0-9]{2}")


def read_document(text: str | bytes, *, max_bytes: int) -> Any:
    """Return what a document of JSON holds.

    Args:
        text: The document; bytes are UTF-8.
        max_bytes: Its largest size; of a text, in characters.

    Raises:
        ValueError: It is no JSON in UTF-8, is larger, is nested too deeply, has two values for one key, or a
            number that is none (``NaN``, ``Infinity``) or has thousands of digits.
    """
    if len(text) > max_bytes:
        raise ValueError(f"it has more than {max_bytes:,} bytes")
    text = text.decode() if isinstance(text, bytes) else text
    if _depth(text) > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)


def is_text(value: object, most: int, *, printable: bool = True) -> bool:
    """Tell whether a value is a text of one to ``most`` characters that UTF-8 can encode."""
    if not isinstance(value, str) or not 0 < len(value) <= most:
        return False
    return value.isprintable() if printable else not any("\ud800" <= char <= "\udfff" for char in value)


def is_number(value: object) -> bool:
    """Tell whether a value is an integer from 0 to :data:`MAX_NUMBER`: no bool, no float."""
    return type(value) is int and 0 <= value <= MAX_NUMBER


def is_date_text(value: object) -> bool:
    """Tell whether a value is a text like a date in ISO 8601 with a time and an offset."""
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


def _depth(text: str) -> int:
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        match found.group()[0]:
            case "[" | "{":
                depth += 1
                deepest = max(deepest, depth)
            case "]" | "}":
                depth -= 1
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("it has two values for one key")
    return made


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
