"""The guard: what is locked is not altered, hidden or deleted, on servers of every kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store.capabilities import KnownObjectLock
from s3kv_flows.store.errors import ConflictError, KeyLockedError, UnsupportedByServerError
from s3kv_flows.store.s3 import S3Client
from s3kv_flows.store.s3_types import Written
from tests.proxy import CountingProxy

WEEK = Retention(days=7)
NAME = "s3kv/key.json"


def chain(store: S3KV, name: str = NAME) -> list[tuple[str, bool, bool]]:
    """Return version id, is it current, is it a delete marker, of all versions of a key."""
    return [(v.version_id, v.is_latest, v.is_delete_marker) for v in store.objects.versions(name)]


def plain_boto3(store: S3KV) -> Any:
    return boto3.client("s3", endpoint_url=store.config.endpoint_url)


Attempt = Callable[[S3KV], object]

ATTEMPTS: dict[str, Attempt] = {
    "add": lambda store: store.add("key", "new"),
    "add with a lock": lambda store: store.add("key", "new", retention=WEEK),
    "copy": lambda store: store.copy_key("other", "key"),
    "merge": lambda store: store.merge_keys(["other"], "key"),
    "delete": lambda store: store.delete("key"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_locked_value_is_not_changed_and_the_refusal_names_the_date(
    locking_store: S3KV, attempt: Attempt
) -> None:
    locking_store.add("key", {"final": 1}, retention=WEEK)
    locking_store.add("other", {"x": 1})
    before = chain(locking_store)
    with pytest.raises(KeyLockedError, match="GOVERNANCE retention until 20") as caught:
        attempt(locking_store)
    assert chain(locking_store) == before
    assert locking_store.get("key") == {"final": 1}
    refusal = caught.value
    assert (refusal.key, refusal.mode, refusal.version_id) == ("key", "GOVERNANCE", before[0][0])
    assert refusal.retain_until is not None
    left = refusal.retain_until - datetime.now(timezone.utc)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7, seconds=5)


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
@pytest.mark.parametrize("hidden_by", ["a delete marker", "a newer version"])
def test_a_locked_version_beneath_another_one_counts_as_locked(
    locking_store: S3KV, attempt: Attempt, hidden_by: str
) -> None:
    locking_store.add("key", {"final": 1}, retention=WEEK)
    locking_store.add("other", {"x": 1})
    outside = plain_boto3(locking_store)
    if hidden_by == "a delete marker":
        outside.delete_object(Bucket=locking_store.bucket_name, Key=NAME)
    else:
        outside.put_object(Bucket=locking_store.bucket_name, Key=NAME, Body=b"{}")
    before = chain(locking_store)
    with pytest.raises(KeyLockedError, match="not the current one"):
        attempt(locking_store)
    assert chain(locking_store) == before


def test_the_lock_is_in_the_request_that_writes(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(object_lock=True, endpoint_url=proxy.url)
    store.add("warm", 1)
    with proxy.counting() as wire:
        store.add("key", 1, retention=WEEK, tags={"a": "b"})
    assert dict(wire.requests) == {"GET": 2, "PUT": 1}  # complete in one PUT, between LISTs of versions
    info = store.objects.head(NAME)
    assert info.lock_mode == "GOVERNANCE"
    assert info.tag_count == 1


def test_s3_itself_refuses_to_delete_the_locked_version(locking_store: S3KV) -> None:
    locking_store.add("key", 1, retention=WEEK)
    version = chain(locking_store)[0][0]
    with pytest.raises(ClientError, match="AccessDenied"):
        plain_boto3(locking_store).delete_object(
            Bucket=locking_store.bucket_name, Key=NAME, VersionId=version
        )
    assert locking_store.get("key") == 1


def test_what_is_not_locked_can_be_changed_and_deleted(locking_store: S3KV) -> None:
    locking_store.add("key", 1)
    locking_store.add("key", 2)
    assert locking_store.get("key") == 2
    assert len(chain(locking_store)) == 2
    locking_store.delete("key")
    assert locking_store.get("key", "gone") == "gone"
    before = chain(locking_store)
    locking_store.delete("key")
    assert chain(locking_store) == before, "deleting again adds no second marker"
    locking_store.add("key", 3)
    assert locking_store.get("key") == 3


def test_a_legal_hold_stays_on_the_key_when_its_value_changes(locking_store: S3KV) -> None:
    locking_store.add("key", 1, legal_hold=True)
    locking_store.add("key", 2)
    assert locking_store.objects.head(NAME).legal_hold
    locking_store.add("other", 3)
    locking_store.copy_key("other", "key")
    assert locking_store.get("key") == 3
    assert locking_store.objects.head(NAME).legal_hold
    with pytest.raises(KeyLockedError, match="cannot delete 'key': it is under legal hold"):
        locking_store.delete("key")


# --- races, and servers that lack what AWS has ------------------------------------------------------


def just_before(monkeypatch: pytest.MonkeyPatch, operation: str, act: Callable[[], object]) -> None:
    """Let something happen in the moment before the next call of an operation."""
    original = getattr(S3Client, operation)

    def intercepted(self: S3Client, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(S3Client, operation, original)
        act()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(S3Client, operation, intercepted)


RACES = [
    pytest.param("put_object", ATTEMPTS["add"], id="add"),
    pytest.param("copy_object", ATTEMPTS["copy"], id="copy"),
    pytest.param("delete_object", ATTEMPTS["delete"], id="delete"),
]


@pytest.mark.parametrize(("operation", "attempt"), RACES)
def test_a_lock_that_is_placed_in_the_same_instant_is_honoured_by_undoing(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch, operation: str, attempt: Attempt
) -> None:
    locking_store.add("key", {"x": 0})
    locking_store.add("other", {"x": 1})
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
    locking_store.add("key", {"x": 0})
    locking_store.add("other", {"x": 1})
    just_before(monkeypatch, operation, lambda: locking_store.add("key", "final", retention=WEEK))
    with pytest.raises(KeyLockedError):
        attempt(locking_store)
    assert locking_store.get("key") == "final"
    assert [marker for _, _, marker in chain(locking_store)] == [False, False]


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
    for operation, attempt in (("put_object", ATTEMPTS["add"]), ("copy_object", ATTEMPTS["copy"])):
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
    assert len(chain(locking_store)) == 1


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


def answer_puts(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    original = S3Client.put_object

    def intercepted(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        return original(self, *args, **change(kwargs))

    monkeypatch.setattr(S3Client, "put_object", intercepted)


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
    outside, bucket = plain_boto3(locking_store), locking_store.bucket_name
    bodies = (str(number).encode() for number in itertools.count(1))

    def lose(kwargs: dict[str, Any]) -> dict[str, Any]:
        outside.put_object(Bucket=bucket, Key=NAME, Body=next(bodies))
        return kwargs

    answer_puts(monkeypatch, lose)
    with pytest.raises(ConflictError, match="5 times in a row"):
        locking_store.add("key", "ours")
