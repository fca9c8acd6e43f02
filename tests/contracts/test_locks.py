"""Retention and legal holds: placed, read, extended, lifted, and kept by new versions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store._objects.locking import ObjectLocks
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import ObjectLock
from s3kv_flows.store.errors import (
    ConflictError,
    KeyLockedError,
    KeyNotFoundError,
    UnsupportedByServerError,
)
from tests.contracts.helpers import WEEK, chain, just_before


def left(store: S3KV, key: str) -> timedelta:
    retention = store.get_retention(key)
    assert retention is not None
    assert retention.until is not None
    return retention.until - datetime.now(timezone.utc)


def about(days: float) -> object:
    return pytest.approx(days * 86400, abs=3600)


def test_a_lock_on_a_bucket_without_object_lock_is_refused_and_nothing_written(store: S3KV) -> None:
    for options in ({"retention": WEEK}, {"legal_hold": True}):
        with pytest.raises(UnsupportedByServerError, match="no Object Lock"):
            store.add("key", 1, **options)
    assert not store.exists("key")
    store.add("key", 1)
    for call in (
        lambda: store.place_retention_lock("key", 1),
        lambda: store.extend_retention_lock("key", 1),
        lambda: store.remove_retention_lock("key"),
        lambda: store.get_retention("key"),
        lambda: store.apply_legal_hold("key"),
        lambda: store.release_legal_hold("key"),
        lambda: store.is_legal_hold_applied("key"),
    ):
        with pytest.raises(UnsupportedByServerError, match="no Object Lock"):
            call()


def test_locks_of_a_missing_key_are_an_error(locking_store: S3KV) -> None:
    for call in (
        lambda: locking_store.place_retention_lock("key", 1),
        lambda: locking_store.extend_retention_lock("key", 1),
        lambda: locking_store.remove_retention_lock("key"),
        lambda: locking_store.get_retention("key"),
        lambda: locking_store.apply_legal_hold("key"),
        lambda: locking_store.release_legal_hold("key"),
        lambda: locking_store.is_legal_hold_applied("key"),
    ):
        with pytest.raises(KeyNotFoundError):
            call()


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_retention_is_placed_at_write_time_or_later_and_returned(locking_store: S3KV, mode: str) -> None:
    retention = Retention(days=1, mode=mode, i_understand=True)  # type: ignore[arg-type]
    locking_store.add("born", 1, retention=retention)
    locking_store.add("later", 1)
    assert locking_store.get_retention("later") is None
    until = locking_store.place_retention_lock("later", 1, mode=mode, i_understand=True)  # type: ignore[arg-type]
    for key in ("born", "later"):
        found = locking_store.get_retention(key)
        assert found is not None
        assert found.mode == mode
        assert left(locking_store, key).total_seconds() == about(1)
        with pytest.raises(KeyLockedError, match=f"{mode} retention until"):
            locking_store.add(key, 2)
    found = locking_store.get_retention("later")
    assert found is not None
    assert found.until is not None
    assert abs(found.until - until) < timedelta(seconds=1)
    protection = locking_store.info("born").protection
    assert protection is not None
    assert protection.mode == mode


def test_a_retention_until_a_date_ends_then(locking_store: S3KV) -> None:
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=3)
    locking_store.add("key", 1, retention=Retention(until=until))
    found = locking_store.get_retention("key")
    assert found is not None
    assert found.until == until


def test_a_retention_can_be_made_longer_but_not_shorter_or_weaker(locking_store: S3KV) -> None:
    locking_store.add("key", 1)
    first = locking_store.place_retention_lock("key", 2)
    for shorten in (locking_store.place_retention_lock, locking_store.extend_retention_lock):
        with pytest.raises(KeyLockedError, match="weaken the lock"):
            shorten("key", 1)
    assert locking_store.place_retention_lock("key", 3) > first
    assert locking_store.extend_retention_lock("key", 5) > first + timedelta(days=2)
    assert left(locking_store, "key").total_seconds() == about(5)
    locking_store.add("strict", 1)
    locking_store.place_retention_lock("strict", 0.5, mode="COMPLIANCE", i_understand=True)
    with pytest.raises(KeyLockedError):
        locking_store.place_retention_lock("strict", 1)
    with pytest.raises(ValueError, match="i_understand=True"):
        locking_store.extend_retention_lock("strict", 1)
    locking_store.extend_retention_lock("strict", 1, i_understand=True)
    found = locking_store.get_retention("strict")
    assert found is not None
    assert found.mode == "COMPLIANCE"
    locking_store.add("free", 1)
    with pytest.raises(ConflictError, match="under no retention"):
        locking_store.extend_retention_lock("free", 1)


@pytest.mark.parametrize("days", [float("inf"), float("nan"), 1e12, 0, -1])
def test_a_number_of_days_that_no_retention_can_last_is_refused(locking_store: S3KV, days: float) -> None:
    locking_store.add("key", 1, retention=WEEK)
    with pytest.raises(ValueError, match="a retention lasts"):
        locking_store.place_retention_lock("key", days)
    with pytest.raises(ValueError, match="a retention lasts"):
        locking_store.extend_retention_lock("key", days)
    assert left(locking_store, "key").total_seconds() == about(7)


def test_a_governance_retention_can_be_lifted_and_compliance_by_nobody(
    locking_store: S3KV,
) -> None:
    locking_store.add("key", 1, retention=WEEK)
    locking_store.remove_retention_lock("key")
    assert locking_store.get_retention("key") is None
    locking_store.add("key", 2)
    assert locking_store.get("key") == 2
    locking_store.remove_retention_lock("key")  # there is none: no error
    locking_store.add("strict", 1, retention=Retention(days=1, mode="COMPLIANCE", i_understand=True))
    before = chain(locking_store, "s3kv/strict.json")
    with pytest.raises(KeyLockedError, match="lift the retention of 'strict'"):
        locking_store.remove_retention_lock("strict")
    assert chain(locking_store, "s3kv/strict.json") == before
    assert left(locking_store, "strict").total_seconds() == about(1)


def test_a_hold_forbids_deletion_and_allows_change_until_it_is_released(locking_store: S3KV) -> None:
    locking_store.add("key", 1)
    assert not locking_store.is_legal_hold_applied("key")
    locking_store.apply_legal_hold("key")
    assert locking_store.is_legal_hold_applied("key")
    with pytest.raises(KeyLockedError, match="cannot delete 'key': it is under legal hold"):
        locking_store.delete("key")
    locking_store.add("key", 2)
    assert locking_store.get("key") == 2
    assert locking_store.is_legal_hold_applied("key"), "it stays on the key when the value changes"
    locking_store.release_legal_hold("key")
    assert not locking_store.is_legal_hold_applied("key")
    locking_store.delete("key")  # the older value is held no longer, either
    assert not locking_store.exists("key")


def test_a_hold_at_write_time_and_with_a_retention(locking_store: S3KV) -> None:
    locking_store.add("key", 1, legal_hold=True, retention=WEEK)
    assert locking_store.is_legal_hold_applied("key")
    assert left(locking_store, "key").total_seconds() == about(7)
    protection = locking_store.info("key").protection
    assert protection is not None
    assert protection.legal_hold


@pytest.mark.parametrize("change", ["add", "copy", "restore"])
def test_a_hold_is_carried_on_by_every_change(locking_store: S3KV, change: str) -> None:
    locking_store.add("key", 0)
    locking_store.add("key", 1, legal_hold=True)
    locking_store.add("other", 2)
    if change == "add":
        locking_store.add("key", 2)
    elif change == "copy":
        locking_store.copy_key("other", "key")
    else:
        locking_store.restore("key", locking_store.versions("key")[1].version_id)
    assert locking_store.get("key") == (0 if change == "restore" else 2)
    assert locking_store.is_legal_hold_applied("key")


@pytest.mark.parametrize(("operation", "change"), [("put_object", "add"), ("copy_object", "copy")])
def test_a_hold_that_is_placed_in_the_same_instant_is_carried_on(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch, operation: str, change: str
) -> None:
    locking_store.add("key", 1)
    locking_store.add("other", 2)
    just_before(monkeypatch, operation, lambda: locking_store.apply_legal_hold("key"))
    if change == "add":
        locking_store.add("key", 2)
    else:
        locking_store.copy_key("other", "key")
    assert locking_store.get("key") == 2
    assert locking_store.is_legal_hold_applied("key")


def test_a_retention_that_can_only_end_is_given_more_time_where_its_end_was_over_on_arrival(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Ceph 16, on a slow machine: it removes no retention, and takes no end that is over."""
    locking_store.add("key", 1, retention=WEEK)
    asked: list[ObjectLock | None] = []

    def answer(_: S3Client, bucket: str, name: str, lock: ObjectLock | None, **__: object) -> None:
        asked.append(lock)
        if len(asked) < 3:
            refusal = UnsupportedByServerError("no")
            refusal.code = "InvalidArgument" if lock else "MalformedXML"
            raise refusal

    monkeypatch.setattr(S3Client, "put_retention", answer)
    monkeypatch.setattr(ObjectLocks, "_is_still_in_force", lambda *_: False)
    locking_store.remove_retention_lock("key")
    removed, first, second = asked
    assert removed is None
    assert first is not None
    assert second is not None
    assert second.until > first.until
