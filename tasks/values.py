"""Tasks that put, get, copy, merge and delete values."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows.blocks import S3KVStore

__all__ = ["copy_value", "delete_value", "get_value", "merge_values", "put_value"]


@task(cache_policy=NO_CACHE)
def put_value(store: str | S3KVStore, key: str, value: Any, tags: dict[str, str] | None = None) -> None:
    """Put a JSON value, replacing an existing one.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key.
        value: The value, which JSON must be able to hold.
        tags: The tags of the object.

    Raises:
        KeyLockedError: The key is under retention.
        EncodingError: JSON cannot hold the value.
    """
    S3KVStore.of(store).values.add(key, value, tags=tags)


@task(cache_policy=NO_CACHE)
def get_value(store: str | S3KVStore, key: str, default: Any = None) -> Any:
    """Return the value of a key, or the default if the key does not exist.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key.
        default: Returned if the key does not exist.

    Raises:
        HiddenOutputError: The key has a locked version that somebody else hid.
    """
    return S3KVStore.of(store).values.get(key, default)


@task(cache_policy=NO_CACHE)
def delete_value(store: str | S3KVStore, key: str) -> None:
    """Delete a key; a missing key is not an error.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key.

    Raises:
        KeyLockedError: The key is under retention or a legal hold.
    """
    S3KVStore.of(store).values.delete(key)


@task(cache_policy=NO_CACHE)
def copy_value(
    store: str | S3KVStore, source_key: str, destination_key: str, tags: dict[str, str] | None = None
) -> None:
    """Copy a value onto another key, on the server.

    Args:
        store: The name of a saved store, or a saved store.
        source_key: The key to copy.
        destination_key: The key of the copy.
        tags: The tags of the copy; None to copy those of the source.

    Raises:
        KeyNotFoundError: The source does not exist.
        KeyLockedError: The destination is under retention.
    """
    S3KVStore.of(store).values.copy_key(source_key, destination_key, tags=tags)


@task(cache_policy=NO_CACHE)
def merge_values(store: str | S3KVStore, source_keys: list[str], destination_key: str) -> None:
    """Merge dicts into the dict of the destination, in order; missing keys count as empty dicts.

    Args:
        store: The name of a saved store, or a saved store.
        source_keys: The keys to merge.
        destination_key: The key to merge into.

    Raises:
        EncodingError: One of the values is not a dict.
        KeyLockedError: The destination is under retention.
        UnsupportedByServerError: The server's conditional PUTs are not safe for this.
    """
    S3KVStore.of(store).values.merge_keys(source_keys, destination_key)
