"""Time limits in processes that end, and in their children."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.transport.time import watchdog
from s3kv_flows.store._s3.transport.time.limits import Limits
from s3kv_flows.store.errors import StoreUnavailableError
from tests.support.stalls import StallingServer
from tests.support.waiting import until

_AT_EXIT = """
import atexit, sys
from s3kv_flows.store import S3KV

store = S3KV(sys.argv[1], sys.argv[2], enable_local_cache=False, codec="bytes")

@atexit.register
def last():
    body = bytes(range(256)) * (40 << 12)  # in parts, and in ranges
    store.add("large", body)
    print(store.get("large") == body, store.find_keys_by_tag_value("a", "b"))
"""


def test_large_values_are_written_and_read_while_the_interpreter_exits(store: S3KV, s3_url: str) -> None:
    store.add("tagged", 1, tags={"a": "b"})
    command = [sys.executable, "-c", _AT_EXIT, s3_url, store.bucket_name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("True ['tagged']\n", "")


def test_a_watchdog_that_cannot_start_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer Pythons start no threads when they exit."""

    def refuse(_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(watchdog, "_watchdog", watchdog._Watchdog())
    monkeypatch.setattr("threading.Thread.start", refuse)
    with Limits(60).operation() as limit:
        assert limit.left > 0
    assert watchdog._watchdog._thread is None


def test_a_watchdog_ends_when_it_has_watched_nothing_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    one = watchdog._Watchdog()
    monkeypatch.setattr(watchdog, "_watchdog", one)
    monkeypatch.setattr(watchdog, "_TICK", 0.01)
    for _ in range(2):
        with Limits(0.1).operation():
            assert one._thread is not None
        until(lambda: one._thread is None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_a_watchdog_of_its_own() -> None:
    server = StallingServer(lambda _: b"HTTP/1.1 200 OK\r\nX: " + b"x" * 30_000)
    server.place, server.pause = lambda _: 20, 0.05
    store = S3KV(server.url, "some-bucket", "id", "secret", operation_timeout_seconds=0.5)

    def ends() -> bool:
        try:
            store.get("key")
        except StoreUnavailableError:
            return True
        return False

    assert ends()  # there is one now
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of newer Pythons: there are threads
        child = os.fork()
    if not child:
        os._exit(0 if ends() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    server.close()


def test_what_is_over_is_cut_and_what_is_not_goes_on() -> None:
    class Connection:
        def __init__(self) -> None:
            self.cuts = 0
            self.sock = self

        def shutdown(self, _how: int) -> None:
            self.cuts += 1

    over, goes_on = Connection(), Connection()
    make: Callable[[float], Limits] = Limits
    with make(0.05).operation() as short:
        short.connection = over
        until(lambda: over.cuts)
    counted = over.cuts
    with make(300).operation() as long:
        long.connection = goes_on
        assert goes_on.cuts == 0
    assert over.cuts == counted, "it is not watched any more"


@pytest.mark.parametrize("ended", ["exception", "response", "success"])
def test_no_hook_lets_botocore_try_again_after_the_last_attempt(ended: str) -> None:
    """Of a False, old versions of botocore make a pause of no seconds, and try for ever."""
    client = S3KV("http://127.0.0.1:9", "some-bucket", "id", "secret", region_name="us-east-1").client
    operation = client.boto3_client.meta.service_model.operation_model("GetObject")
    refused, status = (
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        SimpleNamespace(status_code=200 if ended == "success" else 503, headers={}),
    )
    response = (
        None
        if ended == "exception"
        else (status, {"Error": {"Code": "SlowDown"}} if ended == "response" else {})
    )
    with client._boto.limits.operation() as limit:
        limit.end = 0.0

        def emit() -> list[object]:
            answers = client.boto3_client.meta.events.emit(
                "needs-retry.s3.GetObject",
                response=response,
                operation=operation,
                attempts=1,
                caught_exception=refused if ended == "exception" else None,
                request_dict={"context": {"client_config": client.boto3_client.meta.config}},
                endpoint=None,
            )
            return [answer for _, answer in answers if answer is not None]

        if ended == "success":
            assert emit() == []
        else:
            with pytest.raises(EndpointConnectionError if ended == "exception" else ClientError):
                emit()
