"""Durations have a unit, wherever they are given."""

from __future__ import annotations

import pickle
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._durations import (
    CalendarDuration,
    fixed_duration,
    format_duration,
    length_before,
    longest,
    parse_duration,
)

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("90min", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(hours=36)),
        ("1h30min", timedelta(minutes=90)),
        (" 1 day  12 hours ", timedelta(hours=36)),
        ("1.5h", timedelta(minutes=90)),
        ("0.1s", timedelta(milliseconds=100)),
        ("0.00000001s", timedelta(microseconds=1)),
        ("1mo", CalendarDuration(1)),
        ("1y", CalendarDuration(12)),
        ("1y6mo", CalendarDuration(18)),
        ("6 months 2 days", CalendarDuration(6, 2 * DAY)),
        ("P30D", 30 * DAY),
        ("PT1H", timedelta(hours=1)),
        ("PT1M", timedelta(minutes=1)),
        ("PT1.5H", timedelta(minutes=90)),
        ("PT0,5S", timedelta(milliseconds=500)),
        ("P2W", 14 * DAY),
        ("P1M", CalendarDuration(1)),
        ("P1Y2M3DT4H", CalendarDuration(14, timedelta(days=3, hours=4))),
        ("P0D", timedelta(0)),
        ("0mo", timedelta(0)),
        ("0", timedelta(0)),
        (" 0.0 ", timedelta(0)),
        (0, timedelta(0)),
        (0.0, timedelta(0)),
        (7 * DAY, 7 * DAY),
        (CalendarDuration(2), CalendarDuration(2)),
    ],
)
def test_a_duration_is_read_with_its_unit(given: object, expected: object) -> None:
    assert parse_duration(given) == expected


@pytest.mark.parametrize("given", [30, 30.0, Decimal(30), "30", "30.0", " 30 ", "+30", "3e1"])
def test_a_number_without_a_unit_is_refused_and_the_error_says_what_to_write(given: object) -> None:
    with pytest.raises(ValueError, match="30 has no unit: write 30d for days, 30s for seconds"):
        parse_duration(given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (True, "not true or false: write 30d"),
        (False, "not true or false: write 30d"),
        ("1m", "write 1min for minutes, 1mo for months"),
        ("1M", "write 1min for minutes, 1mo for months"),
        ("1h30m", "write 30min for minutes, 30mo for months"),
        ("1h30", "in '1h30', 30 has no unit"),
        ("1d0", "0 has no unit"),
        ("1.5mo", "months and years must be whole"),
        ("0.5y", "months and years must be whole"),
        ("1.0mo", "months and years must be whole"),
        ("P0.5Y", "months and years must be whole"),
        ("P1,5M", "months and years must be whole"),
        ("1h1h", "a unit twice"),
        ("1h2 hours", "a unit twice"),
        ("3fortnights", "unknown unit 'fortnights'"),
        ("30D", "unknown unit 'D'"),
        ("-1d", "not be negative"),
        ("-30", "not be negative"),
        ("-P1D", "not be negative"),
        (-30, "not be negative"),
        (-DAY, "not be negative"),
        (timedelta.max, "at most 1,000 years"),
        ("999999999999d", "at most 1,000 years"),
        ("9" * 90 + "d", "at most 1,000 years"),
        ("999999999999mo", "at most 1,000 years"),
        ("999y" + "400d", "at most 1,000 years"),
        ("P9999Y", "at most 1,000 years"),
        ("9" * 5000 + "d", "not a duration"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (10**400, "finite"),
        ("nan", "not a duration"),
        ("inf", "not a duration"),
        ("", "not a duration"),
        ("soon", "not a duration"),
        ("12:00:00", "not a duration"),
        ("30 days, 0:00:00", "not a duration"),
        ("1d-12h", "not a duration"),
        ("P", "not a duration"),
        ("P1DT", "not a duration"),
        ("\u0663d", "not a duration"),
        (None, "not NoneType"),
        ([30], "not list"),
        (1j, "not complex"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_reason(given: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_duration(given)


def test_a_month_of_another_library_that_is_always_30_days_is_refused() -> None:
    class Months(timedelta):
        months = 1

    with pytest.raises(ValueError, match="write 1mo, or 30d"):
        parse_duration(Months(days=30))


@pytest.mark.parametrize("fields", [(0, DAY), (-1, DAY), (1, -DAY), (12_001, timedelta(0))])
def test_a_calendar_duration_is_not_negative_and_not_without_months(fields: Any) -> None:
    with pytest.raises(ValueError, match=r"calendar duration|at most"):
        CalendarDuration(*fields)


def test_where_months_make_no_sense_they_are_refused() -> None:
    assert fixed_duration("7d") == 7 * DAY
    with pytest.raises(ValueError, match=r"1mo has no fixed length.*such as 30d"):
        fixed_duration("1mo")


# --- the calendar -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration", "moment", "expected"),
    [
        ("1mo", date(2026, 3, 31), date(2026, 2, 28)),
        ("1mo", date(2024, 3, 31), date(2024, 2, 29)),
        ("1mo", date(2026, 3, 28), date(2026, 2, 28)),
        ("1mo", date(2026, 1, 15), date(2025, 12, 15)),
        ("1y", date(2024, 2, 29), date(2023, 2, 28)),
        ("1y6mo", date(2026, 8, 31), date(2025, 2, 28)),
        ("1mo1d", date(2026, 3, 31), date(2026, 2, 27)),
        ("P1M", date(2026, 7, 31), date(2026, 6, 30)),
        ("31d", date(2026, 3, 31), date(2026, 2, 28)),
    ],
)
def test_months_and_years_are_those_of_the_calendar(duration: str, moment: date, expected: date) -> None:
    at = datetime(moment.year, moment.month, moment.day, 12, tzinfo=timezone.utc)
    assert (at - length_before(duration, at)).date() == expected


def test_the_calendar_is_that_of_utc() -> None:
    # In Auckland it is 1 April already.
    at = datetime(2026, 4, 1, 1, tzinfo=timezone(timedelta(hours=13)))
    assert length_before("1mo", at) == timedelta(days=31)  # from 31 March 12:00 to 28 February 12:00 UTC


FIXED = st.timedeltas(timedelta(0), timedelta(days=20_000))
MONTHS = st.integers(1, 600)
DURATIONS = FIXED | st.builds(CalendarDuration, MONTHS, FIXED)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2400, 1, 1), timezones=st.just(timezone.utc))  # noqa: DTZ001


@given(DURATIONS)
def test_what_is_written_reads_back(duration: timedelta | CalendarDuration) -> None:
    assert parse_duration(format_duration(duration)) == duration
    assert pickle.loads(pickle.dumps(duration)) == duration


@given(MONTHS, FIXED, MOMENTS)
def test_more_months_are_longer_and_a_month_is_28_to_31_days(
    months: int, rest: timedelta, moment: datetime
) -> None:
    length = length_before(CalendarDuration(months, rest), moment)
    assert length < length_before(CalendarDuration(months + 1, rest), moment)
    assert months * 28 * DAY + rest <= length <= longest(CalendarDuration(months, rest))


@given(DURATIONS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=90)))
def test_a_later_moment_has_no_earlier_limit_but_at_the_end_of_a_longer_month(
    duration: timedelta | CalendarDuration, moment: datetime, later: timedelta
) -> None:
    at = moment + later
    limit, later_limit = moment - length_before(duration, moment), at - length_before(duration, at)
    # A month before 28 March 15:00 is 28 February 15:00, and before 29 March 0:00 it is 28 February 0:00.
    assert (
        limit - later_limit < (timedelta(0) if isinstance(duration, timedelta) else DAY)
        or limit == later_limit
    )


@given(st.text(max_size=20) | st.floats() | st.integers() | st.from_regex(r"[0-9PTYMDHS.,dhmoy ]{1,12}"))
def test_whatever_is_given_is_a_duration_or_a_value_error(given: object) -> None:
    try:
        duration = parse_duration(given)
    except ValueError:
        return
    assert longest(duration) >= timedelta(0)
