"""Parse and format durations with a unit, such as ``30d`` or ``1h30min``.

A bare number is rejected: some readers take it for seconds, others for days. So is ``1m``, which is a minute
in some tools, and a month in restic and borg. Months and years follow the calendar (UTC): one month before
31 March is the last day of February.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from numbers import Real

from dateutil.relativedelta import relativedelta

__all__ = [
    "CalendarDuration",
    "DurationLike",
    "fixed_duration",
    "format_duration",
    "length_before",
    "longest",
    "parse_duration",
]

_SPELLINGS = {
    "s": ("s", "sec", "second", "seconds"),
    "min": ("min", "minute", "minutes"),
    "h": ("h", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
    "mo": ("mo", "month", "months"),
    "y": ("y", "year", "years"),
}
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_MICROSECONDS = {
    unit: timedelta(**{name: 1}) // timedelta.resolution
    for unit, name in {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}.items()
}
_MONTHS = {"mo": 1, "y": 12}

_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
_AMOUNT = r"([0-9]+(?:[.,][0-9]+)?)"
_ISO = re.compile(
    rf"P(?=[0-9T])(?:{_AMOUNT}Y)?(?:{_AMOUNT}M)?(?:{_AMOUNT}W)?(?:{_AMOUNT}D)?"
    rf"(?:T(?=[0-9])(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?"
)
_ISO_UNITS = ("y", "mo", "w", "d", "h", "min", "s")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")

_MONTH, _YEAR = timedelta(days=31), timedelta(days=366)
"""The longest month and the longest year."""
_LIMIT = 1000 * _YEAR
_LONGEST_TEXT = 100


@dataclass(frozen=True)
class CalendarDuration:
    """A duration of months and years, whose lengths vary, and a rest of fixed length.

    Attributes:
        months: The number of months, at least one; a year is 12.
        rest: The rest, added to the months.

    Raises:
        ValueError: No month, a negative rest, or more than 1,000 years.
    """

    months: int
    rest: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.months < 1 or self.rest < timedelta(0):
            raise ValueError("a calendar duration must have at least one month, and no negative rest")
        if self.months > 12 * 1000 or longest(self) > _LIMIT:
            raise ValueError("a duration must be at most 1,000 years")

    def before(self, moment: datetime) -> datetime:
        """Return the moment minus this duration, by the calendar of its time zone."""
        earlier: datetime = moment - relativedelta(months=self.months) - self.rest
        return earlier

    def __str__(self) -> str:
        """Return it as :func:`format_duration` does."""
        return format_duration(self)


DurationLike = timedelta | CalendarDuration | str
"""What :func:`parse_duration` takes."""


def parse_duration(value: object) -> timedelta | CalendarDuration:
    """Parse a duration with a unit.

    Units are s, min, h, d, w, mo and y, or the words (sec, second, seconds, minute, ...): each once, in any
    order, with or without spaces. All but months and years may have decimals, rounded up to microseconds.

    Args:
        value: Text such as ``30d``, ``1h30min``, ``1.5h`` or ``1y6mo``, or in ISO 8601 (``P1Y2M3DT4H``,
            ``P2W``); a timedelta; or 0, which needs no unit.

    Returns:
        A timedelta; a :class:`CalendarDuration` if there are months or years.

    Raises:
        ValueError: It has no unit or an unknown one, is negative, is more than 1,000 years, or is not a
            duration. The message says what to write.
    """
    if isinstance(value, CalendarDuration):
        return value
    if isinstance(value, timedelta):
        return _of_timedelta(value)
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bool):
        raise ValueError("a duration is not true or false: write 30d for days, 30s for seconds")  # noqa: TRY004
    if isinstance(value, Real | Decimal):
        return _of_number(value)
    raise ValueError(f"a duration must be text, such as 30d, or a timedelta, not {type(value).__name__}")


def fixed_duration(value: object) -> timedelta:
    """Parse a duration as :func:`parse_duration`, without months and years.

    Raises:
        ValueError: Also for months and years.
    """
    duration = parse_duration(value)
    if isinstance(duration, CalendarDuration):
        raise ValueError(  # noqa: TRY004  # the type is right, but it has no fixed length
            f"{duration} has no fixed length, which is needed here: write days, such as 30d"
        )
    return duration


def format_duration(duration: timedelta | CalendarDuration) -> str:
    """Format a duration, such as ``1y6mo`` or ``1d12h``, so that :func:`parse_duration` reads it back."""
    months, rest = _split(duration)
    years, months = divmod(months, 12)
    minutes, seconds = divmod(rest.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    amounts = {"y": years, "mo": months, "d": rest.days, "h": hours, "min": minutes}
    text = "".join(f"{amount}{unit}" for unit, amount in amounts.items() if amount)
    if rest.microseconds:
        text += f"{seconds}.{rest.microseconds:06}".rstrip("0") + "s"
    elif seconds or not text:
        text += f"{seconds}s"
    return text


def length_before(duration: DurationLike, moment: datetime) -> timedelta:
    """Return the length of a duration that ends at a moment, in days and seconds.

    Args:
        duration: A value for :func:`parse_duration`.
        moment: The end; months and years are counted back from it, in UTC.

    Raises:
        ValueError: As :func:`parse_duration`.
    """
    parsed = parse_duration(duration)
    return parsed if isinstance(parsed, timedelta) else _calendar_length(parsed, moment)


def longest(duration: timedelta | CalendarDuration) -> timedelta:
    """Return the maximal length of a duration: a month is 31 days, a year 366."""
    months, rest = _split(duration)
    years, months = divmod(months, 12)
    return years * _YEAR + months * _MONTH + rest


@lru_cache(maxsize=64)
def _calendar_length(duration: CalendarDuration, moment: datetime) -> timedelta:
    in_utc = moment.astimezone(timezone.utc) if moment.tzinfo else moment
    return in_utc - duration.before(in_utc)


def _split(duration: timedelta | CalendarDuration) -> tuple[int, timedelta]:
    return (0, duration) if isinstance(duration, timedelta) else (duration.months, duration.rest)


def _of_timedelta(value: timedelta) -> timedelta:
    if getattr(value, "months", 0) or getattr(value, "years", 0):  # pendulum's, whose months are 30 days
        raise ValueError(f"{value!r} counts every month as 30 days: write 1mo, or 30d")
    if value < timedelta(0):
        raise ValueError(f"a duration must not be negative, got {value}")
    if value > _LIMIT:
        raise ValueError(f"a duration must be at most 1,000 years, got {value}")
    return timedelta(value.days, value.seconds, value.microseconds)  # it may be of a subclass


def _of_number(value: Real | Decimal) -> timedelta:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if number == 0:
        return timedelta(0)
    if not math.isfinite(number):
        raise ValueError(f"a duration must be finite, and at most 1,000 years, got {number}")
    if number < 0:
        raise ValueError(f"a duration must not be negative, got {value}")
    raise ValueError(_without_unit(f"{number:.15g}"))


def _of_text(text: str) -> timedelta | CalendarDuration:
    if len(text) > _LONGEST_TEXT:
        raise ValueError(_not_a_duration(f"{text[:20]}..."))
    if _NUMBER.fullmatch(text):
        return _of_number(Decimal(text.strip()))
    if iso := _ISO.fullmatch(text.strip()):
        given = zip(iso.groups(), _ISO_UNITS, strict=True)
        return _of_parts(text, [(amount.replace(",", "."), unit) for amount, unit in given if amount])
    parts, at = [], 0
    while at < len(text) and (part := _PART.match(text, at)):
        parts.append((part[1], part[2]))
        at = part.end()
    if text.lstrip().startswith(("-", "P-")):
        raise ValueError(f"a duration must not be negative, got {text!r}")
    if at < len(text) or not parts:
        raise ValueError(_not_a_duration(text))
    return _of_parts(text, [(amount, _unit(amount, spelling, text)) for amount, spelling in parts])


def _of_parts(text: str, parts: list[tuple[str, str]]) -> timedelta | CalendarDuration:
    """Return the sum of amounts of units."""
    if len({unit for _, unit in parts}) < len(parts):
        raise ValueError(f"{text!r} has a unit twice")
    months, microseconds = 0, 0
    for amount, unit in parts:
        if unit not in _MONTHS:
            microseconds += math.ceil(Fraction(amount) * _MICROSECONDS[unit])
        elif amount.isdigit():
            months += int(amount) * _MONTHS[unit]
        else:
            raise ValueError(
                f"{text!r}: months and years must be whole numbers, because their lengths vary: "
                "write 1mo15d, or 45d"
            )
    if months > 12 * 1000 or microseconds > _LIMIT // timedelta.resolution:
        raise ValueError(f"a duration must be at most 1,000 years, got {text!r}")
    rest = timedelta(microseconds=microseconds)
    return CalendarDuration(months, rest) if months else rest


def _unit(amount: str, spelling: str, text: str) -> str:
    if spelling in _UNITS:
        return _UNITS[spelling]
    if not spelling:
        raise ValueError(f"in {text!r}, {_without_unit(amount)}")
    if spelling in ("m", "M"):
        raise ValueError(
            f"{text!r} may mean minutes or months: write {amount}min for minutes, {amount}mo for months"
        )
    raise ValueError(f"{text!r} has the unknown unit {spelling!r}: the units are s, min, h, d, w, mo and y")


def _without_unit(amount: str) -> str:
    return f"{amount} has no unit: write {amount}d for days, {amount}s for seconds"


def _not_a_duration(text: str) -> str:
    return (
        f"{text!r} is not a duration: write 30d, 1h30min or 1y6mo (s, min, h, d, w, mo, y), or ISO 8601, P30D"
    )
