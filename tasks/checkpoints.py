"""Tasks that list, remove and promote the states of checkpoints."""

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
    """List the states of all checkpoints by name, the oldest first: one request per 1,000.

    Args:
        store: The name of a saved store, or a saved store.
    """
    return all_snapshots(S3KVStore.of(store).checkpoints)


@task(cache_policy=NO_CACHE, persist_result=False)
def clear_checkpoint(store: str | S3KVStore, name: str) -> list[Snapshot]:
    """Remove the states of a checkpoint, and return the removed ones. Locked states stay.

    Args:
        store: The name of a saved store, or a saved store.
        name: The name of the checkpoint, as :func:`list_checkpoints` returns it.
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
        name: The name of the checkpoint, as :func:`list_checkpoints` returns it.
        key: The key of the result.
        retention: The retention; optional with ``legal_hold``.
        number: The number of the state; by default that of the newest.
        tags: The tags of the output.
        legal_hold: Whether to place a legal hold, too, which forbids deletion until it is released.
        accept_races: Publish even if the server cannot exclude a concurrent writer.

    Raises:
        KeyNotFoundError: There is no such state.
        CorruptValueError: The state is damaged.
        ConflictError: The key has different content.
        UnsupportedByServerError: The bucket has no Object Lock, or the server cannot exclude a concurrent
            writer.
    """
    block = S3KVStore.of(store)
    states = Snapshots(block.checkpoints, name)
    matching = [one for one in states.listed() if number in (None, one.number)]
    if not matching:
        raise KeyNotFoundError(f"there is no state of {name!r} to promote")
    return promote_state(
        block,
        states,
        matching[-1],
        key,
        retention,
        tags=tags,
        legal_hold=legal_hold,
        accept_races=accept_races,
    )
