from __future__ import annotations

from pathlib import Path

import pytest

from s3kv_flows import embedded
from s3kv_flows.store import S3KV
from tests.proxy import CountingProxy


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
        assert wire.connections == 1, "of the direct reads; that of the full client is there already"
        assert wire.paths == ["PUT /proxy-bucket/large", "GET /proxy-bucket/large"]
    finally:
        proxy.close()


def test_a_prefect_server_that_does_not_start_is_an_error_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT", "no number")
    with pytest.raises(RuntimeError, match="did not start"), embedded.embedded_prefect(tmp_path):
        pass


def test_no_thread_of_a_server_outlives_its_block() -> None:
    # In a process of its own, an embedded server forgets its objects at the end; here it would take
    # those of the other tests with it.
    import subprocess
    import sys

    script = """
import threading
from s3kv_flows.embedded import embedded_s3
from s3kv_flows.store import S3KV
for _ in range(2):
    with embedded_s3() as url:
        store = S3KV(url, "some-bucket", "id", "secret", enable_local_cache=False, region_name="us-east-1")
        assert store.create_bucket()
        store.add("key", 1)
print([thread.name for thread in threading.enumerate()])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['MainThread']", done.stderr
