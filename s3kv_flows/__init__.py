"""S3 as result cache, output vault and janitor of Prefect 3 pipelines.

Public names are loaded on first use (PEP 562), so that importing the store does not import Prefect. If
Prefect is already imported, the block and the serializer register at once: a process that only reads
results through states needs nothing but ``import s3kv_flows`` after Prefect.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3kv_flows._cache.lock_manager import LeaseLockManager
    from s3kv_flows._cache.options import caching, finalizing
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.checkpoints._checkpoint import Checkpoint
    from s3kv_flows.maintenance._rules import CleanupRule
    from s3kv_flows.store._kv import S3KV
    from s3kv_flows.store._locks.retention import Retention

_MODULES = {
    "S3KV": "s3kv_flows.store._kv",
    "Checkpoint": "s3kv_flows.checkpoints._checkpoint",
    "CleanupRule": "s3kv_flows.maintenance._rules",
    "Retention": "s3kv_flows.store._locks.retention",
    "S3KVStore": "s3kv_flows.blocks",
    "caching": "s3kv_flows._cache.options",
    "finalizing": "s3kv_flows._cache.options",
    "LeaseLockManager": "s3kv_flows._cache.lock_manager",
}

__all__ = [
    "S3KV",
    "Checkpoint",
    "CleanupRule",
    "LeaseLockManager",
    "Retention",
    "S3KVStore",
    "caching",
    "finalizing",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if "prefect" in sys.modules:
    import_module("s3kv_flows.blocks")
