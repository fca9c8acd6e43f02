"""Flows that clean up a store and evict local copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from prefect import flow, get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event

from s3kv_flows.blocks import S3KVStore
from s3kv_flows.flows._report import ROWS, markdown_page, summary, table_rows
from s3kv_flows.flows._sharding import plan_in_shards, sweep_in_shards
from s3kv_flows.maintenance import CleanupPlan, CleanupRule, PlanContext, SweepReport
from s3kv_flows.maintenance._rules import GivenDuration
from s3kv_flows.store._durations import length_before
from s3kv_flows.tasks.maintenance import abort_incomplete_uploads, age_local_cache, sweep_leases

__all__ = ["MaintenanceReport", "age_caches", "maintain_store"]


@dataclass(frozen=True)
class MaintenanceReport:
    """What a cleanup did, or would do in a dry run, by object name.

    Attributes:
        dry_run: Whether nothing was removed.
        planned: Keys that the plan removes, with the reason.
        planned_pruning: Keys that stay and lose old versions or a delete marker, with the reason.
        planned_bytes: Bytes of all versions that the plan deletes.
        planned_dollars: What these bytes cost per month.
        removed: Keys that were deleted.
        pruned: Keys that lost old versions, or a delete marker.
        freed_bytes: Bytes of all deleted versions.
        deleted_versions: Number of deleted versions, including delete markers.
        protected: Keys that a rule matches and that stay, with their protection.
        changed: Keys that stay because they changed since the plan.
        failed: Keys that the server did not delete, with its error.
        incomplete_uploads: Objects whose multipart uploads were begun before the grace period and never
            completed; the uploads are aborted, or would be.
        dead_leases: Leases that ended before the grace period; they are deleted, or would be.
        aged_local_copies: Number of local copies that were deleted.
    """

    dry_run: bool
    planned: dict[str, str]
    planned_pruning: dict[str, str]
    planned_bytes: int
    planned_dollars: float
    removed: list[str]
    pruned: list[str]
    freed_bytes: int
    deleted_versions: int
    protected: dict[str, str]
    changed: list[str]
    failed: dict[str, str]
    incomplete_uploads: list[str]
    dead_leases: list[str]
    aged_local_copies: int


@flow(name="maintain-store", log_prints=False)
def maintain_store(
    store: str | S3KVStore,
    rules: list[CleanupRule],
    dry_run: bool = False,  # noqa: FBT001, FBT002  # a parameter of a deployment
    grace: GivenDuration = timedelta(hours=1),
    protect_tag: str | None = "keep",
    local_cache_max_days: float = 7,
    shards: int = 4,
    concurrency: int = 8,
    per_second: float | None = 2000,
) -> MaintenanceReport:
    """Remove objects by rules, and remains of killed runs; evict unused local copies on this machine.

    Locked objects, results that a run computes again under a lease, objects with the protect tag and objects
    within the grace period stay, whatever the rules say. The plan is kept as the table artifact
    ``s3kv-cleanup-plan``, also in a dry run, and its totals as the Markdown artifact ``s3kv-cleanup-report``;
    ``s3kv-cleanup-progress`` shows the progress of the sweep. Failed deletions are logged as errors, and
    emitted as the event ``s3kv.cleanup.failed``.

    The work is split into shards with ``task.map``: in threads of this process, or, with
    ``maintain_store.with_options(task_runner=DaskTaskRunner(...))`` (the extra ``dask``), on many machines.

    Args:
        store: The name of a saved store, or a saved store.
        rules: The cleanup rules; one that removes an object is enough.
        dry_run: Plan, and remove nothing.
        grace: Younger objects stay: a timedelta, or text with a unit, such as ``90min``. As a parameter of a
            deployment, give text: Prefect stores a timedelta as a bare number, which is refused.
        protect_tag: Objects with this tag stay, whatever its value; None for no such tag.
        local_cache_max_days: Days after which an unused local copy is deleted; not in a dry run.
        shards: Number of shards at once.
        concurrency: Requests at once per shard. A process keeps 32 connections.
        per_second: Objects looked up or deleted per second, to leave capacity for pipelines (S3 takes 3,500
            deletions and 5,500 reads a second below a prefix); None for no limit.

    Raises:
        ValueError: Two rules have the same name, or a number is not positive.
        ParameterTypeError: A rule is empty, or a duration has no unit; raised by Prefect.
    """
    if len({rule.name for rule in rules}) < len(rules):
        raise ValueError("two rules have the same name: rename one, so that reports can tell them apart")
    if min(shards, concurrency, 1 if per_second is None else per_second) <= 0:
        raise ValueError("shards, concurrency and per_second must be positive")
    logger = get_run_logger()
    values = S3KVStore.of(store).values
    leases = sweep_leases(store, grace, dry_run)
    now = values.server_time()
    context = PlanContext(now, length_before(grace, now), protect_tag)
    plan = plan_in_shards(
        store, rules, context, shards=shards, concurrency=concurrency, per_second=per_second
    )
    _create_plan_artifact(plan, dry_run=dry_run)
    logger.info("%s", summary(plan))
    swept = None
    if not dry_run:
        swept = sweep_in_shards(
            store,
            plan,
            shards=shards,
            concurrency=concurrency,
            per_second=per_second,
            progress=_create_progress_artifact(plan),
        )
        logger.info("Removed %d objects, freed %s bytes", len(swept.removed), f"{swept.freed_bytes:,}")
    create_markdown_artifact(
        key="s3kv-cleanup-report",
        markdown=markdown_page(values.bucket_name, plan, swept),
        description=summary(plan),
    )
    if swept is not None and swept.failed:
        logger.error("%d objects could not be deleted", len(swept.failed))
        _emit_failures(values.bucket_name, swept)
    uploads = abort_incomplete_uploads(store, grace, dry_run)
    aged = 0 if dry_run else age_local_cache(store, local_cache_max_days)
    return _report(plan, swept, uploads, leases, aged)


@flow(name="age-caches", log_prints=False)
def age_caches(store: str | S3KVStore, max_days: float = 7) -> int:
    """Delete local copies that were not used for this many days; return how many.

    This is about the cache of the machine and the user that run the flow: schedule it where tasks run.

    Args:
        store: The name of a saved store, or a saved store.
        max_days: Days since a copy was last used.
    """
    return age_local_cache(store, max_days)


def _create_plan_artifact(plan: CleanupPlan, *, dry_run: bool) -> None:
    rows = table_rows(plan)
    total = len(plan.remove) + len(plan.prune) + len(plan.protected)
    create_table_artifact(
        key="s3kv-cleanup-plan",
        table=rows,
        description=("Dry run: " if dry_run else "")
        + summary(plan)
        + (f"; the first {len(rows):,} of {total:,}" if total > len(rows) else ""),
    )


def _emit_failures(bucket: str, swept: SweepReport) -> None:
    emit_event(
        event="s3kv.cleanup.failed",
        resource={"prefect.resource.id": f"s3kv.{bucket}", "prefect.resource.name": bucket},
        payload={"failed": dict(list(swept.failed.items())[:ROWS])},
    )


def _create_progress_artifact(plan: CleanupPlan) -> Callable[[float], object]:
    """Create the progress artifact of a sweep; return a function that updates it."""
    description = f"Sweeping {len(plan.remove) + len(plan.prune):,} objects"
    artifact = create_progress_artifact(progress=0.0, key="s3kv-cleanup-progress", description=description)
    return lambda percent: update_progress_artifact(artifact, progress=percent)  # type: ignore[arg-type]


def _report(
    plan: CleanupPlan, swept: SweepReport | None, uploads: list[str], leases: list[str], aged: int
) -> MaintenanceReport:
    done = swept or SweepReport()
    return MaintenanceReport(
        dry_run=swept is None,
        planned={decision.entry.name: decision.reason for decision in plan.remove},
        planned_pruning={decision.entry.name: decision.reason for decision in plan.prune},
        planned_bytes=plan.bytes_to_free,
        planned_dollars=plan.dollars_per_month(),
        removed=done.removed,
        pruned=done.pruned,
        freed_bytes=done.freed_bytes,
        deleted_versions=done.deleted_versions,
        protected={decision.entry.name: decision.reason for decision in plan.protected} | done.protected,
        changed=done.changed,
        failed=done.failed,
        incomplete_uploads=uploads,
        dead_leases=leases,
        aged_local_copies=aged,
    )
