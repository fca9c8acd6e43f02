"""What changed between plan and sweep stays: on every server."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import sweep
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.capabilities import KnownObjectLock
from tests.contracts.helpers import outside
from tests.contracts.sweeping import ALL, NOW, RAW, leases_of, names, planned, results_of, swept
from tests.support.waiting import PATIENCE, until

Change = Callable[[S3KV], object]
CHANGES: dict[str, Change] = {
    "overwritten": lambda store: store.add("key", "new", tags=RAW),
    "re-tagged": lambda store: store.tag_key("key", {"stage": "final"}),
    "protected": lambda store: store.tag_key("key", {**RAW, "keep": ""}),
    "locked": lambda store: store.place_retention_lock("key", 1),
    "held": lambda store: store.client.put_legal_hold(store.bucket_name, "s3kv/key.json", version_id=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changed_since_the_plan_survives(locking_store: S3KV, change: Change) -> None:
    locking_store.add("key", "old", tags=RAW)
    made = planned(locking_store)
    change(locking_store)
    before = locking_store.objects.versions("s3kv/key.json")
    report = sweep(locking_store, made)
    assert report.removed == []
    assert [*report.changed, *report.protected] == ["s3kv/key.json"]
    assert locking_store.objects.versions("s3kv/key.json") == before


@pytest.mark.parametrize("change", [CHANGES["re-tagged"], lambda store: store.add("key", "new", tags=RAW)])
def test_what_changed_since_the_plan_survives_on_a_bucket_without_versions(
    store: S3KV, change: Change
) -> None:
    store.add("key", "old", tags=RAW)
    made = planned(store)
    change(store)
    assert sweep(store, made).changed == ["s3kv/key.json"]
    assert store.exists("key")


def test_what_was_deleted_since_the_plan_is_no_error(store: S3KV) -> None:
    store.add("key", 1, tags=RAW)
    made = planned(store)
    store.delete("key")
    assert sweep(store, made).changed == ["s3kv/key.json"]


def test_a_value_that_was_written_again_with_the_same_bytes_is_a_new_one(store: S3KV) -> None:
    """Its ETag is the same; that it is young, only a listing tells."""
    store.add("key", 1, tags=RAW)
    made = planned(store)
    before = next(store.client.list_objects(store.bucket_name, "s3kv/")).last_modified

    def rewritten() -> bool:  # servers count in seconds, or in milliseconds
        store.add("key", 1, tags=RAW)
        return next(store.client.list_objects(store.bucket_name, "s3kv/")).last_modified != before

    until(rewritten)
    assert sweep(store, made).changed == ["s3kv/key.json"]
    assert store.get("key") == 1


def test_a_lock_on_one_version_since_the_plan_keeps_the_whole_chain(locking_store: S3KV) -> None:
    for number in range(3):
        locking_store.add("key", number, tags=RAW)
        locking_store.add("held", number, tags=RAW)
    made = planned(locking_store)
    locking_store.place_retention_lock("key", 1)
    middle = locking_store.objects.versions("s3kv/held.json")[1].version_id
    locking_store.client.put_legal_hold(locking_store.bucket_name, "s3kv/held.json", version_id=middle)
    before = names(locking_store), len(locking_store.objects.versions("s3kv/key.json"))
    report = sweep(locking_store, made)
    assert report.removed == []
    assert "which is not the current one" not in report.protected["s3kv/key.json"]
    assert "which is not the current one" in report.protected["s3kv/held.json"]
    assert (names(locking_store), len(locking_store.objects.versions("s3kv/key.json"))) == before
    assert len(locking_store.objects.versions("s3kv/held.json")) == 3


def test_a_lease_that_was_taken_since_the_plan_keeps_the_result(store: S3KV) -> None:
    results = results_of(store)
    results.add("key", 1, tags=RAW)
    made = planned(store)
    leases = leases_of(store)
    lease = leases.acquire("s3kv-leases/key", "a run", timeout=PATIENCE)
    assert "holds its lease" in sweep(store, made).protected["s3kv-results/key"]
    assert results.get("key") == 1
    leases.release(lease)


def versioning(store: S3KV, status: str) -> None:
    outside(store).put_bucket_versioning(Bucket=store.bucket_name, VersioningConfiguration={"Status": status})


def test_of_a_bucket_that_was_given_versions_since_the_plan_nothing_is_hidden(store: S3KV) -> None:
    store.add("key", 1, tags=RAW)
    made = planned(store)
    versioning(store, "Enabled")
    report = sweep(store, made)
    assert (report.changed, report.freed_bytes) == (["s3kv/key.json"], 0)
    assert store.get("key") == 1
    assert swept(store).removed == ["s3kv/key.json"], "the next plan knows versions"
    assert names(store) == []


def test_where_versioning_was_suspended_no_old_value_comes_back(store: S3KV) -> None:
    """A null version is replaced by the next PUT: what is to go may be current when its deletion arrives."""
    versioning(store, "Enabled")
    store.add("first null", 0, tags=RAW)
    for key in ("whole", "history"):
        store.add(key, "old", tags=RAW)
    versioning(store, "Suspended")
    store.add("whole", "new", tags=RAW)
    store.add("history", "null", tags={})
    versioning(store, "Enabled")
    store.add("history", "current", tags={})
    versioning(store, "Suspended")
    history = [CleanupRule("history", prefix="s3kv/history", noncurrent_after=NOW)]
    report = swept(store, history)
    assert "versioning is suspended" in report.protected["s3kv/history.json"]
    assert store.get("history") == "current"
    report = swept(store)
    assert report.removed == ["s3kv/first null.json", "s3kv/whole.json"]
    assert set(names(store)) == {"s3kv/history.json"}


@pytest.mark.parametrize("at", ["the plan", "the sweep"])
def test_object_lock_that_was_enabled_since_it_was_asked_for_is_seen(locking_store: S3KV, at: str) -> None:
    """A process that runs for long has learned that there is none."""
    for number in range(2):
        locking_store.add("key", number, tags=RAW)
    outdated = KnownObjectLock(object_lock=False, since=time.monotonic() - 3600)
    made = planned(locking_store, ALL, protect_tag=None)
    locking_store.place_retention_lock("key", 1)
    locking_store.client.capabilities.remember(locking_store.bucket_name, outdated)
    if at == "the plan":
        made = planned(locking_store, ALL, protect_tag=None)
        assert "GOVERNANCE" in made.protected[0].reason
    assert sweep(locking_store, made).removed == []
    assert len(locking_store.objects.versions("s3kv/key.json")) == 2
