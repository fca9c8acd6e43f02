from __future__ import annotations

import pytest

from s3kv_flows.maintenance._sweeping.pace import Pace
from tests.support.waiting import Clock


def test_no_more_pass_in_a_second_than_may() -> None:
    clock = Clock()
    pace = Pace(100, clock=clock, pause=clock.pause)
    for _ in range(5):
        pace.take(100)
    assert clock.now == pytest.approx(104), "the first waits for nothing"


def test_without_a_limit_nobody_waits() -> None:
    clock = Clock()
    pace = Pace(clock=clock, pause=clock.pause)
    pace.take(10**9)
    assert clock.now == 100


def test_a_server_that_is_busy_halves_the_pace_for_a_minute() -> None:
    clock = Clock()
    pace = Pace(100, clock=clock, pause=clock.pause)
    pace.slow_down(0)
    assert clock.now == 100.25
    pace.take(100)
    pace.take(0)
    assert clock.now == pytest.approx(102.25), "a hundred at fifty a second"
    clock.now += 60
    pace.take(100)
    before = clock.now
    pace.take(0)
    assert clock.now - before == pytest.approx(1)


def test_a_pace_is_positive() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Pace(0)
