"""Tasks that look after the states of runs: list them, remove them, publish one."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows.blocks import S3KVStore
from s3kv_flows.checkpoints._promotion import promote_state
from s3kv_flows.checkpoints._snapshots import Snapshot, Snapshots, all_snapshots
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["clear_checkpoint", "list_checkpoints", "promote_checkpoint"]


@task(cache_policy=NO_CACHE, persist_result=False)
def list_checkpoints(store: str | S3KVStore) -> dict[str, list[Snapshot]]:
    """Return the states of all runs by their names, the oldest first: one request per 1,000.

    Args:
        store: The name of a saved store, or a saved store.
    """
    return all_snapshots(S3KVStore.of(store).checkpoints)


@task(cache_policy=NO_CACHE, persist_result=False)
def clear_checkpoint(store: str | S3KVStore, name: str) -> list[Snapshot]:
    """Remove the states of a name; return what was removed. What is locked stays.

    Args:
        store: The name of a saved store, or a saved store.
        name: The name, as :func:`list_checkpoints` returns it.
    """
    return Snapshots(S3KVStore.of(store).checkpoints, name).clear()


@task(cache_policy=NO_CACHE)
def promote_checkpoint(
    store: str | S3KVStore,
    name: str,
    key: str,
    retention: Retention | None = None,
    number: int | None = None,
    tags: dict[str, str] | None = None,
    *,
    legal_hold: bool = False,
    accept_races: bool = False,
) -> Receipt:
    """Publish a state as a finalized output; see :meth:`s3kv_flows.Checkpoint.promote`.

    Args:
        store: The name of a saved store, or a saved store, with Object Lock.
        name: The name of the states, as :func:`list_checkpoints` returns it.
        key: The key of the result.
        retention: Until when; may be left out with ``legal_hold``.
        number: The number of the state; by default the newest.
        tags: Tags of the output.
        legal_hold: Whether to forbid deletion until the hold is released, too.
        accept_races: Publish also where two writers at once could not be told apart.

    Raises:
        KeyNotFoundError: There is no such state.
        CorruptValueError: It is damaged.
        ConflictError: The key has another content.
        UnsupportedByServerError: The bucket has no Object Lock, or excludes no second writer.
    """
    block = S3KVStore.of(store)
    states = Snapshots(block.checkpoints, name)
    found = [one for one in states.listed() if number in (None, one.number)]
    if not found:
        raise KeyNotFoundError(f"there is no state of {name!r} to promote")
    return promote_state(
        block, states, found[-1], key, retention, tags=tags, legal_hold=legal_hold, accept_races=accept_races
    )
