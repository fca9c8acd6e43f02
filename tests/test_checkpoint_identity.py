"""Whose states a run goes on from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from s3kv_flows.checkpoints import Checkpoint
from tests.checkpointing import CrashError
from tests.lake import Lake


@pytest.mark.parametrize(
    "make", [lambda: (item for item in range(5)), lambda: iter(range(5)), lambda: map(int, range(5))]
)
def test_what_a_task_was_called_with_is_left_as_it_is(lake: Lake, make: Callable[[], Iterator[int]]) -> None:
    @task(cache_policy=NO_CACHE)
    def work(items: Iterator[int], endless: Iterator[int]) -> list[int]:
        with Checkpoint(lake.name, "train") as checkpoint:
            next(endless)
            return list(checkpoint.iterate(items, lambda: None, every=2))

    @flow
    def run() -> list[int]:
        return work(make(), itertools.count())

    assert run() == list(range(5))


def half(store: str, loaded: list[int]) -> None:
    """Do ten items, and die at the sixth, once."""
    with Checkpoint(store, "train", keep_on_success=True) as checkpoint:
        done: list[int] = checkpoint.load(default=[])
        loaded.append(len(done))
        for item in checkpoint.iterate(range(10), lambda: done, every=1):
            if item == 5 and len(loaded) == 1:
                raise CrashError
            done.append(item)


@pytest.mark.parametrize("within", ["flow", "task"])
def test_a_subflow_goes_on_where_its_parent_is_retried(lake: Lake, within: str) -> None:
    loaded: list[int] = []

    @task
    def work() -> None:
        half(lake.name, loaded)

    @flow
    def sub(number: int) -> None:
        half(lake.name, loaded) if within == "flow" else work()

    @flow
    def middle() -> None:
        sub(7)

    @flow(retries=1)
    def parent() -> None:
        middle()

    parent()
    assert loaded == [0, 5]


def test_a_subflow_is_another_one_where_it_is_called_with_something_else(lake: Lake) -> None:
    loaded: list[int] = []

    @flow
    def sub(number: int) -> None:
        half(lake.name, loaded)

    @flow
    def parent() -> None:
        with pytest.raises(CrashError):
            sub(1)
        sub(2)

    parent()
    assert loaded == [0, 0]
