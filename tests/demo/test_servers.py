from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows._demo import servers as embedded
from s3kv_flows.store import S3KV
from tests.support.proxy import CountingProxy


def test_the_proxy_itself_counts_right(s3_url: str) -> None:
    proxy = CountingProxy(s3_url)
    try:
        store = S3KV(proxy.url, "proxy-bucket", enable_local_cache=False)
        with proxy.counting() as wire:
            store.create_bucket()
        assert dict(wire.requests) == {"HEAD": 1, "PUT": 1}
        assert wire.connections == 1
        with proxy.counting() as wire:
            store.objects.client.put_object("proxy-bucket", "large", b"x" * 3_000_000, content_type="")
            store.objects.get("large")
        assert (wire.body_sent, wire.body_received) == (3_000_000, 3_000_000)
        assert wire.connections == 0, "direct reads use those of the full client"
        assert wire.paths == ["PUT /proxy-bucket/large", "GET /proxy-bucket/large"]
    finally:
        proxy.close()


def test_a_prefect_server_that_does_not_start_is_an_error_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT", "no number")
    with pytest.raises(RuntimeError, match="did not start"), embedded.embedded_prefect(tmp_path):
        pass


def test_a_prefect_server_is_stopped_also_where_a_signal_comes_while_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []

    def start_and_be_interrupted(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(start(*args, **kwargs))
        os.kill(os.getpid(), signal.SIGINT)
        return started[0]

    monkeypatch.setattr("s3kv_flows._demo.servers.subprocess.Popen", start_and_be_interrupted)
    try:
        with pytest.raises(KeyboardInterrupt), embedded.embedded_prefect(tmp_path):
            pytest.fail("it began all the same")
        assert started[0].poll() is not None
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_no_thread_of_a_server_outlives_its_block() -> None:
    # In a process of its own, an embedded server forgets its objects at the end; here it would take
    # those of the other tests with it.
    script = """
import threading
from s3kv_flows._demo.servers import embedded_s3
from s3kv_flows.store import S3KV
for _ in range(2):
    with embedded_s3() as url:
        store = S3KV(url, "some-bucket", "id", "secret", enable_local_cache=False, region_name="us-east-1")
        assert store.create_bucket()
        store.add("key", 1)
of_the_client = "s3kv-watchdog"  # it ends by itself
print([thread.name for thread in threading.enumerate() if thread.name != of_the_client])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['MainThread']", done.stderr


def test_a_thread_that_has_just_answered_may_still_wake_the_loop() -> None:
    script = """
import threading
from waitress.trigger import trigger
from s3kv_flows._demo.servers import embedded_s3

pull = trigger._physical_pull

def pull_again_after_the_end(self):
    pull(self)
    for thread in threading.enumerate():
        if thread.name == "embedded-s3":
            thread.join()
    pull(self)

with embedded_s3():
    trigger._physical_pull = pull_again_after_the_end
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ended", done.stderr


def test_an_object_that_goes_while_versions_are_listed_does_not_fail_the_listing() -> None:
    script = """
import copy, threading, types
import boto3, moto.s3.models
from botocore.config import Config
from s3kv_flows._demo import servers
from s3kv_flows._demo.servers import embedded_s3
from s3kv_flows.store import S3KV

settled = threading.Event()  # the deletion waits for the listing, or is done

class Lock:
    def __init__(self):
        self.lock = threading.Lock()

    def __enter__(self):
        if not self.lock.acquire(blocking=False):
            settled.set()
            self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()

servers.threading = types.SimpleNamespace(Lock=Lock, Thread=threading.Thread)

def delete(store):
    store.delete("second")
    settled.set()

with embedded_s3() as url:
    store = S3KV(url, "some-bucket", "id", "secret", enable_local_cache=False, region_name="us-east-1")
    store.create_bucket()
    store.add_many({"first": 1, "second": 2})
    deleting = threading.Thread(target=delete, args=(store,))

    def deepcopy(value, *memo):
        if deleting.ident is None:
            deleting.start()
            settled.wait()
        return copy.deepcopy(value, *memo)

    moto.s3.models.copy = types.SimpleNamespace(deepcopy=deepcopy, copy=copy.copy)
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client("s3", "us-east-1", endpoint_url=url, config=once)
    listed = client.list_object_versions(Bucket="some-bucket")
    deleting.join()
    print(len(listed["Versions"]), store.exists("second"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2 False", done.stderr
