"""Results are cached as they were when their task ended, whatever their caller does to them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow, task
from prefect.transactions import transaction

from s3kv_flows import caching
from s3kv_flows.store.errors import EncodingError
from tests.support.lake import WEEK, Lake, change, changeable, in_flow, is_unchanged

pytestmark = pytest.mark.usefixtures("prefect_api")


def making(lake: Lake, **options: Any) -> Any:
    """Return a task whose result can be changed in place, in its pickle and in its buffer."""

    @task(**caching(lake.name, **options))
    def make(number: int) -> dict[str, Any]:
        return changeable(number)

    return make


@pytest.mark.parametrize("how", ["transaction", "nested transaction", "task", "subflow of a task"])
def test_what_the_caller_changes_is_not_cached(lake: Lake, how: str) -> None:
    make = making(lake)

    def body() -> None:
        change(make(1))

    def in_transactions(depth: int) -> None:
        with transaction():
            body() if depth == 1 else in_transactions(depth - 1)

    if how == "task":
        task(body)()
    elif how == "subflow of a task":
        outer = task(lambda: flow(body)())
        outer()
    else:
        in_flow(lambda: in_transactions(2 if "nested" in how else 1))
    with lake.results.client.counters.measure() as measured:
        assert is_unchanged(make(1))
    assert measured[0]["results.hits"] == 1


def test_the_same_in_asynchronous_tasks(lake: Lake) -> None:
    @task(**caching(lake.name))
    async def make(number: int) -> list[Any]:
        return [number]

    @task
    async def outer() -> None:
        (await make(1)).append("changed")

    asyncio.run(outer())
    assert asyncio.run(make(1)) == [1]


def test_what_is_mapped_within_a_transaction(lake: Lake) -> None:
    make = making(lake)

    @flow
    def run() -> list[Any]:
        with transaction():
            values: list[Any] = make.map([1, 2, 3]).result()
            for value in values:
                change(value)
        return [is_unchanged(make(number), number) for number in (1, 2, 3)]

    assert run() == [True] * 3


def test_what_a_loop_over_a_generator_task_changes(lake: Lake) -> None:
    make = making(lake)

    @task
    def numbers() -> Iterator[int]:
        for number in (1, 2):
            change(make(number))
            yield number

    assert list(numbers()) == [1, 2]
    assert is_unchanged(make(1))
    assert is_unchanged(make(2), 2)


def test_a_locked_result_in_a_transaction_holds_what_its_task_returned(locked_lake: Lake) -> None:
    make = making(locked_lake, retention=WEEK)

    @task
    def outer() -> None:
        change(make(1))

    outer()
    assert locked_lake.the_object().lock_mode == "GOVERNANCE"
    assert is_unchanged(make(1))


@pytest.mark.parametrize("retries", [0, 1])
def test_a_locked_result_that_cannot_be_encoded_fails_its_run(locked_lake: Lake, retries: int) -> None:
    attempts, lock = list[int](), threading.Lock()

    def unpicklable() -> Any:
        attempts.append(1)
        return lock if len(attempts) == 1 else "encoded"

    options: dict[str, Any] = caching(locked_lake.name, retention=WEEK, code="source")
    run: Any = task(retries=retries, **options)(unpicklable)
    if retries:
        assert run() == "encoded"
        assert locked_lake.the_object().lock_mode == "GOVERNANCE"
    else:
        with pytest.raises(EncodingError):
            run()


def test_an_intermediate_result_that_cannot_be_encoded_completes_and_says_so(
    lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    lock = threading.Lock()

    def unpicklable() -> Any:
        return lock

    run: Any = task(**caching(lake.name, code="source"))(unpicklable)
    assert run() is lock
    assert "was not saved" in logged.text
    assert lake.objects() == []


def test_what_could_not_be_encoded_is_not_cached_either_once_its_caller_has_changed_it(
    lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    def unpicklable() -> Any:
        return {"lock": threading.Lock(), "number": 1}

    make: Any = task(**caching(lake.name, code="source"))(unpicklable)

    @flow
    def run() -> None:
        with transaction():
            value = make()
            value["lock"], value["number"] = None, 2

    run()
    assert "was not saved" in logged.text
    assert lake.objects() == []


def test_a_result_is_encoded_once(lake: Lake) -> None:
    pickled: list[int] = []

    class Counted:
        def __reduce__(self) -> tuple[Any, ...]:
            pickled.append(1)
            return (int, (5,))

    @task(**caching(lake.name, code="source"))
    def make() -> Any:
        return Counted()

    wire = lake.count(lambda: make())
    assert (pickled, dict(wire.requests)) == ([1], {"GET": 1, "PUT": 1})
