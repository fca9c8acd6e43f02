"""Saving states: their order, their writers, and the errors of failed saves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import uuid
import weakref
from typing import Any

import numpy as np
import pytest

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.checkpoints import _loop as saving_pace
from s3kv_flows.checkpoints._background import LatestOnly
from s3kv_flows.checkpoints._loop import SavingPace
from s3kv_flows.checkpoints._snapshots import Snapshots
from s3kv_flows.store._s3 import bodies as memory
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import (
    AccessDeniedError,
    StaleWriterError,
    StoreUnavailableError,
)
from tests.support.checkpointing import numbers
from tests.support.proxy import CountingProxy
from tests.support.waiting import PATIENCE, until


def test_who_was_replaced_cannot_save_any_more(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as first:
        first.save("first")
        with Checkpoint(block, "train", load_policy="latest", keep_on_success=True) as second:
            assert second.load() == "first"
            second.save("second")
        with pytest.raises(StaleWriterError, match="two runs have one name"):
            first.save("first again")
    with Checkpoint(block, "train", load_policy="latest") as third:
        assert third.load() == "second"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """Return what large memory copies are made in, as it comes."""
    original, found = memory.large_memory, list[weakref.ref[Any]]()

    def noted(size: int) -> memoryview:
        view = original(size)
        found.append(weakref.ref(view.obj))
        return view

    monkeypatch.setattr(memory, "large_memory", noted)
    return found


def test_in_the_background_the_newest_wins_and_one_is_under_way(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch, made: list[weakref.ref[Any]]
) -> None:
    may_go, begun = threading.Event(), threading.Event()
    original, at_once = Snapshots.create, []

    def slow(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert may_go.wait(PATIENCE)
        at_once.append(sum(thread.name == "s3kv-checkpoint" for thread in threading.enumerate()))
        return original(*args, **kwargs)

    monkeypatch.setattr(Snapshots, "create", slow)
    noise = np.random.default_rng(0).random(200_000)  # not compressed, and sent from its own memory
    state = noise.copy()
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        for number in range(5):
            state[:] = noise + number
            checkpoint.save(state, wait=False)
            assert begun.wait(PATIENCE)
        state[:] = -1  # what was given to save is not changed by this
        may_go.set()
    states = Snapshots(block.checkpoints, "train")
    first, last = (states.store.get(one.key) for one in states.listed())
    assert (first == noise).all(), "what was under way has not been written over"
    assert (last == noise + 4).all(), "the last of those that waited"
    assert at_once == [1, 1]
    assert len(made) == 3, "one is under way, one waits, and one replaces it"
    with Checkpoint(block, "train", load_policy="latest") as checkpoint:
        assert (checkpoint.load() == noise + 4).all()


def test_one_copy_after_another_is_made_in_the_same_memory(
    block: S3KVStore, made: list[weakref.ref[Any]]
) -> None:
    state = np.random.default_rng(0).random(200_000)
    with Checkpoint(block, "train") as checkpoint:
        for _ in range(4):
            checkpoint.save(state, wait=False)
            checkpoint.save(b"small")
            checkpoint.save({"small": 1}, wait=False)
    assert len(made) == 1
    assert until(lambda: made[0]() is None), "it is kept for the block alone"


def test_nothing_older_is_removed_for_a_save_that_was_given_up(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Checkpoint(block, "train", keep=1, keep_on_success=True) as checkpoint:
        checkpoint.save("old")
        with monkeypatch.context() as over:
            over.setattr(checkpoint._states, "_given_up", lambda: True)
            checkpoint.save("of somebody who did not wait for it")
            assert len(numbers(block)) == 2
        checkpoint.save("new")
        assert len(numbers(block)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux")
def test_what_is_saved_in_the_background_stands_behind_all_else(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    original, under_way, seen = S3Client.upload_part, set[int](), list[tuple[int, int]]()

    def noted(self: S3Client, bucket: str, name: str, upload: str, number: int, body: bytes) -> Any:
        under_way.add(number)
        seen.append((niceness(), len(under_way)))
        try:
            return original(self, bucket, name, upload, number, body)
        finally:
            under_way.discard(number)

    monkeypatch.setattr(S3Client, "upload_part", noted)
    state, ours = np.random.default_rng(0).random(5 << 20), niceness()
    with Checkpoint(block, "train") as checkpoint:
        checkpoint.save(state, wait=False)
        checkpoint._states.saving.wait()
        assert seen == [(min(ours + 5, 19), 1)] * 5, "part by part"
        seen.clear()
        checkpoint.save(state)
        assert [nice for nice, _ in seen] == [ours] * 5
    assert niceness() == ours


def test_an_error_in_the_background_surfaces(block: S3KVStore) -> None:
    def run() -> None:
        with Checkpoint(block, "train") as checkpoint:
            states = Snapshots(block.checkpoints, "train")
            states.create(states.following([]) + 60_000, b"somebody else")
            checkpoint.save(1, wait=False)

    with pytest.raises(StaleWriterError):
        run()


def test_who_wakes_up_after_its_successor_has_succeeded_cannot_save_either(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as sleeper:
        sleeper.save("of the sleeper")
        with Checkpoint(block, "train") as successor:
            assert successor.load() == "of the sleeper"
            successor.save("of the successor")
        with pytest.raises(StaleWriterError):
            sleeper.save("of the sleeper again")
        with pytest.raises(StaleWriterError):
            sleeper.save("and again")
    assert numbers(block) == []


@pytest.mark.parametrize("operation", ["put_object", "list_objects"])
def test_a_save_that_failed_may_be_tried_again_whether_or_not_it_arrived(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        checkpoint.save("first")
        original = getattr(S3Client, operation)

        def unavailable(*_: Any, **__: Any) -> Any:
            monkeypatch.setattr(S3Client, operation, original)
            raise StoreUnavailableError("no route")

        monkeypatch.setattr(S3Client, operation, unavailable)
        with pytest.raises(StoreUnavailableError):
            checkpoint.save("second")
        checkpoint.save("third")
        assert checkpoint.load() == "third"


def test_any_error_in_the_background_surfaces_and_nothing_hangs(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(Snapshots, "create", fail)

    def run() -> None:
        with Checkpoint(block, "train") as checkpoint:
            for _ in checkpoint.iterate(range(10), lambda: 1, every=2):
                pass

    with pytest.raises(MemoryError):
        run()


def test_that_older_states_cannot_be_removed_ends_no_run(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise AccessDeniedError("you may not")

    monkeypatch.setattr(Snapshots, "prune", denied)
    with Checkpoint(block, "train", keep=1) as checkpoint:
        checkpoint.save(1)
        checkpoint.save(2)
        assert checkpoint.load() == 2


def test_a_load_waits_for_what_is_under_way(block: S3KVStore) -> None:
    with Checkpoint(block, "train") as checkpoint:
        checkpoint.save("old")
        checkpoint.save("new", wait=False)
        assert checkpoint.load() == "new"


def test_coroutines_save_one_after_another_and_what_changes_meanwhile_is_not_saved(block: S3KVStore) -> None:
    async def run() -> Any:
        state = np.arange(100_000)
        async with Checkpoint(block, "train") as checkpoint:
            saving = asyncio.gather(*(checkpoint.asave(state) for _ in range(3)))
            await asyncio.sleep(0)
            state[:] = -1
            await saving
            return await checkpoint.aload()

    assert (asyncio.run(run()) == np.arange(100_000)).all()


class Gate:
    """Lets the first save wait until it may go, and fail then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.may_go = threading.Event(), threading.Event()
        create = Snapshots.create

        def gated(*args: Any, **kwargs: Any) -> Any:
            if self.entered.is_set():
                return create(*args, **kwargs)
            self.entered.set()
            assert self.may_go.wait(PATIENCE)
            raise StoreUnavailableError("no route")

        monkeypatch.setattr(Snapshots, "create", gated)


def test_of_two_coroutines_each_gets_the_error_of_its_own_save(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)

    async def run() -> list[Any]:
        async with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
            first = asyncio.create_task(checkpoint.asave("one"))
            await asyncio.to_thread(gate.entered.wait, PATIENCE)
            second = asyncio.create_task(checkpoint.asave("two"))
            await asyncio.sleep(0)
            gate.may_go.set()
            return list(await asyncio.gather(first, second, return_exceptions=True))

    failed, saved = asyncio.run(run())
    assert isinstance(failed, StoreUnavailableError)
    assert saved is None
    with Checkpoint(block, "train") as checkpoint:
        assert checkpoint.load() == "two"


def test_the_error_of_a_save_that_nobody_waits_for_any_more_surfaces_at_the_end(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)

    async def run() -> None:
        async with Checkpoint(block, "train") as checkpoint:
            saving = asyncio.create_task(checkpoint.asave("one"))
            await asyncio.to_thread(gate.entered.wait, PATIENCE)
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving
            gate.may_go.set()

    with pytest.raises(StoreUnavailableError):
        asyncio.run(run())


def test_a_fresh_run_that_slept_through_another_one_cannot_save(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        checkpoint.save("of a run before")
    with Checkpoint(block, "train", load_policy="fresh", keep_on_success=True) as sleeper:
        sleeper.load()
        with Checkpoint(block, "train", load_policy="latest") as successor:
            successor.save("of the successor")
        with pytest.raises(StaleWriterError):
            sleeper.save("of the sleeper")
    assert numbers(block) == []


def test_the_loop_gets_no_further_ahead_of_what_has_arrived_than_it_may(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, begun = threading.Event(), threading.Event()
    create = Snapshots.create

    def gated(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert may_go.wait(PATIENCE)
        return create(*args, **kwargs)

    monkeypatch.setattr(Snapshots, "create", gated)
    done: list[int] = []
    waited = threading.Event()
    wait = LatestOnly.wait

    def noted(self: LatestOnly[Any], *args: Any) -> Any:
        waited.set()
        return wait(self, *args)

    def run() -> None:
        with Checkpoint(block, "train") as checkpoint:
            for item in checkpoint.iterate(range(20), done.copy, every=4):
                done.extend([item])

    thread = threading.Thread(target=run)
    monkeypatch.setattr(LatestOnly, "wait", noted)
    thread.start()
    assert begun.wait(PATIENCE)
    assert waited.wait(PATIENCE)
    assert done == [0, 1, 2, 3], "of which none has arrived"
    may_go.set()
    thread.join(PATIENCE)
    assert done == list(range(20))


def test_after_so_many_seconds_it_is_time_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(saving_pace, "monotonic", lambda: now[0])
    pace = SavingPace(None, 10)
    times = []
    for _ in range(5):
        now[0] += 6
        times.append(pace.is_due())
    assert times == [False, True, False, True, False]
    assert [SavingPace(None, 10).required_position(n) for n in (1, 1000)] == [0, 0], (
        "of items it promises nothing"
    )


def test_what_a_save_costs(proxy: CountingProxy) -> None:
    block = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=proxy.url)
    block.values.create_bucket()
    with Checkpoint(block, "warm") as checkpoint:
        checkpoint.save("finds out what the server can do")
    with Checkpoint(block, "train", keep=2) as checkpoint:
        for number, expected in enumerate(
            [{"GET": 2, "PUT": 1}, {"GET": 1, "PUT": 1}, {"GET": 2, "PUT": 1, "DELETE": 1}]
        ):
            with proxy.counting() as wire:
                checkpoint.save(number)
            assert dict(wire.requests) == expected, number


def test_a_save_that_is_interrupted_costs_no_older_state(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, original = threading.Event(), Snapshots.create

    def interrupting(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(Snapshots, "create", original)
        os.kill(os.getpid(), signal.SIGINT)
        assert may_go.wait(PATIENCE)
        return original(*args, **kwargs)

    with Checkpoint(block, "train", keep=1, keep_on_success=True) as checkpoint:
        state = np.random.default_rng(1).random(1 << 18)  # is sent as it is, from where it is
        expected = state.copy()
        checkpoint.save(state)
        monkeypatch.setattr(Snapshots, "create", interrupting)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(state)
        state += 1  # while it is under way
        may_go.set()
    with Checkpoint(block, "train") as later:
        assert np.array_equal(later.load(), expected)


def test_who_clears_may_save_again(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        checkpoint.save(1)
        checkpoint.save(2, wait=False)
        assert len(checkpoint.clear()) == 2
        assert numbers(block) == []
        checkpoint.save(3)
        for item in checkpoint.iterate(range(6), lambda: "within", every=2):
            if item == 3:
                checkpoint.clear()
        checkpoint.save("end")
        assert checkpoint.load() == "end"


def test_what_is_interrupted_before_it_is_under_way_is_sent_as_well(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go, original = threading.Event(), threading.Event(), Snapshots.create

    def slow(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert may_go.wait(PATIENCE)
        return original(*args, **kwargs)

    def interrupted(*_: Any) -> bool:
        assert begun.wait(PATIENCE)
        raise KeyboardInterrupt

    monkeypatch.setattr(Snapshots, "create", slow)
    with Checkpoint(block, "train", keep=1) as checkpoint:
        with monkeypatch.context() as patched:
            patched.setattr(LatestOnly, "wait_for", interrupted)
            for state in ("under way", "waits"):
                with pytest.raises(KeyboardInterrupt):
                    checkpoint.save(state)
        may_go.set()
        assert checkpoint.load() == "waits"
    assert numbers(block) == [], "also what nobody counted on"


def test_what_may_have_arrived_is_no_sign_of_another_run(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    original = S3Client.put_object

    def arrives(*args: Any, **kwargs: Any) -> Any:
        original(*args, **kwargs)
        raise StoreUnavailableError("the answer was lost")

    for states in (0, 1):
        with Checkpoint(block, "train") as checkpoint:
            for number in range(states):
                checkpoint.save(number)
            with monkeypatch.context() as patched:
                patched.setattr(S3Client, "put_object", arrives)
                with pytest.raises(StoreUnavailableError):
                    checkpoint.save("arrives")
        assert numbers(block) == []
    assert "Another run" not in logged.text


def test_what_is_saved_while_it_is_cleared_is_saved_after_it(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Snapshots.remove
    with Checkpoint(block, "train") as checkpoint:
        checkpoint.save(1)

        def saving(states: Snapshots, snapshot: Any) -> bool:
            monkeypatch.setattr(Snapshots, "remove", original)
            checkpoint.save(2, wait=False)
            return original(states, snapshot)

        monkeypatch.setattr(Snapshots, "remove", saving)
        assert len(checkpoint.clear()) == 1
        checkpoint.save(3)
        assert checkpoint.load() == 3
