"""Tasks that publish outputs, check their receipts, and bring them back where they were hidden."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows._outputs import carry_out, keep_receipt
from s3kv_flows._runs import run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._outputs.receipts import Receipt, Verification
from s3kv_flows.store._outputs.repairs import Repair

__all__ = ["finalize_value", "repair_output", "verify_receipt"]


@task(cache_policy=NO_CACHE)
def finalize_value(
    store: str | S3KVStore,
    key: str,
    value: Any,
    retention: Retention | None = None,
    tags: dict[str, str] | None = None,
    *,
    legal_hold: bool = False,
    supersede: bool = False,
    accept_races: bool = False,
) -> Receipt:
    """Publish a JSON value that nothing alters or deletes before its retention ends.

    The lock is in the request that writes the value: it is never unlocked. What cannot be published
    fails this task, which is what a result that Prefect persists after its task does not do. The receipt
    is also kept as a table artifact, ``s3kv-receipt-<bucket>-<object>-<digest>``, which the log names.

    Args:
        store: The name of a saved store, or a saved store, with Object Lock.
        key: The key.
        value: What JSON can hold.
        retention: Until when; may be left out with ``legal_hold``.
        tags: The tags of the object.
        legal_hold: Whether to forbid deletion until the hold is released, too.
        supersede: Write a new version where the key has another content; the old one stays, locked.
        accept_races: Publish also where two writers at once could not be told apart.

    Returns:
        The receipt. Its ``outcome`` is ``"unchanged"`` where the key has the same content already.

    Raises:
        ConflictError: The key has another content.
        KeyLockedError: A locked version of the key is hidden.
        UnsupportedByServerError: The bucket has no Object Lock, or excludes no second writer.
    """
    block = S3KVStore.of(store)
    receipt = block.values.outputs.finalize(
        key,
        value,
        retention,
        tags=tags,
        legal_hold=legal_hold,
        supersede=supersede,
        accept_races=accept_races,
    )
    return keep_receipt(block, receipt)


@task(cache_policy=NO_CACHE)
def verify_receipt(store: str | S3KVStore, receipt: Receipt) -> Verification:
    """Check that exactly the version of a receipt is there, unchanged, locked and not hidden.

    Args:
        store: The name of a saved store, or a saved store.
        receipt: The receipt.
    """
    found = S3KVStore.of(store).values.outputs.verify(receipt)
    for problem in found.problems:
        run_logger().error("%s: %s", receipt.object_name, problem)
    return found


@task(cache_policy=NO_CACHE)
def repair_output(store: str | S3KVStore, key: str, reason: str) -> Repair:
    """Let a key read as its locked version again, where somebody has hidden it.

    Delete markers go; a newer version is copied aside first, to ``s3kv-shadows/``.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: Why; kept with who did it.

    Raises:
        KeyLockedError: What lies on top is locked itself.
    """
    return carry_out(store, "repair", key, reason, lambda kv, own_key: kv.outputs.repair(own_key))
