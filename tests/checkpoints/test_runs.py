"""Checkpoints in the runs of Prefect: submitted tasks, Dask, artifacts, and outputs that come of them."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from httpx import ConnectError
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run

from s3kv_flows import Retention, tasks
from s3kv_flows._prefect import is_runner_ending
from s3kv_flows.checkpoints import Checkpoint, SavedState
from s3kv_flows.checkpoints import _artifacts as checkpoint_artifacts
from s3kv_flows.checkpoints._snapshots import Snapshots, all_snapshots
from s3kv_flows.store._outputs.outputs import FinalizedOutputs
from s3kv_flows.store.errors import (
    AlreadyFinalizedError,
    ConflictError,
    CorruptValueError,
    KeyNotFoundError,
    StoreUnavailableError,
)
from tests.support.checkpointing import CrashError
from tests.support.lake import Lake
from tests.support.waiting import PATIENCE, until

WEEK = Retention(days=7)


@task(retries=2, persist_result=False)
def resumed(store: str, number: int, journal: Path) -> int:
    """Add numbers, and die at every fourth, once."""
    with Checkpoint(store, "adding/{flow_run.id}/{parameters[number]}") as checkpoint:
        total = {"sum": checkpoint.load(default=0)}
        for item in checkpoint.iterate(range(9), lambda: total["sum"], every=2):
            line = f"{number}:{item}\n"
            died_already = line in journal.read_text()
            with journal.open("a") as file:
                file.write(line)
            if item % 4 == 3 and not died_already:
                raise CrashError
            total["sum"] += item
        return int(total["sum"])


def journals(folder: Path) -> list[Path]:
    paths = [folder / f"journal-{number}" for number in range(3)]
    for path in paths:
        path.touch()
    return paths


def assert_resumed(found: list[int], paths: list[Path], lake: Lake) -> None:
    assert found == [sum(range(9))] * 3
    for path in paths:
        done = [int(line.partition(":")[2]) for line in path.read_text().splitlines()]
        assert set(done) == set(range(9))
        assert done[0] == 0
        assert len(done) <= 9 + 2 * 2, "each of two attempts repeats two at most"
    assert all_snapshots(lake.block.checkpoints) == {}


def test_submitted_tasks_go_on_each_with_its_own(lake: Lake, tmp_path: Path) -> None:
    paths = journals(tmp_path)

    @flow
    def run() -> list[int]:
        futures = [resumed.submit(lake.name, number, path) for number, path in enumerate(paths)]
        return [future.result() for future in futures]

    assert_resumed(run(), paths, lake)


def test_a_submitted_task_goes_on_to_its_end_where_the_flow_has_come_to_its_own(lake: Lake) -> None:
    done: list[int] = []
    saved: list[SavedState] = []

    @task
    def work() -> None:
        with Checkpoint(lake.name, "work") as checkpoint:
            for item in checkpoint.iterate(range(20), lambda: done, every=1000):
                done.append(item)
                if item == 10:
                    until(is_runner_ending)
                if item == 15:
                    saved.extend(until(checkpoint.history)[:1])

    @flow
    def run() -> None:
        work.submit()
        until(lambda: len(done) > 10)

    run()
    assert done == list(range(20))
    assert saved[0].position == 11, "whatever has ended the flow"
    assert all_snapshots(lake.block.checkpoints) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_workers_of_dask_go_on_too(lake: Lake, tmp_path: Path) -> None:
    from prefect_dask.task_runners import DaskTaskRunner

    paths, name = journals(tmp_path), lake.name  # the flow goes to the workers, with all that it names
    cluster = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    runner: Any = DaskTaskRunner(cluster_kwargs=cluster)

    @flow(task_runner=runner)
    def run() -> list[int]:
        futures = [resumed.submit(name, number, path) for number, path in enumerate(paths)]
        return [future.result(timeout=PATIENCE) for future in futures]

    assert_resumed(run(), paths, lake)


def test_a_flow_that_is_retried_goes_on_also_an_asynchronous_one(lake: Lake) -> None:
    done: list[int] = []

    @flow(retries=1)
    async def run() -> int:
        async with Checkpoint(lake.name, "adding") as checkpoint:
            total = {"sum": await checkpoint.aload(default=0)}
            async for item in checkpoint.aiterate(range(10), lambda: total["sum"], every=2):
                done.append(item)
                if item == 7 and done.count(7) == 1:
                    raise CrashError
                total["sum"] += item
            return int(total["sum"])

    assert asyncio.run(run()) == sum(range(10))
    assert len(done) <= 10 + 2


@pytest.mark.parametrize("submitted", [False, True])
def test_a_task_goes_on_also_where_its_flow_was_retried(lake: Lake, submitted: bool) -> None:  # noqa: FBT001
    done: list[int] = []

    @task
    def add() -> int:
        with Checkpoint(lake.name, "adding") as checkpoint:
            total = {"sum": checkpoint.load(default=0)}
            for item in checkpoint.iterate(range(10), lambda: total["sum"], every=2):
                done.append(item)
                if item == 7 and done.count(7) == 1:
                    raise CrashError
                total["sum"] += item
            return int(total["sum"])

    @flow(retries=1)
    def run() -> int:
        return add.submit().result() if submitted else add()

    assert run() == sum(range(10))
    assert len(done) <= 10 + 2


def test_calls_of_one_task_with_other_inputs_are_other_runs(lake: Lake) -> None:
    @task
    def collect(items: list[int], die_at: int | None = None) -> list[int]:
        with Checkpoint(lake.name, "collecting") as checkpoint:
            seen: list[int] = checkpoint.load(default=[])
            for item in checkpoint.iterate(items, seen.copy, every=1):
                if item == die_at:
                    raise CrashError
                seen += [item]
            return seen

    @flow
    def run() -> list[int]:
        collect([1, 2, 3, 4], die_at=3, return_state=True)
        return collect([10, 20, 30, 40])

    assert run() == [10, 20, 30, 40]


def artifacts(flow_run_id: Any) -> dict[str, Any]:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return {one.key: one for one in client.read_artifacts(artifact_filter=of_run) if one.key}


def five_are_done(flow_run_id: Any) -> dict[str, Any]:
    """Return the artifacts once they show that, and a state of then."""
    found = artifacts(flow_run_id)
    if len(found) < 2 or found["s3kv-checkpoint-progress"].data != 50:
        return {}
    return found if json.loads(found["s3kv-checkpoints"].data)[0]["items done"] == 5 else {}


def test_the_page_of_a_run_shows_its_progress_and_its_states(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_artifacts, "_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint_artifacts, "_PATIENCE_SECONDS", PATIENCE)
    ids: list[str] = []
    seen: list[dict[str, Any]] = []

    @flow
    def run() -> None:
        ids.append(flow_run.id)
        with Checkpoint(lake.name, "train", keep=2) as checkpoint:
            for item in checkpoint.iterate(range(10), lambda: "state", every=2):
                if item == 5:
                    checkpoint.save("by hand")
                    seen.append(until(lambda: five_are_done(ids[0])))

    run()
    (during,) = seen
    assert during["s3kv-checkpoint-progress"].data == 50
    rows = json.loads(during["s3kv-checkpoints"].data)
    done = [row["items done"] for row in rows]
    assert done == sorted(done, reverse=True), "the newest first"
    assert len(done) == 2
    assert rows[0]["key"].startswith("train/")
    assert rows[0]["bytes"] > 0
    after = artifacts(ids[0])
    assert after["s3kv-checkpoint-progress"].data == 100
    assert after["s3kv-checkpoints"].id == during["s3kv-checkpoints"].id, "changed in place"
    assert "10 of 10 items done" in after["s3kv-checkpoints"].description
    assert "they were removed" in after["s3kv-checkpoints"].description


def test_the_page_changes_no_more_often_than_anybody_looks(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, shown = [100.0], list[str]()
    put = checkpoint_artifacts.CheckpointArtifacts._put

    def noted(self: Any, key: str, data: Any, description: str, create: Any) -> None:
        shown.append(description)
        put(self, key, data, description, create)

    monkeypatch.setattr(checkpoint_artifacts, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint_artifacts.CheckpointArtifacts, "_put", noted)

    @flow
    def run() -> list[int]:
        counts = []
        with Checkpoint(lake.name, "train") as checkpoint:
            for seconds in (0.0, 0.5, 1.4, 0.2, 0.1):
                now[0] += seconds
                checkpoint.save("state")
                checkpoint._states.saving.wait()
                assert checkpoint._artifacts
                checkpoint._artifacts.wait(lambda: False)
                counts.append(len(shown))
        return counts

    assert run() == [1, 1, 1, 2, 2]
    assert len(shown) == 3, "at the end in any case"
    assert "they were removed" in shown[-1]


def test_that_prefect_cannot_be_reached_ends_no_loop(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    def unreachable(**_: Any) -> None:
        raise ConnectError("no route")

    monkeypatch.setattr(checkpoint_artifacts, "create_table_artifact", unreachable)

    @flow
    def run() -> int:
        with Checkpoint(lake.name, "train") as checkpoint:
            return sum(checkpoint.iterate(range(10), lambda: "state", every=1))

    assert run() == sum(range(10))
    warned = {record.created for record in logged.records if "no longer shown" in record.message}
    assert len(warned) == 1


def test_no_loop_and_no_save_waits_for_a_picture(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hang(**_: Any) -> None:
        assert answered.wait(PATIENCE)

    monkeypatch.setattr(checkpoint_artifacts, "create_table_artifact", hang)
    monkeypatch.setattr(checkpoint_artifacts, "_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint_artifacts, "_PATIENCE_SECONDS", 0.1)

    @flow
    def run() -> int:
        with Checkpoint(lake.name, "train") as checkpoint:
            done = sum(checkpoint.iterate(range(10), lambda: "state", every=1))
            checkpoint.save("by hand")
            return done

    try:
        assert run() == sum(range(10))
        assert not answered.is_set()
        assert all_snapshots(lake.block.checkpoints) == {}
    finally:
        answered.set()


def test_a_state_becomes_a_finalized_output(locked_lake: Lake) -> None:
    block = locked_lake.block

    @flow
    def train() -> Any:
        with Checkpoint(locked_lake.name, "train", keep=1, tags={"stage": "mid"}) as checkpoint:
            checkpoint.save({"weights": [1, 2]}, wait=False)
            receipt = checkpoint.promote("models/first", WEEK, tags={"stage": "final"})
            (promoted,) = checkpoint.history()
            checkpoint.save({"weights": [3]})
            checkpoint.save({"weights": [4]})
            assert [one.number for one in checkpoint.history()] == [promoted.number, promoted.number + 2]
            again = checkpoint.promote("models/first", WEEK, number=promoted.number)
            assert (again.outcome, again.version_id) == ("unchanged", receipt.version_id)
            with pytest.raises(AlreadyFinalizedError):
                checkpoint.promote("models/first", WEEK)
            with pytest.raises(KeyNotFoundError, match="no state of 'train' to promote"):
                checkpoint.promote("models/first", WEEK, number=1)
            return receipt

    receipt: Any = train()
    assert receipt.mode == "GOVERNANCE"
    assert receipt.flow_run_id
    assert all_snapshots(block.checkpoints) == {}, "cleared; the output is there on its own"
    assert block.results.outputs.verify(receipt).problems == []
    assert block.results.get("models/first") == {"weights": [1, 2]}
    assert block.results.get_tags("models/first") == {"stage": "final", "flow": "train"}


def test_after_the_loop_it_is_the_state_at_its_end_that_is_promoted(locked_lake: Lake) -> None:
    with Checkpoint(locked_lake.block, "train") as checkpoint:
        done: list[int] = []
        for item in checkpoint.iterate(range(95), done.copy, every=40):
            done += [item]
        checkpoint.promote("models/final", WEEK)
    assert locked_lake.block.results.get("models/final") == list(range(95))


def test_after_a_break_it_is_the_state_as_it_was_left(locked_lake: Lake) -> None:
    with Checkpoint(locked_lake.block, "train") as checkpoint:
        done: list[int] = []
        for item in checkpoint.iterate(range(95), done.copy, every=8):
            done += [item]
            if item == 10:
                break
        checkpoint.promote("models/final", WEEK)
        with pytest.raises(RuntimeError, match="there was a loop before"):
            next(checkpoint.iterate("others", done.copy, every=8))
    assert locked_lake.block.results.get("models/final") == list(range(11))


def test_what_was_not_saved_at_first_is_promoted_at_the_second_try(
    locked_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Snapshots.create

    def unavailable(*_: Any, **__: Any) -> Any:
        monkeypatch.setattr(Snapshots, "create", create)
        raise StoreUnavailableError("no route")

    with Checkpoint(locked_lake.block, "train") as checkpoint:
        done: list[int] = []
        for item in checkpoint.iterate(range(11), done.copy, every=4):
            done += [item]
        checkpoint._states.saving.wait()  # what is under way is not what is to fail
        monkeypatch.setattr(Snapshots, "create", unavailable)
        with pytest.raises(StoreUnavailableError):
            checkpoint.promote("models/final", WEEK)
        checkpoint.promote("models/final", WEEK)
    assert locked_lake.block.results.get("models/final") == list(range(11))


def test_what_is_promoted_is_not_pruned_in_between(
    locked_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalize_copy = FinalizedOutputs.finalize_copy
    with Checkpoint(locked_lake.block, "train", keep=1, keep_on_success=True) as checkpoint:
        checkpoint.save("first")

        def saves_meanwhile(*args: Any, **kwargs: Any) -> Any:
            checkpoint.save("second")
            return finalize_copy(*args, **kwargs)

        monkeypatch.setattr(FinalizedOutputs, "finalize_copy", saves_meanwhile)
        receipt: Any = tasks.promote_checkpoint.fn(locked_lake.name, "train", "models/first", WEEK)
        assert locked_lake.block.results.get("models/first") == "first"
        assert receipt.outcome == "written"
        assert len(checkpoint.history()) == 2


def test_what_could_not_be_promoted_is_not_marked(locked_lake: Lake) -> None:
    locked_lake.block.results.add("models/first", "another")
    with Checkpoint(locked_lake.block, "train", tags={"stage": "mid"}) as checkpoint:
        checkpoint.save("first")
        with pytest.raises(ConflictError):
            checkpoint.promote("models/first", WEEK)
        (saved,) = checkpoint.history()
        assert locked_lake.block.checkpoints.get_tags(saved.key) == {"stage": "mid"}


def test_what_is_damaged_is_not_promoted(locked_lake: Lake) -> None:
    with Checkpoint(locked_lake.block, "train") as checkpoint:
        checkpoint.save("state")
        (saved,) = checkpoint.history()
        kv = locked_lake.block.checkpoints
        name = kv.namespace.name_of(saved.key)
        metadata = kv.objects.head(name).metadata
        kv.client.put_object(kv.bucket_name, name, b"torn", content_type="x", metadata=metadata)
        with pytest.raises(CorruptValueError):
            checkpoint.promote("models/first", WEEK)
    assert locked_lake.block.results.list_keys() == []


def test_with_nothing_saved_there_is_nothing_to_promote(locked_lake: Lake) -> None:
    with Checkpoint(locked_lake.block, "train") as checkpoint, pytest.raises(KeyNotFoundError):
        checkpoint.promote("models/first", WEEK)


def test_tasks_list_promote_and_clear(locked_lake: Lake) -> None:
    for name in ("a", "b/c"):
        with Checkpoint(locked_lake.block, name, keep_on_success=True) as checkpoint:
            checkpoint.save(f"state of {name}")
            checkpoint.save(f"newest of {name}")
    listed: Any = tasks.list_checkpoints(locked_lake.name)
    assert {name: len(states) for name, states in listed.items()} == {"a": 2, "b/c": 2}
    receipt: Any = tasks.promote_checkpoint(locked_lake.name, "b/c", "models/c", WEEK)
    assert locked_lake.block.results.get("models/c") == "newest of b/c"
    older: Any = tasks.promote_checkpoint(
        locked_lake.name, "b/c", "models/older", legal_hold=True, number=listed["b/c"][0].number
    )
    assert (receipt.legal_hold, older.legal_hold, older.retain_until) == (False, True, None)
    assert locked_lake.block.results.get("models/older") == "state of b/c"
    assert len(tasks.clear_checkpoint(locked_lake.name, "b/c")) == 2
    assert tasks.list_checkpoints(locked_lake.name).keys() == {"a"}
    with pytest.raises(KeyNotFoundError):
        tasks.promote_checkpoint(locked_lake.name, "b/c", "models/c", WEEK)
