"""What stays the same in all attempts of a run, so that each goes on from the states of the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.utilities.hashing import hash_objects

__all__ = ["run_identity", "task_run_id"]


def task_run_id() -> str:
    """Return the id of the task run, which is the same in all of its retries; empty outside of tasks."""
    task = TaskRunContext.get()
    return str(task.task_run.id) if task is not None else ""


def run_identity() -> str:
    """Return what stays the same in all attempts of a run: its flow run and, in a task, which one, of what.

    By what Prefect tells calls of one task from each other, its ``dynamic_key``, is made anew in each attempt
    of a flow; what they are called with is not. Where that has no hash, the task alone counts.
    """
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    if task is None:
        return str(flow_run.id) if flow_run is not None else ""
    run = task.task_run
    owner = run.flow_run_id or (flow_run.id if flow_run is not None else None)
    return f"{owner}/{run.task_key}/{_called_with(task.parameters)}" if owner is not None else str(run.id)


def _called_with(parameters: Mapping[str, Any]) -> str:
    """Return a hash of parameters that is the same in all processes; empty where there is none.

    An iterator has none: to hash it would be to use it up.
    """
    return "" if _holds_iterator(parameters) else hash_objects(dict(parameters)) or ""


def _holds_iterator(value: object) -> bool:
    to_look_at, seen = [value], set[int]()
    while to_look_at:
        one = to_look_at.pop()
        if isinstance(one, Iterator):
            return True
        if isinstance(one, (Mapping, list, tuple, set, frozenset)) and id(one) not in seen:
            seen.add(id(one))
            to_look_at.extend(one.values() if isinstance(one, Mapping) else one)
    return False
