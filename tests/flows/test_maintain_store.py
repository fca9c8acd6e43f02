"""The cleanup as a flow: in shards, in other processes, deployed, and what it shows of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.annotations import quote

from s3kv_flows import CleanupRule, Retention, S3KVStore
from s3kv_flows.flows import _sharding as sharding
from s3kv_flows.flows import maintain_store
from s3kv_flows.maintenance import SweepReport
from s3kv_flows.maintenance._sweeping.pace import Pace
from s3kv_flows.maintenance._sweeping.sweep import sweep_decisions
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.tasks import cleanup_shards, plan_cleanup, sweep
from s3kv_flows.tasks.cleanup_shards import Shard
from tests.support.lake import Lake
from tests.support.other_server import other_server
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("prefect_api")

ZERO = timedelta(0)
RAW = {"stage": "raw"}
RULES = [
    CleanupRule("raw", tags=RAW, older_than=ZERO),
    CleanupRule("newest", prefix="s3kv-results/", keep_last=2, group_by="flow"),
    CleanupRule("history", noncurrent_after=ZERO),
]


@pytest.fixture
def empty(s3_url: str) -> S3KVStore:
    """A saved store."""
    block = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    block.values.create_bucket(object_lock=True)
    block.save(f"lake-{uuid.uuid4().hex[:8]}")
    return block


@pytest.fixture
def lake(empty: S3KVStore) -> S3KVStore:
    """The store with values and results of several kinds, some locked, some overwritten."""
    values, results = empty.values, empty.results

    def write(number: int) -> None:
        tags = RAW if number % 3 else {"stage": "final"}
        retention = Retention(days=1) if number % 7 == 0 else None
        values.add(f"{chr(97 + number % 26)}/{number}", number, tags=tags, retention=retention)
        if retention is None and number % 5 == 0:
            values.add(f"{chr(97 + number % 26)}/{number}", [number], tags=tags)
        results.add(uuid.uuid5(uuid.NAMESPACE_OID, str(number)).hex, number, tags={"flow": "ab"[number % 2]})

    list(map_concurrently(write, range(36)))
    return empty


def name_of(block: S3KVStore) -> str:
    assert block.reference
    return block.reference.partition("/")[2]


def left(block: S3KVStore) -> set[tuple[str, str]]:
    values = block.values
    return {(one.name, one.version_id) for one in values.client.list_versions(values.bucket_name, "")}


def artifacts(flow_run_id: Any) -> dict[str, Any]:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return {one.key: one for one in client.read_artifacts(artifact_filter=of_run) if one.key}


def test_in_shares_it_plans_and_removes_the_same(lake: S3KVStore) -> None:
    whole = maintain_store(lake, RULES, dry_run=True, grace=ZERO, shards=1)
    shared = maintain_store(lake, RULES, dry_run=True, grace=ZERO, shards=5, concurrency=3)
    assert whole.planned.keys() == shared.planned.keys()
    assert whole.planned_pruning.keys() == shared.planned_pruning.keys()
    assert len(shared.planned) > 48
    assert shared.planned_pruning
    before = left(lake)
    report = maintain_store(lake, RULES, grace=ZERO, shards=5, per_second=None)
    assert report.removed == sorted(whole.planned)
    assert sorted(report.pruned) == sorted(whole.planned_pruning)
    assert len(before) - len(left(lake)) == report.deleted_versions
    assert report.freed_bytes == whole.planned_bytes
    assert maintain_store(lake, RULES, dry_run=True, grace=ZERO).planned == {}


def test_its_page_says_what_why_and_how_much(lake: S3KVStore) -> None:
    state = maintain_store(lake, RULES, grace=ZERO, return_state=True)
    found = artifacts(state.state_details.flow_run_id)
    assert found.keys() == {"s3kv-cleanup-plan", "s3kv-cleanup-report", "s3kv-cleanup-progress"}
    assert found["s3kv-cleanup-progress"].data == 100
    page = found["s3kv-cleanup-report"].data
    assert f"# Cleanup of `{lake.bucket_name}`" in page
    for text in (
        "| `raw` |",
        "| `newest` |",
        "| `history` |",
        "## The biggest groups",
        "█",
        "GOVERNANCE",
        "## Done",
    ):
        assert text in page
    assert "objects to remove" in found["s3kv-cleanup-plan"].description


def test_two_rules_of_one_name_are_refused(empty: S3KVStore) -> None:
    with pytest.raises(ValueError, match="two rules have the same name"):
        maintain_store(empty, [RULES[0], RULES[0]])


@pytest.mark.slow
@pytest.mark.long  # half a minute; shares in threads make the same plan
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_on_a_dask_cluster_of_two_processes_it_makes_the_same_plan(lake: S3KVStore) -> None:
    from prefect_dask.task_runners import DaskTaskRunner

    cluster = {"n_workers": 2, "threads_per_worker": 2, "processes": True, "dashboard_address": ":0"}
    runner: Any = DaskTaskRunner(cluster_kwargs=cluster)
    on_dask = maintain_store.with_options(task_runner=runner)
    here = maintain_store(lake, RULES, dry_run=True, grace=ZERO)
    there = on_dask(name_of(lake), RULES, dry_run=True, grace=ZERO)
    assert (there.planned.keys(), there.planned_bytes) == (here.planned.keys(), here.planned_bytes)
    assert there.protected == here.protected
    report = on_dask(name_of(lake), RULES, grace=ZERO)
    assert report.removed == sorted(here.planned)
    assert report.freed_bytes == here.planned_bytes


@contextmanager
def prefect_worker(api: str, pool: str, home: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    settings = {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(home),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    with (home / "worker.log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | settings, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):  # and what it has begun
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def scheduling_api(tmp_path: Path) -> Iterator[str]:
    """A Prefect server of its own: that of the other tests schedules nothing."""
    home = tmp_path / "prefect-server"
    home.mkdir()
    with other_server(home) as api:
        yield api


@pytest.mark.slow
def test_deployed_the_scheduled_run_happens_and_leaves_its_artifacts(
    lake: S3KVStore, scheduling_api: str, tmp_path: Path
) -> None:
    lake.save(name_of(lake))  # there, too
    pool = f"pool-{uuid.uuid4().hex[:8]}"
    subprocess.run(
        [sys.executable, "-m", "prefect", "work-pool", "create", pool, "--type", "process"],
        env=os.environ | {"PREFECT_API_URL": scheduling_api},
        check=True,
        capture_output=True,
    )
    flow: Any = load_flow_from_entrypoint("s3kv_flows.flows.maintain_store")
    # Prefect plans runs ahead; where it gets to that too late for the first one, there is another.
    soon = datetime.now(timezone.utc) + timedelta(seconds=15)
    deployment = flow.to_deployment(
        name="soon",
        work_pool_name=pool,
        entrypoint_type=EntrypointType.MODULE_PATH,
        concurrency_limit=1,
        schedules=[IntervalSchedule(interval=timedelta(minutes=1), anchor_date=soon)],
        parameters={
            "store": name_of(lake),
            "rules": [{"name": "raw", "tags": RAW, "older_than": "PT0S"}],
            "grace": "PT0S",
        },
    )
    deployment_id = deployment.apply()
    with prefect_worker(scheduling_api, pool, tmp_path), get_client(sync_client=True) as client:
        wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]))

        def ended() -> Any:
            runs = client.read_flow_runs(flow_run_filter=wanted)
            return next((one for one in runs if one.state and one.state.is_final()), None)

        run = until(ended)
    assert run.state.is_completed(), (run.state, (tmp_path / "worker.log").read_text()[-3000:])
    assert run.auto_scheduled
    assert "s3kv-cleanup-report" in artifacts(run.id)
    kept = lake.values.list_keys()
    assert kept
    assert all(lake.values.get_tags(key) != RAW or _locked(lake.values, key) for key in kept)


def _locked(values: S3KV, key: str) -> bool:
    return values.objects.head(values.namespace.name_of(key)).lock_mode is not None


# --- what it promises of its pace, its failures and its dry run --------------------------------------


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a shard of every object."""
    monkeypatch.setattr(sharding, "_DECISIONS", 1)
    monkeypatch.setattr(sharding, "_STEPS", 1000)


@pytest.mark.usefixtures("one_by_one")
def test_no_more_shares_than_asked_for_run_at_once_and_they_divide_the_pace(
    lake: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, running, most, paces = threading.Lock(), [0], [0], []

    def watched(*args: Any, pace: Pace, **kwargs: Any) -> SweepReport:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            paces.append(pace._per_second)
        try:
            return sweep_decisions(*args, pace=pace, **kwargs)
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(cleanup_shards, "sweep_decisions", watched)
    report = maintain_store(lake, RULES[:1], grace=ZERO, shards=3, per_second=900)
    assert len(paces) == len(report.removed) > 10
    assert 1 <= most[0] <= 3
    assert set(paces) == {300}


@pytest.mark.usefixtures("one_by_one")
def test_a_share_that_fails_does_not_take_the_account_of_the_others_with_it(
    lake: S3KVStore, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:

    def failing(store: S3KV, decisions: Any, *args: Any, **kwargs: Any) -> SweepReport:
        if decisions[0].entry.name == "s3kv/b/1.json":
            raise RuntimeError("the machine burns")
        return sweep_decisions(store, decisions, *args, **kwargs)

    monkeypatch.setattr(cleanup_shards, "sweep_decisions", failing)
    state = maintain_store(lake, RULES[:1], grace=ZERO, return_state=True)
    report = state.result()
    assert "the machine burns" in report.failed["s3kv/b/1.json"]
    assert len(report.removed) == len(report.planned) - 1
    assert "1 objects could not be deleted" in logged.text
    assert (
        "**1 could not be deleted:**"
        in artifacts(state.state_details.flow_run_id)["s3kv-cleanup-report"].data
    )
    assert lake.values.exists("b/1")


def test_a_dry_run_asks_and_writes_nothing(locked_lake: Lake) -> None:
    block = locked_lake.block
    for number in range(3):
        block.values.add(f"key{number}", number, tags=RAW)
    block.values.client.put_object(
        block.bucket_name, "s3kv-leases/dead", b"{}", content_type="application/json"
    )
    upload = block.values.client.create_multipart_upload(block.bucket_name, "s3kv/x.json", content_type="x")
    wire = locked_lake.count(lambda: maintain_store(locked_lake.name, RULES, dry_run=True, grace=ZERO))
    assert set(wire.requests) <= {"GET", "HEAD"}
    assert wire.requests["GET"] > 3
    assert upload


def test_leases_in_a_bucket_of_their_own_protect_as_well(s3_url: str) -> None:
    names = [f"bucket-{uuid.uuid4().hex[:16]}" for _ in range(2)]
    block = S3KVStore(bucket_name=names[0], lease_bucket_name=names[1], endpoint_url=s3_url)
    block.values.create_bucket(object_lock=True)
    S3KV(s3_url, names[1], enable_local_cache=False).create_bucket()
    block.save(f"lake-{uuid.uuid4().hex[:8]}")
    for key in ("held", "free"):
        block.results.add(key, 1, tags=RAW)
    leases = block.leases(30.0)
    lease = leases.acquire(block.lease_namespace.name_of("held"), "a run")
    report = maintain_store(block, RULES[:1], grace=ZERO)
    assert report.removed == ["s3kv-results/free"]
    assert "holds its lease" in report.protected["s3kv-results/held"]
    leases.release(lease)
    block.results.add("later", 1, tags=RAW)
    made = plan_cleanup(block, RULES[:1], ZERO)
    lease = leases.acquire(block.lease_namespace.name_of("later"), "a run")
    for swept in (
        sweep(block, quote(made)),  # type: ignore[call-overload]  # as Prefect wants it
        cleanup_shards.sweep_shard(block, Shard(made.removals)),
    ):
        assert "holds its lease" in swept.protected["s3kv-results/later"]
    leases.release(lease)


def test_questions_keep_to_the_pace_as_well(lake: S3KVStore, monkeypatch: pytest.MonkeyPatch) -> None:
    paces: list[float | None] = []

    def noted(per_second: float | None = None) -> Pace:
        paces.append(per_second)
        return Pace(per_second)

    monkeypatch.setattr(cleanup_shards, "Pace", noted)
    monkeypatch.setattr(sharding, "_QUESTIONS", 10)
    maintain_store(lake, RULES, dry_run=True, grace=ZERO, shards=4, per_second=4000)
    assert {pace and 4000 / pace for pace in paces} <= {1, 2, 3, 4}, "the shards of a round divide it"
    assert 1000 in paces


@pytest.mark.parametrize("numbers", [{"shards": 0}, {"concurrency": 0}, {"per_second": 0}])
def test_numbers_that_are_not_positive_are_refused(empty: S3KVStore, numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        maintain_store(empty, RULES, **numbers)
