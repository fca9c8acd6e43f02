"""Prefect artifacts and events of finalized outputs: receipts, changes to locks.

An artifact with the request is written before the lock is changed, and another one with the outcome after
it: no lock is changed while Prefect cannot be reached. Both have the artifact key of the object,
``s3kv-lock-<bucket>-<object>-<digest>``, which collects its history. A repair where nothing is hidden does
nothing, and leaves no record.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any, Literal, TypeVar, cast

from prefect.artifacts import create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import emit_event
from prefect.runtime import deployment, flow_run

from s3kv_flows._prefect import SYNC, block_document_name, run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._layout.keys import fingerprint
from s3kv_flows.store._layout.markdown import code
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store._outputs.repairs import Repair
from s3kv_flows.store.errors import KeyLockedError, S3KVError

__all__ = ["LockAction", "artifact_key", "carry_out", "keep_receipt"]

Action = Literal["extend", "release", "hold", "unhold", "repair"]

_ARTIFACT_KEY_LENGTH = 200

T = TypeVar("T")


@dataclass(frozen=True)
class LockAction:
    """One change to a lock.

    Attributes:
        action: The requested change.
        outcome: Whether it was requested, done or refused.
        reason: The reason that the user gave.
        bucket: The bucket.
        object: The object name.
        user: The user name on the machine.
        host: The name of the machine.
        access_key_id: The access key id of the credentials.
        flow_run_id: The id of the flow run; None for a command.
        at: When, by this machine's clock.
        detail: The result of the change, or the error.
    """

    action: Action
    outcome: Literal["requested", "done", "refused"]
    reason: str
    bucket: str
    object: str
    user: str
    host: str
    access_key_id: str | None
    flow_run_id: str | None
    at: str
    detail: str = ""


def carry_out(
    store: str | S3KVStore, action: Action, key: str, reason: str, act: Callable[[S3KV, str], T]
) -> T:
    """Change a lock, and keep a record of it.

    Args:
        store: The name of a saved store, or a saved store.
        action: The name of the change in the record.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: Why.
        act: Makes the change, given the store of the object and its key in that store.

    Raises:
        ValueError: No reason is given.
        S3KVError: The error of ``act``, which is recorded, too.
        KeyNotFoundError: The key that is to be repaired does not exist.
    """
    if not reason or not reason.strip():
        raise ValueError(f"give a reason for {action}: it is kept with every change to a lock")
    kv, key_in_kv = S3KVStore.of(store).locate(key)
    name = kv.namespace.name_of(key_in_kv)
    if action == "repair" and (unneeded := _unneeded_repair(kv, key_in_kv)) is not None:
        run_logger().info("%s: %s", name, unneeded)
        return cast("T", unneeded)
    requested = LockAction(
        action,
        "requested",
        reason.strip(),
        kv.bucket_name,
        name,
        _user(),
        socket.gethostname(),
        kv.client.access_key_id,
        flow_run.get_id(),
        _now(),
    )
    _keep_artifact(requested)
    try:
        result = act(kv, key_in_kv)
    except (S3KVError, ValueError) as exc:
        _finish(replace(requested, outcome="refused", at=_now(), detail=f"{type(exc).__name__}: {exc}"))
        raise
    _finish(replace(requested, outcome="done", at=_now(), detail=_in_words(result)))
    return result


def _unneeded_repair(kv: S3KV, key: str) -> Repair | None:
    """Return the repair that does nothing, because no locked version is hidden; None where one is.

    Raises:
        KeyNotFoundError: There is no such key.
    """
    try:
        planned = kv.outputs.repair(key, dry_run=True)
    except KeyLockedError:  # a refusal, which is recorded
        return None
    return replace(planned, dry_run=False) if planned.version_id is None else None


def _in_words(result: object) -> str:
    """Return the result of a change to a lock, for a reader of its record."""
    if isinstance(result, datetime):
        return f"locked until {result.isoformat(timespec='seconds')}"
    return "" if result is None else str(result)


def artifact_key(kind: str, bucket: str, name: str) -> str:
    """Return the artifact key of an object: lower-case letters, digits and dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"s3kv-{kind}-{bucket}-{name}".lower())
    # Different names may have the same slug.
    return f"{slug[:_ARTIFACT_KEY_LENGTH].strip('-')}-{fingerprint(f'{bucket}/{name}')[:8]}"


def _finish(action: LockAction) -> None:
    _keep_artifact(action)
    emit_event(
        event=f"s3kv.lock.{action.action}.{action.outcome}",
        resource={
            "prefect.resource.id": f"s3kv.{action.bucket}.{action.object}",
            "prefect.resource.name": action.object,
        },
        payload=asdict(action),
    )
    log = run_logger().info if action.outcome == "done" else run_logger().error
    log(
        "%s of %s by %s on %s: %s. Reason: %s",
        action.action,
        action.object,
        action.user,
        action.host,
        f"{action.outcome} {action.detail}".strip(),
        action.reason,
    )


def _keep_artifact(action: LockAction) -> None:
    table: list[dict[str, Any]] = [asdict(action)]
    create_table_artifact(
        key=artifact_key("lock", action.bucket, action.object),
        table=table,
        description=f"{action.action} {action.outcome}: {code(action.reason)}",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no entry for its user
        return "unknown"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def keep_receipt(block: S3KVStore, receipt: Receipt) -> Receipt:
    """Return a receipt with the run that published it; within a run, keep it as a table artifact, too.

    The key of the artifact is ``s3kv-receipt-<bucket>-<object>-<digest>``.
    """
    receipt = receipt.published_by(
        flow_run_id=flow_run.get_id(),
        code_version=_code_version(),
        store=block_document_name(block),
    )
    receipt = block.values.outputs.sealed(receipt)
    if TaskRunContext.get() is not None or FlowRunContext.get() is not None:
        create_table_artifact(
            key=artifact_key("receipt", receipt.bucket, receipt.object_name),
            table=[receipt.as_dict()],
            description=f"{receipt.outcome}: {code(receipt.object_name)}, version {code(receipt.version_id)}",
            **SYNC,
        )
    run_logger().info("%s: %s, version %s", receipt.outcome, receipt.object_name, receipt.version_id)
    return receipt


def _code_version() -> str | None:
    """Return the version of the deployment, or else of the flow."""
    run = FlowRunContext.get()
    return deployment.version or (run.flow.version if run is not None and run.flow is not None else None)
