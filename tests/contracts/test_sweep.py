"""What a sweep removes, and what it leaves: on every server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module

import pytest

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import find_incomplete, sweep
from s3kv_flows.maintenance._sweeping.pace import Pace
from s3kv_flows.maintenance._sweeping.sweep import sweep_decisions
from s3kv_flows.store import S3KV, Retention
from tests.contracts.sweeping import NOW, RAW, leases_of, names, planned, results_of, swept
from tests.support.waiting import PATIENCE

SWEEPING = import_module(
    "s3kv_flows.maintenance._sweeping.sweep"
)  # the name is also that of the function in it


def test_what_the_plan_names_goes_and_the_rest_stays(store: S3KV) -> None:
    store.add("raw", "x" * 100, tags=RAW)
    store.add("final", 1, tags={"stage": "final"})
    store.add("kept", 1, tags={**RAW, "keep": "yes"})
    report = swept(store)
    assert report.removed == ["s3kv/raw.json"]
    assert report.freed_bytes == 102
    assert store.list_keys() == ["final", "kept"]


def test_results_are_swept_with_the_values_and_other_objects_are_not(
    store: S3KV, make_store: Callable[..., S3KV]
) -> None:
    results = make_store(
        bucket_name=store.bucket_name, prefix="s3kv-results/", suffix="", codec="cloudpickle"
    )
    results.add("hash", 1, tags=RAW)
    store.add("value", 1, tags=RAW)
    store.client.put_object(store.bucket_name, "s3kv-other/x", b"x", content_type="", tagging="stage=raw")
    assert swept(store).removed == ["s3kv-results/hash", "s3kv/value.json"]
    assert names(store) == ["s3kv-other/x"]


def test_a_key_that_had_been_overwritten_is_absent_afterwards(locking_store: S3KV) -> None:
    for value in range(3):
        locking_store.add("key", value, tags=RAW)
    report = swept(locking_store)
    assert report.removed == ["s3kv/key.json"]
    assert report.freed_bytes == 3
    assert locking_store.get("key", "absent") == "absent"
    assert names(locking_store) == []


def test_a_locked_version_anywhere_beneath_keeps_the_key_whole(locking_store: S3KV) -> None:
    locking_store.add("key", 1, tags=RAW, retention=Retention(days=1))
    locking_store.client.put_object(
        locking_store.bucket_name, "s3kv/key.json", b"2", content_type="", tagging="stage=raw"
    )
    before = locking_store.objects.versions("s3kv/key.json")
    made = planned(locking_store)
    assert "GOVERNANCE retention" in made.protected[0].reason
    assert swept(locking_store).removed == []
    assert locking_store.objects.versions("s3kv/key.json") == before


def test_a_sweep_tells_how_far_it_is(store: S3KV) -> None:
    for number in range(3):
        store.add(f"key{number}", number, tags=RAW)
    done: list[int] = []
    sweep(store, planned(store), progress=done.append)
    assert sum(done) == 3


def test_a_lone_delete_marker_goes_and_one_that_hides_something_stays(locking_store: S3KV) -> None:
    for key in ("hidden", "alone"):
        locking_store.add(key, 1)
        locking_store.delete(key)
    value = locking_store.objects.versions("s3kv/alone.json")[1]
    locking_store.client.delete_object(
        locking_store.bucket_name, "s3kv/alone.json", version_id=value.version_id
    )
    report = swept(locking_store)
    assert (report.removed, report.pruned) == ([], ["s3kv/alone.json"])
    assert names(locking_store) == ["s3kv/hidden.json"]
    history = [CleanupRule("history", noncurrent_after=NOW)]
    assert swept(locking_store, history).pruned == ["s3kv/hidden.json"]
    assert names(locking_store) == []


def test_old_versions_go_and_the_key_reads_as_before(locking_store: S3KV) -> None:
    for number in range(4):
        locking_store.add("key", number)
    locking_store.add("final", 1, retention=Retention(days=1))
    locking_store.client.put_object(locking_store.bucket_name, "s3kv/final.json", b"2", content_type="")
    report = swept(locking_store, [CleanupRule("history", noncurrent_after=NOW)])
    assert (report.pruned, report.deleted_versions, report.freed_bytes) == (["s3kv/key.json"], 3, 3)
    assert locking_store.get("key") == 3
    assert len(locking_store.objects.versions("s3kv/final.json")) == 2, "the locked one lies beneath"


def test_a_result_that_a_run_holds_the_lease_of_stays(store: S3KV) -> None:
    results = results_of(store)
    leases = leases_of(store)
    for key in ("held", "free"):
        results.add(key, 1, tags=RAW)
    lease = leases.acquire("s3kv-leases/held", "a run", timeout=PATIENCE)
    made = planned(store)
    assert [one.entry.name for one in made.remove] == ["s3kv-results/free"]
    assert "holds its lease" in made.protected[0].reason
    leases.release(lease)
    assert swept(store).removed == ["s3kv-results/free", "s3kv-results/held"]


def test_what_is_no_key_is_left_alone(store: S3KV) -> None:
    client, bucket = store.client, store.bucket_name
    for name in ("s3kv/movies/film.mp4", "s3kv-other/x"):
        client.put_object(bucket, name, b"x", content_type="", tagging="stage=raw")
    upload = client.create_multipart_upload(bucket, "s3kv/movies/film.mp4", content_type="x")
    client.upload_part(bucket, "s3kv/movies/film.mp4", upload, 1, b"part")
    assert swept(store).removed == []
    assert find_incomplete(store, store.server_time() + timedelta(days=1), NOW) == []


@pytest.mark.parametrize("object_lock", [False, True])
def test_a_sweep_goes_no_faster_than_it_may_and_counts_old_versions(
    make_store: Callable[..., S3KV],
    monkeypatch: pytest.MonkeyPatch,
    object_lock: bool,  # noqa: FBT001
) -> None:
    store = make_store(object_lock=object_lock)
    for number in range(3):
        for value in range(2):
            store.add(f"key{number}", value, tags=RAW)
    made = planned(store)
    monkeypatch.setattr(SWEEPING, "BATCH", 1)
    monkeypatch.setattr(SWEEPING, "_UNCONDITIONAL", 1)
    pauses: list[float] = []
    pace = Pace(10, clock=lambda: 0.0, pause=pauses.append)
    report = sweep_decisions(store, made.removals, "keep", pace=pace)
    each = 0.2 if object_lock else 0.1
    assert (len(report.removed), pauses) == (3, [each, 2 * each])
