"""Metadata of objects, parsed strictly: dates, durations, numbers and texts.

Whoever can write to a bucket can give an object any metadata. So each text is matched with the one form in
which this package writes it, and what it stands for is kept in a range that all later arithmetic stays in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from s3kv_flows.store.errors import CorruptValueError

__all__ = [
    "LONGEST",
    "clamped",
    "optional",
    "parse_count",
    "parse_date",
    "parse_duration",
    "parse_text",
    "required",
]

LONGEST = timedelta(days=36525)
"""A hundred years: longer times, of what lives or took longer, count as this."""

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?[+-]\d\d:\d\d", re.ASCII)
_FIRST_YEAR = 1970
_SECONDS = re.compile(r"-?\d{1,15}(\.\d{1,9})?", re.ASCII)
_COUNT = re.compile(r"\d{1,16}", re.ASCII)
_COUNTS = 1 << 53  # below which JSON and floats hold each whole number
_TEXT = re.compile(r"[ -~]{0,2048}")  # S3 accepts 2 KiB of metadata in all

T = TypeVar("T")


def parse_date(text: str) -> datetime:
    """Return a date with a time zone, of the years 1970 to 9999, in UTC.

    Raises:
        CorruptValueError: It is none.
    """
    try:
        date = datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
        date = date and date.astimezone(timezone.utc)
    except (ValueError, OverflowError):  # 31 February; the last day of the year 9999, west of Greenwich
        date = None
    if date is None or date.year < _FIRST_YEAR:
        raise _corrupt(text, "date with a time zone")
    return date


def parse_duration(text: str) -> timedelta:
    """Return a number of seconds as a duration, within a hundred years.

    It may be negative: a result can have expired when it was written, and a clock can be set back while a
    task runs.

    Raises:
        CorruptValueError: It is none.
    """
    if not _SECONDS.fullmatch(text):
        raise _corrupt(text, "number of seconds")
    most = LONGEST.total_seconds()
    return timedelta(seconds=min(max(float(text), -most), most))


def clamped(duration: timedelta) -> timedelta:
    """Return a duration within a hundred years, which a date of our time can be moved by."""
    return min(max(duration, -LONGEST), LONGEST)


def parse_count(text: str) -> int:
    """Return a whole number, from 0 up to 2**53.

    Raises:
        CorruptValueError: It is none.
    """
    if not _COUNT.fullmatch(text) or (count := int(text)) >= _COUNTS:
        raise _corrupt(text, "number")
    return count


def parse_text(text: str) -> str:
    """Return a text of printable ASCII, of at most 2 KiB.

    Raises:
        CorruptValueError: It is none.
    """
    if not _TEXT.fullmatch(text):
        raise _corrupt(text, "text")
    return text


def required(metadata: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T:
    """Return what an object's metadata holds under a name.

    Raises:
        CorruptValueError: Nothing, or what cannot be parsed.
    """
    if name not in metadata:
        raise CorruptValueError(f"there is no metadata {name!r}", reason="metadata")
    try:
        return parse(metadata[name])
    except CorruptValueError as exc:
        raise exc.located(f"metadata {name!r}") from exc


def optional(metadata: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T | None:
    """Return what an object's metadata holds under a name, None for nothing.

    Raises:
        CorruptValueError: It cannot be parsed.
    """
    return required(metadata, name, parse) if name in metadata else None


def _corrupt(text: str, expected: str) -> CorruptValueError:
    return CorruptValueError(f"{text[:64]!r} is no {expected}", reason="metadata")
