"""Outputs that were asked to be kept are kept, or their run fails."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.filesystems import LocalFileSystem
from prefect.settings import PREFECT_TASKS_DISABLE_CACHING, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed
from prefect.transactions import transaction

from s3kv_flows import caching, finalizing
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import AccessDeniedError, EncodingError, InvalidKeyError, StoreUnavailableError
from tests.support.lake import WEEK, Lake, in_flow

pytestmark = pytest.mark.usefixtures("prefect_api")

REFUSALS = [AccessDeniedError("403"), StoreUnavailableError("503")]


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, refusal: Exception, times: int = 1_000) -> Iterator[list[str]]:
    """Have the server refuse so many PUTs; yield the names that it was asked to write."""
    put, asked = S3Client.put_object, list[str]()

    def refuse(self: S3Client, bucket: str, name: str, *args: Any, **options: Any) -> Any:
        asked.append(name)
        if len(asked) <= times:
            raise refusal
        return put(self, bucket, name, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(S3Client, "put_object", refuse)
        yield asked


def answer() -> int:
    return 42


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
@pytest.mark.parametrize(
    "options", [{"retention": WEEK}, {"legal_hold": True}, {"on_unsaved": "fail"}], ids=repr
)
def test_a_refused_write_fails_its_run(
    locked_lake: Lake, monkeypatch: pytest.MonkeyPatch, refusal: Exception, options: dict[str, Any]
) -> None:
    run: Any = task(**caching(locked_lake.name, **options))(answer)
    with refusing(monkeypatch, refusal), pytest.raises(type(refusal)):
        run()


@pytest.mark.parametrize("kind", ["sync", "async", "mapped"])
def test_a_retry_writes_again(locked_lake: Lake, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async def later() -> int:
        return 42

    options: dict[str, Any] = {**caching(locked_lake.name, retention=WEEK), "retries": 1}
    with refusing(monkeypatch, REFUSALS[1], times=1) as asked:
        if kind == "async":
            assert asyncio.run(task(**options)(later)()) == 42
        elif kind == "sync":
            assert task(**options)(answer)() == 42
        else:
            one = task(**options)(lambda x: x)
            assert in_flow(lambda: one.map([42]).result()) == [42]
    assert len(asked) == 2
    assert locked_lake.the_object().lock_mode == "GOVERNANCE"


def test_the_write_is_still_one_request(locked_lake: Lake) -> None:
    run: Any = task(**caching(locked_lake.name, retention=WEEK))(answer)
    late: list[Any] = [
        task(**caching(locked_lake.name, retention=WEEK, on_unsaved="complete", namespace=name))(answer)
        for name in "ab"
    ]
    late[0]()  # with the first requests of a client
    assert locked_lake.count(late[1]).requests == locked_lake.count(run).requests
    assert dict(locked_lake.count(run).requests) == {"GET": 1}


@pytest.mark.parametrize(
    "options", [{"on_unsaved": "complete", "retention": WEEK}, {}, {"key": "name"}], ids=repr
)
def test_others_complete_and_say_what_was_lost(
    locked_lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
    options: dict[str, Any],
) -> None:
    run: Any = task(**caching(locked_lake.name, **options))(answer)
    with refusing(monkeypatch, REFUSALS[0]):
        assert run() == 42
    assert "403" in logged.text


def test_within_a_transaction_it_is_written_at_the_commit(
    locked_lake: Lake, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    run: Any = task(**caching(locked_lake.name, retention=WEEK))(answer)

    @flow
    def rolls_back() -> None:
        with transaction():
            run()
            raise RuntimeError("not after all")

    with pytest.raises(RuntimeError):
        rolls_back()
    assert locked_lake.objects() == []

    @flow
    def commits() -> None:
        with transaction():
            run()

    with refusing(monkeypatch, REFUSALS[0]):
        commits()
    assert "was not saved: 403" in logged.text
    commits()
    assert locked_lake.the_object().lock_mode == "GOVERNANCE"


# --- a policy that Prefect drops --------------------------------------------------------------------


def _without_policy(run: Any) -> Any:
    return run.with_options(cache_policy=NO_CACHE)


def _without_result(run: Any) -> Any:
    return run.with_options(persist_result=False)


@pytest.mark.parametrize("drop", [_without_policy, _without_result])
@pytest.mark.parametrize("options", [{"retention": WEEK}, {"on_unsaved": "fail"}], ids=repr)
def test_a_run_whose_policy_is_dropped_fails(
    locked_lake: Lake, drop: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    run = drop(task(**caching(locked_lake.name, **options))(answer))
    with pytest.raises(ValueError, match="needs the cache policy"):
        run()
    with pytest.raises(ValueError, match="needs the cache policy"):
        in_flow(lambda: run.submit().result())
    plain = drop(task(**caching(locked_lake.name))(answer))
    assert plain() == 42


def test_with_caching_disabled_it_fails_and_single_flight_alone_warns(
    locked_lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    with temporary_settings({PREFECT_TASKS_DISABLE_CACHING: True}):
        locked: Any = task(**caching(locked_lake.name, retention=WEEK))(answer)
        single: Any = task(**caching(locked_lake.name, single_flight=True))(answer)
    with pytest.raises(ValueError, match="needs the cache policy"):
        locked()
    assert single() == 42
    assert "other runs may compute the same" in logged.text


def test_the_failure_of_such_a_run_is_its_own(locked_lake: Lake) -> None:
    @task(**caching(locked_lake.name, retention=WEEK))
    def failing() -> int:
        raise RuntimeError("of the task")

    with pytest.raises(RuntimeError, match="of the task"):
        failing.with_options(cache_policy=NO_CACHE)()

    @task(**caching(locked_lake.name, retention=WEEK))
    def failed() -> Any:
        return Failed(message="on purpose")

    state = failed.with_options(cache_policy=NO_CACHE)(return_state=True)
    assert (state.name, state.message) == ("Failed", "on purpose")


@pytest.mark.parametrize(
    "options", [{"retention": WEEK}, {"key": "a"}, {"single_flight": True}, {"on_unsaved": "fail"}], ids=repr
)
def test_a_run_with_another_storage_or_serializer_fails_before_it_computes(
    locked_lake: Lake, tmp_path: Path, options: dict[str, Any]
) -> None:
    run: Any = task(**caching(locked_lake.name, **options))(consume)
    other = LocalFileSystem(basepath=str(tmp_path))
    other.save("other", overwrite=True)
    rows = iter([1, 2])
    for changed in (run.with_options(result_storage=other), run.with_options(result_serializer="pickle")):
        with pytest.raises(ValueError, match="another result_storage or result_serializer"):
            changed(rows)
    assert list(rows) == [1, 2]


def consume(rows: Any) -> list[int]:
    return list(rows)


def test_an_input_without_content_fails_a_run_that_must_save_its_result(locked_lake: Lake) -> None:
    rows = iter([1, 2])
    run: Any = task(**caching(locked_lake.name, on_unsaved="fail"))(consume)
    with pytest.raises(InvalidKeyError, match="input 'rows'"):
        run(rows)
    assert list(rows) == [1, 2]


# --- what is no result ------------------------------------------------------------------------------


def _aggregate() -> Any:
    return [Failed(data="failed"), Completed(data=1)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Failed(data="failed"),
        lambda: Failed(),
        lambda: Crashed(data="crashed"),
        lambda: Cancelled(data=1),
        _aggregate,
    ],
    ids=["failed", "failed without data", "crashed", "cancelled", "some failed"],
)
def test_what_a_run_returns_that_did_not_complete_is_not_locked(
    locked_lake: Lake, make: Callable[[], Any]
) -> None:
    @flow(**finalizing(locked_lake.name, WEEK))
    def publishing() -> Any:
        return make()

    state: Any = publishing(return_state=True)
    assert not state.is_completed()

    @flow(**finalizing(locked_lake.name, WEEK))
    async def apublishing() -> Any:
        return make()

    async def run() -> Any:
        return await apublishing(return_state=True)

    assert not asyncio.run(run()).is_completed()

    @task(**caching(locked_lake.name, retention=WEEK, code="source"))
    def output() -> Any:
        return make()

    state = output(return_state=True)
    assert not state.is_completed()
    assert not any(info.lock_mode for info in locked_lake.objects())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_a_completed_flow_returns_is_locked(locked_lake: Lake, kind: str) -> None:
    @flow(**finalizing(locked_lake.name, WEEK))
    def publishing() -> Any:
        return Completed(data={"total": 1})

    @flow(**finalizing(locked_lake.name, WEEK))
    async def apublishing() -> Any:
        return Completed(data={"total": 1})

    if kind == "sync":
        publishing()
    else:
        asyncio.run(apublishing())
    assert locked_lake.the_object().lock_mode == "GOVERNANCE"


def test_a_flow_whose_result_was_not_saved_says_so(
    locked_lake: Lake, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    @flow(**finalizing(locked_lake.name, WEEK))
    def publishing() -> int:
        return 5

    with refusing(monkeypatch, REFUSALS[0]):
        assert publishing() == 5
    assert any(
        record.levelname == "ERROR" and "was not saved: 403" in record.getMessage()
        for record in logged.records
    )

    @flow(**finalizing(locked_lake.name, WEEK))
    def unpicklable() -> Any:
        return threading.Lock()

    events: list[Any] = []
    monkeypatch.setattr("s3kv_flows._results.reporting.emit_event", lambda **event: events.append(event))
    unpicklable()
    assert "cannot pickle" in logged.text
    assert [event["event"] for event in events] == ["s3kv.result.refused"]


# --- what would come back as another value ----------------------------------------------------------


class Unloadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


class Changing:
    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("another value",)


class Unwilling:
    def __reduce__(self) -> tuple[Any, ...]:
        raise RuntimeError("not today")


@pytest.mark.parametrize(
    ("value", "message"),
    [(Unloadable(), "not unpickled"), (Changing(), "another value"), (Unwilling(), "not today")],
    ids=["cannot be loaded", "changes", "cannot be pickled"],
)
def test_what_would_not_come_back_is_not_locked(locked_lake: Lake, value: Any, message: str) -> None:
    def output() -> Any:
        return [value]

    run: Any = task(**caching(locked_lake.name, retention=WEEK, code="source"))(output)
    with pytest.raises(EncodingError, match=message):
        run()
    assert not any(info.lock_mode for info in locked_lake.objects())


def test_what_is_locked_is_decoded_without_copying_it(locked_lake: Lake) -> None:
    array = np.arange(4_000_000)

    def output() -> Any:
        return {"array": array, "generator_of_text": "text"}

    run: Any = task(**caching(locked_lake.name, retention=WEEK, code="source"))(output)
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * array.nbytes
    assert (run()["array"] == array).all()
