"""Durations with a unit: ``30d``, ``1h30min``, ``1y6mo``, ISO 8601, or a timedelta.

A bare number is refused: it would be seconds to one reader and days to another. So is ``1m``, which is a
minute to some tools, and a month to restic and borg. Months and years follow the calendar (UTC): one month
before 31 March is the last day of February.
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
"""The longest there are."""
_LIMIT = 1000 * _YEAR
_LONGEST_TEXT = 100


@dataclass(frozen=True)
class CalendarDuration:
    """A duration of months and years, which are of different lengths, and a rest of fixed length.

    Attributes:
        months: How many months, one at least; a year is 12.
        rest: What comes on top.

    Raises:
        ValueError: No month, a negative rest, or more than 1,000 years.
    """

    months: int
    rest: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.months < 1 or self.rest < timedelta(0):
            raise ValueError("a calendar duration has one month at least, and no negative rest")
        if self.months > 12 * 1000 or longest(self) > _LIMIT:
            raise ValueError("a duration is at most 1,000 years")

    def before(self, moment: datetime) -> datetime:
        """Return the moment so long before another one, by the calendar of its time zone."""
        found: datetime = moment - relativedelta(months=self.months) - self.rest
        return found

    def __str__(self) -> str:
        """Return it as :func:`format_duration` does."""
        return format_duration(self)


DurationLike = timedelta | CalendarDuration | str
"""What :func:`parse_duration` takes."""


def parse_duration(value: object) -> timedelta | CalendarDuration:
    """Return a duration that was given with its unit.

    Units are s, min, h, d, w, mo and y, or the words (sec, second, seconds, minute, ...): each once, in any
    order, with or without spaces. All but months and years may have decimals, rounded up to microseconds.

    Args:
        value: Text such as ``30d``, ``1h30min``, ``1.5h`` or ``1y6mo``, or in ISO 8601 (``P1Y2M3DT4H``,
            ``P2W``); a timedelta; or 0, which needs no unit.

    Returns:
        A timedelta; a :class:`CalendarDuration` where there are months or years.

    Raises:
        ValueError: It has no unit, or one that is not known; it is negative, or more than 1,000 years; or it
            is no duration at all. The message says what to write.
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
    raise ValueError(f"a duration is text, such as 30d, or a timedelta, and not {type(value).__name__}")


def fixed_duration(value: object) -> timedelta:
    """Return a duration where months and years make no sense; otherwise as :func:`parse_duration`.

    Raises:
        ValueError: Also for months and years.
    """
    found = parse_duration(value)
    if isinstance(found, CalendarDuration):
        raise ValueError(  # noqa: TRY004  # of the right type, and without a fixed length
            f"{found} has no fixed length, which is needed here: write days, such as 30d"
        )
    return found


def format_duration(duration: timedelta | CalendarDuration) -> str:
    """Return a duration as text, such as ``1y6mo`` or ``1d12h``, which :func:`parse_duration` reads back."""
    months, rest = _split(duration)
    years, months = divmod(months, 12)
    minutes, seconds = divmod(rest.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    amounts = {"y": years, "mo": months, "d": rest.days, "h": hours, "min": minutes}
    said = "".join(f"{amount}{unit}" for unit, amount in amounts.items() if amount)
    if rest.microseconds:
        said += f"{seconds}.{rest.microseconds:06}".rstrip("0") + "s"
    elif seconds or not said:
        said += f"{seconds}s"
    return said


def length_before(duration: DurationLike, moment: datetime) -> timedelta:
    """Return how long a duration is that ends at a moment, in days and seconds.

    Args:
        duration: What :func:`parse_duration` takes.
        moment: When it ends; months and years are counted back from it, in UTC.

    Raises:
        ValueError: As :func:`parse_duration`.
    """
    found = parse_duration(duration)
    return found if isinstance(found, timedelta) else _calendar_length(found, moment)


def longest(duration: timedelta | CalendarDuration) -> timedelta:
    """Return the most that a duration may come to: a month is 31 days, a year 366."""
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
        raise ValueError(f"{value!r} takes all months for 30 days: write 1mo, or 30d")
    if value < timedelta(0):
        raise ValueError(f"a duration is not negative: {value}")
    if value > _LIMIT:
        raise ValueError(f"a duration is at most 1,000 years, and not {value}")
    return timedelta(value.days, value.seconds, value.microseconds)  # of a subclass, what it says


def _of_number(value: Real | Decimal) -> timedelta:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if number == 0:
        return timedelta(0)
    if not math.isfinite(number):
        raise ValueError(f"a duration is finite, and at most 1,000 years: not {number}")
    if number < 0:
        raise ValueError(f"a duration is not negative: {value}")
    raise ValueError(_without_unit(f"{number:.15g}"))


def _of_text(text: str) -> timedelta | CalendarDuration:
    if len(text) > _LONGEST_TEXT:
        raise ValueError(_no_duration(f"{text[:20]}..."))
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
        raise ValueError(f"a duration is not negative: {text!r}")
    if at < len(text) or not parts:
        raise ValueError(_no_duration(text))
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
                f"{text!r}: months and years are whole, since they differ in length: write 1mo15d, or 45d"
            )
    if months > 12 * 1000 or microseconds > _LIMIT // timedelta.resolution:
        raise ValueError(f"a duration is at most 1,000 years, and not {text!r}")
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
    raise ValueError(f"{text!r} has the unknown unit {spelling!r}: there are s, min, h, d, w, mo and y")


def _without_unit(amount: str) -> str:
    return f"{amount} has no unit: write {amount}d for days, {amount}s for seconds"


def _no_duration(text: str) -> str:
    return f"{text!r} is no duration: write 30d, 1h30min or 1y6mo (s, min, h, d, w, mo, y), or ISO 8601, P30D"
