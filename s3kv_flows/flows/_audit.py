"""Flow that audits locks: retention, legal holds, and problems."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.events import emit_event

from s3kv_flows._prefect import run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.flows._report import ROWS
from s3kv_flows.store._layout.printable import printable
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
    """Report which objects are locked and until when, which locks end soon, and which are missing.

    Problems are objects that somebody hid under a delete marker or a newer version, finalized outputs whose
    lock was lifted, and objects with the tags of final outputs and no lock. They are logged as errors, and
    emitted as the event ``s3kv.audit.problems``. The table artifact is ``s3kv-lock-audit``.

    Args:
        store: The name of a saved store, or a saved store, with Object Lock.
        within_days: Retentions that end within this many days are reported as expiring.
        final_tags: Objects with all these tags should be locked.
        export: A ``.csv`` or ``.json`` file to write the whole report to, on the machine that runs the flow.

    Raises:
        ValueError: ``export`` ends with neither.
    """
    if export is not None:
        _require_format(export)
    audit = look_at_locks(store, within_days, final_tags)
    logger = run_logger()
    for row in audit.problems:
        logger.error("%s: %s, version %s", row.state, row.object, row.version_id)
    counts = Counter(row.state for row in audit.rows)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing is locked"
    logger.info("%d versions: %s", audit.versions, summary)
    create_table_artifact(
        key="s3kv-lock-audit",
        table=[_table_row(row) for row in audit.rows[:ROWS]],
        description=f"Locks of bucket {audit.bucket} at {audit.audited_at:%Y-%m-%d %H:%M} UTC: {summary}"
        + (f"; the first {ROWS} of {len(audit.rows)}" if len(audit.rows) > ROWS else ""),
    )
    if audit.problems:
        emit_event(
            event="s3kv.audit.problems",
            resource={"prefect.resource.id": f"s3kv.{audit.bucket}", "prefect.resource.name": audit.bucket},
            payload={"problems": [row.as_dict() for row in audit.problems[:ROWS]]},
        )
    if export is not None:
        Path(export).write_text(audit.as_csv() if export.endswith(".csv") else audit.as_json())
    return audit


def _require_format(export: str) -> None:
    """Raise ValueError if a file is neither CSV nor JSON by its name."""
    if not export.endswith((".csv", ".json")):
        raise ValueError(f"export must end with .csv or .json, not {export!r}")


def _table_row(row: AuditRow) -> dict[str, str | float | bool | None]:
    until = row.retain_until.isoformat(timespec="seconds") if row.retain_until else None
    return {
        "state": row.state,
        "object": printable(row.object),
        "retain until": until,
        "days left": row.days_left,
        "mode": row.mode,
        "legal hold": row.legal_hold,
        "other locks": printable(row.other_locks) or None,
        "version": printable(row.version_id),
        "bytes": row.size,
        "written": row.written_at.isoformat(timespec="seconds"),
        "under": None if row.by is None else printable(row.by),
    }
