"""Finalized outputs: written once, locked from birth, with a receipt that can be checked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store.errors import (
    AlreadyFinalizedError,
    ConflictError,
    KeyLockedError,
    S3KVError,
    UnsupportedByServerError,
)
from tests.contracts.helpers import NAME, WEEK, chain, excludes, finalize, outside
from tests.servers import Server
from tests.support.proxy import CountingProxy
from tests.support.waiting import PATIENCE

MIB = 1 << 20


# --- publishing -------------------------------------------------------------------------------------


def test_a_finalized_value_is_locked_and_its_receipt_says_so(locking_store: S3KV) -> None:
    receipt = finalize(locking_store, "key", {"total": 3}, tags={"stage": "final"})
    info = locking_store.objects.head(NAME)
    assert receipt.outcome == "written"
    assert (receipt.object_name, receipt.version_id, receipt.size) == (NAME, info.version_id, info.size)
    assert (receipt.mode, receipt.retain_until) == (info.lock_mode, info.retain_until)
    assert info.lock_mode == "GOVERNANCE"
    assert locking_store.get_tags("key") == {"stage": "final"}
    assert Receipt.from_json(receipt.to_json()) == receipt
    assert locking_store.outputs.verify(receipt).problems == []


def test_the_same_content_again_changes_nothing_and_says_so(locking_store: S3KV) -> None:
    first = finalize(locking_store, "key", [1, 2])
    again = finalize(locking_store, "key", [1, 2])
    assert again.outcome == "unchanged"
    assert replace(again, outcome="written") == first
    assert len(chain(locking_store)) == 1


def test_pickles_and_bytes_are_the_same_by_what_they_hold(make_store: Callable[..., S3KV]) -> None:
    for codec, value in (("cloudpickle", {"a": (1, 2)}), ("bytes", b"report")):
        store = make_store(object_lock=True, codec=codec, suffix="")
        assert finalize(store, "key", value).outcome == "written"
        again = finalize(store, "key", value)
        assert again.outcome == "unchanged"
        assert store.outputs.verify(again).holds
        with pytest.raises(ConflictError):
            finalize(store, "key", b"another" if codec == "bytes" else {"a": (1, 3)})


def test_what_was_not_locked_is_written_anew_so_that_it_is_locked_from_birth(locking_store: S3KV) -> None:
    locking_store.add("key", 1)
    receipt = finalize(locking_store, "key", 1, tags={"stage": "final"})
    assert receipt.outcome == "written"
    assert len(chain(locking_store)) == 2
    assert locking_store.get_tags("key") == {"stage": "final"}
    assert finalize(locking_store, "key", 1).outcome == "unchanged"


def test_the_same_content_is_locked_longer_where_less_was_asked_for_before(locking_store: S3KV) -> None:
    finalize(locking_store, "key", 1, Retention(days=1))
    assert finalize(locking_store, "key", 1).outcome == "locked"
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
    longer = finalize(locking_store, "key", 1, Retention(until=until), legal_hold=True)
    assert (longer.outcome, longer.retain_until, longer.legal_hold) == ("locked", until, True)
    assert finalize(locking_store, "key", 1, WEEK).retain_until == until, "nothing is weakened"
    assert len(chain(locking_store)) == 1


def test_a_compliance_retention_is_not_extended_by_finalizing_again(locking_store: S3KV) -> None:
    strict = Retention(days=1, mode="COMPLIANCE", i_understand=True)
    first = finalize(locking_store, "key", 1, strict)
    with pytest.raises(ValueError, match="i_understand"):
        finalize(locking_store, "key", 1, Retention(days=3650))
    assert finalize(locking_store, "key", 1, strict).retain_until == first.retain_until


@pytest.mark.parametrize("existing", ["locked", "unlocked"])
def test_other_content_is_a_conflict(locking_store: S3KV, existing: str) -> None:
    locking_store.add("key", 1, retention=WEEK if existing == "locked" else None)
    before = chain(locking_store)
    with pytest.raises(ConflictError, match="other content") as caught:
        finalize(locking_store, "key", 2)
    if existing == "locked":
        assert caught.match("GOVERNANCE retention until 20")
        refusal = caught.value
        assert isinstance(refusal, AlreadyFinalizedError)
        assert (refusal.key, refusal.mode, refusal.version_id) == ("key", "GOVERNANCE", before[0][0])
    assert chain(locking_store) == before
    assert locking_store.get("key") == 1


def test_superseding_leaves_the_old_version_locked_and_listed(locking_store: S3KV) -> None:
    old = finalize(locking_store, "key", 1)
    new = finalize(locking_store, "key", 2, supersede=True)
    assert (new.outcome, new.superseded_version_id) == ("superseded", old.version_id)
    assert locking_store.get("key") == 2
    assert locking_store.get("key", version_id=old.version_id) == 1
    listed = [(version.version_id, version.is_latest) for version in locking_store.versions("key")]
    assert listed == [(new.version_id, True), (old.version_id, False)]
    for receipt in (old, new):
        found = locking_store.outputs.verify(receipt)
        assert found.problems == []
        assert bool(found.notes) == (receipt is old)
    with pytest.raises(KeyLockedError):
        locking_store.add("key", 3)
    third = finalize(locking_store, "key", 3, supersede=True)
    assert third.superseded_version_id == new.version_id
    assert locking_store.outputs.verify(old).holds
    locking_store.outputs.require_visible("key")


def test_a_hold_alone_finalizes_too_and_nothing_does_not(locking_store: S3KV, store: S3KV) -> None:
    receipt = finalize(locking_store, "key", 1, None, legal_hold=True)
    assert (receipt.mode, receipt.legal_hold) == (None, True)
    assert locking_store.outputs.verify(receipt).holds
    with pytest.raises(ValueError, match="neither a retention nor a legal hold"):
        finalize(locking_store, "other", 1, None)
    with pytest.raises(UnsupportedByServerError, match="no Object Lock"):
        finalize(store, "key", 1)
    assert not store.exists("key")


def test_compliance_has_to_be_understood() -> None:
    with pytest.raises(ValueError, match="nobody can lift a COMPLIANCE retention"):
        Retention(days=1, mode="COMPLIANCE")
    assert Retention(days=1, mode="COMPLIANCE", i_understand=True).mode == "COMPLIANCE"


def test_finalizing_is_four_requests(make_store: Callable[..., S3KV], proxy: CountingProxy) -> None:
    store = make_store(object_lock=True, endpoint_url=proxy.url)
    finalize(store, "warm", 1)
    with proxy.counting() as wire:
        finalize(store, "key", 1)
    assert dict(wire.requests) == {"GET": 2, "PUT": 1, "HEAD": 1}


# --- races ------------------------------------------------------------------------------------------


def race(store: S3KV, writers: int, **options: Any) -> Counter[str]:
    start = threading.Barrier(writers)

    def publish(number: int) -> str:
        start.wait(timeout=PATIENCE)
        try:
            return store.outputs.finalize("key", {"writer": number}, WEEK, **options).outcome
        except S3KVError as exc:
            return type(exc).__name__

    with ThreadPoolExecutor(writers) as pool:
        return Counter(pool.map(publish, range(writers)))


def test_of_writers_that_finalize_at_once_one_wins_or_none_writes(
    locking_store: S3KV, server: Server
) -> None:
    exclusive = excludes(locking_store)
    outcomes = race(locking_store, server.racers)
    if exclusive:
        assert outcomes["written"] == 1
        assert outcomes["ConflictError"] + outcomes["AlreadyFinalizedError"] == server.racers - 1
        assert len(chain(locking_store)) == 1
        assert locking_store.get_retention("key") is not None
    else:
        assert outcomes == {"UnsupportedByServerError": server.racers}
        assert chain(locking_store) == [], "it was refused before anything was written"
        with pytest.raises(UnsupportedByServerError, match="accept_races=True"):
            locking_store.outputs.finalize("key", 1, WEEK)


def test_who_accepts_races_gets_one_that_stands(locking_store: S3KV, server: Server) -> None:
    outcomes = race(locking_store, server.racers, accept_races=True)
    assert outcomes["written"] >= 1
    assert sum(outcomes.values()) == server.racers
    lost = {"ConflictError", "AlreadyFinalizedError", "KeyLockedError", "HiddenOutputError"}
    assert set(outcomes) <= {"written"} | lost
    seen = locking_store.objects.head(NAME)
    assert seen.lock_mode == "GOVERNANCE"


@pytest.mark.slow
def test_of_writers_that_supersede_at_once_all_that_is_there_is_locked(
    locking_store: S3KV, server: Server
) -> None:
    finalize(locking_store, "key", {"writer": -1})
    exclusive = excludes(locking_store)
    outcomes = race(locking_store, server.racers, supersede=True, accept_races=not exclusive)
    assert outcomes["superseded"] >= 1
    versions = locking_store.versions("key")
    assert len(versions) == 1 + outcomes["superseded"]
    assert all(locking_store.objects.head(NAME, version_id=one.version_id).lock_mode for one in versions)


@pytest.mark.slow
def test_a_key_is_never_seen_without_its_lock(locking_store: S3KV) -> None:
    accept = not excludes(locking_store)
    client, bucket = outside(locking_store), locking_store.bucket_name
    published, inspected = threading.Event(), threading.Semaphore(0)
    naked: list[str] = []
    seen: set[str] = set()

    def watch(part: int) -> None:
        keys = [f"s3kv/final-{number}.json" for number in range(part, 200, 4)]
        while not published.is_set() and len(seen) < 200:
            for name in keys:
                if name in seen:
                    continue
                try:
                    head = client.head_object(Bucket=bucket, Key=name)
                except client.exceptions.ClientError:
                    break  # nor do the next ones exist
                if "ObjectLockMode" not in head:
                    naked.append(name)
                seen.add(name)
                inspected.release()

    watchers = [threading.Thread(target=watch, args=(part,)) for part in range(4)]
    for watcher in watchers:
        watcher.start()
    try:
        for number in range(200):
            locking_store.outputs.finalize(f"final-{number}", number, WEEK, accept_races=accept)
            assert inspected.acquire(timeout=PATIENCE), (
                "each key is inspected before the next one is published"
            )
    finally:
        published.set()
        for watcher in watchers:
            watcher.join(timeout=PATIENCE)
    assert naked == []
    assert len(seen) == 200


# --- large ones -------------------------------------------------------------------------------------


@pytest.fixture
def large(make_store: Callable[..., S3KV], proxy: CountingProxy) -> S3KV:
    return make_store(object_lock=True, endpoint_url=proxy.url, codec="bytes", suffix="")


@pytest.mark.slow
def test_64_mib_are_locked_in_one_put_where_parts_would_lose_the_lock(
    large: S3KV, proxy: CountingProxy
) -> None:
    locks = large.client.capabilities.multipart_uploads(large.bucket_name, large.namespace.prefix).locks
    finalize(large, "warm", b"")
    with proxy.counting() as wire:
        receipt = finalize(large, "model", bytes(64 * MIB))
    assert receipt.size == 64 * MIB
    assert receipt.mode == "GOVERNANCE"
    if not locks:
        assert wire.requests["PUT"] == 1
        assert wire.requests["POST"] == 0, "nothing was uploaded in parts"
    assert large.outputs.verify(receipt).holds


def test_what_is_too_large_for_one_put_is_refused_where_parts_would_lose_the_lock(
    large: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large.client.capabilities.multipart_uploads(large.bucket_name, large.namespace.prefix).locks:
        pytest.skip("this server locks uploads in parts")
    monkeypatch.setattr("s3kv_flows.store._objects.uploads._SINGLE_PUT_LIMIT", 40 * MIB)
    with pytest.raises(UnsupportedByServerError, match="5 GiB in one PUT"):
        finalize(large, "model", bytes(41 * MIB))
    assert large.versions("model") == []
