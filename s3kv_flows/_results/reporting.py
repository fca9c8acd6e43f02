"""Reports of results that were not saved, as Prefect completes their runs."""

from __future__ import annotations

from prefect.events import emit_event

from s3kv_flows._prefect import run_logger
from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import KeyLockedError

__all__ = ["report_unsaved"]


def report_unsaved(results: S3KV, name: str | None, exc: Exception) -> None:
    """Log, count and emit an event that a result was not saved.

    Args:
        results: The results of the store.
        name: The object name that the result was to have; None where it had none yet.
        exc: Why it was not saved.
    """
    results.client.counters.add("results.refused")
    run_logger().error("The result of this run was not saved: %s", str(exc) or repr(exc))
    until = exc.retain_until if isinstance(exc, KeyLockedError) else None
    resource = f"s3kv.{results.bucket_name}.{name or results.namespace.prefix}"
    emit_event(
        event="s3kv.result.refused",
        resource={"prefect.resource.id": resource, "prefect.resource.name": name or results.bucket_name},
        payload={
            "bucket": results.bucket_name,
            "object": name,
            "error": f"{type(exc).__name__}: {exc}",
            "retain_until": until.isoformat() if until else None,
        },
    )
