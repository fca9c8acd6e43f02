"""Prefect and its current run: logger, tags, parameters, identity.

The private names of Prefect that this package uses are in this module alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from threading import Event
from types import FrameType
from typing import Any, TypeVar

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, SettingsContext, TaskRunContext, get_run_context
from prefect.exceptions import MissingContextError, ObjectNotFound
from prefect.filesystems import WritableFileSystem
from prefect.logging import get_logger, get_run_logger
from prefect.results import ResultRecord, ResultStore  # type: ignore[attr-defined]  # it is not said to be exported
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, get_current_settings
from prefect.transactions import BaseTransaction
from pydantic import SecretStr

from s3kv_flows.store._layout.printable import PrintableLines
from s3kv_flows.store._layout.tags import MAX_TAGS, normalize_tag_value

__all__ = [
    "SYNC",
    "adopt_store",
    "api_identity",
    "automatic_tags",
    "block_document_id",
    "block_document_name",
    "in_current_settings",
    "is_awaited",
    "is_refreshing",
    "is_runner_ending",
    "is_storing_parameters",
    "loaded_store",
    "returned_value",
    "run_identity",
    "run_logger",
    "run_parameters",
    "saved_as",
    "saved_fields",
    "staged_record",
    "task_name",
    "task_run_id",
    "with_automatic_tags",
]

B = TypeVar("B", bound=Block)


SYNC: Mapping[str, Any] = {"_sync": True}
"""Arguments that make a function of Prefect block, also in an event loop.

It is the switch of Prefect's ``async_dispatch``, which signatures do not show.
"""


def is_awaited(*, blocking: bool | None) -> bool:
    """Return whether a method of a storage that was called with this switch returns an awaitable.

    As in Prefect's own storages, it does so in an event loop, unless the run there is one of a sync function.

    Args:
        blocking: What the caller gave: True to block, False to await, None where it is to be found out.
    """
    if blocking is not None:
        return not blocking
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    try:
        run: Any = get_run_context()
    except MissingContextError:
        return True
    function = run.task if isinstance(run, TaskRunContext) else run.flow
    return bool(getattr(function, "isasync", True))


def run_logger() -> PrintableLines:
    """Return the logger of the current run, whose page shows the line; outside of runs, the package's.

    Text from a bucket may stand in its lines: control characters are shown as escapes.
    """
    try:
        return PrintableLines(get_run_logger(), None)
    except MissingContextError:
        return PrintableLines(get_logger("s3kv_flows"), None)


def loaded_store(kind: type[B]) -> B | None:
    """Return the block of this type that the current run has loaded: credentials may rotate."""
    run = TaskRunContext.get()
    storage = run.result_store.result_storage if run is not None else None
    return storage if isinstance(storage, kind) else None


def api_identity() -> tuple[object, ...]:
    """Return what tells one Prefect API from another: URL, credentials, and the home of one without a URL."""
    settings = get_current_settings()
    api = settings.api
    headers = tuple(sorted((settings.client.custom_headers or {}).items()))
    of_home: tuple[object, ...] = ()
    if not api.url:
        database = settings.server.database
        url = _secret(database.connection_url)
        of_home = (url, database.driver, database.host, database.port, database.name, database.user)
    return (api.url, _secret(api.key), _secret(api.auth_string), headers, str(settings.home), *of_home)


def in_current_settings(function: Callable[[], object]) -> Callable[[], object]:
    """Return a function that another thread may run, with the settings and the profile of this moment.

    A copy of the whole context would keep the current run alive.
    """
    settings = SettingsContext.get()

    def run() -> object:
        with settings.model_copy() if settings is not None else nullcontext():
            return function()

    return run


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


def saved_fields(slug: str, name: str) -> Mapping[str, Any] | None:
    """Return the fields of a saved block, with its secrets: one request to Prefect's API.

    It blocks. They may be those of an older or newer version of the block, or not valid.

    Returns:
        None where no block of this type is saved under the name.
    """
    with get_client(sync_client=True) as client:
        try:
            found = client.read_block_document_by_name(name, slug, include_secrets=True)
        except ObjectNotFound:
            return None
    return found.data


def block_document_name(block: Block) -> str | None:
    """Return the name that a block was saved or loaded under, None for an unsaved one."""
    return getattr(block, "_block_document_name", None)


def adopt_store(former: WritableFileSystem, store: WritableFileSystem) -> None:
    """Have the current run go on with another store than the one that it has loaded."""
    run = TaskRunContext.get()
    if run is not None and run.result_store.result_storage is former:
        run.result_store.result_storage = store


def saved_as(block: Block) -> tuple[object, object]:
    """Return the name and the id under which a block was saved or loaded, without what such a look does."""
    private = block.__pydantic_private__ or {}
    return private.get("_block_document_name"), private.get("_block_document_id")


def block_document_id(store: WritableFileSystem) -> object:
    """Return the id by which the state of a run refers to its store; None if Prefect does not report it.

    It is needed during a lookup, where Prefect takes an error for an absence: no hit may depend on it.
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
    """Log the warning once per process."""
    run_logger().warning(
        "This version of Prefect does not report the id of a saved store as s3kv_flows expects. Cached "
        "results are used, but cannot be read through the states of the runs that used them"
    )


def is_refreshing(context: TaskRunContext) -> bool:
    """Return whether the task computes and overwrites its cached result."""
    if context.task.refresh_cache is not None:
        return bool(context.task.refresh_cache)
    return bool(PREFECT_TASKS_REFRESH_CACHE.value())


def staged_record(transaction: BaseTransaction) -> ResultRecord[Any] | None:
    """Return the record that a run has left in its transaction for the commit; None if there is none.

    The attribute has no public name (Prefect 3.9): if it is missing, the answer is None.
    """
    staged = getattr(transaction, "_staged_value", None)
    return staged if transaction.is_staged() and isinstance(staged, ResultRecord) else None


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
    """Return both; if they are too many, or have the same key, the user's tags win."""
    tags = dict(object_tags)
    for key, value in automatic.items():
        if len(tags) < MAX_TAGS:
            tags.setdefault(key, value)
    return tags


_MAKES_STATES = {"return_value_to_state", "return_value_to_state_sync"}


def returned_value() -> tuple[object] | None:
    """Return what the function of the run returned, while Prefect makes a state of it; None at other times.

    A state that the function returns, such as ``Failed(data=...)``, is not passed to the result store, only
    its data is. So the frames of Prefect are asked.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        if frame.f_code.co_name in _MAKES_STATES and "retval" in frame.f_locals:
            return (frame.f_locals["retval"],)
        frame = frame.f_back
    return None


def is_storing_parameters() -> bool:
    """Return whether Prefect is storing the parameters of a background task, with the task's serializer.

    It passes them as it passes results, so its frames are asked. Who has no ``prefect.task_worker`` stores
    none: to import it here would load a web server.
    """
    worker = sys.modules.get("prefect.task_worker")
    storing = getattr(getattr(worker, "store_parameters", None), "__code__", None)
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None and storing is not None:
        if frame.f_code is storing:
            return True
        frame = frame.f_back
    return False


def task_name() -> str | None:
    """Return the name of the current task; None outside of tasks."""
    task = TaskRunContext.get()
    return task.task.name if task is not None else None


def run_parameters() -> dict[str, Any]:
    """Return the parameters of the current task, or else of the current flow."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is not None:
        return dict(task.parameters)
    return dict(flow.parameters or {}) if flow is not None else {}


def is_runner_ending() -> bool:
    """Return whether this task runs in a thread, and its flow has ended, or was ended by a signal.

    The flow waits for the task, and Prefect's worker kills both before long. A thread has no other sign of a
    SIGTERM, and this one has no public name (Prefect 3.9): if it is missing, the answer is False.
    """
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is None or flow is None:
        return False
    events = getattr(flow.task_runner, "_cancel_events", {})
    event = events.get(task.task_run.id)
    if event is None:  # the task was called by a submitted one; all submitted tasks end at once
        event = next(iter(list(events.values())), None)
    return isinstance(event, Event) and event.is_set()


def task_run_id() -> str:
    """Return the id of the task run, which is the same in all of its retries; empty outside of tasks."""
    task = TaskRunContext.get()
    return str(task.task_run.id) if task is not None else ""


def run_identity(digest: Callable[[Mapping[str, Any]], str]) -> str:
    """Return an identity that all attempts of a run share: flow run and, in a task, task and parameters.

    Prefect distinguishes the calls of a task by ``dynamic_key``, which differs in each attempt of a flow;
    parameters do not.

    Args:
        digest: Returns a digest of the parameters; empty where they have none, and the task alone counts.
    """
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    if task is None:
        return str(flow_run.id) if flow_run is not None else ""
    run = task.task_run
    owner = run.flow_run_id or (flow_run.id if flow_run is not None else None)
    return f"{owner}/{run.task_key}/{digest(task.parameters)}" if owner is not None else str(run.id)
