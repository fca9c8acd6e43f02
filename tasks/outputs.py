"""Tasks that finalize outputs, verify receipts, and repair hidden outputs."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows._outputs import carry_out, keep_receipt
from s3kv_flows._prefect import run_logger
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
    """Publish a JSON value that nobody can change or delete before its retention ends.

    The lock is in the request that writes the value: it is never unlocked. If the value cannot be published,
    this task fails, unlike a task whose result Prefect persists afterwards. The receipt is also kept as a
    table artifact, ``s3kv-receipt-<bucket>-<object>-<digest>``, which the log names.

    Args:
        store: The name of a saved store, or a saved store, with Object Lock.
        key: The key.
        value: The value, which JSON must be able to hold.
        retention: The retention; optional with ``legal_hold``.
        tags: The tags of the object.
        legal_hold: Whether to place a legal hold, too, which forbids deletion until it is released.
        supersede: Write a new version if the key has different content; the old one stays, locked.
        accept_races: Publish even if the server cannot exclude a concurrent writer.

    Returns:
        The receipt. Its ``outcome`` is ``"unchanged"`` if the key already has the same content.

    Raises:
        ConflictError: The key has different content.
        KeyLockedError: The key has a hidden locked version.
        UnsupportedByServerError: The bucket has no Object Lock, or the server cannot exclude a concurrent
            writer.
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
    """Verify that exactly the version of a receipt exists, unchanged, locked and not hidden.

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
    """Make a key read as its locked version again, after somebody hid that.

    Delete markers are removed; a newer version is first copied to ``s3kv-shadows/``.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: The reason; recorded with its author.

    Raises:
        KeyLockedError: The version that hides it is locked, too.
    """
    return carry_out(store, "repair", key, reason, lambda kv, kv_key: kv.outputs.repair(kv_key))
