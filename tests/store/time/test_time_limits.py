"""Servers that hang, trickle, or have no time: what each operation then costs, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.transport.time import retries
from s3kv_flows.store._s3.transport.time.limits import Limits
from s3kv_flows.store._s3.transport.time.retries import pause_before_retry
from s3kv_flows.store.errors import AccessDeniedError, StoreUnavailableError
from tests.support.faults import MODIFIED, Asked, Respond, answer, chunked
from tests.support.stalls import StallingServer
from tests.support.waiting import until

BUCKET = "some-bucket"
SHORT, LONG = 0.6, 300.0
"""Seconds; what is to end, and what is to be waited for on a busy machine."""

TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
OBJECT = {"Last_Modified": MODIFIED, "ETag": '"x"', "Content_Type": "application/octet-stream"}
PADDING = "x" * 30_000

OPERATIONS: dict[str, Callable[[S3KV], object]] = {
    "get": lambda store: store.get("key"),
    "fetch": lambda store: store.fetch("key"),
    "tags": lambda store: store.client.search_tags(BUCKET, "name"),
    "all tags": lambda store: store.get_tags("key"),
    "list": lambda store: store.list_keys(),
    "head": lambda store: store.exists("key"),
    "put": lambda store: store.client.put_object(BUCKET, "name", b"x", content_type="text/plain"),
    "delete": lambda store: store.client.delete_object(BUCKET, "name"),
    "versions": lambda store: store.client.list_versions_of(BUCKET, "name"),
}


def body_of(asked: Asked) -> bytes:
    if "tagging" in asked.target:
        return TAGS
    if "versions" in asked.target:
        return b"<ListVersionsResult/>"
    return LISTING if "list-type" in asked.target else b"value"


def respond(asked: Asked) -> bytes:
    if "object-lock" in asked.target:
        return slow_down("404 Not Found", "ObjectLockConfigurationNotFoundError")
    if asked.method == "DELETE":
        return answer("204 No Content", Content_Length=None)
    return answer("200 OK", body_of(asked) if asked.method == "GET" else b"", **OBJECT)


def slow_down(status: str = "503 Slow Down", code: str = "SlowDown", **headers: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code></Error>".encode(), **headers)


@pytest.fixture
def stalling() -> Iterator[Callable[[Respond], StallingServer]]:
    servers: list[StallingServer] = []

    def start(respond: Respond) -> StallingServer:
        servers.append(StallingServer(respond))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


Stalling = Callable[[Respond], StallingServer]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come at once, where the server names no time."""
    monkeypatch.setattr(retries, "random", SimpleNamespace(random=lambda: 0.0))


def store_of(server: StallingServer, seconds: float = SHORT, **options: Any) -> S3KV:
    options = {"codec": "bytes", "region_name": "us-east-1", **options}
    return S3KV(
        server.url,
        BUCKET,
        "id",
        "secret",
        enable_local_cache=False,
        operation_timeout_seconds=seconds,
        **options,
    )


# --- a server that hangs ------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_hangs_costs_the_first_operation_its_limit_and_the_next_nothing(
    operation: str, stalling: Stalling
) -> None:
    server = stalling(respond)
    server.place = lambda _: 0
    store = store_of(server)
    with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.6 s"):
        OPERATIONS[operation](store)
    attempts = store.client.counters.read().requests
    until(lambda: server.connections == len(server.asked) == attempts)  # each on a connection of its own
    for others in OPERATIONS.values():
        with pytest.raises(StoreUnavailableError, match="a moment ago"):
            others(store)
    assert server.connections == len(server.asked) == attempts


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_answer_that_trickles_ends_with_the_limit(operation: str, stalling: Stalling) -> None:
    """In its headers; a time limit of the socket would begin anew with each byte."""
    server = stalling(lambda asked: answer("200 OK", body_of(asked), X_Long=PADDING, **OBJECT))
    server.place, server.pause = lambda _: 30, 0.05
    # Of a deletion, the status says everything, if it arrives.
    ends = suppress(StoreUnavailableError) if operation == "delete" else pytest.raises(StoreUnavailableError)
    with ends:
        OPERATIONS[operation](store_of(server))


@pytest.mark.parametrize("pause", [0.05, None], ids=["trickles", "hangs"])
@pytest.mark.parametrize("operation", ["get", "fetch", "tags", "all tags", "list"])
def test_a_body_that_does_not_come_ends_with_the_limit(
    operation: str, pause: float | None, stalling: Stalling
) -> None:
    def padded(asked: Asked) -> bytes:
        return answer("200 OK", body_of(asked) + b" " * len(PADDING), **OBJECT)

    server = stalling(padded)
    server.place, server.pause = lambda asked: padded(asked).index(b"\r\n\r\n") + 10, pause
    with pytest.raises(StoreUnavailableError):
        OPERATIONS[operation](store_of(server))


@pytest.mark.parametrize("way", ["directly", "by boto3"])
def test_a_large_body_that_makes_no_progress_ends_with_the_limit(
    way: str, stalling: Stalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "by boto3":
        monkeypatch.setattr("s3kv_flows.store._s3.transport.direct.reads.session_of", lambda _: None)
    body = bytes(3 << 20)
    server = stalling(lambda _: answer("200 OK", body, **OBJECT))
    server.place, server.pause = lambda _: 2 << 20, 0.05
    with pytest.raises(StoreUnavailableError, match="broke off after"):
        store_of(server).fetch("key")


def test_a_large_body_may_take_longer_than_the_limit_as_long_as_it_comes(
    stalling: Stalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is limited is each slice: none begins with the limit of the operation, which is over."""
    body = bytes(range(256)) * 4096 * 4
    server = stalling(lambda _: answer("200 OK", body, **OBJECT))
    opened = store_of(server, LONG).client.open_object(BUCKET, "name")
    monkeypatch.setattr(Limits, "operation", None)
    view = memoryview(bytearray(len(body)))
    opened.read_into(view)  # type: ignore[union-attr]
    assert bytes(view) == body


def test_a_large_body_of_unknown_length_may_take_longer_than_the_limit(stalling: Stalling) -> None:
    body = bytes(range(256)) * 4096 * 3
    server = stalling(lambda _: chunked("200 OK", body, **OBJECT))
    limits = Limits(SHORT)
    with limits.operation() as limit:
        before = limit.end = time.monotonic()  # now
        limits.of_slices().made_progress(1 << 20)
        assert limit.end > before
        limit.end = before
        limits.of_slices().made_progress((1 << 20) - 1)
        assert limit.end == before, "a server that trickles sends no MiB"
    assert bytes(store_of(server, LONG).fetch("key").body or b"") == body


def test_what_a_dropped_connection_costs_is_a_short_patience() -> None:
    """A NAT that has forgotten it says nothing. On a new connection, the server may take its time."""
    limits = Limits(60)
    assert limits.of_attempt(reads=True, idle=True) == 5
    assert limits.of_attempt(reads=True) == 20
    assert limits.of_attempt(reads=False) == pytest.approx(60), (
        "what was sent may be done: it is better not sent twice"
    )
    with limits.operation():
        assert [limits.of_attempt(reads=True, idle=idle) for idle in (True, False)] == [5, 20]
        assert 50 < limits.of_attempt(reads=True) <= 60, "a server that needs long gets all that is left"
    assert Limits(60, silence=90.0).of_attempt(reads=True) == pytest.approx(60), "what is left"
    assert Limits(60, silence=3.0).of_attempt(reads=False) == 3, "what the user gave"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("way", ["directly", "by boto3"])
def test_a_connection_that_was_returned_is_not_cut(operation: str, way: str, stalling: Stalling) -> None:
    """Another operation may use it while this one waits for a retry."""
    store = store_of(stalling(respond), LONG)
    with pytest.MonkeyPatch.context() as patched:
        if way == "by boto3":
            patched.setattr("s3kv_flows.store._s3.transport.direct.reads.is_instrumented", lambda _: True)
        for _ in range(2):
            with store.client._boto.limits.operation() as limit:
                OPERATIONS[operation](store)
                assert limit.connection is None


def test_an_operation_within_another_has_the_limit_of_that_one() -> None:
    limits = Limits(60)
    with limits.operation() as outer, limits.operation(times=5, sends=1 << 30) as inner:
        assert inner is outer
    with limits.operation(times=5) as copy, pytest.MonkeyPatch.context():
        assert copy.seconds == 300
    with limits.operation(sends=50_000_000) as sending:
        assert sending.seconds == 60 + 1000


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_limit_is_positive(seconds: float, stalling: Stalling) -> None:
    with pytest.raises(ValueError, match="operation_timeout_seconds"):
        store_of(stalling(respond), seconds)


# --- a server that has no time ------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "refusal", [slow_down(Retry_After="0"), slow_down("429 Too Many", "TooManyRequests")], ids=["503", "429"]
)
def test_what_a_server_has_no_time_for_is_asked_again(
    operation: str, refusal: bytes, stalling: Stalling, at_once: None
) -> None:
    server = stalling(lambda asked: refusal if len(server.asked) < 7 else respond(asked))
    patient = stalling(respond)
    expected = OPERATIONS[operation](store_of(patient, LONG))
    found = OPERATIONS[operation](store_of(server, LONG))
    assert len(server.asked) == len(patient.asked) + 6
    assert str(getattr(found, "body", found)) == str(getattr(expected, "body", expected))


def test_a_store_that_is_overloaded_gives_forty_values_in_the_end(stalling: Stalling, at_once: None) -> None:
    refused: dict[str, int] = {}

    def overloaded(asked: Asked) -> bytes:
        key = asked.target.partition("?")[0]
        refused[key] = refused.get(key, 0) + 1
        return slow_down() if refused[key] <= 4 else respond(asked)

    keys = [f"key{number}" for number in range(40)]
    found = store_of(stalling(overloaded), LONG).get_many(keys)
    assert found == dict.fromkeys(keys, b"value")


def test_a_server_that_wants_more_time_than_there_is_is_not_waited_for(stalling: Stalling) -> None:
    server = stalling(lambda _: slow_down(Retry_After="3600"))
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        store_of(server, LONG).get("key")
    assert len(server.asked) == 2, "the direct read, and that of boto3"


@pytest.mark.parametrize(
    ("retries", "requests"),
    [({"total_max_attempts": 1}, 1), ({"total_max_attempts": 3}, 4), ({"max_attempts": 1}, 3), ({}, 9)],
)
def test_the_attempts_are_as_many_as_the_user_says(
    retries: dict[str, int], requests: int, stalling: Stalling, at_once: None
) -> None:
    server = stalling(lambda _: slow_down(Retry_After="0"))
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        store_of(server, LONG, boto_config={"retries": retries} if retries else {}).get("key")
    assert len(server.asked) == requests, "one more than boto3 makes, if that is more than one"


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "Mon, 23 Nov 2026 08:00:09 GMT", "Date": MODIFIED}, 9),
        ({"Retry-After": "Mon, 23 Nov 2020 08:00:09 GMT", "Date": MODIFIED}, 0),
        ({"Retry-After": "soon"}, 0),
        ({}, 0),
    ],
)
def test_a_retry_waits_as_long_as_the_server_asks(headers: dict[str, str], least: float) -> None:
    response: Any = (SimpleNamespace(status_code=503, headers=headers), {})
    pauses = [pause_before_retry(response, attempts) for attempts in range(1, 8)]
    assert all(pause is not None and least <= pause <= max(least, 20) for pause in pauses)
    assert pause_before_retry(response, 8) is None


def test_what_is_no_lack_of_time_is_left_to_boto3() -> None:
    for status, code in ((500, "InternalError"), (404, "NoSuchKey"), (200, "")):
        response = SimpleNamespace(status_code=status, headers={}), {"Error": {"Code": code}}
        assert pause_before_retry(response, 1) is None
    assert pause_before_retry(None, 1) is None


# --- a server that is down, and comes back ------------------------------------------------------------


def test_a_server_that_answers_is_not_down(stalling: Stalling) -> None:
    """Neither after refusals, nor after one object that hangs while others are read."""
    denied = answer("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>")
    server = stalling(lambda asked: denied if "denied" in asked.target else respond(asked))
    store = store_of(server, LONG)
    for _ in range(4):
        with pytest.raises(AccessDeniedError):
            store.get("denied")
    assert store.get("key") == b"value"
    assert not store.client._boto.breaker.is_open
