"""Servers that refuse, fail or are busy, and sweeps that break off: nothing is lost, and a report is left."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from s3kv_flows.maintenance import SweepReport, sweep
from s3kv_flows.maintenance._sweeping.pace import Pace
from s3kv_flows.maintenance._sweeping.sweep import sweep_decisions
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.capabilities import ConditionalDeletes
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import DeleteFailure
from s3kv_flows.store.errors import AccessDeniedError, StoreUnavailableError
from tests.contracts.helpers import just_before
from tests.contracts.sweeping import RAW, SWEEP_LEASE, names, planned, swept

SWEEPING = import_module(
    "s3kv_flows.maintenance._sweeping.sweep"
)  # the name is also that of the function in it


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
    report = sweep(locking_store, made)
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
        sweep(locking_store, made)
    assert calls == [2, 1], "the older versions first, then the current one"
    assert locking_store.get("key") == 2
    monkeypatch.undo()
    assert swept(locking_store).removed == ["s3kv/key.json"]
    assert names(locking_store) == []


@pytest.mark.parametrize("batch", [True, False])
def test_who_may_not_delete_with_an_etag_looks_again_and_deletes_without(
    store: S3KV,
    monkeypatch: pytest.MonkeyPatch,
    batch: bool,  # noqa: FBT001
) -> None:
    """AWS takes the condition only from who may read the object."""
    for number in range(3):
        store.add(f"key{number}", number, tags=RAW)
    made = planned(store)
    heeded = ConditionalDeletes(single=True, batch=batch)
    monkeypatch.setattr(type(store.client.capabilities), "conditional_deletes", lambda *_: heeded)
    many, one = S3Client.delete_objects, S3Client.delete_object
    denied: list[str] = []

    def refuse_many(client: S3Client, bucket: str, objects: Any) -> list[DeleteFailure]:
        refused = [DeleteFailure(name, None, "AccessDenied", "") for name, _, etag in objects if etag]
        denied.extend(failure.name for failure in refused)
        rest = [target for target in objects if not target[2]]
        return refused + (many(client, bucket, rest) if rest else [])

    def refuse_one(client: S3Client, bucket: str, name: str, **options: Any) -> str | None:
        if options.get("if_match") and name != SWEEP_LEASE:
            denied.append(name)
            error = AccessDeniedError("no GetObject")
            error.code = "AccessDenied"
            raise error
        return one(client, bucket, name, **options)

    monkeypatch.setattr(S3Client, "delete_objects", refuse_many)
    monkeypatch.setattr(S3Client, "delete_object", refuse_one)
    report = sweep(store, made)
    assert len(denied) == 3
    assert (len(report.removed), report.failed) == (3, {})
    assert store.list_keys() == []


def test_what_is_written_after_the_last_look_stays_where_an_etag_is_heeded(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    heeded = store.client.capabilities.conditional_deletes(store.bucket_name, "s3kv/")
    if not (heeded.single or heeded.batch):
        pytest.skip("this server heeds no ETag in deletions")
    store.add("key", "old", tags=RAW)
    made = planned(store)
    operation = "delete_objects" if heeded.batch else "delete_object"
    just_before(monkeypatch, operation, lambda: store.add("key", "new", tags=RAW))
    report = sweep(store, made)
    assert (report.removed, report.changed) == ([], ["s3kv/key.json"])
    assert store.get("key") == "new"


class Busy:
    """A server that is too busy for a while, for what would be deleted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int, *, whole: bool) -> None:
        self.refused, self._times, self._whole = 0, times, whole
        self.waited: list[float] = []
        original = S3Client.delete_objects

        def answer(client: S3Client, bucket: str, objects: Any) -> list[DeleteFailure]:
            if self.refused >= self._times:
                return original(client, bucket, objects)
            self.refused += 1
            if self._whole:
                error = StoreUnavailableError("503")
                error.code = "SlowDown"
                raise error
            half = list(objects)[::2]
            rest = [one for one in objects if one not in half]
            failures = [DeleteFailure(name, version, "SlowDown", "reduce") for name, version, _ in half]
            return failures + (original(client, bucket, rest) if rest else [])

        monkeypatch.setattr(S3Client, "delete_objects", answer)

    def sweep(self, store: S3KV) -> SweepReport:
        made = planned(store)
        pace = Pace(pause=self.waited.append)
        return sweep_decisions(store, made.removals, "keep", pace=pace)


@pytest.mark.parametrize("whole", [True, False])
def test_a_busy_server_is_asked_again_later_and_nothing_is_lost(
    locking_store: S3KV,
    monkeypatch: pytest.MonkeyPatch,
    whole: bool,  # noqa: FBT001
) -> None:
    for number in range(7):
        locking_store.add(f"key{number}", number, tags=RAW)
        locking_store.add("often", number, tags=RAW)
    busy = Busy(monkeypatch, 3, whole=whole)
    report = busy.sweep(locking_store)
    assert (len(report.removed), report.failed, report.deleted_versions) == (8, {}, 14)
    assert busy.waited == sorted(busy.waited)
    assert len(busy.waited) == 3
    assert names(locking_store) == []


def test_a_server_that_stays_busy_is_reported_and_the_current_value_stays(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        locking_store.add("key", number, tags=RAW)
    report = Busy(monkeypatch, 1000, whole=True).sweep(locking_store)
    assert report.removed == []
    assert "SlowDown" in report.failed["s3kv/key.json"]
    assert locking_store.get("key") == 1


def test_a_server_that_fails_in_the_middle_leaves_a_report(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        locking_store.add(f"key{number}", number, tags=RAW)
    monkeypatch.setattr(SWEEPING, "BATCH", 1)
    original, calls = S3Client.delete_objects, []

    def fail_once(client: S3Client, bucket: str, objects: Any) -> list[DeleteFailure]:
        calls.append(objects)
        if objects[0][0] == "s3kv/key1.json":
            raise StoreUnavailableError("the connection broke")
        return original(client, bucket, objects)

    monkeypatch.setattr(S3Client, "delete_objects", fail_once)
    made = planned(locking_store)
    report = sweep_decisions(locking_store, made.removals, "keep", pace=Pace(pause=lambda _: None))
    assert report.removed == ["s3kv/key0.json", "s3kv/key2.json"]
    assert report.failed == {"s3kv/key1.json": "ServiceUnavailable: the connection broke"}
    assert report.freed_bytes == 2


def test_a_server_that_cannot_be_asked_any_more_leaves_a_report(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("key", 1, tags=RAW)
    made = planned(store)

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the connection broke")

    monkeypatch.setattr(S3Client, "search_tags", fail)
    assert sweep(store, made).failed == {"s3kv/key.json": "the connection broke"}


def test_where_no_condition_holds_nothing_is_waited_for_between_look_and_deletion(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for the pace, nor to try again what a busy server did not do."""
    for number in range(3):
        store.add(f"key{number}", number, tags=RAW)
    made = planned(store)
    uncertain = ConditionalDeletes(single=False, batch=False)
    monkeypatch.setattr(type(store.client.capabilities), "conditional_deletes", lambda *_: uncertain)
    monkeypatch.setattr(SWEEPING, "_UNCONDITIONAL", 1)
    steps: list[str] = []
    original, look = S3Client.delete_objects, S3Client.list_objects

    def delete(client: S3Client, bucket: str, objects: Any) -> list[DeleteFailure]:
        steps.append("delete")
        if objects[0][0] == "s3kv/key1.json":
            return [DeleteFailure("s3kv/key1.json", None, "SlowDown", "reduce")]
        return original(client, bucket, objects)

    def listed(*args: Any, **kwargs: Any) -> Any:
        steps.append("look")
        return look(*args, **kwargs)

    monkeypatch.setattr(S3Client, "delete_objects", delete)
    monkeypatch.setattr(S3Client, "list_objects", listed)
    pace = Pace(10, pause=lambda _: steps.append("wait"))
    report = sweep_decisions(store, made.removals, "keep", pace=pace)
    assert [step for step in steps if step != "wait"] == ["look", "delete"] * 3
    assert all(steps[at - 1] == "look" for at, step in enumerate(steps) if step == "delete")
    assert report.failed == {"s3kv/key1.json": "SlowDown: reduce"}
