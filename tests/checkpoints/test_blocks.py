"""What a block is for, and what a loop within it may be given."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.checkpoints._snapshots import Snapshots
from tests.support.checkpointing import CrashError, numbers
from tests.support.waiting import PATIENCE, until


def test_a_checkpoint_is_in_one_block_at_a_time(block: S3KVStore) -> None:
    checkpoint = Checkpoint(block, "train")
    with checkpoint:
        with pytest.raises(RuntimeError, match="in use"), checkpoint:
            pytest.fail("entered twice")
        checkpoint.save(1)
    with contextlib.suppress(CrashError), checkpoint:
        assert checkpoint.load() is None
        raise CrashError
    with checkpoint:
        checkpoint.save(2)


def test_a_block_that_cannot_be_opened_may_be_tried_again(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(block, "train/{parameters[missing]}")
    for _ in range(2):
        with pytest.raises(LookupError, match="missing"), checkpoint:
            pytest.fail("opened")


def test_after_the_block_nothing_is_saved(block: S3KVStore) -> None:
    with Checkpoint(block, "train") as checkpoint:
        items = checkpoint.iterate(range(10), lambda: 1, every=2)
        next(items)
    for use in (lambda: list(items), lambda: checkpoint.save(1), checkpoint.load, checkpoint.clear):
        with pytest.raises(RuntimeError, match="within its block"):
            use()
    assert numbers(block) == []


class Streamed:
    """As a loader over a stream is: it has ``__len__``, and no length."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(4))

    def __len__(self) -> int:
        raise TypeError("of unknown length")


def test_a_loop_needs_no_length(block: S3KVStore) -> None:
    with Checkpoint(block, "train") as checkpoint:
        assert list(checkpoint.iterate(Streamed(), lambda: 1, every=2)) == [0, 1, 2, 3]
        assert checkpoint._loop.total is None


def test_fewer_items_than_were_done_are_logged(block: S3KVStore, logged: pytest.LogCaptureFixture) -> None:
    for count, found in ((6, [0, 1, 2, 3, 4, 5]), (6, []), (4, [])):
        logged.clear()
        with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
            checkpoint.load()
            assert list(checkpoint.iterate(range(count), lambda: 1, every=2)) == found
        assert ("6 items were done before, and the loop had 4" in logged.text) is (count == 4)


def test_what_is_refused_may_be_given_right_in_the_same_block(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep=np.int64(2)) as checkpoint:  # type: ignore[arg-type]
        checkpoint.load(default=0)
        with pytest.raises(TypeError, match="second argument"):
            next(checkpoint.iterate(range(3), every=1))
        assert list(checkpoint.iterate(range(3), lambda: 1, every=1)) == [0, 1, 2]
    with Checkpoint(block, "train") as checkpoint:
        checkpoint.save([])
        with pytest.raises(TypeError, match="second argument"):  # which is not what it would load
            next(checkpoint.iterate(range(3), every=1))


class Model:
    """What takes memory."""


def test_nothing_is_held_longer_than_it_is_needed(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        model = Model()
        held = weakref.ref(model)
        checkpoint.save(model)
        del model
        assert held() is None
        held = weakref.ref(checkpoint.load())
        for _ in checkpoint.iterate(range(3), Model, every=1):
            assert held() is None
    with Checkpoint(block, "train") as checkpoint:
        held = weakref.ref(checkpoint.load())
    assert held() is None


def test_a_block_whose_beginning_is_cancelled_may_be_entered_again(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go, original = threading.Event(), threading.Event(), Snapshots.listed

    def slow(states: Snapshots) -> Any:
        begun.set()
        assert may_go.wait(PATIENCE)
        return original(states)

    monkeypatch.setattr(Snapshots, "listed", slow)
    checkpoint = Checkpoint(block, "train")

    async def enter() -> None:
        async with checkpoint:
            pytest.fail("entered")

    async def run() -> None:
        entering = asyncio.create_task(enter())
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        may_go.set()
        await asyncio.to_thread(until, lambda: "_entered" not in checkpoint.__dict__)
        async with checkpoint:
            checkpoint.save(1)

    asyncio.run(run())


def test_a_block_whose_end_is_cancelled_ends_all_the_same(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go, original = threading.Event(), threading.Event(), Snapshots.remove

    def slow(states: Snapshots, snapshot: Any) -> bool:
        begun.set()
        assert may_go.wait(PATIENCE)
        return original(states, snapshot)

    checkpoint = Checkpoint(block, "train")

    async def save() -> None:
        async with checkpoint:
            await checkpoint.asave(1)
            monkeypatch.setattr(Snapshots, "remove", slow)

    async def run() -> None:
        saving = asyncio.create_task(save())
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        with pytest.raises(RuntimeError, match="in use"):
            checkpoint.__enter__()
        may_go.set()
        await asyncio.to_thread(until, lambda: "_entered" not in checkpoint.__dict__)

    asyncio.run(run())
    assert numbers(block) == []


@pytest.mark.parametrize("options", [{"every": float("inf")}, {"seconds": float("nan")}, {"every": 0}])
def test_a_pace_that_makes_no_sense_is_refused(block: S3KVStore, options: dict[str, Any]) -> None:
    with Checkpoint(block, "train") as checkpoint, pytest.raises(ValueError, match="more than 0"):
        next(checkpoint.iterate(range(3), lambda: 1, **options))
