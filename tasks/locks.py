"""Tasks that change locks. Each wants a reason, which is kept with who did it."""

from __future__ import annotations

from datetime import datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows._outputs import carry_out
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._outputs.audit import LockAudit

__all__ = ["extend_retention", "look_at_locks", "place_hold", "release_hold", "release_retention"]


@task(cache_policy=NO_CACHE)
def extend_retention(
    store: str | S3KVStore,
    key: str,
    days: float,
    reason: str,
    i_understand: bool = False,  # noqa: FBT001, FBT002  # a parameter of a task
) -> datetime:
    """Make a retention end this many days from now; return when.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        days: Days from now.
        reason: Why; kept with who did it.
        i_understand: That nobody can make a compliance retention shorter again.

    Raises:
        ConflictError: It is under no retention.
        KeyLockedError: Its retention ends later already.
        ValueError: It is a compliance retention, and that is not said to be understood; or there is no
            reason.
    """
    return carry_out(
        store,
        "extend",
        key,
        reason,
        lambda kv, own_key: kv.extend_retention_lock(own_key, days, i_understand=i_understand),
    )


@task(cache_policy=NO_CACHE)
def release_retention(store: str | S3KVStore, key: str, reason: str) -> None:
    """Lift a governance retention, by the permission s3:BypassGovernanceRetention.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: Why; kept with who did it.

    Raises:
        KeyLockedError: It is a compliance retention, which nobody can lift.
        AccessDeniedError: These credentials may not.
    """
    carry_out(store, "release", key, reason, lambda kv, own_key: kv.remove_retention_lock(own_key))


@task(cache_policy=NO_CACHE)
def place_hold(store: str | S3KVStore, key: str, reason: str) -> None:
    """Forbid to delete a key until its legal hold is released.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: Why; kept with who did it.
    """
    carry_out(store, "hold", key, reason, lambda kv, own_key: kv.apply_legal_hold(own_key))


@task(cache_policy=NO_CACHE)
def release_hold(store: str | S3KVStore, key: str, reason: str) -> None:
    """Release a key from its legal hold.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: Why; kept with who did it.
    """
    carry_out(store, "unhold", key, reason, lambda kv, own_key: kv.release_legal_hold(own_key))


@task(cache_policy=NO_CACHE, persist_result=False)
def look_at_locks(
    store: str | S3KVStore, within_days: float = 30, final_tags: dict[str, str] | None = None
) -> LockAudit:
    """Return what is locked, until when, and what should be and is not; change nothing.

    Args:
        store: The name of a saved store, or a saved store.
        within_days: Retentions that end so soon are reported as expiring.
        final_tags: What carries all these tags should be locked.
    """
    return S3KVStore.of(store).audit(within=timedelta(days=within_days), final_tags=final_tags)
