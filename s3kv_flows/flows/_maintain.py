"""Flows to schedule: the cleanup of a store, the ageing of local caches, and the audit of locks."""

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
from s3kv_flows.flows import _report as cleanup_page
from s3kv_flows.flows._sharding import plan_in_shards, sweep_in_shards
from s3kv_flows.maintenance import CleanupPlan, CleanupRule, PlanContext, SweepReport
from s3kv_flows.maintenance._rules import GivenDuration
from s3kv_flows.store._durations import length_before
from s3kv_flows.tasks.maintenance import abort_incomplete_uploads, age_local_cache, sweep_leases

__all__ = ["MaintenanceReport", "age_caches", "maintain_store"]

_ROWS = 1000  # of the table artifact: more than a person reads


@dataclass(frozen=True)
class MaintenanceReport:
    """What a cleanup did, or, in a dry run, what it would do. Names are object names.

    Attributes:
        dry_run: Whether nothing was removed.
        planned: What the plan removes, each with the reason.
        planned_pruning: What stays and loses old versions or a delete marker, each with the reason.
        planned_bytes: Bytes of all versions that the plan names.
        planned_dollars: What they cost a month.
        removed: What is gone.
        pruned: What has lost old versions, or a delete marker.
        freed_bytes: Bytes of all versions that are gone.
        deleted_versions: How many versions are gone, with delete markers.
        protected: What a rule matches, and what kept it.
        changed: What stays because it was not any more what the plan saw.
        failed: What the server did not delete, with its word.
        incomplete_uploads: The objects whose multipart uploads were begun before the grace period and never
            completed; their parts are freed, or would be.
        dead_leases: Leases that ended before the grace period; they are gone, or would be.
        aged_local_copies: Local copies that were forgotten.
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
    """Remove what the rules name, and what killed runs left; age the local cache of this machine.

    Locked objects, those that a run is computing anew under a lease, those with the protect tag and those
    within the grace period stay, whatever the rules say. The plan is kept as the table artifact
    ``s3kv-cleanup-plan``, also of a dry run, and what it comes to as the Markdown artifact
    ``s3kv-cleanup-report``; while it sweeps, ``s3kv-cleanup-progress`` tells how far it is. What could not be
    deleted is logged as errors, and emitted as the event ``s3kv.cleanup.failed``.

    The work is done in shards by ``task.map``: in threads of this process, or, with
    ``maintain_store.with_options(task_runner=DaskTaskRunner(...))`` (the extra ``dask``), on many machines.

    Args:
        store: The name of a saved store, or a saved store.
        rules: What may go; one that removes is enough.
        dry_run: Plan, and remove nothing.
        grace: What is younger is not touched: a timedelta, or text with a unit, such as ``90min``. As a
            parameter of a deployment, give text: Prefect stores a timedelta as a bare number, which is
            refused.
        protect_tag: What carries this tag, with any value, is not touched.
        local_cache_max_days: Days after which an unused local copy is forgotten; not in a dry run.
        shards: How many shards of the work are done at once.
        concurrency: How many requests each of them makes at once. A process keeps 32 connections.
        per_second: How many objects may be looked at or deleted in a second, to leave room for pipelines
            (S3 takes 3,500 deletions and 5,500 reads a second below a prefix); None for no limit.

    Raises:
        ValueError: Two rules have the same name, or a number is not positive.
        ParameterTypeError: A rule is empty, or a duration has no unit; raised by Prefect.
    """
    if len({rule.name for rule in rules}) < len(rules):
        raise ValueError("two rules have the same name: a report could not tell them apart")
    if min(shards, concurrency, 1 if per_second is None else per_second) <= 0:
        raise ValueError("shards, concurrency and per_second are more than 0")
    logger = get_run_logger()
    values = S3KVStore.of(store).values
    leases = sweep_leases(store, grace, dry_run)
    now = values.server_time()
    context = PlanContext(now, length_before(grace, now), protect_tag)
    plan = plan_in_shards(
        store, rules, context, shards=shards, concurrency=concurrency, per_second=per_second
    )
    _show_plan(plan, dry_run=dry_run)
    logger.info("%s", cleanup_page.told(plan))
    swept = None
    if not dry_run:
        swept = sweep_in_shards(
            store,
            plan,
            shards=shards,
            concurrency=concurrency,
            per_second=per_second,
            progress=_progress(plan),
        )
        logger.info("Removed %d objects, freed %s bytes", len(swept.removed), f"{swept.freed_bytes:,}")
    create_markdown_artifact(
        key="s3kv-cleanup-report",
        markdown=cleanup_page.page(values.bucket_name, plan, swept),
        description=cleanup_page.told(plan),
    )
    if swept is not None and swept.failed:
        logger.error("%d objects could not be deleted", len(swept.failed))
        _emit_failures(values.bucket_name, swept)
    uploads = abort_incomplete_uploads(store, grace, dry_run)
    aged = 0 if dry_run else age_local_cache(store, local_cache_max_days)
    return _report(plan, swept, uploads, leases, aged)


@flow(name="age-caches", log_prints=False)
def age_caches(store: str | S3KVStore, max_days: float = 7) -> int:
    """Forget local copies that were not used for this many days; return how many.

    It ages the cache of the machine, and of the user, that it runs on: schedule it where tasks run.

    Args:
        store: The name of a saved store, or a saved store.
        max_days: Days since a copy was last used.
    """
    return age_local_cache(store, max_days)


def _show_plan(plan: CleanupPlan, *, dry_run: bool) -> None:
    shown = cleanup_page.rows(plan)
    there = len(plan.remove) + len(plan.prune) + len(plan.protected)
    create_table_artifact(
        key="s3kv-cleanup-plan",
        table=shown,
        description=("Dry run: " if dry_run else "")
        + cleanup_page.told(plan)
        + (f"; the first {len(shown):,} of {there:,}" if there > len(shown) else ""),
    )


def _emit_failures(bucket: str, swept: SweepReport) -> None:
    emit_event(
        event="s3kv.cleanup.failed",
        resource={"prefect.resource.id": f"s3kv.{bucket}", "prefect.resource.name": bucket},
        payload={"failed": dict(list(swept.failed.items())[:_ROWS])},
    )


def _progress(plan: CleanupPlan) -> Callable[[float], object]:
    """Return what tells the progress of a sweep, as an artifact of the run."""
    told = f"Sweeping {len(plan.remove) + len(plan.prune):,} objects"
    artifact = create_progress_artifact(progress=0.0, key="s3kv-cleanup-progress", description=told)
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
