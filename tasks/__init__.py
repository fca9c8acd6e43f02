"""Prefect tasks over a store, one module per subject."""

if __name__ != "s3kv_flows.tasks":
    # The directory lies at the top of the repository, and s3kv_flows/tasks is a symlink to it. Under
    # another name, every task would exist twice.
    raise ImportError(f"import this package as s3kv_flows.tasks, not as {__name__}")
