"""A result that is damaged on its way to a run is read once more before it is believed to be damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect import task

from s3kv_flows import Retention, caching
from tests.support.lake import Lake, in_flow
from tests.support.proxy import CountingProxy

VALUE = bytes(range(256)) * 8


pytestmark = pytest.mark.usefixtures("prefect_api")


@contextmanager
def flipping(proxy: CountingProxy, *, times: int) -> Iterator[list[int]]:
    """Flip a bit of the value in so many responses; yield a list that grows with each."""
    flipped: list[int] = []

    def edit(data: bytes) -> bytes:
        place = data.find(VALUE[:64])
        if place < 0 or len(flipped) == times:
            return data
        flipped.append(place)
        return data[: place + 10] + bytes([data[place + 10] ^ 1]) + data[place + 11 :]

    with proxy.editing(responses=edit):
        yield flipped


def counting_task(lake: Lake, **options: Any) -> tuple[Callable[[], bytes], list[int]]:
    ran: list[int] = []

    @task(**caching(lake.block, **options))
    def make() -> bytes:
        ran.append(1)
        return VALUE

    return lambda: in_flow(make), ran


@pytest.mark.parametrize("options", [{}, {"retention": Retention(days=1)}], ids=["cached", "finalized"])
def test_one_flipped_bit_costs_one_request_and_no_computation(
    proxy: CountingProxy, options: dict[str, Any]
) -> None:
    lake = Lake(proxy, object_lock=bool(options))
    make, ran = counting_task(lake, **options)
    make()
    with flipping(proxy, times=1) as flipped, lake.results.client.counters.measure() as measured:
        assert make() == VALUE
    assert (len(flipped), ran) == (1, [1])
    assert measured[0].by_operation == {"GetObject": 2}


def test_what_is_damaged_each_time_is_computed_anew(proxy: CountingProxy) -> None:
    lake = Lake(proxy, object_lock=False)
    make, ran = counting_task(lake)
    make()
    with flipping(proxy, times=2) as flipped:
        assert make() == VALUE
    assert (len(flipped), ran) == (2, [1, 1])
