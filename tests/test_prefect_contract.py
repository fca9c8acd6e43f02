"""Assumptions about Prefect, one test each.

They use neither the package nor S3: if one fails after an upgrade, Prefect has changed, and the failures list
what has to be adapted.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
import uuid
import weakref
from abc import ABC
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event
from types import CodeType
from typing import Any

import prefect
import pytest
from prefect import flow, get_run_logger, task, unmapped
from prefect.artifacts import create_progress_artifact, create_table_artifact
from prefect.blocks.core import Block, InvalidBlockRegistration
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE, CachePolicy, CompoundCachePolicy, Inputs
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import FlowRunContext, SettingsContext, TaskRunContext
from prefect.exceptions import MissingContextError, ObjectNotFound, TerminationSignal
from prefect.filesystems import NullFileSystem
from prefect.results import ResultRecord, ResultRecordMetadata, ResultStore  # type: ignore[attr-defined]  # it is not said to be exported
from prefect.runtime import deployment, flow_run, task_run
from prefect.serializers import Serializer, UnknownSerializer
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, Settings, temporary_settings
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.transactions import CommitMode, get_transaction, transaction
from prefect.utilities.dispatch import lookup_type, register_type

from tests.support.prefect_fakes import KEY, VALUE, Dumped, Locks, Marking, Noting, Stage, Storage
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("prefect_api")

PACKAGE = Path(__file__).parent.parent / "s3kv_flows"


@pytest.fixture(scope="module")
def saved(prefect_api: str) -> Storage:
    block = Storage(journal="none", role="result")
    block.save("contract")
    return block


@pytest.fixture(params=["sync", "async"])
def stage(request: pytest.FixtureRequest, saved: Storage) -> Stage:
    return Stage(request.param, saved)


@pytest.fixture
def sync_stage(saved: Storage) -> Stage:
    return Stage("sync", saved)


def boom() -> Any:
    raise ValueError("boom")


# --- a run looks for its result -----------------------------------------------------------------------


def test_a_transaction_takes_the_lock_before_it_looks_up_the_record(stage: Stage) -> None:
    assert stage.run().is_completed()
    assert stage.journal.come_in_order("key", "lock acquire", "record read", "compute")
    stage.hit()
    assert stage.journal.come_in_order("key", "lock acquire", "record read")


def test_a_hit_makes_these_calls_in_this_order(stage: Stage) -> None:
    state = stage.hit()
    assert (state.name, state.is_completed()) == ("Cached", True)
    lookup = ["key", "lock acquire", "record read"]
    take = ["lock is holder", "record read", "result read", "loads"]
    assert stage.journal.names == [*lookup, *take, "lock release"]


def test_a_hit_is_looked_up_and_read_in_one_context_and_thread_of_the_run(stage: Stage) -> None:
    stage.hit()
    key, acquire, exists, holder, record, result, *_ = stage.journal.all
    assert [call.before for call in (exists, holder, record, result)] == [
        call.name for call in (acquire, exists, holder, record)
    ]
    assert len({call.thread for call in (key, acquire, exists, record, result)}) == 1
    assert {id(call.run) for call in (acquire, exists, record, result)} == {id(key.args[0])}


def test_a_lock_is_acquired_with_key_and_holder_and_no_timeout(stage: Stage) -> None:
    stage.run(refresh_cache=True)
    first = stage.journal.the("lock acquire").args
    assert (first[0], first[2:]) == (KEY, (None, None))
    for asked in ("lock release", "lock is holder"):
        assert stage.journal.the(asked).args == first[:2]
    stage.journal.forget()
    stage.run(refresh_cache=True)
    assert stage.journal.the("lock acquire").args[1] != first[1]  # every transaction is another holder


def test_what_acquire_returns_is_ignored(stage: Stage) -> None:
    assert stage.locks.acquire_lock("another key", "holder") is False
    assert stage.run().is_completed()
    assert "compute" in stage.journal.names


def test_an_exception_in_acquire_fails_the_task_before_it_computes(stage: Stage) -> None:
    stage.journal.raising["lock acquire"] = ValueError("refused")
    state = stage.run()
    assert state.is_failed()
    assert "refused" in str(state.message)
    assert not {"record read", "compute"} & set(stage.journal.names)


def test_the_lock_is_acquired_before_the_transaction_of_the_run_is_open(stage: Stage) -> None:
    with transaction() as parent:
        stage.run()
    assert stage.journal.the("lock acquire").transaction is parent
    assert stage.journal.the("compute").transaction not in (None, parent)


@pytest.mark.parametrize("error", [KeyError(), AttributeError(), TypeError(), OSError()], ids=repr)
def test_any_exception_of_a_lookup_is_taken_for_an_absence(
    stage: Stage, error: Exception, logged: pytest.LogCaptureFixture
) -> None:
    stage.run()
    stage.journal.forget()
    stage.journal.raising["record read"] = error
    assert stage.run().name == "Completed"
    assert "compute" in stage.journal.names
    assert type(error).__name__ not in logged.text


def test_a_record_that_cannot_be_parsed_is_an_absence(stage: Stage) -> None:
    stage.run()
    stage.journal.forget()
    stage.journal.stored[f"record {KEY}"] = b"no record"
    assert stage.run().name == "Completed"
    assert "compute" in stage.journal.names


def test_an_interrupted_lookup_does_not_release_the_lock(sync_stage: Stage) -> None:
    sync_stage.journal.raising["record read"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        sync_stage.run()
    assert "lock release" not in sync_stage.journal.names


def test_a_reader_waits_without_a_timeout_where_it_is_no_holder(stage: Stage) -> None:
    stage.run()
    stage.locks.is_holder = False
    stage.journal.forget()
    assert stage.run().name == "Cached"
    assert stage.journal.the("lock wait").args == (KEY, None)
    assert stage.journal.come_in_order("record read", "lock is holder", "lock wait", "result read")


@pytest.mark.parametrize("by", ["task", "setting"])
def test_refresh_cache_never_looks_up_the_record(stage: Stage, by: str) -> None:
    stage.run()
    stage.journal.forget()
    if by == "task":
        stage.run(refresh_cache=True)
    else:
        with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: True}):
            stage.run()
    assert "compute" in stage.journal.names
    assert "record read" not in stage.journal.names


def test_refresh_cache_of_the_task_is_none_unless_given_and_wins_over_the_setting(stage: Stage) -> None:
    assert stage.task().refresh_cache is None
    assert PREFECT_TASKS_REFRESH_CACHE.value() is False
    stage.run()
    with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: True}):
        assert stage.run(refresh_cache=False).name == "Cached"


def test_what_read_path_returns_is_passed_unchanged_to_the_serializer_and_its_value_to_the_task(
    stage: Stage,
) -> None:
    state: Any = stage.hit()
    (given,) = stage.journal.the("loads").args
    assert given is stage.journal.stored[f"result {KEY}"]
    assert state.data.result is given.value


def test_storages_are_called_in_their_sync_or_async_form(stage: Stage) -> None:
    stage.run()
    stage.run()
    calls = [call for call in stage.journal.all if call.name.endswith(("read", "write"))]
    assert {call.args[1] for call in calls} == {True if stage.kind == "sync" else "async"}


# --- the key of a run -----------------------------------------------------------------------------------


def test_compute_key_is_called_once_per_run_in_its_context(stage: Stage) -> None:
    for refreshes in (None, None, True):  # a miss, a hit and a refresh
        stage.journal.forget()
        stage.run(refresh_cache=refreshes)
        call = stage.journal.the("key")
        assert call.run is not None
        assert call.args[0] is call.run
        assert call.run.task.refresh_cache is refreshes


def test_compute_key_is_called_anew_in_each_attempt_of_one_task_run(stage: Stage) -> None:
    attempts: list[tuple[Any, ...]] = []

    def note(context: TaskRunContext) -> None:
        run = context.task_run
        attempts.append((run.id, run.task_key, run.run_count))

    stage.run(boom, retries=2, cache_policy=stage.policy(doing=note))
    (same,) = {attempt[:2] for attempt in attempts}
    assert all(same)
    assert [attempt[2] for attempt in attempts] == [1, 2, 3]
    assert len({id(call.run) for call in stage.journal.of("key")}) == 3


def test_compute_key_gets_the_parameters_of_task_and_flow(sync_stage: Stage) -> None:
    @task(**sync_stage.options())
    def add(a: int, b: int = 2) -> int:
        return a + b

    @flow
    def run(c: int) -> int:
        return add(1)

    run(3)
    assert sync_stage.journal.the("key").args[1:] == ({"a": 1, "b": 2}, {"c": 3})


def test_an_exception_in_compute_key_is_logged_and_means_not_persisted(
    stage: Stage, logged: pytest.LogCaptureFixture
) -> None:
    assert stage.run(cache_policy=stage.policy(doing=lambda _: boom())).is_completed()
    assert "boom" in logged.text
    assert stage.journal.names == ["key", "compute"]


def test_the_serializer_that_is_set_in_compute_key_is_used_for_this_run_alone(stage: Stage) -> None:
    def set_serializer(context: TaskRunContext) -> None:
        assert context.result_store.serializer is stage.serializer
        context.result_store.serializer = Marking(journal=stage.name)
        context.result_store.serializer._run = "of the run"

    policy = stage.policy(doing=set_serializer)
    stage.run(cache_policy=policy, refresh_cache=True)
    stage.run(cache_policy=policy, refresh_cache=True)  # which begins with that of the task again
    assert [call.args[1] for call in stage.journal.of("dumps")] == ["of the run"] * 2


def test_result_storage_key_drops_the_policy(stage: Stage) -> None:
    assert stage.task(result_storage_key="fixed").cache_policy is None
    stage.run(result_storage_key="fixed")
    assert "key" not in stage.journal.names


def test_configured_policies_keep_class_storage_and_manager(stage: Stage) -> None:
    policy = stage.policy(locks=stage.locks)
    assert type(policy).__name__ == "Policy"
    assert policy.key_storage == stage.records
    assert policy.lock_manager is stage.locks
    assert (CachePolicy().key_storage, CachePolicy().lock_manager) == (None, None)


def test_policies_are_made_of_parts_that_are_known() -> None:
    both = INPUTS - "a" + TASK_SOURCE
    assert isinstance(both, CompoundCachePolicy)
    (inputs,) = [part for part in both.policies if isinstance(part, Inputs)]
    assert inputs.exclude == ["a"]


# --- a run writes its result ----------------------------------------------------------------------------


def test_what_dumps_returns_is_passed_unchanged_to_the_result_storage(stage: Stage) -> None:
    stage.run()
    written = stage.journal.stored[f"result {KEY}"]
    assert type(written) is Dumped
    assert written.value is VALUE


def test_the_result_is_written_before_its_metadata_in_one_context(stage: Stage) -> None:
    stage.run()
    assert stage.journal.come_in_order("dumps", "result write", "record write")
    assert stage.journal.the("record write").before == "result write"


def test_a_lazily_committed_result_is_written_before_its_metadata_in_one_context(stage: Stage) -> None:
    with transaction():
        stage.run()
        assert "dumps" not in stage.journal.names
        assert "lock release" not in stage.journal.names
    assert stage.journal.the("dumps").run is None
    assert stage.journal.the("record write").before == "result write"
    assert stage.journal.come_in_order("dumps", "record write", "lock release")


def test_a_record_is_json_with_these_fields(stage: Stage) -> None:
    stage.run(cache_expiration=timedelta(days=1))
    record = json.loads(stage.journal.stored[f"record {KEY}"])
    expires = datetime.fromisoformat(record.pop("expiration").replace("Z", "+00:00"))
    assert timedelta(hours=23) < expires - datetime.now(timezone.utc) < timedelta(days=1)
    assert record == {
        "storage_key": KEY,
        "serializer": {"type": "s3kv-contract", "journal": stage.name},
        "prefect_version": prefect.__version__,
        "storage_block_id": str(stage.storage._block_document_id),
    }


def test_a_record_of_these_fields_is_read(stage: Stage) -> None:
    record = {
        "storage_key": KEY,
        "expiration": (datetime.now(timezone.utc) + timedelta(days=1)).isoformat(),
        "serializer": stage.serializer.model_dump(),
        "prefect_version": "3.8.0",
        "storage_block_id": None,
    }
    stage.journal.stored |= {f"record {KEY}": json.dumps(record).encode(), f"result {KEY}": b"stored"}
    assert stage.run().name == "Cached"
    record["expiration"] = "2026-01-01T00:00:00+00:00"
    stage.journal.stored[f"record {KEY}"] = json.dumps(record).encode()
    assert stage.run().name == "Completed"


def test_without_a_key_storage_a_record_holds_the_result_as_text(stage: Stage) -> None:
    stage.run(cache_policy=NO_CACHE + INPUTS, refresh_cache=True, result_storage_key=KEY)
    record = json.loads(stage.journal.stored[f"result {KEY}"])
    assert record["result"] == "dumped"
    assert record["metadata"]["serializer"]["type"] == "s3kv-contract"


def test_when_a_result_is_dumped_the_run_is_over_and_its_state_holds_the_result(stage: Stage) -> None:
    seen: list[Any] = []

    def look(obj: Any, _: str) -> None:
        state = stage.journal.the("key").args[0].task_run.state
        assert state.timestamp <= datetime.now(timezone.utc)
        seen.append((state.is_completed(), state.data.result is obj, state.data.expiration is not None))

    stage.journal.doing["dumps"] = look
    stage.run(lambda: [1, 2], cache_expiration=timedelta(days=1))
    assert seen == [(True, True, True)]


def _is_collected(reference: weakref.ref[Any]) -> bool:
    gc.collect()
    return reference() is None


def test_the_task_run_object_lives_until_the_commit_and_its_context_does_not(
    stage: Stage,
) -> None:
    contexts: list[Any] = []
    runs: list[Any] = []

    def note(context: TaskRunContext) -> None:
        contexts.append(weakref.ref(context))
        runs.append(weakref.ref(context.task_run))

    with transaction():
        stage.run(cache_policy=stage.policy(doing=note))
        stage.journal.forget()
        until(lambda: _is_collected(contexts[0]))  # a thread of Prefect's clients may end a moment later
        assert runs[0]() is not None


def test_locks_are_acquired_and_released_in_the_thread_of_the_run(stage: Stage) -> None:
    stage.run()
    asked = [stage.journal.the(f"lock {what}") for what in ("is locked", "is holder", "release")]
    assert {(call.thread, call.in_loop) for call in asked} == {
        (stage.journal.the("key").thread, stage.kind == "async")
    }


def test_commit_runs_the_hooks_then_writes_then_releases_the_lock(stage: Stage) -> None:
    task = stage.task()
    task.on_commit(lambda _: stage.journal.note("hook"))
    stage.wait(task())
    assert stage.journal.come_in_order("compute", "hook", "result write", "record write", "lock release")


@pytest.mark.parametrize("where", ["dumps", "result write", "record write"])
def test_an_exception_in_the_write_is_logged_rolls_back_and_lets_the_task_complete(
    stage: Stage, where: str, logged: pytest.LogCaptureFixture
) -> None:
    stage.journal.raising[where] = ValueError("cannot write")
    task = stage.task()
    task.on_rollback(lambda _: stage.journal.note("rollback"))
    assert stage.wait(task(return_state=True)).is_completed()
    assert stage.journal.come_in_order(where, "rollback", "lock release")
    # Of an exception of dumps, the line names the type of the value.
    assert ("Failed to serialize" if where == "dumps" else "cannot write") in logged.text


def test_a_run_that_returns_a_failed_state_stores_no_value_under_its_key(stage: Stage) -> None:
    with suppress(Exception):
        stage.run(lambda: Failed(message="no result"), retries=1)
    # Prefect 3.8 stores None between the attempts, and at the end the data of the failed state.
    stored = stage.journal.stored.get(f"result {KEY}")
    assert stored is None or stored.value is None


def test_a_failed_task_leaves_its_exception_under_another_key_if_anywhere(stage: Stage) -> None:
    assert stage.run(boom).is_failed()
    assert f"result {KEY}" not in stage.journal.stored
    for call in stage.journal.of("dumps"):  # none for async tasks of Prefect 3.8
        assert isinstance(call.args[0], ValueError)


def test_parameters_of_background_tasks_are_dumped_by_the_tasks_serializer_in_store_parameters(
    sync_stage: Stage,
) -> None:
    from prefect.task_worker import store_parameters

    stacks: list[list[CodeType]] = []
    sync_stage.journal.doing["dumps"] = lambda *_: stacks.append(
        [frame.f_code for frame, _ in traceback.walk_stack(None)]
    )
    delayed = task(**sync_stage.options())(lambda number: number)
    delayed.delay(5)
    obj, _ = sync_stage.journal.the("dumps").args
    assert obj["parameters"] == {"number": 5}
    assert store_parameters.__code__ in stacks[0]
    path, how = sync_stage.journal.the("result write").args
    assert (path.startswith("parameters/"), how) == (True, "async")
    record = json.loads(sync_stage.journal.stored[f"result {path}"])
    assert record["result"] == "dumped"


# --- the result store of a run, which may be replaced in compute_key -----------------------------------


def test_the_record_of_a_result_is_made_by_the_store_of_the_run_before_its_state_is_set(
    stage: Stage,
) -> None:
    policy = stage.policy(doing=Noting.instead_of_its_own)
    stage.run(cache_policy=policy)
    obj, key, state = stage.journal.the("record made").args
    assert (obj is VALUE, key, state.is_running()) == (True, KEY, True)
    assert stage.journal.come_in_order("compute", "record made", "dumps")
    assert stage.journal.the("record made").thread == stage.journal.the("key").thread


@pytest.mark.parametrize("refreshes", [False, True])
def test_what_the_store_of_a_run_raises_when_it_is_asked_for_a_level_fails_it_before_it_computes(
    stage: Stage,
    refreshes: bool,  # noqa: FBT001
) -> None:
    def without_storage(context: TaskRunContext) -> None:
        Noting.instead_of_its_own(context)
        context.result_store.result_storage = NullFileSystem()  # type: ignore[assignment]  # of which nothing is asked

    stage.journal.raising["level asked"] = ValueError("refused")
    policy = stage.policy(doing=without_storage)
    state = stage.run(cache_policy=policy, refresh_cache=refreshes)
    assert (state.is_failed(), "refused" in str(state.message)) == (True, True)
    assert stage.journal.names[:2] == ["key", "level asked"]
    assert not {"record read", "result read", "result write", "compute"} & set(stage.journal.names)


def test_the_record_of_a_hit_is_not_made(stage: Stage) -> None:
    stage.hit(cache_policy=stage.policy(doing=Noting.instead_of_its_own))
    assert "record made" not in stage.journal.names


def test_the_record_of_an_exception_is_made_under_another_key(stage: Stage) -> None:
    stage.run(boom, cache_policy=stage.policy(doing=Noting.instead_of_its_own))
    obj, key, _ = stage.journal.the("record made").args
    assert isinstance(obj, ValueError)
    assert key != KEY


def test_what_is_raised_where_the_record_is_made_fails_the_task_and_retries_work(stage: Stage) -> None:
    attempts: list[int] = []

    def refuse_once(context: TaskRunContext) -> None:
        Noting.instead_of_its_own(context)
        attempts.append(context.task_run.run_count)
        stage.journal.raising.pop("record made", None)
        if len(attempts) == 1:
            stage.journal.raising["record made"] = ValueError("refused")

    assert stage.run(cache_policy=stage.policy(doing=refuse_once), retries=1).is_completed()
    assert attempts == [1, 2]
    assert len(stage.journal.of("compute")) == 2


def test_a_generator_is_made_a_list_for_its_state_and_its_caller_gets_it_without_items(
    stage: Stage,
) -> None:
    returned = stage.wait(
        stage.task(
            lambda: (number for number in range(3)),
            cache_policy=stage.policy(doing=Noting.instead_of_its_own),
        )()
    )
    assert stage.journal.the("record made").args[0] == [0, 1, 2]
    assert list(returned) == []


def test_a_state_that_a_task_returns_is_what_its_call_gives_and_a_hit_gives_its_data(stage: Stage) -> None:
    complete = stage.task(lambda: Completed(data=VALUE))
    first = stage.wait(complete())
    assert (type(first), first.name) == (State, "Completed")
    assert stage.wait(complete()) is VALUE


def test_a_task_that_yields_asks_for_its_key_and_ends_while_the_end_of_its_items_is_handled(
    stage: Stage,
) -> None:
    ends: list[Any] = []

    def note(context: TaskRunContext) -> None:
        assert context.task.isgenerator
        Noting.instead_of_its_own(context)

    def numbers() -> Iterator[int]:
        yield 1

    async def anumbers() -> AsyncIterator[int]:
        yield 1

    async def collect() -> list[int]:
        return [number async for number in run()]

    stage.journal.doing["record made"] = lambda *_: ends.append(sys.exc_info()[0])
    options = stage.options(cache_policy=stage.policy(doing=note))
    run: Any = task(**options)(numbers if stage.kind == "sync" else anumbers)
    assert (list(run()) if stage.kind == "sync" else asyncio.run(collect())) == [1]
    assert ends == [StopIteration if stage.kind == "sync" else StopAsyncIteration]
    assert stage.journal.come_in_order("key", "record made")


# --- transactions ---------------------------------------------------------------------------------------


def test_a_transaction_knows_its_parent_its_children_and_whether_it_is_over(stage: Stage) -> None:
    inner: list[Any] = []
    with transaction() as parent:
        stage.run(lambda: inner.append(get_transaction()))
        (child,) = parent.children
        assert inner == [child]
        assert child.store is not None
        assert (child.key, child.store.lock_manager) == (KEY, stage.locks)
        assert (child.is_committed(), child.is_rolled_back()) == (False, False)
        with transaction() as other:
            assert other.get_parent() is parent
    assert (child.is_committed(), parent.is_committed(), parent.get_parent()) == (True, True, None)


def test_a_run_that_has_ended_leaves_its_record_in_its_transaction_for_the_commit(stage: Stage) -> None:
    serializer, running = stage.serializer.model_copy(), list[bool]()

    def use(context: TaskRunContext) -> None:
        context.result_store = context.result_store.model_copy(update={"serializer": serializer})

    def compute() -> Any:
        own = get_transaction()
        running.append(own is not None and own.is_staged())
        return VALUE

    with transaction() as parent:
        stage.run(compute, cache_policy=stage.policy(doing=use), cache_expiration=timedelta(days=1))
        (child,) = parent.children
        record: Any = child._staged_value
        assert (running, child.is_staged()) == ([False], True)
        assert isinstance(record, ResultRecord)
        assert record.result is VALUE
        assert record.expiration is not None
        assert child.store is not None
        assert child.store.serializer is serializer, "the one that was set in compute_key"
    assert not child.is_staged()


def test_what_commits_eagerly_within_a_transaction_releases_its_lock_twice(sync_stage: Stage) -> None:
    with transaction(), transaction(commit_mode=CommitMode.EAGER):
        sync_stage.run()
    holders = {call.args[1] for call in sync_stage.journal.of("lock release")}
    assert len(sync_stage.journal.of("lock release")) > len(holders) == 1


def test_a_task_within_a_task_inherits_manager_isolation_and_serializer(sync_stage: Stage) -> None:
    inner = task(cache_policy=sync_stage.policy(key="inner"), persist_result=True)(lambda: VALUE)
    sync_stage.run(lambda: inner())
    assert [call.args[0] for call in sync_stage.journal.of("lock acquire")] == [KEY, "inner"]
    assert [call.args[0] for call in sync_stage.journal.of("result write")] == ["inner", KEY]
    assert len(sync_stage.journal.of("dumps")) == 2


def test_a_policy_with_a_manager_of_its_own_does_not_inherit_one(sync_stage: Stage) -> None:
    own = Locks(sync_stage.journal, "own")
    inner = task(**sync_stage.options(cache_policy=sync_stage.policy(key="inner", locks=own)))(lambda: VALUE)
    sync_stage.run(lambda: inner())
    assert [call.args[0] for call in sync_stage.journal.of("lock acquire")] == [KEY]
    assert [call.args[0] for call in sync_stage.journal.of("own acquire")] == ["inner"]


# --- flows ----------------------------------------------------------------------------------------------


def test_a_flow_has_no_record_storage_and_passes_storage_and_serializer_to_its_tasks(
    sync_stage: Stage,
) -> None:
    stores: list[ResultStore] = []

    @task(persist_result=True, cache_policy=NO_CACHE)
    def inherits() -> None:
        run = TaskRunContext.get()
        assert run is not None
        stores.append(run.result_store)

    @flow(
        result_storage=sync_stage.storage,
        result_serializer=sync_stage.serializer,
        persist_result=True,
        cache_result_in_memory=False,
    )
    def run() -> Any:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow is not None
        assert context.flow_run is not None
        assert context.flow.result_serializer is sync_stage.serializer
        stores.append(context.result_store)
        inherits()
        return VALUE

    run()
    of_flow, of_task = stores
    assert isinstance(of_flow.metadata_storage, NullFileSystem)
    assert of_task.metadata_storage is None
    assert of_flow.serializer is of_task.serializer is sync_stage.serializer
    assert of_flow.result_storage is of_task.result_storage is sync_stage.storage
    assert VALUE in [call.args[0] for call in sync_stage.journal.of("dumps")]


def test_the_run_of_a_flow_is_the_same_in_its_retries_and_its_tasks_know_it(sync_stage: Stage) -> None:
    seen: list[tuple[Any, ...]] = []

    @task(cache_policy=NO_CACHE)
    def note() -> None:
        run, around = TaskRunContext.get(), FlowRunContext.get()
        assert run is not None
        assert around is not None
        assert around.flow_run is not None
        own = run.task_run
        seen.append(
            (around.flow_run.id, own.flow_run_id, own.task_key, flow_run.get_id(), dict(run.parameters))
        )

    @flow(retries=1)
    def run() -> None:
        note.submit().result()
        note()
        if len(seen) == 2:
            boom()

    run()
    assert len(seen) == 4
    assert [one for one in seen if one != seen[0]] == []
    assert len({str(one) for one in (seen[0][0], seen[0][1], seen[0][3])}) == 1


def test_a_thread_pool_sets_an_event_per_task_run_when_it_ends() -> None:
    events: list[Any] = []

    @task(cache_policy=NO_CACHE)
    def note() -> None:
        run, around = TaskRunContext.get(), FlowRunContext.get()
        assert run is not None
        assert around is not None
        pool: Any = around.task_runner
        events.append(pool._cancel_events[run.task_run.id])

    @flow
    def run() -> None:
        note.submit().wait()

    run()
    assert [type(event) for event in events] == [Event]
    with ThreadPoolTaskRunner[Any]() as pool:
        event = pool._cancel_events[uuid.uuid4()] = Event()
        pool.cancel_all()
    assert event.is_set()


def test_mapped_tasks_have_futures_with_results_and_states() -> None:
    @task(cache_policy=NO_CACHE, persist_result=False)
    def divide(a: int, b: int) -> float:
        return a / b

    @flow
    def run() -> None:
        whole, failed = divide.map(unmapped(6), [3, 0])
        assert whole.result() == 2
        failed.wait()
        assert (failed.state.is_completed(), failed.state.name) == (False, "Failed")
        assert "ZeroDivisionError" in str(failed.state.message)

    assert run(return_state=True).is_completed()


def test_a_sigterm_is_an_error_in_the_main_thread_of_a_flow_and_reaches_the_former_handler() -> None:
    heard: list[int] = []

    @flow
    def run() -> None:
        signal.raise_signal(signal.SIGTERM)

    former = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with pytest.raises(TerminationSignal):
            run()
    finally:
        signal.signal(signal.SIGTERM, former)
    assert heard == [signal.SIGTERM]


# --- blocks, serializers and settings -------------------------------------------------------------------


def test_a_storage_by_reference_is_loaded_in_each_run(stage: Stage) -> None:
    stage.save()
    reference = f"s3kv-contract-storage/{stage.name}"
    for _ in range(2):
        assert stage.run(result_storage=reference, refresh_cache=True).is_completed()
    first, second = (call.args[0].result_store.result_storage for call in stage.journal.of("key"))
    assert first is not second
    assert (type(first), first.journal, first._block_document_name) == (Storage, stage.name, stage.name)


def test_saving_or_loading_a_block_gives_it_its_name_and_id(stage: Stage) -> None:
    stage.save()
    saved: Any = stage.storage
    loaded: Any = Storage.load(stage.name, _sync=True)  # type: ignore[call-arg]  # of async_dispatch
    assert saved._block_document_name == loaded._block_document_name == stage.name
    assert saved._block_document_id == loaded._block_document_id
    for block in (saved, loaded):
        held = block.__pydantic_private__
        assert held["_block_document_name"] == stage.name
        assert held["_block_document_id"] == saved._block_document_id
        assert ResultStore(result_storage=block).result_storage_block_id == saved._block_document_id
    unsaved = Storage(journal=stage.name, role="result")
    assert (unsaved._block_document_name, unsaved._block_document_id) == (None, None)


def test_an_unsaved_storage_is_refused_and_the_id_is_only_tested_for_none(stage: Stage) -> None:
    unsaved = Storage(journal=stage.name, role="result")
    with pytest.raises(TypeError, match="save"):
        stage.task(result_storage=unsaved)
    unsaved._block_document_id = uuid.uuid4()
    assert stage.run(result_storage=unsaved).is_completed()
    assert stage.hit(result_storage=unsaved).name == "Cached"


def test_a_storage_without_an_id_is_asked_for_its_paths_and_none_leaves_the_key(stage: Stage) -> None:
    store = ResultStore(
        result_storage=Storage(journal=stage.name, role="result"), serializer=stage.serializer
    )
    store.write(key="a/b", obj=1, holder="me")
    assert "result resolve" in stage.journal.names
    assert "result a/b" in stage.journal.stored
    stage.journal.forget()
    stage.run()
    assert "result resolve" not in stage.journal.names


def test_a_state_is_read_elsewhere_by_block_id_and_key_as_json_or_else_by_its_serializer(
    sync_stage: Stage,
) -> None:
    sync_stage.save()
    sync_stage.run()
    metadata = ResultRecordMetadata.load_bytes(sync_stage.journal.stored[f"record {KEY}"])
    sync_stage.journal.forget()
    sync_stage.journal.stored[f"result {KEY}"] = b"\x00 raw"
    assert Completed(data=metadata).result() == b"\x00 raw"
    assert sync_stage.journal.the("result read").args[0] == KEY
    assert sync_stage.journal.the("loads").args == (b"\x00 raw",)
    whole = {"metadata": json.loads(metadata.dump_bytes()), "result": "text"}
    sync_stage.journal.stored[f"result {KEY}"] = json.dumps(whole).encode()
    assert Completed(data=metadata).result() == b"text"


def test_sync_makes_what_dispatches_run_at_once_also_in_an_event_loop(
    sync_stage: Stage,
) -> None:
    sync_stage.save()

    @flow
    async def run() -> None:
        loaded = Storage.load(sync_stage.name, _sync=True)  # type: ignore[call-arg]  # of async_dispatch
        assert isinstance(loaded, Storage)
        table: Any = create_table_artifact(key="contract-table", table=[{"a": 1}], _sync=True)  # type: ignore[call-arg]  # as above
        bar: Any = create_progress_artifact(1.0, key="contract-bar", _sync=True)  # type: ignore[call-arg]  # as above
        assert isinstance(table, uuid.UUID)
        with get_client(sync_client=True) as client:
            client.update_artifact(bar, ArtifactUpdate(data=2.0, description="more"))
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["contract-table"]))
            (found,) = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=1)
        assert json.loads(str(found.data)) == [{"a": 1}]

    asyncio.run(run())


def test_a_missing_block_raises_object_not_found() -> None:
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_block_document_by_name("none", block_type_slug="s3kv-contract-storage")
    with pytest.raises(ValueError, match="Unable to find block document") as raised:
        Storage.load("none", _sync=True)  # type: ignore[call-arg]  # of async_dispatch
    assert isinstance(raised.value.__cause__, ObjectNotFound)


def test_a_block_with_abc_among_its_bases_is_no_type_and_is_found_where_it_is_registered() -> None:
    class Hidden(Storage, ABC):
        _block_type_slug = "s3kv-contract-hidden"

    with pytest.raises(InvalidBlockRegistration):
        Hidden.register_type_and_schema()
    with pytest.raises(KeyError):
        lookup_type(Block, "s3kv-contract-hidden")
    register_type(Hidden)
    found: Any = Storage(block_type_slug="s3kv-contract-hidden", journal="j", role="r")
    assert type(found) is Hidden


def test_serializers_are_found_by_their_type_and_an_unknown_one_breaks_no_record() -> None:
    assert type(Serializer(type="s3kv-contract", journal="j")) is Marking
    record = ResultRecordMetadata.load_bytes(b'{"serializer": {"type": "s3kv-nowhere"}}')
    assert type(record.serializer) is UnknownSerializer


def test_outside_of_runs_there_is_no_logger_and_nothing_of_a_run() -> None:
    with pytest.raises(MissingContextError):
        get_run_logger()
    assert (TaskRunContext.get(), FlowRunContext.get(), get_transaction()) == (None, None, None)
    assert (flow_run.get_id(), flow_run.id, task_run.id, deployment.version) == (None, None, None, None)


def test_a_block_that_is_not_imported_is_looked_for_in_the_entry_points_prefect_collections(
    tmp_path: Path,
) -> None:
    installed = tmp_path / "contract_collection-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: contract-collection\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[prefect.collections]\ncontract = contract_collection\n")
    (tmp_path / "contract_collection.py").write_text(
        "from prefect.blocks.core import Block\n"
        "class Found(Block):\n"
        "    _block_type_slug = 'contract-found'\n"
    )
    find = "Block.get_block_class_from_key('contract-found').__name__"
    script = f"from prefect.blocks.core import Block; print({find})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "Found"


def test_a_copy_of_the_settings_can_be_entered_in_another_thread() -> None:
    with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: True}):
        settings: Any = SettingsContext.get()

    def read() -> bool:
        with settings.model_copy():
            return bool(PREFECT_TASKS_REFRESH_CACHE.value())

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(read).result()


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("PREFECT_API_URL", "http://127.0.0.1:1/api", lambda settings: settings.api.url),
        ("PREFECT_HOME", "/tmp/elsewhere", lambda settings: str(settings.home)),
        ("PREFECT_SERVER_ANALYTICS_ENABLED", "false", lambda s: str(s.server.analytics_enabled).lower()),
        ("PREFECT_SERVER_UI_ENABLED", "false", lambda settings: str(settings.server.ui.enabled).lower()),
        ("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false", lambda s: str(s.server.ephemeral.enabled).lower()),
        ("PREFECT_LOGGING_LEVEL", "CRITICAL", lambda settings: settings.logging.level),
        ("PREFECT_TASKS_REFRESH_CACHE", "true", lambda settings: str(settings.tasks.refresh_cache).lower()),
        (
            "PREFECT_API_DATABASE_CONNECTION_URL",
            "sqlite+aiosqlite:///x.db",
            lambda settings: settings.server.database.connection_url.get_secret_value(),
        ),
    ],
)
def test_settings_have_these_names_in_the_environment(
    name: str, value: str, setting: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert setting(Settings()) == value


def test_every_imported_name_of_prefect_exists() -> None:
    missing = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "prefect":
                module = importlib.import_module(str(node.module))
                missing += [
                    f"{node.module}.{alias.name} ({path.name})"
                    for alias in node.names
                    if not hasattr(module, alias.name)
                ]
    assert missing == []
