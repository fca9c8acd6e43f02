"""Races against the guard, and servers that lack what AWS has: what is locked stays on top."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store._s3.capabilities import DECLARED, KnownObjectLock
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Written
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    HiddenOutputError,
    KeyLockedError,
    StoreUnavailableError,
    UnsupportedByServerError,
)
from tests.contracts.attempts import ATTEMPTS, Attempt, delete_by_tag, final_and_other
from tests.contracts.helpers import (
    NAME,
    WEEK,
    answer_puts,
    carries_updates,
    chain,
    just_before,
    outside,
)
from tests.servers import Server

ADD, COPY, DELETE = (ATTEMPTS[name][0] for name in ("add", "copy_key", "delete"))

LOCKED = ATTEMPTS["add"][1], ATTEMPTS["add"][2]

RACES = [
    pytest.param("put_object", ADD, id="add"),
    pytest.param("put_object", LOCKED[0], id="add with a retention"),
    pytest.param("put_object", LOCKED[1], id="add with a hold"),
    pytest.param("copy_object", COPY, id="copy"),
    pytest.param("copy_object", ATTEMPTS["copy_key"][1], id="copy with tags"),
    pytest.param("copy_object", lambda store: store.copy_key("held", "key"), id="copy of what is held"),
    pytest.param("copy_object", lambda store: restore_first(store), id="restore"),
    pytest.param("delete_object", DELETE, id="delete"),
    pytest.param("delete_object", delete_by_tag, id="delete by tag"),
]


def restore_first(store: S3KV) -> None:
    store.restore("key", store.versions("key")[-1].version_id)


def unlocked_key_and_others(store: S3KV) -> None:
    store.add("key", {"x": -1})
    store.add("key", {"x": 0}, tags={"find": "me"})
    store.add("other", {"x": 1})
    store.add("held", {"x": 2}, legal_hold=True)


@pytest.mark.parametrize(("operation", "attempt"), RACES)
def test_a_lock_that_is_placed_in_the_same_instant_is_honoured_by_undoing(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch, operation: str, attempt: Attempt
) -> None:
    unlocked_key_and_others(locking_store)
    before = chain(locking_store)
    just_before(monkeypatch, operation, lambda: locking_store.place_retention_lock("key", 7))
    with pytest.raises(KeyLockedError):
        attempt(locking_store)
    assert chain(locking_store) == before
    assert locking_store.get("key") == {"x": 0}


@pytest.mark.parametrize(("operation", "attempt"), RACES)
def test_a_locked_version_that_comes_in_between_is_not_hidden(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch, operation: str, attempt: Attempt
) -> None:
    unlocked_key_and_others(locking_store)
    just_before(monkeypatch, operation, lambda: locking_store.add("key", "final", retention=WEEK))
    with pytest.raises(KeyLockedError):
        attempt(locking_store)
    assert locking_store.get("key") == "final"
    assert [marker for _, _, marker in chain(locking_store)] == [False, False, False]


@pytest.mark.parametrize(("operation", "attempt"), RACES)
@pytest.mark.parametrize("what", ["unavailable", "unseen"])
def test_a_write_that_cannot_be_verified_is_taken_back(
    locking_store: S3KV,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    attempt: Attempt,
    what: str,
) -> None:
    unlocked_key_and_others(locking_store)
    locking_store.get_retention("key")  # locks were seen to be visible
    before = chain(locking_store)
    original = S3Client.list_versions_of
    error = StoreUnavailableError("503") if what == "unavailable" else AccessDeniedError("403")

    def fails_once(self: S3Client, bucket: str, name: str) -> object:
        monkeypatch.setattr(S3Client, "list_versions_of", original)
        raise error

    def act() -> None:
        locking_store.place_retention_lock("key", 7)
        monkeypatch.setattr(S3Client, "list_versions_of", fails_once)

    just_before(monkeypatch, operation, act)
    with pytest.raises((type(error), KeyLockedError)):
        attempt(locking_store)
    assert chain(locking_store) == before


@pytest.mark.parametrize(("operation", "attempt"), [RACES[0], RACES[1], RACES[-2]])
def test_a_request_that_was_sent_twice_is_taken_back_twice(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch, operation: str, attempt: Attempt
) -> None:
    unlocked_key_and_others(locking_store)
    before = chain(locking_store)
    original = getattr(S3Client, operation)

    def twice(self: S3Client, *args: Any, **kwargs: Any) -> object:
        monkeypatch.setattr(S3Client, operation, original)
        locking_store.place_retention_lock("key", 7)
        kwargs |= {"if_none_match": False, "if_match": None} if operation == "put_object" else {}
        original(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(S3Client, operation, twice)
    with pytest.raises(KeyLockedError):
        attempt(locking_store)
    assert chain(locking_store) == before


def test_the_same_value_written_again_and_locked_in_between_is_not_hidden(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ETag is a digest of the value: the condition holds for the newer version, too."""
    locking_store.add("key", "same")
    just_before(monkeypatch, "put_object", lambda: locking_store.add("key", "same", retention=WEEK))
    with pytest.raises(KeyLockedError):
        locking_store.add("key", "other")
    assert locking_store.get("key") == "same"
    assert len(chain(locking_store)) == 2


def test_of_writers_that_create_a_locked_key_at_once_one_stands(locking_store: S3KV) -> None:
    for number in range(5):
        key = f"key{number}"

        def publish(writer: int, key: str = key) -> int | None:
            try:
                locking_store.add(key, writer, retention=WEEK)
            except KeyLockedError:
                return None
            return writer

        with ThreadPoolExecutor(2) as pool:
            stood = [writer for writer in pool.map(publish, range(2)) if writer is not None]
        assert [locking_store.get(key)] == stood
        assert len(chain(locking_store, f"s3kv/{key}.json")) == 1


def test_a_copy_that_another_writer_covers_takes_back_itself_alone(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked_key_and_others(locking_store)
    original = S3Client.copy_object

    def covered(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        locking_store.place_retention_lock("key", 7)
        written = original(self, *args, **kwargs)
        outside(locking_store).put_object(Bucket=locking_store.bucket_name, Key=NAME, Body=b"{}")
        return written

    before = chain(locking_store)
    monkeypatch.setattr(S3Client, "copy_object", covered)
    with pytest.raises(KeyLockedError):
        locking_store.copy_key("other", "key")
    left = chain(locking_store)
    assert len(left) == len(before) + 1, "the other writer's version is not ours to delete"
    with pytest.raises(HiddenOutputError, match="shadowed"):
        locking_store.get("key")
    assert locking_store.get("key", version_id=locking_store.versions("key")[0].version_id) == {}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        *itertools.product(["add", "copy_key", "delete", "purge"], [True, False]),
        ("delete_by_tag", False),  # it asks, unless it did within five minutes
    ],
)
def test_a_bucket_that_is_given_object_lock_is_noticed_by_every_change(
    locking_store: S3KV,
    server: Server,
    name: str,
    asked: bool,  # noqa: FBT001
) -> None:
    if server.name == "ceph" and (name, asked) == ("copy_key", True):
        pytest.skip("a copy on Ceph does not tell that there are versions; it is asked every five minutes")
    final_and_other(locking_store)
    before = chain(locking_store)
    # What the client would have learned before: hardly any server gives Object Lock to a bucket later.
    bucket, capabilities = locking_store.bucket_name, locking_store.client.capabilities
    capabilities.remember(bucket, KnownObjectLock(object_lock=False, inferred=not asked))
    capabilities._unversioned.add(bucket)
    capabilities._probed[("versioned", bucket)] = False
    with pytest.raises(KeyLockedError):
        ATTEMPTS[name][0](locking_store)
    assert chain(locking_store) == before


def test_a_probably_new_key_is_checked_on_an_unknown_server(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    locking_store.add("key", "final", retention=WEEK)
    before = chain(locking_store)
    monkeypatch.setattr(type(locking_store.client.capabilities), "declared", DECLARED[""])
    answer_puts(monkeypatch, lambda kwargs: kwargs | {"if_none_match": False, "if_match": None})
    with pytest.raises(KeyLockedError):
        locking_store.objects.put(NAME, NewObject(b"new", "text/plain"), probably_new=True)
    assert chain(locking_store) == before


def test_an_amendment_of_what_was_locked_meanwhile_is_refused(locking_store: S3KV) -> None:
    written = locking_store.add("key", 1)
    locking_store.place_retention_lock("key", 7)
    before = chain(locking_store)
    with pytest.raises(KeyLockedError):
        locking_store.objects.amend(NAME, written, {"a": "b"}, "text/plain")
    assert chain(locking_store) == before


@pytest.mark.parametrize("existing", [True, False])
def test_it_is_not_hidden_on_a_server_that_ignores_conditions(
    locking_store: S3KV,
    monkeypatch: pytest.MonkeyPatch,
    existing: bool,  # noqa: FBT001
) -> None:
    if existing:
        locking_store.add("key", "old")
    answer_puts(monkeypatch, lambda kwargs: kwargs | {"if_none_match": False, "if_match": None})
    just_before(monkeypatch, "put_object", lambda: locking_store.add("key", "final", retention=WEEK))
    with pytest.raises(KeyLockedError):
        locking_store.add("key", "ours")
    assert locking_store.get("key") == "final"


def test_a_held_key_that_is_locked_while_it_is_written_keeps_its_value(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    locking_store.add("key", {"x": 0}, legal_hold=True)
    locking_store.add("other", {"x": 1})
    before = chain(locking_store)
    for operation, attempt in (("put_object", ADD), ("copy_object", COPY)):
        days = 7 if operation == "put_object" else 8
        just_before(monkeypatch, operation, lambda days=days: locking_store.place_retention_lock("key", days))  # type: ignore[misc]
        with pytest.raises(KeyLockedError):
            attempt(locking_store)
        assert chain(locking_store) == before


def test_a_write_whose_answer_was_lost_is_known_as_our_own(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = S3Client.put_object

    def sent_twice(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        original(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(S3Client, "put_object", sent_twice)
    locking_store.add("key", "final", retention=WEEK)
    # Where conditions are ignored, the same value lies there twice.
    assert len(chain(locking_store)) == (1 if carries_updates(locking_store) else 2)


def test_a_write_whose_answer_was_lost_is_taken_back_as_well(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrived over a version that was locked in the same instant, and was sent again."""
    unlocked_key_and_others(locking_store)
    before = chain(locking_store)
    original = S3Client.put_object

    def lost(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        monkeypatch.setattr(S3Client, "put_object", original)
        locking_store.place_retention_lock("key", 7)
        original(self, *args, **kwargs)
        raise ConflictError("412, of our own success")

    monkeypatch.setattr(S3Client, "put_object", lost)
    with pytest.raises(KeyLockedError):
        locking_store.add("key", "new")
    assert chain(locking_store) == before


def test_of_two_writers_that_create_a_key_the_locked_one_stands(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    just_before(monkeypatch, "put_object", lambda: locking_store.add("key", "first", retention=WEEK))
    with pytest.raises(KeyLockedError):
        locking_store.add("key", "second")
    assert locking_store.get("key") == "first"
    assert len(chain(locking_store)) == 1


def test_a_write_that_lost_against_an_unlocked_one_is_done_again(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    locking_store.add("key", 0)
    just_before(monkeypatch, "put_object", lambda: locking_store.add("key", "theirs"))
    locking_store.add("key", "ours")
    assert locking_store.get("key") == "ours"


def test_a_server_that_ignores_conditions_does_not_lose_a_lock(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_puts(monkeypatch, lambda kwargs: kwargs | {"if_none_match": False, "if_match": None})
    locking_store.add("key", 1, retention=WEEK)
    with pytest.raises(KeyLockedError):
        locking_store.add("key", 2)
    locking_store.add("free", 1)
    locking_store.add("free", 2)
    assert locking_store.get("free") == 2


def test_a_server_that_refuses_every_if_match_can_be_written(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs.get("if_match"):
            raise ConflictError("always 412")
        return kwargs

    answer_puts(monkeypatch, refuse)
    locking_store.add("key", 1)
    locking_store.add("key", 2)
    assert locking_store.get("key") == 2


def test_a_server_without_conditional_writes_can_be_written(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs.get("if_match") or kwargs.get("if_none_match"):
            raise UnsupportedByServerError("NotImplemented")
        return kwargs

    answer_puts(monkeypatch, refuse)
    locking_store.add("key", 1)
    locking_store.add("key", 2, retention=WEEK)
    with pytest.raises(KeyLockedError):
        locking_store.add("key", 3)


def test_a_bucket_that_is_given_object_lock_while_a_process_runs_is_noticed(
    make_store: Callable[..., S3KV], locking_store: S3KV
) -> None:
    locking_store.add("key", 1, retention=WEEK)
    client = locking_store.client
    # What it would have learned before.
    client.capabilities.remember(locking_store.bucket_name, KnownObjectLock(object_lock=False, inferred=True))
    with pytest.raises(KeyLockedError):
        locking_store.add("key", 2)
    assert locking_store.get("key") == 1
    assert len(chain(locking_store)) == 1
    assert client.has_object_lock(locking_store.bucket_name)


def test_writers_that_always_lose_get_an_error(locking_store: S3KV, monkeypatch: pytest.MonkeyPatch) -> None:
    locking_store.add("key", 0)
    client, bucket = outside(locking_store), locking_store.bucket_name
    bodies = (str(number).encode() for number in itertools.count(1))

    def lose(kwargs: dict[str, Any]) -> dict[str, Any]:
        client.put_object(Bucket=bucket, Key=NAME, Body=next(bodies))
        return kwargs

    answer_puts(monkeypatch, lose)
    if not carries_updates(locking_store):  # the last writer wins
        locking_store.add("key", "ours")
        assert locking_store.get("key") == "ours"
        return
    with pytest.raises(ConflictError, match="5 times in a row"):
        locking_store.add("key", "ours")
