"""Stores that do not answer: runs that compute all the same, and runs that fail before they compute."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import task

from s3kv_flows import Retention, S3KVStore, caching
from s3kv_flows.store.errors import AccessDeniedError, StoreUnavailableError
from tests.support.faults import FaultyServer, answer
from tests.support.stalls import StallingServer
from tests.support.waiting import until


@pytest.fixture
def dead() -> Iterator[StallingServer]:
    """A server that accepts connections, and never answers."""
    server = StallingServer(lambda _: answer("200 OK"))
    server.place = lambda _: 0
    yield server
    server.close()


def saved(url: str, seconds: float = 0.5) -> str:
    name = f"store-{uuid.uuid4().hex[:8]}"
    S3KVStore(bucket_name="some-bucket", endpoint_url=url, operation_timeout_seconds=seconds).save(name)
    return name


def counting_task(store: str, **options: Any) -> tuple[Any, list[int]]:
    ran: list[int] = []

    @task(**caching(store, **options))
    def add_one(number: int) -> int:
        ran.append(number)
        return number + 1

    return add_one, ran


def connections_of(name: str, server: StallingServer) -> int:
    """Return how many connections a store has opened, once the server has noticed them."""
    attempts = S3KVStore.of(name).results.client.counters.read().requests
    until(lambda: server.connections == attempts)
    return attempts


NEEDY: dict[str, dict[str, Any]] = {
    "raise": {"on_unavailable": "raise"},
    "single flight": {"single_flight": True},
    "retention": {"retention": Retention(days=1)},
    "hold": {"legal_hold": True},
    "name": {"key": "name"},
}


@pytest.mark.parametrize("what", NEEDY)
def test_a_run_that_needs_its_store_fails_before_it_computes(
    what: str, dead: StallingServer, prefect_api: str
) -> None:
    name = saved(dead.url)
    add_one, ran = counting_task(name, **NEEDY[what])
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        add_one(1)
    connections = connections_of(name, dead)
    with pytest.raises(StoreUnavailableError, match="a moment ago"):
        add_one(2)  # by the breaker: nobody computes under single flight without a lease
    assert ran == []
    assert dead.connections == connections


@pytest.mark.parametrize("what", NEEDY)
def test_async_runs_fail_likewise(what: str, dead: StallingServer, prefect_api: str) -> None:
    import asyncio

    ran: list[int] = []

    @task(**caching(saved(dead.url), **NEEDY[what]))
    async def add_one(number: int) -> int:
        ran.append(number)
        return number + 1

    async def run() -> None:
        for number in range(2):
            with pytest.raises(StoreUnavailableError):
                await add_one(number)

    asyncio.run(run())
    assert ran == []


def test_other_runs_compute_and_say_that_their_results_are_lost(
    dead: StallingServer, prefect_api: str, logged: pytest.LogCaptureFixture
) -> None:
    name = saved(dead.url)
    add_one, ran = counting_task(name)
    assert add_one(1) == 2
    connections = connections_of(name, dead)
    assert add_one(2) == 3
    assert ran == [1, 2]
    assert dead.connections == connections, "neither the write of the first, nor the second, tried again"
    counts = S3KVStore.of(name).results.client.counters.read()
    assert counts["results.unsaved"] == 2
    assert counts["results.misses.unreachable"] == 2
    said = {id(record): record.getMessage() for record in logged.records if record.levelname == "ERROR"}
    assert sum("was not saved" in message for message in said.values()) == 2
    assert sum("Cannot tell whether" in message for message in said.values()) == 2


def test_a_denied_lookup_is_no_absence(prefect_api: str) -> None:
    server = FaultyServer(lambda _: answer("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"))
    try:
        add_one, ran = counting_task(saved(server.url, 60), on_unavailable="raise")
        with pytest.raises(AccessDeniedError):
            add_one(1)
        assert ran == []
    finally:
        server.close()


def test_with_a_store_that_answers_it_costs_nothing(lake: Any) -> None:
    @task(**caching(lake.name, on_unavailable="raise"))
    def add_one(number: int) -> int:
        return number + 1

    add_one(0)
    miss = lake.count(lambda: add_one(1))
    assert miss.requests == {"GET": 1, "PUT": 1}
    assert lake.count(lambda: add_one(1)).requests == {"GET": 1}


def test_what_cannot_be_keyed_computes_as_without_it(lake: Any) -> None:
    add_one, ran = counting_task(lake.name, on_unavailable="raise")
    with socket.socket() as unkeyable:

        @task(**caching(lake.name, on_unavailable="raise"))
        def take(opened: Any) -> int:
            return 1

        assert take(unkeyable) == 1
    assert add_one(1) == 2
    assert ran == [1]


def test_on_unavailable_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="on_unavailable='wait'"):
        caching("lake", on_unavailable="wait")  # type: ignore[arg-type]
