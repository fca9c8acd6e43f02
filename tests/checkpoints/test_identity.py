"""Whose states a run resumes from."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from s3kv_flows.checkpoints import Checkpoint
from tests.support.checkpointing import CrashError
from tests.support.lake import Lake


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


def test_a_subflow_with_retries_goes_on_also_where_it_has_changed_what_it_was_called_with(lake: Lake) -> None:
    attempts: list[int] = []

    @flow(retries=1)
    def sub(model: list[int]) -> list[int]:
        attempts.append(1)
        with Checkpoint(lake.name, "train") as checkpoint:
            model = checkpoint.load(default=model)
            for item in checkpoint.iterate(range(6), lambda: model, every=1):
                if item == 3 and len(attempts) == 1:
                    raise CrashError
                model.append(item)
        return model

    @flow
    def parent() -> list[int]:
        return sub([])

    assert parent() == list(range(6))


def test_a_subflow_is_another_one_in_each_flow_that_calls_it(lake: Lake) -> None:
    loaded: list[int] = []

    @flow
    def train() -> None:
        half(lake.name, loaded)

    @flow
    def fold(number: int) -> None:
        train()

    @flow
    def parent() -> None:
        with pytest.raises(CrashError):
            fold(1)
        fold(2)

    parent()
    assert loaded == [0, 0]


PRINT_HASH = """
from pydantic import BaseModel
from s3kv_flows.checkpoints._context import _digest_of

class Config(BaseModel):
    depth: int = 3
    rate: float = 0.1

print(_digest_of({"config": Config(depth=4, rate=0.2), "options": {%s}}))
"""


def test_parameters_have_the_same_hash_in_all_processes() -> None:
    hashes = {
        subprocess.run(
            [sys.executable, "-c", PRINT_HASH % options],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, options in (("1", "'a', 'b'"), ("2", "'b', 'a'"))
    }
    assert len(hashes) == 1
    assert hashes != {"\n"}
