"""The breaker, by a clock of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.transport.time import breaker
from s3kv_flows.store._s3.transport.time.breaker import Breaker, DownError
from s3kv_flows.store.errors import StoreUnavailableError
from tests.servers.seaweedfs import _free_ports
from tests.support.waiting import Clock


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(breaker, "time", SimpleNamespace(monotonic=clock))
    return clock


def passes(one: Breaker) -> bool:
    try:
        one.require_closed()
    except DownError:
        return False
    return True


def test_nothing_heard_during_a_limit_opens_it(ticking: Clock) -> None:
    one = Breaker("server")
    began = ticking()
    ticking.now += 60
    one.ran_out_of_time(began)
    assert not passes(one)


def test_one_object_that_hangs_does_not_open_it(ticking: Clock) -> None:
    one = Breaker("server")
    began = ticking()
    ticking.now += 30
    one.heard()  # of another object
    ticking.now += 30
    one.ran_out_of_time(began)
    assert passes(one)


def test_three_failed_connects_in_a_row_open_it(ticking: Clock) -> None:
    one = Breaker("server")
    for _ in range(3):
        one.did_not_connect("refused")
        one.did_not_connect("refused")
        one.heard()
    assert passes(one)
    for opens in (False, False, True):
        one.did_not_connect("refused")
        assert passes(one) is not opens


def test_one_request_asks_again_after_each_pause_and_the_pauses_double(ticking: Clock) -> None:
    one = Breaker("server")
    for _ in range(3):
        one.did_not_connect("refused")
    for pause in (5, 10, 20, 40, 60, 60):
        ticking.now += pause - 0.5
        assert not passes(one)
        ticking.now += 1
        assert [passes(one) for _ in range(3)] == [True, False, False]
        one.did_not_connect("refused")  # its outcome
    one.heard()
    assert [passes(one) for _ in range(3)] == [True] * 3


def test_all_attempts_of_the_operation_that_asks_again_pass(ticking: Clock) -> None:
    one, first, second = Breaker("server"), object(), object()
    for _ in range(3):
        one.did_not_connect("refused")
    ticking.now += 6
    one.require_closed(first)
    for operation, passes_now in ((first, True), (second, False), (None, False), (first, True)):
        with nullcontext() if passes_now else pytest.raises(DownError):
            one.require_closed(operation)
    one.did_not_connect("refused")
    with pytest.raises(DownError):
        one.require_closed(first)


def test_many_that_were_under_way_are_one_failure(ticking: Clock) -> None:
    one = Breaker("server")
    began = ticking()
    ticking.now += 60
    for _ in range(32):
        one.ran_out_of_time(began)
    ticking.now += 5.5
    assert passes(one)


def test_it_says_once_that_the_server_is_down_and_once_that_it_answers(
    ticking: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one = Breaker("the server")
    with caplog.at_level(logging.INFO, "s3kv_flows"):
        for _ in range(9):
            one.did_not_connect("refused")
        one.heard()
        one.heard()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert all("the server" in message for message in caplog.messages)


def test_a_server_that_is_back_is_used_again(
    make_store: Callable[..., S3KV], s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = make_store().bucket_name
    store = S3KV(s3_url, bucket, enable_local_cache=False, operation_timeout_seconds=61)
    store.add("key", 1)
    for _ in range(3):
        store.client._boto.breaker.did_not_connect("refused")
    with pytest.raises(StoreUnavailableError, match="a moment ago"):
        store.get("key")
    now = time.monotonic()
    monkeypatch.setattr(breaker, "time", SimpleNamespace(monotonic=lambda: now + 6))
    assert store.get("key") == 1
    assert store.exists("key")


def test_where_nothing_listens_three_connects_are_tried() -> None:
    port = _free_ports(1)[0]
    store = S3KV(f"http://127.0.0.1:{port}", "some-bucket", "id", "secret", enable_local_cache=False)
    with pytest.raises(StoreUnavailableError, match="cannot reach"):
        store.get("key")
    with pytest.raises(StoreUnavailableError, match="a moment ago"):
        store.add("key", 1)
