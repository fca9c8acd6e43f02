"""Durations and sizes as people write them: ``30d``, ``10 GB``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    WithJsonSchema,
)

from s3kv_flows.store._durations import CalendarDuration, DurationLike, format_duration, parse_duration

__all__ = ["Duration", "GivenDuration", "Size"]

_BYTES = TypeAdapter(ByteSize)


def _size(value: Any) -> Any:
    """Return the bytes of ``10 GB``; anything else is for pydantic."""
    if isinstance(value, bool):
        raise ValueError("a size is no yes or no")  # noqa: TRY004  # pydantic takes ValueErrors
    return int(_BYTES.validate_python(value)) if isinstance(value, str) else value


_READ = PlainValidator(parse_duration)
_WRITTEN = PlainSerializer(format_duration, return_type=str)
# Without "format": that would be ISO 8601 alone, and Prefect's server refuses what is of another format.
_IN_FORMS = WithJsonSchema({"type": "string", "examples": ["30d", "1h30min", "1y6mo", "P30D"]})

Duration = Annotated[timedelta | CalendarDuration, _READ, _WRITTEN, _IN_FORMS]
"""What :func:`~s3kv_flows.store._durations.parse_duration` takes; dumped as text, such as ``30d``."""

GivenDuration = Annotated[DurationLike, _READ, _WRITTEN, _IN_FORMS]
"""A :data:`Duration` as an argument of a flow, which is also given as text in Python."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
"""Bytes: a number, ``10 GB`` (powers of ten) or ``10 GiB`` (powers of two)."""
