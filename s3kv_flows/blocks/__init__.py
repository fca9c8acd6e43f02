"""S3KVStore: a bucket as a Prefect block, configuration alone."""

from __future__ import annotations

from s3kv_flows.blocks._block import SAVED_STORES, SLUG, S3KVStore, change_keys

__all__ = ["SAVED_STORES", "SLUG", "S3KVStore", "change_keys"]
