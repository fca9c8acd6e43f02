"""Tasks that put, get and finalize values."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store.locks import Retention

__all__ = ["finalize_value", "get_value", "put_value"]


@task(cache_policy=NO_CACHE)
def put_value(store: str | S3KVStore, key: str, value: Any, tags: dict[str, str] | None = None) -> None:
    """Put a JSON value; replace the one that was there.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key.
        value: What JSON can hold.
        tags: The tags of the object.

    Raises:
        KeyLockedError: The key is under retention.
        EncodingError: JSON cannot hold the value.
    """
    S3KVStore.of(store).values.add(key, value, tags=tags)


@task(cache_policy=NO_CACHE)
def get_value(store: str | S3KVStore, key: str, default: Any = None) -> Any:
    """Return the value of a key, or the default where the key does not exist.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key.
        default: Returned where the key does not exist.
    """
    return S3KVStore.of(store).values.get(key, default)


@task(cache_policy=NO_CACHE)
def finalize_value(
    store: str | S3KVStore,
    key: str,
    value: Any,
    retention: Retention,
    tags: dict[str, str] | None = None,
) -> None:
    """Publish a JSON value that nothing alters or deletes before its retention ends.

    The lock is in the request that writes the value: it is never unlocked. What cannot be published
    fails this task, which is what a result that Prefect persists after its task does not do.

    Args:
        store: The name of a saved store, or a saved store, with Object Lock.
        key: The key.
        value: What JSON can hold.
        retention: Until when.
        tags: The tags of the object.

    Raises:
        KeyLockedError: The key is under retention already.
        UnsupportedByServerError: The bucket has no Object Lock.
    """
    S3KVStore.of(store).values.add(key, value, tags=tags, retention=retention)
