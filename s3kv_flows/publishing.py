"""Receipts of what a run publishes: with what the run knows, and kept where people find them."""

from __future__ import annotations

from prefect.artifacts import create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import deployment, flow_run

from s3kv_flows._runs import block_document_name, run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.lock_actions import artifact_key
from s3kv_flows.store._outputs.receipts import Receipt

__all__ = ["keep_receipt"]


def keep_receipt(block: S3KVStore, receipt: Receipt) -> Receipt:
    """Return a receipt with the run that published; within a run, keep it as a table artifact, too.

    The artifact is ``s3kv-receipt-<bucket>-<object>-<digest>``.
    """
    receipt = receipt.published_by(
        flow_run_id=flow_run.get_id(),
        code_version=_code_version(),
        store=block_document_name(block),
    )
    if TaskRunContext.get() is not None or FlowRunContext.get() is not None:
        create_table_artifact(  # type: ignore[call-arg]  # `_sync` is Prefect's switch of its async_dispatch
            key=artifact_key("receipt", receipt.bucket, receipt.object_name),
            table=[receipt.as_dict()],
            description=f"{receipt.outcome}: {receipt.object_name}, version {receipt.version_id}",
            _sync=True,
        )
    run_logger().info("%s: %s, version %s", receipt.outcome, receipt.object_name, receipt.version_id)
    return receipt


def _code_version() -> str | None:
    """Return what the run calls the version of its code: that of the deployment, or else of the flow."""
    run = FlowRunContext.get()
    return deployment.version or (run.flow.version if run is not None and run.flow is not None else None)
