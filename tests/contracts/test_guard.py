"""The guard: what is locked is not altered, hidden or deleted, through any way, on servers of every kind.

The assertions are on what boto3 itself lists of the key's versions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from s3kv_flows.store import S3KV
from s3kv_flows.store._objects.bucket import GuardedBucket
from s3kv_flows.store._objects.deletions import Deletions
from s3kv_flows.store._s3.capabilities import ConditionalPuts
from s3kv_flows.store.errors import (
    ConflictError,
    HiddenOutputError,
    KeyLockedError,
    S3KVError,
    UnsupportedByServerError,
)
from tests.contracts.attempts import ATTEMPTS, Attempt, final_and_other
from tests.contracts.helpers import (
    NAME,
    WEEK,
    carries_updates,
    chain,
    outside,
)
from tests.support.proxy import CountingProxy

_CARRIED = ConditionalPuts("atomic", "atomic")


HARMLESS = {
    # They ask.
    *("exists", "fetch", "find_keys_by_tag_value", "find_keys_by_tags", "get", "get_key_last_updated_time"),
    *("get_key_size", "get_many", "get_retention", "get_tags", "info", "is_legal_hold_applied", "iter_keys"),
    *("key_exists", "list_keys", "list_keys_with_prefix", "server_time", "versions"),
    # They change tags, which no lock covers.
    *("tag_key", "tag_keys_with_prefix", "untag_key"),
    # They add to a lock, or are the explicit way to lift one.
    *("apply_legal_hold", "extend_retention_lock", "release_legal_hold", "remove_retention_lock"),
    # They are about local copies, or about the bucket.
    *("cache_all_keys", "clear_cache", "clear_cache_for_key", "clear_old_cache", "get_from_cache"),
    *("create_bucket", "set_bucket_policy"),
}
"""Every other public method. A new one belongs here or there: the next test fails until it does."""

OBJECTS_HARMLESS = {"examine", "get", "get_unless", "head", "versions"} | {
    *("copies_locked", "refuse_if_retained", "require_condition", "require_object_lock"),
}
OBJECTS_GUARDED = {"put", "copy", "create_copy", "restore"}
"""Methods of GuardedBucket that S3KV's are made of; ``amend`` changes what the caller has just written."""


def public_methods(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_method_that_can_write_or_delete_is_tried() -> None:
    assert public_methods(S3KV) == ATTEMPTS.keys() | HARMLESS
    assert not ATTEMPTS.keys() & HARMLESS
    assert public_methods(GuardedBucket) == OBJECTS_GUARDED | OBJECTS_HARMLESS | {"amend"}
    assert public_methods(Deletions) == {"delete", "delete_many", "purge"}


EVERY_ATTEMPT = [
    pytest.param(attempt, id=f"{name}-{number}")
    for name, attempts in ATTEMPTS.items()
    for number, attempt in enumerate(attempts)
]


def refused(store: S3KV, attempt: Attempt, match: str) -> KeyLockedError | None:
    """Return the refusal; None where the server cannot carry the attempt at all, which is one, too."""
    with pytest.raises(S3KVError) as caught:
        attempt(store)
    refusal = caught.value
    if isinstance(refusal, KeyLockedError):
        assert caught.match(match)
        return refusal
    assert isinstance(refusal, UnsupportedByServerError), refusal
    assert not carries_updates(store)
    return None


@pytest.mark.parametrize("attempt", EVERY_ATTEMPT)
def test_a_locked_value_is_not_changed_and_the_refusal_names_the_date(
    locking_store: S3KV, attempt: Attempt
) -> None:
    final_and_other(locking_store)
    before = chain(locking_store)
    refusal = refused(locking_store, attempt, "GOVERNANCE retention until 20")
    assert chain(locking_store) == before
    assert locking_store.get("key") == {"final": 1}
    if refusal is not None:
        assert (refusal.key, refusal.mode, refusal.version_id) == ("key", "GOVERNANCE", before[0][0])
        assert refusal.retain_until is not None
        left = refusal.retain_until - datetime.now(timezone.utc)
        assert timedelta(days=6, hours=23) < left <= timedelta(days=7, seconds=5)


NEED_A_CURRENT_VALUE = {"delete_by_tag", "place_retention_lock"}
"""They act on what the key reads as, and leave alone what does not read at all."""


@pytest.mark.parametrize("attempt", EVERY_ATTEMPT)
@pytest.mark.parametrize("hidden_by", ["a delete marker", "a newer version"])
def test_a_locked_version_beneath_another_one_counts_as_locked(
    locking_store: S3KV, attempt: Attempt, hidden_by: str, request: pytest.FixtureRequest
) -> None:
    final_and_other(locking_store)
    name = {"Bucket": locking_store.bucket_name, "Key": NAME}
    if hidden_by == "a delete marker":
        outside(locking_store).delete_object(**name)
    else:
        outside(locking_store).put_object(**name, Body=b"{}", Tagging="find=me")
    before = chain(locking_store)
    method = request.node.callspec.id.split("-")[1]
    try:
        attempt(locking_store)
    except KeyLockedError as refusal:
        assert "not the current one" in str(refusal)  # noqa: PT017  # other errors are compared below
    except HiddenOutputError as hidden:  # of what looks before it writes
        assert (hidden.key, hidden.mode) == ("key", "GOVERNANCE")  # noqa: PT017
        assert hidden.retain_until is not None  # noqa: PT017
    except (S3KVError, KeyError) as other:
        absent = hidden_by == "a delete marker"
        assert absent or isinstance(other, UnsupportedByServerError), other  # noqa: PT017
    else:
        assert method == "place_retention_lock", "locking what is current hides nothing"
    assert chain(locking_store) == before


def test_the_error_of_a_server_that_cannot_is_not_the_only_guard(locking_store: S3KV) -> None:
    """Conditional ways are refused by the guard as well, where they are carried."""
    final_and_other(locking_store)
    locking_store.client.capabilities._probed[("conditional puts", locking_store.bucket_name)] = _CARRIED
    before = chain(locking_store)
    for name in ("add", "update", "merge_keys"):
        for attempt in ATTEMPTS[name]:
            with pytest.raises((KeyLockedError, ConflictError)):
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
        outside(locking_store).delete_object(Bucket=locking_store.bucket_name, Key=NAME, VersionId=version)
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
