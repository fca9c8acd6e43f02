"""Flows to schedule: the cleanup of a store, the ageing of local caches, and the audit of locks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import (
    create_table_artifact,
)
from prefect.events import emit_event

from s3kv_flows.blocks import S3KVStore
from s3kv_flows.flows._maintain import _ROWS
from s3kv_flows.store._outputs.audit import AuditRow, LockAudit
from s3kv_flows.tasks.locks import look_at_locks

__all__ = ["audit_locks"]


@flow(name="audit-locks", log_prints=False)
def audit_locks(
    store: str | S3KVStore,
    within_days: float = 30,
    final_tags: dict[str, str] | None = None,
    export: str | None = None,
) -> LockAudit:
    """Report what is locked and until when, what ends soon, and what should be locked and is not.

    Problems are what somebody has hidden under a delete marker or a newer version, what was finalized and
    whose lock was lifted, and what carries the tags of final outputs and is not locked. They are logged as
    errors, and emitted as the event ``s3kv.audit.problems``. The table artifact is ``s3kv-lock-audit``.

    Args:
        store: The name of a saved store, or a saved store, with Object Lock.
        within_days: Retentions that end so soon are reported as expiring.
        final_tags: What carries all these tags should be locked.
        export: A file to write the whole report to, on the machine that runs: ``.csv`` or ``.json``.

    Raises:
        ValueError: The file is neither.
    """
    if export is not None:
        _require_format(export)
    found = look_at_locks(store, within_days, final_tags)
    logger = get_run_logger()
    for row in found.problems:
        logger.error("%s: %s, version %s", row.state, row.object, row.version_id)
    counts = Counter(row.state for row in found.rows)
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing is locked"
    logger.info("%d versions: %s", found.versions, told)
    create_table_artifact(
        key="s3kv-lock-audit",
        table=[_audited(row) for row in found.rows[:_ROWS]],
        description=f"Locks of bucket {found.bucket} at {found.audited_at:%Y-%m-%d %H:%M} UTC: {told}"
        + (f"; the first {_ROWS} of {len(found.rows)}" if len(found.rows) > _ROWS else ""),
    )
    if found.problems:
        emit_event(
            event="s3kv.audit.problems",
            resource={"prefect.resource.id": f"s3kv.{found.bucket}", "prefect.resource.name": found.bucket},
            payload={"problems": [row.as_dict() for row in found.problems[:_ROWS]]},
        )
    if export is not None:
        Path(export).write_text(found.as_csv() if export.endswith(".csv") else found.as_json())
    return found


def _require_format(export: str) -> None:
    """Raise ValueError for a file that is neither CSV nor JSON by its name."""
    if not export.endswith((".csv", ".json")):
        raise ValueError(f"a report is written to a .csv or .json file, not to {export!r}")


def _audited(row: AuditRow) -> dict[str, str | float | bool | None]:
    until = row.retain_until.isoformat(timespec="seconds") if row.retain_until else None
    return {
        "state": row.state,
        "object": row.object,
        "retain until": until,
        "days left": row.days_left,
        "mode": row.mode,
        "legal hold": row.legal_hold,
        "version": row.version_id,
        "bytes": row.size,
        "written": row.written_at.isoformat(timespec="seconds"),
        "under": row.by,
    }
