"""Loops whose state is the object that load() returned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from tests.support.checkpointing import CrashError


def loop(block: S3KVStore, crash_at: int | None, done: list[int], load: Callable[[Checkpoint], Any]) -> Any:
    with Checkpoint(block, "train") as checkpoint:
        state = load(checkpoint)
        for item in checkpoint.iterate(range(10), every=2):
            if item == crash_at:
                raise CrashError
            done.append(item)
            if state is not None:
                state.append(item)
        return state


async def aloop(
    block: S3KVStore, crash_at: int | None, done: list[int], load: Callable[[Checkpoint], Any]
) -> Any:
    async with Checkpoint(block, "train") as checkpoint:
        state = await asyncio.to_thread(load, checkpoint)
        async for item in checkpoint.aiterate(range(10), every=2):
            if item == crash_at:
                raise CrashError
            done.append(item)
            if state is not None:
                state.append(item)
        return state


def run(*arguments: Any) -> Any:
    return asyncio.run(aloop(*arguments))


@pytest.mark.parametrize("way", [loop, run])
def test_what_was_loaded_is_saved_as_the_loop_changes_it(
    block: S3KVStore, way: Callable[..., Any], logged: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []

    def load(checkpoint: Checkpoint) -> Any:
        return checkpoint.load(default=[])

    for crash_at in (5, 8):
        with pytest.raises(CrashError):
            way(block, crash_at, done, load)
    assert way(block, None, done, load) == list(range(10))
    assert len(done) <= 10 + 2 * 2
    assert block.checkpoints.list_keys() == []
    assert "is saved unchanged" not in logged.text


@pytest.mark.parametrize("way", [loop, run])
def test_a_loop_without_a_state_goes_on_where_it_was(block: S3KVStore, way: Callable[..., Any]) -> None:
    done: list[int] = []
    for crash_at in (5, 8):
        with pytest.raises(CrashError):
            way(block, crash_at, done, lambda _: None)
    way(block, None, done, lambda _: None)
    assert set(done) == set(range(10))
    assert len(done) <= 10 + 2 * 2


@pytest.mark.parametrize("default", [0, 0.5, "text", b"bytes", (1,), frozenset()])
def test_what_cannot_be_changed_is_refused(block: S3KVStore, default: Any) -> None:
    with Checkpoint(block, "train") as checkpoint:
        checkpoint.load(default=default)
        with pytest.raises(TypeError, match="as its second argument"):
            next(iter(checkpoint.iterate(range(3), every=1)))


@pytest.mark.parametrize("in_place", [True, False])
def test_an_unchanged_state_is_logged(
    block: S3KVStore,
    in_place: bool,  # noqa: FBT001
    logged: pytest.LogCaptureFixture,
) -> None:
    with Checkpoint(block, "train") as checkpoint:
        weights = checkpoint.load(default=np.zeros(3))
        for _ in checkpoint.iterate(range(8), every=2):
            if in_place:
                weights += 1
            else:
                weights = weights + 1
    assert ("is saved unchanged" in logged.text) is not in_place


def test_a_second_loop_is_refused_all_the_same(block: S3KVStore) -> None:
    done: list[int] = []
    with Checkpoint(block, "train") as checkpoint:
        done.extend(checkpoint.iterate(range(3), lambda: done, every=1))
        with pytest.raises(RuntimeError, match="there was a loop before"):
            done.extend(checkpoint.iterate(range(3), every=1))
    assert done == [0, 1, 2]
