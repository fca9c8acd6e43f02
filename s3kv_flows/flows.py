"""Flows to schedule: the cleanup of a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.utilities.annotations import quote

from s3kv_flows.blocks import S3KVStore
from s3kv_flows.maintenance import CleanupPlan, CleanupRule, Decision
from s3kv_flows.tasks.maintenance import (
    age_local_cache,
    give_up_uploads,
    plan_cleanup,
    sweep,
    sweep_leases,
)

__all__ = ["MaintenanceReport", "maintain_store"]

_ROWS = 1000  # of the table artifact: more than a person reads


@dataclass(frozen=True)
class MaintenanceReport:
    """What a cleanup did, or, in a dry run, what it would do. Names are object names.

    Attributes:
        dry_run: Whether nothing was removed.
        planned: What the plan names, each with the reason.
        planned_bytes: Bytes of all its versions.
        removed: What is gone.
        freed_bytes: Bytes of all versions that are gone.
        protected: What a rule would have removed, and what kept it.
        changed: What stays because it was not any more what the plan saw.
        failed: What the server did not delete, with its word.
        unfinished_uploads: The objects whose multipart uploads were begun before the grace period and never
            completed; their parts are freed, or would be.
        dead_leases: Leases that ended before the grace period; they are gone, or would be.
        aged_local_copies: Local copies that were forgotten.
    """

    dry_run: bool
    planned: dict[str, str]
    planned_bytes: int
    removed: list[str]
    freed_bytes: int
    protected: dict[str, str]
    changed: list[str]
    failed: dict[str, str]
    unfinished_uploads: list[str]
    dead_leases: list[str]
    aged_local_copies: int


@flow(name="maintain-store", log_prints=False)
def maintain_store(
    store: str | S3KVStore,
    rules: list[CleanupRule],
    dry_run: bool = False,  # noqa: FBT001, FBT002  # a parameter of a deployment
    grace: timedelta = timedelta(hours=1),
    protect_tag: str | None = "keep",
    local_cache_max_days: float = 7,
) -> MaintenanceReport:
    """Remove what the rules name, and what killed runs left; age the local cache of this machine.

    Locked objects, those with the protect tag and those within the grace period stay, whatever the
    rules say. The plan is kept as a table artifact, also of a dry run.

    Args:
        store: The name of a saved store, or a saved store.
        rules: What may go; one that removes is enough.
        dry_run: Plan, and remove nothing.
        grace: What is younger is not touched.
        protect_tag: What carries this tag, with any value, is not touched.
        local_cache_max_days: Days after which an unused local copy is forgotten; not in a dry run.
    """
    logger = get_run_logger()
    plan = plan_cleanup(store, rules, grace, protect_tag)
    _show(plan, dry_run=dry_run)
    logger.info(
        "%d objects (%s bytes) to remove, %d protected, %d to keep",
        len(plan.remove),
        f"{plan.bytes_to_free:,}",
        len(plan.protected),
        len(plan.keep) - len(plan.protected),
    )
    protected = {decision.entry.name: decision.reason for decision in plan.protected}
    planned = {decision.entry.name: decision.reason for decision in plan.remove}
    unfinished = give_up_uploads(store, grace, dry_run)
    leases = sweep_leases(store, grace, dry_run)
    if dry_run:
        return MaintenanceReport(
            True, planned, plan.bytes_to_free, [], 0, protected, [], {}, unfinished, leases, 0
        )
    # Quoted: Prefect need not look for futures in every entry of a long plan.
    swept = sweep(store, cast("CleanupPlan", quote(plan)), rules, protect_tag)
    aged = age_local_cache(store, local_cache_max_days)
    logger.info("Removed %d objects, freed %s bytes", len(swept.removed), f"{swept.freed_bytes:,}")
    return MaintenanceReport(
        dry_run=False,
        planned=planned,
        planned_bytes=plan.bytes_to_free,
        removed=swept.removed,
        freed_bytes=swept.freed_bytes,
        protected=protected | swept.protected,
        changed=swept.changed,
        failed=swept.failed,
        unfinished_uploads=unfinished,
        dead_leases=leases,
        aged_local_copies=aged,
    )


def _show(plan: CleanupPlan, *, dry_run: bool) -> None:
    decisions = [*plan.remove, *plan.protected]
    create_table_artifact(
        key="s3kv-cleanup-plan",
        table=[_row(decision) for decision in decisions[:_ROWS]],
        description=(
            f"{'Dry run: ' if dry_run else ''}{len(plan.remove)} objects to remove, "
            f"{plan.bytes_to_free:,} bytes; {len(plan.protected)} protected"
            + (f"; the first {_ROWS} of {len(decisions)}" if len(decisions) > _ROWS else "")
        ),
    )


def _row(decision: Decision) -> dict[str, str | int]:
    return {
        "object": decision.entry.name,
        "bytes": decision.entry.size,
        "decision": "remove" if decision.rule else "keep",
        "reason": decision.reason,
    }
