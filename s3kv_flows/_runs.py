"""What Prefect says of the run that is under way."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from string import Formatter
from threading import Event
from typing import Any, TypeVar

from prefect.blocks.core import Block
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.filesystems import WritableFileSystem
from prefect.logging import get_logger, get_run_logger
from prefect.results import ResultStore
from prefect.runtime import deployment, flow_run, task_run
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE
from prefect.utilities.hashing import hash_objects

from s3kv_flows.store._layout.tags import MAX_TAGS, normalize_tag_value

__all__ = [
    "automatic_tags",
    "block_document_id",
    "block_document_name",
    "formatted_key",
    "is_refreshing",
    "is_runner_ending",
    "loaded_store",
    "run_identity",
    "run_logger",
    "run_parameters",
    "task_name",
    "task_run_id",
    "validate_key",
    "with_automatic_tags",
]

B = TypeVar("B", bound=Block)


def run_logger() -> logging.Logger | logging.LoggerAdapter[Any]:
    """Return the logger of the current run, so that its page shows the line; else this package's."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("s3kv_flows")


def loaded_store(kind: type[B]) -> B | None:
    """Return the block of this kind that the current run has loaded: credentials may rotate."""
    run = TaskRunContext.get()
    storage = run.result_store.result_storage if run is not None else None
    return storage if isinstance(storage, kind) else None


def block_document_name(block: Block) -> str | None:
    """Return the name that a block was saved or loaded under, None for one that is not saved."""
    return getattr(block, "_block_document_name", None)


def block_document_id(store: WritableFileSystem) -> object:
    """Return the id by which the state of a run names its store; None where Prefect does not tell it.

    It is asked within a look, where Prefect takes an error for an absence: no hit may depend on it.
    """
    run = TaskRunContext.get()
    if run is not None and run.result_store.result_storage is store:
        result_store = run.result_store
    else:
        result_store = ResultStore.model_construct(result_storage=store)
    block_id = getattr(result_store, "result_storage_block_id", None)
    if block_id is None:
        _warn_of_missing_id()
    return block_id


@cache
def _warn_of_missing_id() -> None:
    """Say it once in a process."""
    run_logger().warning(
        "This version of Prefect does not tell the id of a saved store in the way that s3kv_flows knows. "
        "Cached results are used; nobody can read them through the states of the runs that used them"
    )


def is_refreshing(context: TaskRunContext) -> bool:
    """Tell whether the task will compute and overwrite whatever its cache holds."""
    if context.task.refresh_cache is not None:
        return bool(context.task.refresh_cache)
    return bool(PREFECT_TASKS_REFRESH_CACHE.value())


def automatic_tags(task_name: str | None = None) -> dict[str, str]:
    """Return the tags ``flow`` and ``task`` of the current run, normalized to what S3 allows."""
    tags = {}
    flow_run = FlowRunContext.get()
    if flow_run is not None and flow_run.flow is not None:
        tags["flow"] = normalize_tag_value(flow_run.flow.name)
    if task_name is not None:
        tags["task"] = normalize_tag_value(task_name)
    return tags


def with_automatic_tags(object_tags: dict[str, str], automatic: dict[str, str]) -> dict[str, str]:
    """Return both; where they are too many, or have the same key, the user's tags win."""
    tags = dict(object_tags)
    for key, value in automatic.items():
        if len(tags) < MAX_TAGS:
            tags.setdefault(key, value)
    return tags


def task_name() -> str | None:
    """Return the name of the task that is run; None outside of tasks."""
    task = TaskRunContext.get()
    return task.task.name if task is not None else None


def run_parameters() -> dict[str, Any]:
    """Return the parameters of the task that is run, or else of the flow."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is not None:
        return dict(task.parameters)
    return dict(flow.parameters or {}) if flow is not None else {}


def is_runner_ending() -> bool:
    """Tell whether this task was submitted to a thread, and its flow has ended, or was ended by a signal.

    The flow waits for it, and Prefect's worker kills both before long. A thread sees no other trace of a
    SIGTERM, and this one has no public name (Prefect 3.9): where it is missing, the answer is no.
    """
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is None or flow is None:
        return False
    events = getattr(flow.task_runner, "_cancel_events", {})
    told = events.get(task.task_run.id)
    if told is None:  # of a task that was called by a submitted one; they all end at once
        told = next(iter(list(events.values())), None)
    return isinstance(told, Event) and told.is_set()


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


_RUNTIME = {"deployment": deployment, "flow_run": flow_run, "task_run": task_run}
_ROOT = re.compile(r"[^.\[]*")


def validate_key(template: str) -> str:
    """Return the template of a key.

    Raises:
        ValueError: It is empty, no format string, or names something else than what there is in a run.
    """
    if not template:
        raise ValueError("a key must not be empty")
    known = {"parameters", *_RUNTIME}
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as exc:
        raise ValueError(f"key {template!r} is no format string: {exc}") from exc
    for field in fields:
        root = _ROOT.match(field)
        if root is None or root.group() not in known:
            raise ValueError(
                f"key {template!r}: {{{field}}} is none of {', '.join(sorted(known))}; a parameter of the "
                "task is {parameters[its name]}"
            )
    return template


def formatted_key(template: str, parameters: Mapping[str, Any]) -> str:
    """Return the key of the current run.

    Raises:
        LookupError: There is no such parameter, or nothing of that kind is run: all would have one name.
        AttributeError: There is no such thing of a run.
        ValueError: A value does not take the format.
    """
    return _OfRun().vformat(template, (), {"parameters": parameters, **_RUNTIME})


class _OfRun(Formatter):
    """Formats what is known of a run, and refuses what is not."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        found, root = super().get_field(field_name, args, kwargs)
        if found is None and root in _RUNTIME:
            raise LookupError(f"{{{field_name}}} is not known here: there is no {root} that has it")
        return found, root
