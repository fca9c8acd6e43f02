"""Tasks that work on what carries a tag."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from s3kv_flows.blocks import S3KVStore

__all__ = ["delete_by_tag"]


@task(cache_policy=NO_CACHE)
def delete_by_tag(store: str | S3KVStore, tag_key: str, tag_value: str) -> list[str]:
    """Delete the values with a tag; return their keys. Locked ones stay, and are named in the log.

    Args:
        store: The name of a saved store, or a saved store.
        tag_key: The tag.
        tag_value: Its value.
    """
    result = S3KVStore.of(store).values.delete_by_tag(tag_key, tag_value)
    logger = get_run_logger()
    for refusal in result.protected.values():
        logger.warning("%s", refusal)
    logger.info("Deleted %d keys with %s=%s", len(result.deleted), tag_key, tag_value)
    return result.deleted
