"""Times and sizes as people write them: ``30d``, ``10 GB``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, Field, TypeAdapter

__all__ = ["Duration", "Size"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SHORT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*")
_BYTES = TypeAdapter(ByteSize)


def _duration(value: Any) -> Any:
    """Return the timedelta of ``30d``; anything else is for pydantic, which knows ISO 8601."""
    if isinstance(value, bool):
        raise ValueError("a time is no yes or no")  # noqa: TRY004  # pydantic takes ValueErrors
    if isinstance(value, str) and (short := _SHORT.fullmatch(value)):
        try:
            return timedelta(**{_UNITS[short[2]]: float(short[1])})
        except OverflowError as exc:
            raise ValueError(f"{value!r} is too long a time") from exc
    return value


def _size(value: Any) -> Any:
    """Return the bytes of ``10 GB``; anything else is for pydantic."""
    if isinstance(value, bool):
        raise ValueError("a size is no yes or no")  # noqa: TRY004  # pydantic takes ValueErrors
    return int(_BYTES.validate_python(value)) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
"""A time that is not negative: a timedelta, seconds, ``P30D`` (ISO 8601), or ``30d`` (s, m, h, d or w)."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
"""Bytes: a number, ``10 GB`` (powers of ten) or ``10 GiB`` (powers of two)."""
