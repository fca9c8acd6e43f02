"""Prefect tasks over a store, one module per subject."""

if __name__ != "s3kv_flows.tasks":
    # The directory lies at the top of the repository, and s3kv_flows/tasks is a symlink to it. Under
    # another name, every task would exist twice.
    raise ImportError(f"import this package as s3kv_flows.tasks, not as {__name__}")

from s3kv_flows.tasks.maintenance import (
    age_local_cache,
    give_up_uploads,
    plan_cleanup,
    sweep,
    sweep_leases,
)
from s3kv_flows.tasks.tagging import delete_by_tag
from s3kv_flows.tasks.values import finalize_value, get_value, put_value

__all__ = [
    "age_local_cache",
    "delete_by_tag",
    "finalize_value",
    "get_value",
    "give_up_uploads",
    "plan_cleanup",
    "put_value",
    "sweep",
    "sweep_leases",
]
