"""Permissions: what is denied is an error, never an absence, and never taken for "unlocked"."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.capabilities import Capabilities, Declared
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import AccessDeniedError, KeyLockedError
from tests.contracts.helpers import WEEK, carries_updates, chain, outside
from tests.servers import Server


def deny(store: S3KV, *actions: str) -> None:
    statement = {
        "Sid": "Denied",
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{store.bucket_name}", f"arn:aws:s3:::{store.bucket_name}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    outside(store).put_bucket_policy(Bucket=store.bucket_name, Policy=policy)


CHANGES: dict[str, Callable[[S3KV], object]] = {
    "add": lambda store: store.add("key", "new"),
    "copy": lambda store: store.copy_key("other", "key"),
    "delete": lambda store: store.delete("key"),
    "purge": lambda store: store.purge("key"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("hidden", ["s3:GetObjectRetention", "s3:GetObjectLegalHold"])
def test_who_may_not_see_locks_changes_nothing_that_may_be_locked(
    locking_store: S3KV, change: Callable[[S3KV], object], hidden: str
) -> None:
    locking_store.add("key", "final", retention=WEEK)
    locking_store.add("other", 1)
    deny(locking_store, hidden)
    before = chain(locking_store)
    # KeyLockedError where the header that shows it is not the hidden one, or shown to everybody.
    with pytest.raises((AccessDeniedError, KeyLockedError)) as caught:
        change(locking_store)
    assert chain(locking_store) == before
    if isinstance(caught.value, AccessDeniedError):
        caught.match("grant s3:GetObjectRetention and s3:GetObjectLegalHold")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("hidden", ["get_retention", "get_legal_hold"])
def test_a_header_that_is_not_there_proves_nothing(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch, change: Callable[[S3KV], object], hidden: str
) -> None:
    """As the test before, on servers that let everybody see locks."""

    def denied(*_: object, **__: object) -> None:
        raise AccessDeniedError("403")

    locking_store.add("key", 1)
    locking_store.add("other", 1)
    before = chain(locking_store)
    monkeypatch.setattr(Capabilities, "declared", Declared())
    monkeypatch.setattr(S3Client, "get_retention", lambda *_, **__: None)
    monkeypatch.setattr(S3Client, "get_legal_hold", lambda *_, **__: None)
    monkeypatch.setattr(S3Client, hidden, denied)
    with pytest.raises(AccessDeniedError, match="grant s3:GetObjectRetention and s3:GetObjectLegalHold"):
        change(locking_store)
    assert chain(locking_store) == before


def test_credentials_that_may_not_see_locks_get_an_error_and_not_none(
    locking_store: S3KV, server: Server
) -> None:
    if server.name in ("moto", "seaweedfs"):
        pytest.skip("this server shows locks to everybody: Declared.shows_locks")
    locking_store.add("key", 1, retention=WEEK, legal_hold=True)
    deny(locking_store, "s3:GetObjectRetention", "s3:GetObjectLegalHold")
    for ask in (
        locking_store.get_retention,
        locking_store.is_legal_hold_applied,
        locking_store.remove_retention_lock,
        lambda key: locking_store.extend_retention_lock(key, 9),
    ):
        with pytest.raises(AccessDeniedError):
            ask("key")
    assert locking_store.get("key") == 1
    locking_store.add("new", 1)  # there is nothing that could be locked


ASKED_BY_MOTO = {"get", "get_many", "add"}
"""moto asks bucket policies before it reads or writes an object, and hardly anywhere else."""

DENIED: dict[str, tuple[str, Callable[[S3KV], object]]] = {
    "get": ("s3:GetObject", lambda store: store.get("key", "default")),
    "get_many": ("s3:GetObject", lambda store: store.get_many(["key"])),
    "exists": ("s3:GetObject", lambda store: store.exists("key")),
    "key_exists": ("s3:GetObject", lambda store: store.key_exists("key")),
    "get_key_size": ("s3:GetObject", lambda store: store.get_key_size("key")),
    "add": ("s3:PutObject", lambda store: store.add("key", 2)),
    "list_keys": ("s3:ListBucket", lambda store: store.list_keys()),
    "get_tags": ("s3:GetObjectTagging", lambda store: store.get_tags("key")),
    "find": ("s3:GetObjectTagging", lambda store: store.find_keys_by_tag_value("a", "b")),
    "tag_key": ("s3:PutObjectTagging", lambda store: store.tag_key("key", {"a": "b"})),
    "delete": ("s3:DeleteObject", lambda store: store.delete("key")),
}


@pytest.mark.parametrize("name", DENIED)
def test_what_is_denied_raises(store: S3KV, server: Server, name: str) -> None:
    if server.name == "moto" and name not in ASKED_BY_MOTO:
        pytest.skip("moto asks no bucket policy before this operation")
    action, call = DENIED[name]
    store.add("key", 1)
    deny(store, action)
    with pytest.raises(AccessDeniedError):
        call(store)
    assert len(chain(store)) == 1


def test_a_deletion_that_is_denied_is_reported_per_key(store: S3KV, server: Server) -> None:
    store.add_many({"a": 1, "b": 2}, tags={"x": "y"})
    deny(store, "s3:DeleteObject")
    if server.name in ("moto", "seaweedfs"):
        pytest.skip("this server asks no policy before it deletes in batches")
    result = store.delete_by_tag("x", "y")
    assert result.deleted == []
    assert sorted(result.failed) == ["a", "b"]
    assert all(isinstance(error, AccessDeniedError) for error in result.failed.values())
    assert store.list_keys() == ["a", "b"]


def test_a_policy_allows_one_principal_what_a_store_needs_and_no_more(
    locking_store: S3KV, make_store: Callable[..., S3KV], server: Server
) -> None:
    if server.new_user is None:
        pytest.skip("this server has no other users to test with")
    writer, reader, stranger = (server.new_user() for _ in range(3))
    locking_store.add("final", 1, retention=WEEK)
    outside(locking_store).put_object(Bucket=locking_store.bucket_name, Key="elsewhere", Body=b"x")
    locking_store.set_bucket_policy(writer.arn)
    locking_store.set_bucket_policy(reader.arn, access="read")

    def as_user(user: Any) -> S3KV:
        return S3KV(
            server.url,
            locking_store.bucket_name,
            user.access_key,
            user.secret_key,
            enable_local_cache=False,
        )

    mine = as_user(writer)
    assert mine.get("missing", "default") == "default"
    assert not mine.exists("missing")
    assert mine.server_time()
    mine.add("key", 1, tags={"a": "b"}, retention=WEEK)
    mine.add("free", 1)
    mine.add("free", 2)
    assert mine.get("free") == 2
    assert mine.find_keys_by_tags({"a": "b"}) == ["key"]
    mine.delete("free")
    mine.purge("free")
    assert mine.versions("free") == []
    mine.add_many({"t1": 1, "t2": 2}, tags={"c": "d"})
    assert mine.delete_by_tag("c", "d").deleted == ["t1", "t2"]
    for attempt in (mine.purge, mine.delete, lambda key: mine.add(key, 2)):
        with pytest.raises(KeyLockedError):
            attempt("final")
    with pytest.raises(AccessDeniedError):
        mine.remove_retention_lock("final")
    with pytest.raises(AccessDeniedError):
        mine.client.delete_object(
            mine.bucket_name,
            "s3kv/final.json",
            version_id=locking_store.info("final").version_id,
            bypass_governance=True,
        )
    with pytest.raises(AccessDeniedError):
        mine.client.head_object(mine.bucket_name, "elsewhere")

    other = as_user(reader)
    assert other.get("final") == 1
    assert other.list_keys() == ["final", "key"]
    for call in (
        lambda: other.add("key2", 1),
        lambda: other.delete("key"),
        lambda: other.tag_key("key", {"a": "c"}),
    ):
        with pytest.raises((AccessDeniedError, KeyLockedError)):
            call()
    with pytest.raises(AccessDeniedError):
        as_user(stranger).get("final")


def test_a_policy_leaves_the_statements_of_others_and_closes_what_the_seed_opened(
    store: S3KV, server: Server
) -> None:
    if server.name == "seaweedfs":
        pytest.skip("SeaweedFS takes no policy with a condition StringLikeIfExists")
    others = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteBucket",
        "Resource": f"arn:aws:s3:::{store.bucket_name}",
    }
    seeds = {
        "Sid": "S3KVReadWriteAccess",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": f"arn:aws:s3:::{store.bucket_name}/s3kv/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [others, seeds]})
    outside(store).put_bucket_policy(Bucket=store.bucket_name, Policy=policy)
    principal = "arn:aws:iam:::user/somebody"
    for _ in range(2):
        ours = store.set_bucket_policy(principal)
    found = json.loads(outside(store).get_bucket_policy(Bucket=store.bucket_name)["Policy"])["Statement"]
    assert [one["Sid"] for one in found] == ["Theirs", *(one["Sid"] for one in ours)]
    assert {one["Principal"]["AWS"] for one in ours} == {principal}
    actions = {action for one in ours if one["Effect"] == "Allow" for action in one["Action"]}
    assert "s3:BypassGovernanceRetention" not in actions
    denied = [one["Action"] for one in ours if one["Effect"] == "Deny"]
    assert denied == [["s3:BypassGovernanceRetention"]]
    assert not [action for action in actions if "*" in action or "Policy" in action]


@pytest.mark.parametrize("action", ["s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"])
def test_what_is_not_needed_may_be_denied(store: S3KV, action: str) -> None:
    carries_updates(store)
    store.client.capabilities.forget(store.bucket_name)
    deny(store, action)
    store.add("key", 1, tags={"a": "b"})
    if action != "s3:GetBucketObjectLockConfiguration":
        assert store.update("key", lambda value: value + 1) == 2
    store.purge("key")
    store.add("key", 1, tags={"a": "b"})
    assert store.delete_by_tag("a", "b").deleted == ["key"]


def test_credentials_that_may_only_read_and_list_find_a_key_missing(
    store: S3KV, make_store: Callable[..., S3KV]
) -> None:
    deny(store, "s3:GetBucketObjectLockConfiguration", "s3:ListBucketVersions")
    store.client.capabilities.forget(store.bucket_name)
    assert store.get("missing", "default") == "default"
    assert not store.exists("missing")


def test_a_policy_can_be_returned_without_a_request(store: S3KV) -> None:
    with store.client.counters.measure() as measured:
        store.set_bucket_policy("arn:aws-cn:iam::123456789012:role/x", access="read", apply=False)
        for everybody in ("*", "arn:aws:iam::123456789012:user/*", "somebody"):
            with pytest.raises(ValueError, match="principal must be one ARN"):
                store.set_bucket_policy(everybody)
    assert measured[0].requests == 0
