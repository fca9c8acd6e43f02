"""Conditional writes: created once, swapped only when unchanged, no increment lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.types import Written
from s3kv_flows.store.errors import (
    ConflictError,
    EncodingError,
    KeyLockedError,
    StoreUnavailableError,
    UnsupportedByServerError,
)
from tests.contracts.helpers import WEEK, carries_updates, just_before
from tests.servers import Server
from tests.support.waiting import PATIENCE

OTHER_ETAG = '"00000000000000000000000000000000"'


@pytest.fixture(params=["plain", "with Object Lock"])
def swapping(request: pytest.FixtureRequest) -> S3KV:
    """A store whose bucket carries conditional writes; where it does not, they have to be refused."""
    store: S3KV = request.getfixturevalue("store" if request.param == "plain" else "locking_store")
    if not carries_updates(store):
        assert request.param != "plain", "every server that is supported carries them without versions"
        pytest.skip("conditional PUTs do not hold on this server's versioned buckets: see the refusals below")
    return store


def test_where_conditions_do_not_hold_they_are_refused_and_nothing_is_written(locking_store: S3KV) -> None:
    if carries_updates(locking_store):
        locking_store.add("key", 1, mode="create")
        return
    locking_store.add("key", 1)
    for call in (
        lambda: locking_store.add("new", 1, mode="create"),
        lambda: locking_store.add("key", 2, mode=locking_store.info("key").etag),
        lambda: locking_store.update("key", lambda value: value + 1),
    ):
        with pytest.raises(UnsupportedByServerError, match="conditional PUTs do not hold"):
            call()
    assert locking_store.get("key") == 1
    assert locking_store.list_keys() == ["key"]
    assert len(locking_store.versions("key")) == 1


def test_a_key_is_created_once(swapping: S3KV) -> None:
    swapping.add("key", 1, mode="create")
    with pytest.raises(ConflictError, match="'key' exists already"):
        swapping.add("key", 2, mode="create")
    assert swapping.get("key") == 1
    swapping.delete("key")
    swapping.add("key", 3, mode="create")
    assert swapping.get("key") == 3


def test_of_many_that_create_a_key_one_wins(swapping: S3KV, server: Server) -> None:
    def create(number: int) -> bool:
        try:
            swapping.add("key", number, mode="create")
        except ConflictError:
            return False
        return True

    assert sum(map_concurrently(create, range(server.racers))) == 1


def test_a_value_is_swapped_only_while_it_has_the_etag(swapping: S3KV) -> None:
    first = swapping.add("key", 1)
    second = swapping.add("key", 2, mode=first.etag)
    assert swapping.info("key").etag.strip('"') == second.etag.strip('"')
    for etag in (first.etag, OTHER_ETAG):
        with pytest.raises(ConflictError, match="'key' was changed or deleted"):
            swapping.add("key", 3, mode=etag)
    swapping.add("key", 4, mode=second.etag.strip('"'))
    assert swapping.get("key") == 4
    with pytest.raises(ConflictError):
        swapping.add("missing", 1, mode=first.etag)
    assert not swapping.exists("missing")


def test_an_update_keeps_metadata_and_tags_and_returns_the_value(swapping: S3KV) -> None:
    swapping.add("key", {"n": 1}, {"origin": "test"}, tags={"stage": "raw"})
    assert swapping.update("key", lambda value: {"n": value["n"] + 1}) == {"n": 2}
    assert swapping.get("key") == {"n": 2}
    assert swapping.info("key").metadata == {"origin": "test"}
    assert swapping.get_tags("key") == {"stage": "raw"}


def test_an_update_of_a_missing_key_begins_with_the_default(swapping: S3KV) -> None:
    assert swapping.update("key", lambda value: [*value, 1], default=[]) == [1]
    assert swapping.update("key", lambda value: [*value, 2], default=[]) == [1, 2]


def test_an_update_loses_no_change_that_comes_in_between(
    swapping: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapping.add("key", 10)
    just_before(monkeypatch, "put_object", lambda: swapping.add("key", 20))
    assert swapping.update("key", lambda value: value + 1) == 21
    just_before(monkeypatch, "put_object", lambda: swapping.delete("key"))
    assert swapping.update("key", lambda value: value + 1, default=0) == 1


def test_a_merge_loses_no_change_that_comes_in_between(
    swapping: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapping.add("a", {"a": 1})
    swapping.add("all", {"old": 1})
    just_before(monkeypatch, "put_object", lambda: swapping.add("all", {"theirs": 1}))
    swapping.merge_keys(["a"], "all")
    assert swapping.get("all") == {"theirs": 1, "a": 1}


def test_an_update_that_fails_leaves_the_value(swapping: S3KV) -> None:
    swapping.add("key", 1)
    with pytest.raises(EncodingError):
        swapping.update("key", lambda _: {1, 2})
    with pytest.raises(ZeroDivisionError):
        swapping.update("key", lambda value: value / 0)
    assert swapping.get("key") == 1


def test_conditional_writes_respect_locks(locking_store: S3KV) -> None:
    locking_store.add("key", 1, retention=WEEK)
    before = locking_store.versions("key")
    refused = (KeyLockedError, UnsupportedByServerError, ConflictError)
    for call in (
        lambda: locking_store.add("key", 2, mode="create"),
        lambda: locking_store.add("key", 2, mode=before[0].etag),
        lambda: locking_store.update("key", lambda value: value + 1),
    ):
        with pytest.raises(refused):
            call()
    assert locking_store.versions("key") == before


def test_a_conditional_write_whose_answer_was_lost_is_known_as_our_own(
    swapping: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As botocore does it: the request is sent again, and meets its own success."""
    original = S3Client.put_object

    def sent_twice(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        original(self, *args, **kwargs)
        try:
            return original(self, *args, **kwargs)
        except ConflictError as exc:
            exc.was_lost = True
            raise

    swapping.add("key", 0)
    monkeypatch.setattr(S3Client, "put_object", sent_twice)
    for number in range(1, 4):
        assert swapping.update("key", lambda value: value + 1) == number
    swapping.add("new", 1, mode="create")
    monkeypatch.undo()
    assert swapping.get("key") == 3
    assert swapping.get("new") == 1


INCREMENTS = """
import sys
from s3kv_flows.store import S3KV
url, bucket, count = sys.argv[1:]
store = S3KV(url, bucket, enable_local_cache=False)
for _ in range(int(count)):
    store.update("counter", lambda value: value + 1, default=0)
"""


@pytest.mark.slow
def test_two_processes_that_increment_a_key_200_times_each_make_400(store: S3KV) -> None:
    command = [sys.executable, "-c", INCREMENTS, str(store.config.endpoint_url), store.bucket_name, "200"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
    assert store.get("counter") == 400


def test_threads_of_a_locking_bucket_lose_no_increment_either(swapping: S3KV) -> None:
    def increment(_: int) -> None:
        swapping.update("counter", lambda value: value + 1, default=0)

    list(map_concurrently(increment, range(12), workers=3))
    assert swapping.get("counter") == 12


def test_a_server_whose_conditions_hold_only_in_sequence_is_refused(
    make_store: Callable[..., S3KV], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ceph 20 does it on versioned buckets: 412 in sequence, and two winners of a race."""
    from s3kv_flows.store._s3.probes import Probes

    store = make_store()
    monkeypatch.setattr(Probes, "_winners", lambda *_: 2)
    found = Probes(store.client).conditional_puts(store.bucket_name, "s3kv/")
    assert found is not None
    assert (found.create, found.replace) == ("sequential", "sequential")
    assert not found.carry_updates
    assert store.list_keys() == []


def test_a_condition_is_never_dropped(swapping: S3KV, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others are in the way twice, an update begins again; it does not overwrite."""
    swapping.add("key", 10)
    original = S3Client.put_object
    refusals = iter([ConflictError("409"), ConflictError("409"), None])

    def refusing(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        if refusal := next(refusals):
            raise refusal
        monkeypatch.setattr(S3Client, "put_object", original)
        swapping.add("key", 100)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(S3Client, "put_object", refusing)
    assert swapping.update("key", lambda value: value + 1) == 101
    assert swapping.get("key") == 101


def test_a_change_whose_answer_was_lost_is_not_made_twice(
    swapping: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrived, somebody wrote on top of it, and then it was sent again."""
    swapping.add("key", 1)
    original = S3Client.put_object

    def lost_and_covered(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        monkeypatch.setattr(S3Client, "put_object", original)
        original(self, *args, **kwargs)
        swapping.add("key", 100)
        try:
            return original(self, *args, **kwargs)
        except ConflictError as exc:
            exc.was_lost = True
            raise

    monkeypatch.setattr(S3Client, "put_object", lost_and_covered)
    if swapping.client.has_object_lock(swapping.bucket_name):
        assert swapping.update("key", lambda value: value + 1) == 2, "it was made, before the other"
    else:
        with pytest.raises(StoreUnavailableError, match="whether 'key' was written is not known"):
            swapping.update("key", lambda value: value + 1)
    assert swapping.get("key") == 100


def test_a_key_that_is_deleted_while_its_tags_are_read_begins_anew(
    swapping: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapping.add("key", 10, tags={"a": "b"})
    just_before(monkeypatch, "get_tags", lambda: swapping.purge("key"))
    assert swapping.update("key", lambda value: value + 1, default=0) == 1


def test_an_error_of_the_users_own_function_is_theirs(swapping: S3KV) -> None:
    swapping.add("key", 1)
    calls: list[int] = []

    def change(value: int) -> int:
        calls.append(value)
        raise ConflictError("their own")

    with pytest.raises(ConflictError, match="their own"):
        swapping.update("key", change)
    assert calls == [1]
