"""Whose states are taken, and whose are removed at the end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from prefect import flow, task

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.checkpoints._artifacts import CheckpointArtifacts
from s3kv_flows.checkpoints._snapshots import Snapshots
from s3kv_flows.store.errors import AccessDeniedError, StaleWriterError, StoreUnavailableError
from tests.support.checkpointing import CrashError, numbers
from tests.support.lake import Lake
from tests.support.waiting import PATIENCE, until


def test_who_wakes_up_and_only_ends_leaves_the_states_of_its_successor(
    block: S3KVStore, caplog: pytest.LogCaptureFixture
) -> None:
    with Checkpoint(block, "train", load_policy="latest", keep_on_success=True) as successor:
        with Checkpoint(block, "train", load_policy="latest") as sleeper:
            sleeper.save("of the sleeper")
            assert successor.load() == "of the sleeper"
            successor.save("of the successor")
        assert len(numbers(block)) == 2
        assert "Another run continues from 'train'" in caplog.text
        successor.save("and again")


def test_who_takes_it_that_it_was_replaced_leaves_them_as_well(block: S3KVStore) -> None:
    with Checkpoint(block, "train", load_policy="latest") as replaced:
        replaced.save(1)
        with Checkpoint(block, "train", load_policy="latest", keep_on_success=True) as successor:
            successor.load()
            successor.save(2)
        with pytest.raises(StaleWriterError):
            replaced.save(3)
    assert len(numbers(block)) == 2


def test_who_only_looks_removes_nothing(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        checkpoint.save(1)
    with Checkpoint(block, "train") as checkpoint:
        assert len(checkpoint.history()) == 1
    assert len(numbers(block)) == 1


def test_a_run_removes_its_own_and_those_that_it_went_on_from(lake: Lake) -> None:
    @flow
    def run(policy: Any, *, crashes: bool) -> None:
        with Checkpoint(lake.name, "train", load_policy=policy) as checkpoint:
            checkpoint.load()
            checkpoint.save(1)
            if crashes:
                raise CrashError

    with pytest.raises(CrashError):
        run("own", crashes=True)
    (of_the_first,) = numbers(lake.block)
    run("own", crashes=False)
    assert numbers(lake.block) == [of_the_first], "its retry resumes from there"
    run("latest", crashes=False)
    assert numbers(lake.block) == []


def test_that_they_cannot_be_removed_fails_no_run(block: S3KVStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> bool:
        raise AccessDeniedError("no DeleteObject")

    monkeypatch.setattr(Snapshots, "remove", denied)
    with Checkpoint(block, "train") as checkpoint:
        checkpoint.save(1)
    assert len(numbers(block)) == 1


def test_a_save_does_not_wait_for_the_artifacts_and_their_errors_hang_nothing(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = threading.Event()

    def show(*_: Any, **options: Any) -> None:
        if not options["outcome"]:
            assert saved.wait(PATIENCE), "the save is still waiting for this"
            raise OSError("no picture")

    monkeypatch.setattr(CheckpointArtifacts, "show", show)
    checkpoint = Checkpoint(block, "train")
    checkpoint.__enter__()
    checkpoint.save(1)
    saved.set()
    with pytest.raises(OSError, match="no picture"):
        checkpoint.__exit__(None, None, None)


def test_a_retry_goes_on_also_where_the_task_has_changed_what_it_was_called_with(lake: Lake) -> None:
    crashes = [False, True]

    @task(retries=1)
    def train(model: list[int]) -> list[int]:
        with Checkpoint(lake.name, "train") as checkpoint:
            model = checkpoint.load(default=model)
            for item in checkpoint.iterate(range(10), lambda: model, every=1):
                if item == 7 and crashes.pop():
                    raise CrashError
                model.append(item)
        return model

    assert flow(lambda: train([]))() == list(range(10))


@pytest.mark.usefixtures("prefect_api")
def test_what_is_not_known_makes_no_name_that_all_would_share(block: S3KVStore) -> None:
    with pytest.raises(LookupError, match=r"flow_run\.id"), Checkpoint(block, "train/{flow_run.id}"):
        pass


def test_where_all_that_were_listed_have_gone_the_newer_ones_are_found(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Checkpoint(block, "train", keep=1, keep_on_success=True) as first:
        first.save("old")
    with Checkpoint(block, "train", load_policy="latest", keep_on_success=True) as second:
        original = Snapshots.newest

        def overtaken(states: Snapshots, there: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(Snapshots, "newest", original)
            with Checkpoint(block, "train", keep=1, keep_on_success=True) as third:
                third.save("new")
            return original(states, there, **kwargs)

        monkeypatch.setattr(Snapshots, "newest", overtaken)
        assert second.load() == "new"


def test_a_load_that_fails_changes_nothing(block: S3KVStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("no route")

    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        for item in checkpoint.iterate(range(6), lambda: "state", every=100):
            if item == 4:
                with monkeypatch.context() as broken:
                    broken.setattr(Snapshots, "listed", unavailable)
                    with pytest.raises(StoreUnavailableError):
                        checkpoint.load()
                checkpoint.save("by hand")
                assert [one.position for one in checkpoint.history()] == [4]
    with Checkpoint(block, "train", load_policy="latest") as later:
        assert later.load() == "state"
        assert later.history()[-1].position == 6


def test_who_was_replaced_stays_so_where_it_cannot_load(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("no route")

    with Checkpoint(block, "train", keep_on_success=True) as first:
        first.save("first")
        with Checkpoint(block, "train", keep_on_success=True) as second:
            second.load()
            second.save("second")
            with pytest.raises(StaleWriterError):
                first.save("first again")
            with monkeypatch.context() as broken:
                broken.setattr(Snapshots, "newest", unavailable)
                with pytest.raises(StoreUnavailableError):
                    first.load()
            with pytest.raises(StaleWriterError):
                first.save("first once more")
            second.save("second again")
            assert first.load() == "second again"
            first.save("first, in the open")


def test_a_loop_of_a_block_that_has_ended_does_not_go_on_in_the_next(block: S3KVStore) -> None:
    checkpoint = Checkpoint(block, "train", keep_on_success=True)
    with checkpoint:
        held = checkpoint.iterate(range(10), lambda: "of the first block", every=100)
        next(held)
        next(held)
    with checkpoint:
        for item in checkpoint.iterate(range(4), lambda: "of the second", every=1):
            if item == 2:
                with pytest.raises(RuntimeError, match="block of this loop has ended"):
                    next(held)
        checkpoint._states.saving.wait()
        assert checkpoint.history()[-1].position == 4
        assert checkpoint.load() == "of the second"


def test_a_loop_within_a_loop_is_refused(block: S3KVStore) -> None:
    with Checkpoint(block, "train") as checkpoint:
        for _ in checkpoint.iterate(range(3), lambda: 1, every=1):
            with pytest.raises(RuntimeError, match="one around this"):
                next(checkpoint.iterate(range(3), lambda: 1, every=1))


def test_after_a_break_out_of_an_asynchronous_loop_its_end_is_promoted(locked_lake: Lake) -> None:
    async def run() -> None:
        done: list[int] = []
        async with Checkpoint(locked_lake.block, "train") as checkpoint:
            async for item in checkpoint.aiterate(range(10), done.copy, every=100):
                done.append(item)
                if item == 5:
                    break
            with pytest.raises(RuntimeError, match="one around this"):
                await anext(checkpoint.aiterate(range(3), lambda: 1, every=1))
            await checkpoint.apromote("model", None, legal_hold=True, accept_races=True)
            assert len(await checkpoint.ahistory()) == 1
            assert len(await checkpoint.aclear()) == 1
            assert await checkpoint.ahistory() == []

    asyncio.run(run())
    assert locked_lake.results.get("model") == list(range(6))


def test_of_a_loop_that_has_not_ended_a_state_has_to_be_named(locked_lake: Lake) -> None:
    with Checkpoint(locked_lake.block, "train") as checkpoint:
        loop = checkpoint.iterate(range(10), lambda: "a state", every=100)
        assert next(loop) == 0
        checkpoint.save("by hand")
        with pytest.raises(RuntimeError, match="has not ended"):
            checkpoint.promote("model", legal_hold=True, accept_races=True)
        (saved,) = checkpoint.history()
        checkpoint.promote("model", legal_hold=True, accept_races=True, number=saved.number)
    assert locked_lake.results.get("model") == "by hand"


def test_a_save_that_is_waited_for_is_tried_also_after_one_that_failed(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, returned = Snapshots.create, threading.Event()

    def unavailable(*_: Any, **__: Any) -> Any:
        assert returned.wait(PATIENCE)
        raise StoreUnavailableError("no route")

    with Checkpoint(block, "train", load_policy="latest", keep_on_success=True) as checkpoint:
        monkeypatch.setattr(Snapshots, "create", unavailable)
        checkpoint.save("first", wait=False)
        returned.set()
        until(lambda: checkpoint._states.saving._error is not None)
        monkeypatch.setattr(Snapshots, "create", original)
        checkpoint.save("second")
        assert checkpoint.load() == "second"
        returned.clear()
        monkeypatch.setattr(Snapshots, "create", unavailable)
        checkpoint.save("third", wait=False)
        returned.set()
        until(lambda: checkpoint._states.saving._error is not None)
        monkeypatch.setattr(Snapshots, "create", original)
        with pytest.raises(StoreUnavailableError):
            checkpoint.save("fourth", wait=False)
        assert checkpoint.load() == "fourth", "it is under way although the error of the third is raised"


def test_a_run_prunes_its_own_and_leaves_those_of_one_that_will_come_back(lake: Lake) -> None:
    loaded: list[int] = []
    others: list[int] = []

    @flow
    def other() -> None:
        with Checkpoint(lake.name, "train", keep=2) as checkpoint:
            assert checkpoint.load() is None
            for number in range(5):
                checkpoint.save(-number)
                assert len(checkpoint.history()) == 2 + min(2, number + 1)
            others.append(number)

    @flow(retries=1)
    def run() -> None:
        with Checkpoint(lake.name, "train", keep=2) as checkpoint:
            loaded.append(checkpoint.load(default=0))
            if loaded == [0]:
                for number in range(1, 4):
                    checkpoint.save(number)
                raise CrashError

    run.on_running_hooks.append(lambda *_: other() if loaded == [0] else None)
    run()
    assert (loaded, others) == ([0, 3], [4])
    assert numbers(lake.block) == []


def damage(block: S3KVStore, number: int) -> None:
    store = block.checkpoints
    (key,) = (key for key in store.list_keys() if key.endswith(str(number)))
    name = store.namespace.name_of(key)
    info = store.objects.head(name)
    store.client.put_object(
        store.bucket_name, name, b"damaged", content_type=info.content_type or "", metadata=info.metadata
    )


def test_a_damaged_state_of_its_own_is_no_sign_of_another_run(
    block: S3KVStore, caplog: pytest.LogCaptureFixture
) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        checkpoint.save("good")
        checkpoint.save("bad")
    damage(block, numbers(block)[-1])
    with Checkpoint(block, "train") as checkpoint:
        assert checkpoint.load() == "good"
    assert numbers(block) == []
    assert "Another run" not in caplog.text


def test_a_fresh_run_that_saves_nothing_removes_those_of_its_former_attempt(lake: Lake) -> None:
    attempts: list[int] = []

    @flow(retries=1)
    def run() -> None:
        with Checkpoint(lake.name, "train", load_policy="fresh") as checkpoint:
            assert checkpoint.load() is None
            attempts.append(1)
            if len(attempts) == 1:
                checkpoint.save(1)
                raise CrashError

    run()
    assert len(attempts) == 2
    assert numbers(lake.block) == []


def test_what_states_of_other_runs_cost(lake: Lake) -> None:
    @flow
    def other() -> None:
        with Checkpoint(lake.name, "train", keep_on_success=True) as checkpoint:
            for number in range(2):
                checkpoint.save(number)

    @flow
    def run() -> tuple[int, int, int]:
        with Checkpoint(lake.name, "train", keep=5) as checkpoint:
            client = checkpoint._states.states.store.client
            with client.counters.measure() as saving:
                for number in range(3):
                    checkpoint.save(number)
            with client.counters.measure() as listing:
                assert len(checkpoint.history()) == 5
            looks = int(saving[0]["requests.HeadObject"])
            return looks, saving[0].requests, listing[0].requests

    other()
    assert run() == (2, 2 + 3 * 2, 1 + 5 * 2)
