from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._layout.ttl import (
    TTL_CLASSES,
    least_ttl,
    recorded_ttl,
    ttl_class,
    ttl_of_tags,
    ttl_tags,
)

DAY = timedelta(days=1)


@given(st.timedeltas(timedelta(microseconds=1), 3650 * DAY))
def test_a_class_is_never_shorter_and_the_one_below_never_longer(ttl: timedelta) -> None:
    days = ttl_class(ttl)
    assert days in TTL_CLASSES
    assert least_ttl(days * DAY) < ttl <= days * DAY
    assert ttl_class(least_ttl(days * DAY) + timedelta(microseconds=1)) == days, "the very next class"
    assert ttl_of_tags(ttl_tags(ttl)) == days * DAY


def test_what_lives_longer_than_ten_years_has_no_class() -> None:
    assert ttl_tags(3651 * DAY) == ttl_tags(None) == {}


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "4", "01", "999999", "\u0661"])
def test_what_is_no_class_is_none(text: str) -> None:
    assert ttl_of_tags({"ttl_days": text}) is None


def test_what_is_no_time_is_none() -> None:
    assert recorded_ttl({"s3kv-ttl": "86400.5"}) == DAY + timedelta(seconds=0.5)
    assert recorded_ttl({"s3kv-ttl": "soon"}) is recorded_ttl({}) is recorded_ttl({"s3kv-ttl": "inf"}) is None
