"""What stays the same in all attempts of a run, so that each goes on from the states of the one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import flow_run

from s3kv_flows.content import digest_or_none

__all__ = ["run_identity", "task_run_id"]


def task_run_id() -> str:
    """Return the id of the task run, which is the same in all of its retries; empty outside of tasks."""
    task = TaskRunContext.get()
    return str(task.task_run.id) if task is not None else ""


def run_identity() -> str:
    """Return what stays the same in all attempts of a run: its flow run and, in a task, which one, of what.

    By what Prefect tells calls of one task from each other, its ``dynamic_key``, is made anew in each attempt
    of a flow; what they are called with is not. Where that has no digest, as a generator, the task alone
    counts.
    """
    task, flow = TaskRunContext.get(), _flow_identity()
    if task is None:
        return flow
    run = task.task_run
    owner = flow or run.flow_run_id
    return f"{owner}/{run.task_key}/{_called_with(task.parameters)}" if owner else str(run.id)


def _flow_identity() -> str:
    """Return what a flow run is known by: its id; a subflow's is another one in each attempt of its parent.

    So a subflow counts by the flow run at the root (Prefect's API is asked for it), and by what it was called
    with.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return ""
    if context.flow_run.parent_task_run_id is None:
        return str(context.flow_run.id)
    name = context.flow.name if context.flow is not None else ""
    return f"{flow_run.root_flow_run_id}/{name}/{_called_with(context.parameters)}"


def _called_with(parameters: Mapping[str, Any] | None) -> str:
    return digest_or_none(dict(parameters or {})) or ""
