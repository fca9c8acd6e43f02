"""Large values: in parts, many at a time, whole or not at all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from s3kv_flows.maintenance import abort_incomplete, find_incomplete
from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store._objects.transfer import FIRST_BYTES
from s3kv_flows.store._objects.uploads import MULTIPART_FROM
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Part
from s3kv_flows.store.errors import ConflictError, KeyLockedError, StoreUnavailableError
from tests.contracts.helpers import chain, just_before
from tests.servers import Server
from tests.support.proxy import CountingProxy
from tests.support.signing import TEST_KEY
from tests.support.waiting import PATIENCE, until

MIB = 1 << 20
LARGE = MULTIPART_FROM // MIB + 1
NAME = "s3kv/key"


@pytest.fixture
def large(make_store: Callable[..., S3KV]) -> S3KV:
    return make_store(codec="cloudpickle", suffix="")


def array(mib: int = LARGE, seed: int = 1) -> np.ndarray[Any, Any]:
    # Eight bytes at a throw: one by one, dice for so many take as long as sending them.
    return np.random.default_rng(seed).integers(0, 1 << 64, mib * MIB // 8, dtype=np.uint64).view(np.uint8)


def unfinished(store: S3KV) -> list[str]:
    return [upload.name for upload in store.client.list_multipart_uploads(store.bucket_name, "s3kv/")]


def test_it_comes_back_as_it_was_put(large: S3KV) -> None:
    value = array()
    written = large.add("key", value, {"note": "n"}, tags={"stage": "raw"})
    back = large.get("key")
    assert np.array_equal(back, value)
    back[0] ^= 1  # writable
    info = large.info("key")
    assert (info.etag, info.metadata) == (written.etag, {"note": "n"})
    assert large.get_tags("key") == {"stage": "raw"}, "also where the server drops them from parts"
    assert unfinished(large) == []


@pytest.mark.parametrize(
    "size", [MULTIPART_FROM - 1, MULTIPART_FROM, FIRST_BYTES, FIRST_BYTES + 1, FIRST_BYTES + 16 * MIB + 1]
)
def test_sizes_around_the_limits(make_store: Callable[..., S3KV], size: int) -> None:
    store = make_store(codec="bytes")
    value = array(40).tobytes()[:size]
    store.add("key", value)
    assert store.get("key") == value


def test_an_empty_value_has_no_first_byte_to_ask_for(make_store: Callable[..., S3KV]) -> None:
    store = make_store(codec="bytes", enable_local_cache=True)
    store.add("key", b"")
    assert store.get("key") == b""
    assert store.get("key") == b""


def test_requests(make_store: Callable[..., S3KV], proxy: CountingProxy) -> None:
    store = make_store(codec="cloudpickle", endpoint_url=proxy.url)
    store.add("warm", 1)
    store.client.capabilities.multipart_uploads(store.bucket_name, "s3kv/")
    value = array(40)
    with proxy.counting() as wire:
        store.add("key", value)
    assert dict(wire.requests) == {"POST": 2, "PUT": 5}, wire.paths
    assert wire.body_sent < 1.01 * value.nbytes
    with proxy.counting() as wire:
        store.get("key")
    assert dict(wire.requests) == {"GET": 3}  # 17 MiB, and two times 11.5
    assert wire.body_received < 1.01 * value.nbytes


@pytest.mark.slow
def test_what_is_to_be_locked_goes_where_locks_arrive(make_store: Callable[..., S3KV]) -> None:
    store = make_store(object_lock=True, codec="cloudpickle", suffix="")
    value = array()
    uploads = store.client.capabilities.multipart_uploads(store.bucket_name, "s3kv/")
    with store.client.counters.measure() as measured:
        store.add("key", value, retention=Retention(days=1))
    in_parts = measured[0]["requests.CreateMultipartUpload"]
    assert in_parts == uploads.locks, "locked from birth, not afterwards"
    before = chain(store, NAME)
    assert len(before) == 1
    assert store.get_retention("key") is not None
    with pytest.raises(KeyLockedError):
        store.add("key", value)
    assert chain(store, NAME) == before
    store.add("held", value, legal_hold=True)
    store.add("held", array(seed=2))
    assert store.is_legal_hold_applied("held"), "carried over"


def test_conditions_hold_for_large_values(large: S3KV) -> None:
    if not large.client.capabilities.conditional_puts(large.bucket_name, "s3kv/").carry_updates:
        pytest.skip("the server cannot carry conditions")
    written = large.add("key", array(), mode="create")
    with pytest.raises(ConflictError):
        large.add("key", array(), mode="create")
    large.add("key", array(seed=2), mode=written.etag)
    with pytest.raises(ConflictError):
        large.add("key", array(seed=3), mode=written.etag)
    assert np.array_equal(large.get("key"), array(seed=2))
    assert unfinished(large) == []


def test_an_upload_that_fails_leaves_the_old_value_and_no_parts(
    large: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.add("key", "old")

    def refused(self: S3Client, bucket: str, name: str, upload: str, number: int, body: bytes) -> Part:
        if number == 2:
            raise StoreUnavailableError("no route")
        return original(self, bucket, name, upload, number, body)

    original = S3Client.upload_part
    monkeypatch.setattr(S3Client, "upload_part", refused)
    with pytest.raises(StoreUnavailableError, match="no route"):
        large.add("key", array())
    assert large.get("key") == "old"
    assert unfinished(large) == []


def test_an_upload_whose_last_answer_was_lost_is_found_again(
    large: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = S3Client.complete_multipart_upload

    def twice(self: S3Client, *args: Any, **kwargs: Any) -> Any:
        original(self, *args, **kwargs)
        return original(self, *args, **kwargs)  # as boto3 does after a lost answer

    monkeypatch.setattr(S3Client, "complete_multipart_upload", twice)
    written = large.add("key", array())
    assert large.info("key").etag == written.etag


def test_an_upload_that_was_removed_meanwhile_was_not_written(
    large: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.add("key", "old")
    large.client.capabilities.multipart_uploads(large.bucket_name, "s3kv/")  # which tries an upload itself

    def abort() -> None:
        for upload in large.client.list_multipart_uploads(large.bucket_name, "s3kv/"):
            large.client.abort_multipart_upload(large.bucket_name, upload.name, upload.upload_id)

    just_before(monkeypatch, "complete_multipart_upload", abort)
    with pytest.raises(StoreUnavailableError):  # moto answers 500
        large.add("key", array())
    assert large.get("key") == "old"


def before_the_second_range(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    original = S3Client.open_object

    def intercepted(self: S3Client, *args: Any, byte_range: tuple[int, int], **kwargs: Any) -> Any:
        if byte_range[0]:
            monkeypatch.setattr(S3Client, "open_object", original)
            act()
        return original(self, *args, byte_range=byte_range, **kwargs)

    monkeypatch.setattr(S3Client, "open_object", intercepted)


def test_a_value_that_is_overwritten_while_it_is_read_is_the_new_one(
    large: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = array(seed=2)
    large.add("key", array())
    before_the_second_range(monkeypatch, lambda: large.add("key", new))
    assert np.array_equal(large.get("key"), new)


def test_a_value_that_is_deleted_while_it_is_read_is_gone(
    large: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.add("key", array())
    before_the_second_range(monkeypatch, lambda: large.delete("key"))
    assert large.get("key", "nothing") == "nothing"


def test_a_connection_that_breaks_goes_on_where_it_broke(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(codec="cloudpickle", endpoint_url=proxy.url)
    value = array(40)
    store.add("key", value)
    proxy.break_next_answer(after=3 * MIB)
    with proxy.counting() as wire:
        assert np.array_equal(store.get("key"), value)
    assert wire.requests["GET"] == 4
    assert wire.body_received < 1.5 * value.nbytes


def test_what_is_sent_again_is_sent_from_its_beginning(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(codec="cloudpickle", endpoint_url=proxy.url)
    value = array(20)
    store.add("warm", 0)
    proxy.break_next_answer(after=1)
    with proxy.counting() as wire:
        store.add("key", value)
    assert (wire.requests["PUT"], wire.body_sent // value.nbytes) == (2, 2)
    assert np.array_equal(store.get("key"), value)


def test_a_copy_on_disk_makes_a_hit_one_request_without_a_body(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(codec="cloudpickle", endpoint_url=proxy.url, enable_local_cache=True)
    value = array(20)
    store.add("key", value)
    store.get("key")
    with proxy.counting() as wire:
        assert np.array_equal(store.get("key"), value)
    assert (dict(wire.requests), wire.body_received) == ({"GET": 1}, 0)
    assert wire.bytes_received + wire.bytes_sent < 2000


@contextmanager
def peak() -> Iterator[list[int]]:
    """Yield a list that holds, after the block, the most memory Python took in it (maps of memory apart)."""
    found: list[int] = []
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_beyond_the_value(large: S3KV) -> None:
    large.client.capabilities.multipart_uploads(large.bucket_name, "s3kv/")
    small, value = array(15), array(96)
    large.add("warm", small)
    with peak() as put:
        large.add("small", small)
    with peak() as upload:
        large.add("key", value)
    with peak() as read:
        assert large.get("key").nbytes == value.nbytes
    assert max(put[0], upload[0]) < 3 * MIB, "it is sent from its own memory"
    assert read[0] < 0.1 * value.nbytes, "beside the one buffer of the value"


WRITER = """
import sys
import numpy as np
from s3kv_flows.store import S3KV
store = S3KV(sys.argv[1], sys.argv[2], codec="cloudpickle", suffix="")
store.add("key", np.random.default_rng(3).random(8 << 20))
"""
NEW_SEED, NEW_SIZE = 3, 8 << 20


def sees(proxy: CountingProxy, since: int, request: str) -> Callable[[], bool]:
    return lambda: any(re.search(request, path) for path in proxy.read().paths[since:])


def assert_old_or_new(store: S3KV) -> None:
    back = store.get("key")
    if not isinstance(back, str):
        assert np.array_equal(back, np.random.default_rng(NEW_SEED).random(NEW_SIZE))
    else:
        assert back == "old"


MOMENTS = {
    "it has begun": r"POST .*/key\?uploads",
    "the first part is under way": r"PUT .*/key\?.*partNumber=1\b",
    "the last part is under way": r"PUT .*/key\?.*partNumber=8\b",
    "it is being completed": r"POST .*/key\?uploadId=",
}


def at(moments: Iterable[str], always: str) -> list[Any]:
    """Return the moments, as parameters; all but one are for the slow tests."""
    return [
        moment if moment == always else pytest.param(moment, marks=pytest.mark.slow) for moment in moments
    ]


@pytest.mark.parametrize("moment", at(MOMENTS, "it is being completed"))
def test_a_writer_killed_at_any_moment_leaves_the_old_value_or_the_new_one(
    large: S3KV, proxy: CountingProxy, moment: str
) -> None:
    large.add("key", "old")
    since = len(proxy.read().paths)
    environment = {**os.environ, "S3KV_SIGNING_KEY": TEST_KEY}
    command = [sys.executable, "-c", WRITER, proxy.url, large.bucket_name]
    with subprocess.Popen(command, env=environment) as writer:
        until(sees(proxy, since, MOMENTS[moment]))
        writer.kill()
        writer.wait(timeout=PATIENCE)
    assert_old_or_new(large)
    abort_incomplete(large, find_incomplete(large, large.server_time() + timedelta(hours=1), timedelta(0)))
    assert unfinished(large) == []
    assert_old_or_new(large)


@pytest.mark.parametrize("moment", at(MOMENTS, "the last part is under way"))
def test_connections_cut_at_any_moment_leave_the_old_value_or_the_new_one(
    large: S3KV, make_store: Callable[..., S3KV], proxy: CountingProxy, moment: str
) -> None:
    large.add("key", "old")
    through = make_store(
        endpoint_url=proxy.url, bucket_name=large.bucket_name, codec="cloudpickle", suffix=""
    )
    through.client.capabilities.multipart_uploads(large.bucket_name, "s3kv/")
    since = len(proxy.read().paths)
    new = np.random.default_rng(NEW_SEED).random(NEW_SIZE)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(through.add, "key", new)
        until(sees(proxy, since, MOMENTS[moment]))
        proxy.close_connections()
        error = writing.exception(timeout=PATIENCE)
    assert error is None or isinstance(error, StoreUnavailableError)
    assert_old_or_new(large)
    if error is None:
        assert not isinstance(large.get("key"), str), "it was written"
        if moment == "it has begun":  # of an upload whose id never arrived, a cleanup alone knows
            abort_incomplete(
                large, find_incomplete(large, large.server_time() + timedelta(hours=1), timedelta(0))
            )
        assert unfinished(large) == []


def test_a_sweep_frees_the_parts_of_a_killed_writer_when_they_are_old_enough(
    large: S3KV, server: Server, proxy: CountingProxy
) -> None:
    large.add("key", "old")
    since = len(proxy.read().paths)
    environment = {**os.environ, "S3KV_SIGNING_KEY": TEST_KEY}
    command = [sys.executable, "-c", WRITER, proxy.url, large.bucket_name]
    with subprocess.Popen(command, env=environment) as writer:
        until(sees(proxy, since, MOMENTS["the first part is under way"]))
        writer.kill()
        writer.wait(timeout=PATIENCE)
    assert large.get("key") == "old"
    assert unfinished(large) == [NAME]
    now = large.server_time()
    if server.name != "moto":  # where every upload was begun in 2010
        assert find_incomplete(large, now, timedelta(minutes=5)) == []
    left = find_incomplete(large, now + timedelta(hours=1), timedelta(minutes=5))
    assert abort_incomplete(large, left) == [NAME]
    assert unfinished(large) == []
    if server.name != "seaweedfs":  # where what was aborted can be aborted again
        assert abort_incomplete(large, left) == [], "gone already"
