"""A run that dies goes on where it was."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from prefect import flow, task

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint, LoadPolicy
from s3kv_flows.checkpoints._snapshots import all_snapshots
from s3kv_flows.cli import app
from s3kv_flows.store._layout.marks import POSITION
from s3kv_flows.store.errors import InvalidTagError, KeyNotFoundError
from tests.support.checkpointing import CrashError, numbers
from tests.support.lake import Lake


def loop(
    block: S3KVStore, items: int, *, crash_at: int | None = None, policy: LoadPolicy = "own", every: int = 3
) -> tuple[list[int], int]:
    """Return the items that were done in all, and how many of them in this attempt."""
    done_now = 0
    with Checkpoint(block, "train", load_policy=policy) as checkpoint:
        seen: list[int] = checkpoint.load(default=[])
        for item in checkpoint.iterate(range(items), lambda: seen, every=every):
            if item == crash_at:
                raise CrashError
            seen.append(item)
            done_now += 1
    return seen, done_now


def test_a_run_that_died_goes_on_and_repeats_less_than_every(block: S3KVStore) -> None:
    with pytest.raises(CrashError):
        loop(block, 20, crash_at=11)
    assert loop(block, 20) == (list(range(20)), 20 - 10)
    assert numbers(block) == [], "on success, the states are removed"


def test_the_newest_stay_and_the_older_go(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep=2, keep_on_success=True) as checkpoint:
        for number in range(5):
            checkpoint.save(number, tags={"step": str(number)})
        history = checkpoint.history()
        assert [(one.number, one.is_own) for one in history] == [(n, True) for n in numbers(block)]
        assert [one.tags for one in history] == [{"step": str(n)} for n in (3, 4)]
        assert checkpoint.load() == 4
    assert len(numbers(block)) == 2


def test_load_policies_say_whose_states_are_taken(block: S3KVStore, prefect_api: str) -> None:
    @task
    def attempt(policy: LoadPolicy, value: int) -> list[Any]:
        with Checkpoint(block, "train", load_policy=policy, keep_on_success=True) as checkpoint:
            found = checkpoint.load(default="nothing")
            checkpoint.save(value)
            return [found]

    assert attempt("own", 1) == ["nothing"]
    assert attempt("own", 2) == ["nothing"], "of another run"
    assert attempt("latest", 3) == [2]
    assert attempt("fresh", 4) == ["nothing"]
    first = numbers(block)[0]
    assert numbers(block) == [first + n for n in range(4)], "numbers go on all the same; a run prunes its own"


def test_a_retry_of_a_task_goes_on_and_its_name_says_which_run_it_is(
    block: S3KVStore, prefect_api: str
) -> None:
    done: list[int] = []
    names: list[str] = []

    @task(retries=2)
    def train(items: int) -> int:
        with Checkpoint(
            block, "train/{flow_run.id}/{parameters[items]}", tags={"stage": "mid"}
        ) as checkpoint:
            state = {"total": checkpoint.load(default=0)}
            for item in checkpoint.iterate(range(items), lambda: state["total"], every=1):
                done.append(item)
                if done.count(item) == 1 and item in (3, 5):
                    names.extend(block.checkpoints.list_keys())
                    raise CrashError
                state["total"] += item
            total: int = state["total"]
            return total

    @flow
    def run() -> int:
        return train(8)

    assert run() == sum(range(8))
    assert done == [0, 1, 2, 3, 3, 4, 5, 5, 6, 7]
    assert names[0].rpartition("/")[0].endswith("/8")
    assert block.checkpoints.list_keys() == []


def test_what_is_saved_carries_tags_for_cleanups(lake: Lake) -> None:
    @task(name="long one")
    def work() -> None:
        with Checkpoint(lake.name, "train", tags={"stage": "mid"}, keep_on_success=True) as checkpoint:
            checkpoint.save(1)

    work()
    (key,) = lake.block.checkpoints.list_keys()
    assert lake.block.checkpoints.get_tags(key) == {"stage": "mid", "task": "long one"}


def test_a_state_may_have_tags_of_its_own(block: S3KVStore) -> None:
    async def run() -> None:
        stage = {"stage": "mid"}
        async with Checkpoint(block, "train", keep=4, tags=stage, keep_on_success=True) as checkpoint:
            checkpoint.save(1, tags={"loss": "0.3"})
            checkpoint.save(2)
            with pytest.raises(InvalidTagError):
                checkpoint.save(0, tags={f"tag-{number}": "" for number in range(10)})
            with pytest.raises(InvalidTagError):
                await checkpoint.asave(0, tags={"aws:loss": "0.3"})
            await checkpoint.asave(3, tags={"stage": "late"})
            checkpoint.save(4, tags={"loss": "0.1"}, wait=False)

    asyncio.run(run())
    store = block.checkpoints
    assert {store.get(key): store.get_tags(key) for key in store.list_keys()} == {
        1: {"stage": "mid", "loss": "0.3"},
        2: {"stage": "mid"},
        3: {"stage": "late"},
        4: {"stage": "mid", "loss": "0.1"},
    }


def test_asynchronous_loops_do_the_same(block: S3KVStore) -> None:
    async def run(crash_at: int | None) -> list[int]:
        async with Checkpoint(block, "train") as checkpoint:
            seen: list[int] = await checkpoint.aload(default=[])
            async for item in checkpoint.aiterate(range(10), lambda: seen, every=2):
                if item == crash_at:
                    raise CrashError
                seen.append(item)
            return seen

    with pytest.raises(CrashError):
        asyncio.run(run(5))
    assert asyncio.run(run(None)) == list(range(10))
    assert numbers(block) == []

    async def by_hand() -> Any:
        async with Checkpoint(block, "train") as checkpoint:
            await checkpoint.asave("first")
            await checkpoint.asave("second", wait=False)
            await checkpoint.asave("third")
            return await checkpoint.aload()

    assert asyncio.run(by_hand()) == "third"


def test_one_loop_for_one_load(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        assert len(list(checkpoint.iterate(range(5), lambda: 1, every=2))) == 5
        with pytest.raises(RuntimeError, match="there was a loop before"):
            list(checkpoint.iterate(range(5), lambda: 1, every=2))
    with checkpoint:
        assert len(list(checkpoint.iterate(range(5), lambda: 1, every=2))) == 5, "a block anew begins anew"


def test_who_goes_back_to_a_state_within_the_loop_goes_on_with_the_next_item(block: S3KVStore) -> None:
    """What is saved after that counts the items of the loop, not of the state."""
    done: list[int] = []
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        for item in checkpoint.iterate(range(10), done.copy, every=1):
            if item == 5:
                done[:] = checkpoint.load()
            done.append(item)
    assert done == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    with Checkpoint(block, "train", load_policy="latest", keep_on_success=True) as checkpoint:
        assert checkpoint.history()[-1].position == 10
        assert checkpoint.load() == done
        assert list(checkpoint.iterate(range(12), every=1)) == [10, 11]


def test_what_is_kept_is_the_end_of_the_loop(block: S3KVStore) -> None:
    with Checkpoint(block, "train", keep_on_success=True) as checkpoint:
        done: list[int] = []
        for item in checkpoint.iterate(range(10), done.copy, every=100):
            done += [item]
    with Checkpoint(block, "train") as checkpoint:
        assert checkpoint.load() == list(range(10))


@pytest.mark.parametrize(
    "options", [{"keep": 0}, {"keep": 2.5}, {"load_policy": "old"}, {"name": ""}, {"name": "{nothing}"}]
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"keep|load_policy|key"):
        Checkpoint(**{"store": "lake", "name": "train"} | options)


def test_a_loop_needs_an_interval_of_saves(block: S3KVStore) -> None:
    with Checkpoint(block, "train") as checkpoint:
        for pace in ({}, {"every": 0}, {"seconds": -1.0}):
            with pytest.raises(ValueError, match="every=, a number of items"):
                next(checkpoint.iterate([1], lambda: None, **pace))
    with pytest.raises(RuntimeError, match="within its block"):
        Checkpoint(block, "train").load()


def command(*arguments: str) -> object:
    return app(list(arguments), result_action="return_value")


def test_by_hand_they_are_listed_shown_and_cleared(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/b", "c"):
        with Checkpoint(lake.block, name, keep_on_success=True) as checkpoint:
            for _ in checkpoint.iterate(range(6), lambda: "state", every=3):
                pass
    lake.block.checkpoints.add("a/b/notes", 1)
    assert command("checkpoints", "ls", lake.name) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "a/b │ " in output
    assert "2 checkpoints" in output
    assert command("checkpoints", "show", lake.name, "c") == 0
    assert "│ 6 " in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert command("checkpoints", "clear", lake.name, "c") == 1, "nobody to ask"
    assert command("checkpoints", "clear", lake.name, "c", "--yes") == 0
    assert "of 'c'" in capsys.readouterr().out
    assert set(all_snapshots(lake.block.checkpoints)) == {"a/b"}
    for arguments in (["show", lake.name, "c"], ["clear", lake.name, "c", "--yes"]):
        with pytest.raises(KeyNotFoundError, match="checkpoint 'c' has no states"):
            command("checkpoints", *arguments)


def test_what_is_locked_survives_pruning_and_clearing(locked_lake: Lake) -> None:
    block = locked_lake.block
    with Checkpoint(block, "train", keep=1) as checkpoint:
        checkpoint.save("locked")
        (locked,) = checkpoint.history()
        block.checkpoints.place_retention_lock(locked.key, 1)
        checkpoint.save("second")
        checkpoint.save("third")
        assert numbers(block) == [locked.number, locked.number + 2]
    assert numbers(block) == [locked.number]


@pytest.mark.parametrize("position", ["-5", "abc", "", "1e3", "9" * 400, "0x10"])
def test_a_state_with_a_malformed_position_is_passed_over(block: S3KVStore, position: str) -> None:
    with pytest.raises(CrashError):
        loop(block, 20, crash_at=11, policy="latest")
    store, newest = block.checkpoints, numbers(block)[-1]
    (state,) = [one for one in all_snapshots(store)["train"] if one.number == newest]
    name = store.namespace.name_of(state.key)
    source = {"Bucket": block.bucket_name, "Key": name}
    store.client.boto3_client.copy_object(
        **source,
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={**store.objects.head(name).metadata, POSITION: position},
    )
    seen, done_now = loop(block, 20, policy="latest")
    assert seen == list(range(20))
    assert done_now > 20 - 10, "from the state before"
