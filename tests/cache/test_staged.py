"""A run whose result is staged in its own transaction gets that, and computes nothing."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.transactions import IsolationLevel, transaction

from s3kv_flows import LeaseLockManager, caching
from s3kv_flows._cache.lookup import lookup
from s3kv_flows._cache.staged import find_staged
from s3kv_flows.store.errors import ConflictError, LeaseTimeoutError
from tests.support.lake import WEEK, Lake, change, changeable, in_flow, is_unchanged

pytestmark = pytest.mark.usefixtures("prefect_api")


def options(lake: Lake, **more: Any) -> dict[str, Any]:
    return caching(lake.name, single_flight=True, code="source", **more)


def making(lake: Lake, **more: Any) -> Any:
    """Return a task whose result can be changed in place, in its pickle and in its buffer."""

    @task(**options(lake, **more))
    def make(number: int) -> dict[str, Any]:
        lake.ran.append(number)
        return changeable(number)

    return make


def in_transaction(body: Callable[[], Any]) -> Any:
    def within() -> Any:
        with transaction():
            return body()

    return in_flow(within)


def in_task(body: Callable[[], Any]) -> Any:
    return task(body)()


WITHIN: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "transaction": in_transaction,
    "task": in_task,
    "task of a task": lambda body: in_task(lambda: in_task(body)),
    "transaction in a transaction": lambda body: in_transaction(lambda: in_transaction(body)),
    "flow of a task": lambda body: in_task(lambda: in_flow(body)),
}


@pytest.mark.parametrize("within", WITHIN)
def test_the_second_run_gets_what_the_first_returned_and_sends_no_request(lake: Lake, within: str) -> None:
    lake.block.leases()  # what the server can do is known
    make = making(lake)

    def body() -> None:
        first = make(1)
        change(first)
        second = make(1)
        assert is_unchanged(second)
        change(second)
        assert is_unchanged(make(1))

    wire = lake.count(lambda: WITHIN[within](body))
    assert lake.ran == [1]
    assert dict(wire.requests) == {"GET": 2, "PUT": 2, "DELETE": 1}, "those of one miss"
    with lake.results.client.counters.measure() as measured:
        assert is_unchanged(make(1))
    assert measured[0]["results.hits"] == 1, "what was written is what the first run returned"


def test_calls_from_several_places_of_a_transaction(lake: Lake) -> None:
    make = making(lake)

    def body() -> None:
        with transaction():
            change(make(1))
        in_task(lambda: change(make(1)))
        assert is_unchanged(make(1))

    in_transaction(body)
    assert lake.ran == [1]


def test_the_second_run_is_cached_and_counted_as_a_hit(lake: Lake) -> None:
    make = making(lake)
    with lake.results.client.counters.measure() as measured:
        names = in_transaction(lambda: [make(1, return_state=True).name for _ in range(2)])
    assert names == ["Completed", "Cached"]
    assert measured[0]["results.hits"] == 1


def test_runs_that_are_mapped_within_a_task(lake: Lake) -> None:
    make = making(lake)

    @task
    def outer() -> list[bool]:
        return [is_unchanged(value, value["list"][0]) for value in make.map([1, 2, 1, 2, 1]).result()]

    assert in_flow(outer) == [True] * 5
    assert sorted(lake.ran) == [1, 2]
    assert len(lake.objects()) == 2


def test_asynchronous_runs_of_a_task_one_after_the_other_and_at_once(lake: Lake) -> None:
    @task(**options(lake))
    async def make(number: int) -> list[Any]:
        lake.ran.append(number)
        return [number]

    @task
    async def outer() -> list[list[Any]]:
        (await make(1)).append("changed")
        return [await make(1), *await asyncio.gather(*(make(2) for _ in range(3)))]

    assert asyncio.run(outer()) == [[1], [2], [2], [2]]
    assert lake.ran == [1, 2]


def test_a_result_that_is_staged_while_another_run_looks_it_up(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, looked_up, ended = threading.Event(), threading.Event(), threading.Event()

    def lookup_for_long(*args: Any) -> Any:
        found = lookup(*args)
        if started.is_set():  # this is the other run
            looked_up.set()
            assert ended.wait(60)
        return found

    monkeypatch.setattr("s3kv_flows._cache.acquisition.lookup", lookup_for_long)

    @task(**options(lake))
    async def make() -> list[Any]:
        lake.ran.append(1)
        started.set()
        await asyncio.to_thread(looked_up.wait, 60)
        return [1]

    @task
    async def outer() -> list[list[Any]]:
        first = asyncio.create_task(make())
        first.add_done_callback(lambda _: ended.set())
        await asyncio.to_thread(started.wait, 60)
        return [await make(), await first]

    assert asyncio.run(outer()) == [[1], [1]]
    assert lake.ran == [1]


def test_a_thread_that_outlives_its_transaction_finds_nothing_staged() -> None:
    with transaction():
        context = contextvars.copy_context()
    assert context.run(find_staged, "key", lambda _: True) is None


def test_what_was_refreshed_in_the_transaction_is_what_it_reads(lake: Lake) -> None:
    @task(**options(lake))
    def count() -> int:
        lake.ran.append(1)
        return len(lake.ran)

    assert count() == 1
    assert in_transaction(lambda: [count.with_options(refresh_cache=True)(), count()]) == [2, 2]
    assert count() == 2


def test_a_run_that_refreshes_may_read_the_result_that_it_replaces(lake: Lake) -> None:
    @task(**options(lake))
    def total(day: str) -> int:
        previous = total(day) if lake.ran else 0
        lake.ran.append(day)
        return int(previous) + 1

    assert total("today") == 1
    assert total.with_options(refresh_cache=True)("today") == 2


def test_the_times_of_a_lease_make_no_other_lease(lake: Lake) -> None:
    make = making(lake)
    patient = make.with_options(**options(lake, lease_seconds=60.0))
    in_transaction(lambda: [make(1), patient(1)])
    assert lake.ran == [1]


def test_a_locked_result_is_written_once(locked_lake: Lake) -> None:
    make = making(locked_lake, retention=WEEK)
    in_transaction(lambda: [make(1), make(1)])
    assert locked_lake.ran == [1]
    info = locked_lake.the_object()
    assert info.lock_mode == "GOVERNANCE"
    client, bucket = locked_lake.results.client, locked_lake.results.bucket_name
    assert len(list(client.list_versions(bucket, info.name))) == 1


def test_a_transaction_that_is_rolled_back_leaves_nothing(lake: Lake) -> None:
    make = making(lake)

    def body() -> None:
        make(1)
        make(1)
        raise RuntimeError("roll back")

    with pytest.raises(RuntimeError, match="roll back"):
        in_transaction(body)
    assert lake.objects() == []
    make(1)
    assert lake.ran == [1, 1]


# --- what cannot be used ------------------------------------------------------------------------------


def test_a_run_that_calls_itself_would_wait_for_itself(lake: Lake) -> None:
    @task(**options(lake))
    def recursive(number: int) -> int:
        lake.ran.append(number)
        return int(recursive(number))

    with pytest.raises(
        LeaseTimeoutError, match="a run that has called this one: this run would wait for itself"
    ):
        recursive(1)
    assert lake.ran == [1]
    assert lake.objects() == []


def test_the_result_of_other_inputs_under_the_same_name_is_refused(lake: Lake) -> None:
    make = making(lake, key="a name")
    with pytest.raises(ConflictError, match="number"):
        in_transaction(lambda: [make(1), make(2)])
    assert lake.ran == [1]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "refreshed twice": ({"refresh_cache": True}, "would compute it anew"),
    "expired": ({"cache_expiration": timedelta(microseconds=1)}, "has expired since"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_result_that_cannot_be_used_and_whose_lease_cannot_be_had(lake: Lake, case: str) -> None:
    with_options, message = REFUSED[case]
    make = making(lake).with_options(**with_options)
    with pytest.raises(LeaseTimeoutError, match=message):
        in_transaction(lambda: [make(1), make(1)])
    assert lake.ran == [1]


def test_what_cannot_be_encoded_is_not_shared(lake: Lake) -> None:
    @task(**options(lake))
    def unpicklable() -> object:
        return threading.Lock()

    with pytest.raises(LeaseTimeoutError, match="could not be encoded"):
        in_transaction(lambda: [unpicklable(), unpicklable()])


def test_other_policies_cannot_read_what_is_staged(lake: Lake) -> None:
    policy = INPUTS.configure(
        lock_manager=LeaseLockManager(lake.name), isolation_level=IsolationLevel.SERIALIZABLE
    )

    @task(cache_policy=policy, result_storage=f"s3kv-store/{lake.name}", persist_result=True)
    def add_one(number: int) -> int:
        return number + 1

    with pytest.raises(LeaseTimeoutError, match="only tasks of caching"):
        in_transaction(lambda: [add_one(1), add_one(1)])


def test_runs_that_are_submitted_in_a_transaction_at_once(lake: Lake) -> None:
    make = making(lake)

    @flow
    def run() -> list[Any]:
        with transaction():
            return [future.result() for future in [make.submit(1) for _ in range(3)]]

    assert [is_unchanged(value) for value in run()] == [True] * 3
    assert lake.ran == [1]
