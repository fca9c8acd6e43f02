"""Tasks that tag values, and find or delete values by tag."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows._prefect import run_logger
from s3kv_flows.blocks import S3KVStore

__all__ = ["delete_by_tag", "find_by_tag", "tag_value"]


@task(cache_policy=NO_CACHE)
def tag_value(
    store: str | S3KVStore,
    key: str,
    tags: dict[str, str],
    merge: bool = False,  # noqa: FBT001, FBT002  # a parameter of a task
) -> None:
    """Replace the tags of a value, or merge into them.

    Args:
        store: The name of a saved store, or a saved store.
        key: The key.
        tags: The tags.
        merge: Whether to keep existing tags.

    Raises:
        KeyNotFoundError: The key does not exist.
    """
    S3KVStore.of(store).values.tag_key(key, tags, merge=merge)


@task(cache_policy=NO_CACHE)
def find_by_tag(store: str | S3KVStore, tag_key: str, tag_value: str) -> list[str]:
    """Return the keys of the values with a tag.

    Args:
        store: The name of a saved store, or a saved store.
        tag_key: The key of the tag.
        tag_value: The value of the tag.
    """
    return S3KVStore.of(store).values.find_keys_by_tag_value(tag_key, tag_value)


@task(cache_policy=NO_CACHE)
def delete_by_tag(store: str | S3KVStore, tag_key: str, tag_value: str) -> list[str]:
    """Delete the values with a tag; return their keys. Locked values stay, and are logged.

    Args:
        store: The name of a saved store, or a saved store.
        tag_key: The key of the tag.
        tag_value: The value of the tag.
    """
    result = S3KVStore.of(store).values.delete_by_tag(tag_key, tag_value)
    logger = run_logger()
    for refusal in result.protected.values():
        logger.warning("%s", refusal)
    for key, error in result.failed.items():
        logger.error("%s was not deleted: %s", key, error)
    logger.info("Deleted %d keys with %s=%s", len(result.deleted), tag_key, tag_value)
    return result.deleted
