"""What tests of checkpoints share."""

from __future__ import annotations

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints._snapshots import Snapshots

__all__ = ["CrashError", "numbers"]


class CrashError(Exception):
    """What ends a run in a test."""


def numbers(block: S3KVStore, name: str = "train") -> list[int]:
    return [one.number for one in Snapshots(block.checkpoints, name).listed()]
