from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import CleanupPlan, SweepReport, plan, survey, sweep
from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store.s3 import S3Client
from s3kv_flows.store.s3_types import DeleteFailure
from tests.proxy import CountingProxy

NOW = timedelta(0)
RULES = [CleanupRule("raw", tags={"stage": "raw"}, older_than=NOW)]
ALL = [CleanupRule("all", older_than=NOW)]
RAW = {"stage": "raw"}


def planned(store: S3KV, rules: list[CleanupRule] = RULES, **options: Any) -> CleanupPlan:
    now = store.server_time() + timedelta(seconds=1)
    return plan(survey(store, rules, now, NOW, **options), rules, now, NOW, **options)


def swept(store: S3KV, rules: list[CleanupRule] = RULES, **options: Any) -> SweepReport:
    return sweep(store, planned(store, rules, **options), rules, **options)


def names(store: S3KV) -> list[str]:
    return sorted({version.name for version in store.client.list_versions(store.bucket_name, "")})


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
    assert swept(store).removed == ["s3kv/value.json", "s3kv-results/hash"]
    assert [item.name for item in store.client.list_objects(store.bucket_name, "")] == ["s3kv-other/x"]


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
    report = sweep(locking_store, made, RULES)
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
    assert sweep(store, made, RULES).changed == ["s3kv/key.json"]
    assert store.exists("key")


def test_what_was_deleted_since_the_plan_is_no_error(store: S3KV) -> None:
    store.add("key", 1, tags=RAW)
    made = planned(store)
    store.delete("key")
    assert sweep(store, made, RULES).changed == ["s3kv/key.json"]


def test_where_an_older_version_cannot_be_deleted_the_current_one_stays(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in range(2):
        locking_store.add("key", value, tags=RAW)
    old = locking_store.objects.versions("s3kv/key.json")[1].version_id
    made = planned(locking_store)
    original = S3Client.delete_objects

    def refuse_old(self: S3Client, bucket: str, objects: Any) -> list[DeleteFailure]:
        if any(version == old for _, version, _ in objects):
            return [DeleteFailure("s3kv/key.json", old, "AccessDenied", "not for you")]
        return original(self, bucket, objects)

    monkeypatch.setattr(S3Client, "delete_objects", refuse_old)
    report = sweep(locking_store, made, RULES)
    assert report.removed == []
    assert report.failed == {"s3kv/key.json": "AccessDenied: not for you"}
    assert locking_store.get("key") == 1


def test_stopped_between_the_two_batches_no_old_value_reads_as_current(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in range(3):
        locking_store.add("key", value, tags=RAW)
    made = planned(locking_store)
    original = S3Client.delete_objects
    calls: list[int] = []

    def stop_at_the_second(self: S3Client, bucket: str, objects: Any) -> list[DeleteFailure]:
        calls.append(len(objects))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, bucket, objects)

    monkeypatch.setattr(S3Client, "delete_objects", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        sweep(locking_store, made, RULES)
    assert calls == [2, 1], "the older versions first, then the current one"
    assert locking_store.get("key") == 2
    monkeypatch.undo()
    assert swept(locking_store).removed == ["s3kv/key.json"]
    assert names(locking_store) == []


def test_a_plan_asks_only_for_what_the_listing_cannot_decide(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url)
    for number in range(5):
        store.add(f"key{number}", number, tags=RAW)
    old = [CleanupRule("old", tags=RAW, older_than=timedelta(days=1))]
    now = store.server_time()
    with proxy.counting() as wire:
        survey(store, old, now, NOW)
    assert wire.requests.total() == 3  # versioning, and one LIST for values and results each
    with proxy.counting() as wire:
        survey(store, ALL, now, NOW, protect_tag=None)
    assert wire.requests.total() == 3
    with proxy.counting() as wire:
        made = planned(store)
    assert dict(wire.requests) == {"GET": 3 + 5, "HEAD": 1}  # HEAD tells the server's time
    with proxy.counting() as wire:
        sweep(store, made, RULES)
    assert dict(wire.requests) == {"HEAD": 5, "GET": 5, "POST": 1}


def test_a_sweep_tells_how_far_it_is(store: S3KV) -> None:
    for number in range(3):
        store.add(f"key{number}", number, tags=RAW)
    done: list[int] = []
    sweep(store, planned(store), RULES, progress=done.append)
    assert sum(done) == 3
