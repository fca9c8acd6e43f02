"""Prefect tasks over a store, one module per subject."""

if __name__ != "s3kv_flows.tasks":
    # The directory lies at the top of the repository, and s3kv_flows/tasks is a symlink to it. Under
    # another name, every task would exist twice.
    raise ImportError(f"import this package as s3kv_flows.tasks, not as {__name__}")

from s3kv_flows.tasks.checkpoints import clear_checkpoint, list_checkpoints, promote_checkpoint
from s3kv_flows.tasks.locks import (
    extend_retention,
    look_at_locks,
    place_hold,
    release_hold,
    release_retention,
)
from s3kv_flows.tasks.maintenance import (
    abort_incomplete_uploads,
    age_local_cache,
    plan_cleanup,
    sweep,
    sweep_leases,
)
from s3kv_flows.tasks.outputs import finalize_value, repair_output, verify_receipt
from s3kv_flows.tasks.tagging import delete_by_tag, find_by_tag, tag_value
from s3kv_flows.tasks.values import copy_value, delete_value, get_value, merge_values, put_value

__all__ = [
    "abort_incomplete_uploads",
    "age_local_cache",
    "clear_checkpoint",
    "copy_value",
    "delete_by_tag",
    "delete_value",
    "extend_retention",
    "finalize_value",
    "find_by_tag",
    "get_value",
    "list_checkpoints",
    "look_at_locks",
    "merge_values",
    "place_hold",
    "plan_cleanup",
    "promote_checkpoint",
    "put_value",
    "release_hold",
    "release_retention",
    "repair_output",
    "sweep",
    "sweep_leases",
    "tag_value",
    "verify_receipt",
]
