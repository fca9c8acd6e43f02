"""Versions: listed, read, restored, hidden by a deletion, and freed by a purge."""

from __future__ import annotations

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store.errors import HiddenOutputError, KeyLockedError, KeyNotFoundError, StoreUnavailableError
from tests.contracts.helpers import WEEK, chain, enable_versions, outside
from tests.servers import Server


@pytest.fixture(params=["with versions", "with Object Lock"])
def versioned(request: pytest.FixtureRequest) -> S3KV:
    if request.param == "with Object Lock":
        locking: S3KV = request.getfixturevalue("locking_store")
        return locking
    store: S3KV = request.getfixturevalue("store")
    enable_versions(store)
    return store


def test_old_values_can_be_listed_read_and_restored(versioned: S3KV) -> None:
    for number in range(3):
        versioned.add("key", number, {"n": str(number)}, tags={"n": str(number)})
    versioned.add("key2", "another key, whose name begins alike")
    listed = versioned.versions("key")
    assert [versioned.get("key", version_id=one.version_id) for one in listed] == [2, 1, 0]
    assert [one.is_latest for one in listed] == [True, False, False]
    assert versioned.info("key", version_id=listed[2].version_id).metadata == {"n": "0"}
    versioned.restore("key", listed[2].version_id)
    assert versioned.get("key") == 0
    assert versioned.get_tags("key") == {"n": "0"}
    assert versioned.info("key").metadata == {"n": "0"}
    assert len(versioned.versions("key")) == 4, "a restored value is a new version: nothing is lost"


def test_restoring_what_is_current_changes_nothing(versioned: S3KV) -> None:
    versioned.add("key", 1)
    before = chain(versioned)
    versioned.restore("key", before[0][0])
    assert chain(versioned) == before


def test_a_version_that_there_is_not_cannot_be_restored_or_read(versioned: S3KV) -> None:
    versioned.add("key", 1)
    versioned.add("other", 2)
    foreign = versioned.versions("other")[0].version_id
    with pytest.raises(KeyNotFoundError):
        versioned.restore("key", foreign)
    assert versioned.get("key", "none", version_id=foreign) == "none"
    versioned.delete("key")
    marker = next(one for one in versioned.versions("key") if one.is_delete_marker)
    with pytest.raises(KeyNotFoundError):
        versioned.restore("key", marker.version_id)
    assert versioned.get("key") is None


def test_a_deleted_value_is_hidden_and_can_be_restored(versioned: S3KV) -> None:
    versioned.add("key", 1)
    version = versioned.versions("key")[0].version_id
    versioned.delete("key")
    assert not versioned.exists("key")
    assert [one.is_delete_marker for one in versioned.versions("key")] == [True, False]
    versioned.restore("key", version)
    assert versioned.get("key") == 1


def test_a_purge_frees_the_whole_chain_and_nothing_else(versioned: S3KV) -> None:
    for number in range(3):
        versioned.add("key", number)
    versioned.delete("key")
    versioned.add("key", 3)
    versioned.add("key2", 1)
    versioned.purge("key")
    assert chain(versioned) == []
    assert versioned.get("key2") == 1
    versioned.add("gone", 1)
    versioned.delete("gone")
    versioned.purge("gone")
    assert chain(versioned, "s3kv/gone.json") == []
    versioned.purge("missing")


@pytest.mark.slow
def test_a_purge_of_more_versions_than_a_page_frees_them_all(store: S3KV) -> None:
    enable_versions(store)
    list(map_concurrently(lambda number: store.add("key", number), range(1005)))
    store.purge("key")
    assert store.versions("key") == []


def test_without_versions_a_purge_is_a_deletion(store: S3KV) -> None:
    store.add("key", 1)
    store.purge("key")
    assert not store.exists("key")


def test_values_from_before_versions_are_versions_too(store: S3KV) -> None:
    store.add("key", "before")
    enable_versions(store)
    store.client.capabilities.forget(store.bucket_name)
    store.add("key", "after")
    assert [one.version_id == "null" for one in store.versions("key")] == [False, True]
    store.restore("key", "null")
    assert store.get("key") == "before"
    store.purge("key")
    assert chain(store) == []


@pytest.mark.parametrize("locked_by", ["retention", "hold"])
@pytest.mark.parametrize("place", ["current", "older", "under a delete marker"])
def test_a_chain_with_a_lock_is_neither_purged_nor_deleted(
    locking_store: S3KV, locked_by: str, place: str
) -> None:
    locking_store.add("key", 0)
    locking_store.add(
        "key", 1, retention=WEEK if locked_by == "retention" else None, legal_hold=locked_by == "hold"
    )
    name = {"Bucket": locking_store.bucket_name, "Key": "s3kv/key.json"}
    if place == "older":
        outside(locking_store).put_object(**name, Body=b"2")
    elif place == "under a delete marker":
        outside(locking_store).delete_object(**name)
    before = chain(locking_store)
    for attempt in (locking_store.purge, locking_store.delete):
        with pytest.raises(KeyLockedError):
            attempt("key")
    assert chain(locking_store) == before


def test_a_purge_that_breaks_off_brings_no_old_value_back(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        locking_store.add("key", number)
    original = S3Client.delete_objects
    calls: list[object] = []

    def once(self: S3Client, bucket: str, objects: list[tuple[str, str | None, str | None]]) -> object:
        if calls:
            raise ConnectionError("the process died")
        calls.append(objects)
        return original(self, bucket, objects)

    monkeypatch.setattr(S3Client, "delete_objects", once)
    with pytest.raises(ConnectionError):
        locking_store.purge("key")
    assert locking_store.get("key") == 2
    assert len(chain(locking_store)) == 1


@pytest.mark.parametrize("stopped", ["it dies", "a hold comes"])
def test_a_purge_under_a_delete_marker_brings_no_old_value_back(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    for number in range(3):
        locking_store.add("key", number)
    oldest = locking_store.versions("key")[-1].version_id
    locking_store.delete("key")
    monkeypatch.setattr("s3kv_flows.store._objects.deletions.BATCH", 2)
    original = S3Client.delete_objects
    calls: list[object] = []

    def interrupted(self: S3Client, bucket: str, objects: list[tuple[str, str | None, str | None]]) -> object:
        calls.append(objects)
        if stopped == "it dies" and len(calls) == 2:
            raise StoreUnavailableError("503")
        if stopped == "a hold comes" and len(calls) == 1:
            name = {"Bucket": bucket, "Key": "s3kv/key.json", "VersionId": oldest}
            outside(locking_store).put_object_legal_hold(**name, LegalHold={"Status": "ON"})
        return original(self, bucket, objects)

    monkeypatch.setattr(S3Client, "delete_objects", interrupted)
    with pytest.raises(StoreUnavailableError if stopped == "it dies" else KeyLockedError):
        locking_store.purge("key")
    if stopped == "it dies":
        assert locking_store.get("key") is None
    else:
        with pytest.raises(HiddenOutputError, match="delete marker"):
            locking_store.get("key")


def test_on_a_bucket_whose_versions_are_suspended_values_come_and_go(store: S3KV, server: Server) -> None:
    if server.name == "moto":
        pytest.skip("moto forgets older versions when versions are suspended")
    if server.name == "seaweedfs":
        pytest.skip("SeaweedFS deletes no delete marker with the id 'null'")
    enable_versions(store)
    store.add("key", 1)
    outside(store).put_bucket_versioning(
        Bucket=store.bucket_name, VersioningConfiguration={"Status": "Suspended"}
    )
    store.add("key", 2)
    store.add("key", 3)
    assert store.get("key") == 3
    assert [store.get("key", version_id=one.version_id) for one in store.versions("key")] == [3, 1]
    store.delete("key")
    assert store.get("key") is None
    store.purge("key")
    assert chain(store) == []
