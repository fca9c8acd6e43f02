"""Tasks that change or audit locks.

Each change needs a reason, which is recorded with its author.
"""

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
    """Extend a retention to this many days from now; return its new end.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        days: Days from now.
        reason: The reason; recorded with its author.
        i_understand: Confirms that nobody can shorten a compliance retention.

    Raises:
        ConflictError: The key is under no retention.
        KeyLockedError: Its retention already ends later.
        ValueError: It is a compliance retention and ``i_understand`` is not set, or the reason is empty.
    """
    return carry_out(
        store,
        "extend",
        key,
        reason,
        lambda kv, kv_key: kv.extend_retention_lock(kv_key, days, i_understand=i_understand),
    )


@task(cache_policy=NO_CACHE)
def release_retention(store: str | S3KVStore, key: str, reason: str) -> None:
    """Remove a governance retention; this needs s3:BypassGovernanceRetention.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: The reason; recorded with its author.

    Raises:
        KeyLockedError: It is a compliance retention, which nobody can remove.
        AccessDeniedError: These credentials may not bypass governance retention.
    """
    carry_out(store, "release", key, reason, lambda kv, kv_key: kv.remove_retention_lock(kv_key))


@task(cache_policy=NO_CACHE)
def place_hold(store: str | S3KVStore, key: str, reason: str) -> None:
    """Place a legal hold, which forbids deletion until it is released.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: The reason; recorded with its author.
    """
    carry_out(store, "hold", key, reason, lambda kv, kv_key: kv.apply_legal_hold(kv_key))


@task(cache_policy=NO_CACHE)
def release_hold(store: str | S3KVStore, key: str, reason: str) -> None:
    """Release the legal hold of a key.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key of a value, or an object name as ``audit_locks`` shows it.
        reason: The reason; recorded with its author.
    """
    carry_out(store, "unhold", key, reason, lambda kv, kv_key: kv.release_legal_hold(kv_key))


@task(cache_policy=NO_CACHE, persist_result=False)
def look_at_locks(
    store: str | S3KVStore, within_days: float = 30, final_tags: dict[str, str] | None = None
) -> LockAudit:
    """Audit locks: which objects are locked and until when, and which should be and are not.

    Args:
        store: The name of a saved store, or a saved store.
        within_days: Retentions that end within this many days are reported as expiring.
        final_tags: Objects with all these tags should be locked.

    Raises:
        ValueError: That many days make no length of time, as ``inf``.
    """
    return S3KVStore.of(store).audit(within=_days(within_days), final_tags=final_tags)


def _days(number: float) -> timedelta:
    try:
        return timedelta(days=number)
    except (OverflowError, ValueError) as exc:
        raise ValueError(f"within_days={number} is no number of days: {exc}") from exc
