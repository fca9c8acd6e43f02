"""Two sweeps at once, on a server without conditional deletions: one looks and deletes at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest

from s3kv_flows.maintenance import sweep
from s3kv_flows.maintenance._planning.plan import Decision
from s3kv_flows.maintenance._sweeping.lease import SweepLease
from s3kv_flows.maintenance._sweeping.pace import Pace
from s3kv_flows.maintenance._sweeping.recheck import Rechecker
from s3kv_flows.maintenance._sweeping.report import SweepReport
from s3kv_flows.maintenance._sweeping.sweep import sweep_decisions
from s3kv_flows.store import S3KV
from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.local_queue import LocalQueue
from s3kv_flows.store._leases.renewer import LeaseRenewer, RenewedLease
from s3kv_flows.store._s3.capabilities import Capabilities, ConditionalDeletes, ConditionalPuts
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import DeleteFailure
from s3kv_flows.store.errors import AccessDeniedError, LeaseTimeoutError, StoreUnavailableError
from tests.contracts.sweeping import RAW, SWEEP_LEASE, leases_of, planned
from tests.support.waiting import PATIENCE, Clock, until

SWEEPING = import_module(
    "s3kv_flows.maintenance._sweeping.sweep"
)  # the name is also that of the function in it
LEASING = import_module("s3kv_flows.maintenance._sweeping.lease")


@pytest.fixture(autouse=True)
def heeds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = ConditionalDeletes(single=False, batch=False)
    monkeypatch.setattr(Capabilities, "conditional_deletes", lambda *_: nowhere)


@pytest.fixture
def renewers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[LeaseRenewer], None]]:
    """Give a thread the renewer of another process."""
    local, shared = threading.local(), LEASING.shared_renewer()
    given: list[LeaseRenewer] = []
    monkeypatch.setattr(LEASING, "shared_renewer", lambda: getattr(local, "renewer", shared))

    def give(renewer: LeaseRenewer) -> None:
        local.renewer = renewer
        given.append(renewer)

    yield give
    for renewer in given:
        renewer.close()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_second_sweep_does_not_delete_what_was_written_after_the_first_one(
    store: S3KV,
    monkeypatch: pytest.MonkeyPatch,
    renewers: Callable[[LeaseRenewer], None],
    elsewhere: bool,  # noqa: FBT001
) -> None:
    """While the first one deletes, the second one, of this process or another, does not even look."""
    store.add("key", "old", tags=RAW)
    made = planned(store)
    arrived = threading.Event()  # the second one: it waits, or would delete
    written = threading.Event()
    deleting: list[str] = []
    delete = S3Client.delete_objects

    def delete_slowly(client: S3Client, bucket: str, objects: Any) -> list[DeleteFailure]:
        deleting.append(threading.current_thread().name)
        if len(deleting) > 1:
            arrived.set()
            assert written.wait(PATIENCE)
            return delete(client, bucket, objects)
        until(arrived.is_set)
        failures = delete(client, bucket, objects)
        store.add("key", "new", tags=RAW)
        written.set()
        return failures

    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            arrived.set()
            return original(*args, **kwargs)

        return noted

    monkeypatch.setattr(S3Client, "delete_objects", delete_slowly)

    def second() -> SweepReport:
        if elsewhere:
            renewers(LeaseRenewer())
        return sweep(store, made)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(sweep, store, made)
        until(lambda: deleting)
        monkeypatch.setattr(
            Leases, "_write_new" if elsewhere else "unused", noting(Leases._write_new), raising=False
        )
        monkeypatch.setattr(
            LocalQueue, "unused" if elsewhere else "_wait", noting(LocalQueue._wait), raising=False
        )
        other = pool.submit(second)
        assert first.result(PATIENCE).removed == ["s3kv/key.json"]
        report = other.result(PATIENCE)
    assert (report.removed, report.changed) == ([], ["s3kv/key.json"])
    assert store.get("key") == "new"


def test_what_was_looked_at_under_a_lease_that_was_lost_since_stays(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody has taken it over: a sweep may have come and gone, and a pipeline written since."""
    store.add("key", "old", tags=RAW)
    store.add("other", "old", tags=RAW)
    made = planned(store)
    recheck = Rechecker.recheck
    held: list[RenewedLease] = []
    add = LeaseRenewer.add

    def keeping(renewer: LeaseRenewer, queue_key: Hashable, holder: str, lease: RenewedLease) -> None:
        held.append(lease)
        add(renewer, queue_key, holder, lease)

    def too_late(checker: Rechecker, batch: Sequence[Decision], report: SweepReport) -> list[Decision]:
        store.add("other", "changed", tags=RAW)
        same = recheck(checker, batch, report)
        held[0]._give_up(StoreUnavailableError("this machine was asleep"))
        store.add("key", "new", tags=RAW)
        return same

    monkeypatch.setattr(LeaseRenewer, "add", keeping)
    monkeypatch.setattr(Rechecker, "recheck", too_late)
    report = sweep(store, made)
    assert report.changed == ["s3kv/other.json"]
    assert list(report.failed) == ["s3kv/key.json"]
    assert "asleep" in report.failed["s3kv/key.json"]
    assert (report.removed, store.get("key")) == ([], "new")


def test_something_else_under_the_name_of_the_lease_stops_no_sweep(store: S3KV) -> None:
    store.add("key", 1, tags=RAW)
    made = planned(store)
    store.client.put_object(store.bucket_name, SWEEP_LEASE, b"no lease", content_type="text/plain")
    assert sweep(store, made).removed == ["s3kv/key.json"]


def test_who_waits_for_another_sweep_says_so_once(
    store: S3KV, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    leases, lease = leases_of(store), SweepLease(store)
    acquire, waits = Leases.acquire, threading.Event()

    def note_wait(self: Leases, name: str, holder: str, *, timeout: float | None = None) -> HeldLease:
        if timeout is None:
            waits.set()
        return acquire(self, name, holder, timeout=timeout)

    def take_it() -> None:
        with lease.held() as kept:
            assert kept is not None

    monkeypatch.setattr(Leases, "acquire", note_wait)
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING):
        for _ in range(2):
            waits.clear()
            mine = leases.acquire(SWEEP_LEASE, "another sweep", timeout=0)
            taking = pool.submit(take_it)
            until(waits.is_set)
            leases.release(mine)
            taking.result(PATIENCE)
    said = [one.getMessage() for one in caplog.records if "Waiting for another" in one.getMessage()]
    assert len(said) == 1
    assert "another sweep" in said[0]


def test_a_lease_that_cannot_be_asked_for_deletes_nothing(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        store.add(f"key{number}", 1, tags=RAW)
    made = planned(store)

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the connection broke")

    monkeypatch.setattr(Leases, "acquire", fail)
    assert sweep(store, made).failed == {
        f"s3kv/key{number}.json": "the connection broke" for number in range(3)
    }
    assert len(store.list_keys()) == 3


@pytest.mark.parametrize("reason", ["no conditions", "no permission"])
def test_where_there_can_be_no_lease_it_says_so_once_and_sweeps(
    store: S3KV, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    for number in range(3):
        store.add(f"key{number}", 1, tags=RAW)
    made = planned(store)
    monkeypatch.setattr(SWEEPING, "_UNCONDITIONAL", 1)
    if reason == "no conditions":
        nowhere = ConditionalPuts(create="no", replace="no")
        monkeypatch.setattr(Capabilities, "conditional_puts", lambda *_, **__: nowhere)
    else:

        def deny(*_: object, **__: object) -> None:
            raise AccessDeniedError("not for you")

        monkeypatch.setattr(Leases, "acquire", deny)
    with caplog.at_level(logging.WARNING):
        report = sweep(store, made)
    assert len(report.removed) == 3
    said = [one for one in caplog.records if "No lease excludes" in one.getMessage()]
    assert len(said) == 1


def test_the_lease_is_given_back_and_lies_with_the_others(store: S3KV) -> None:
    store.add("key", 1, tags=RAW)
    with SweepLease(store).held() as kept:
        assert kept is not None
        with pytest.raises(LeaseTimeoutError):
            leases_of(store).acquire(SWEEP_LEASE, "another sweep", timeout=0)
    after = leases_of(store).acquire(SWEEP_LEASE, "another sweep", timeout=0)
    assert after.number > kept.number


def test_it_is_given_back_where_the_sweep_is_interrupted(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("key", 1, tags=RAW)
    made = planned(store)

    def interrupted(*_: object) -> list[DeleteFailure]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(S3Client, "delete_objects", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep(store, made)
    leases_of(store).release(leases_of(store).acquire(SWEEP_LEASE, "another sweep", timeout=0))
    assert sweep(store, made).removed == ["s3kv/key.json"]


def test_nobody_is_kept_waiting_for_the_pace_of_a_sweep(store: S3KV, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        store.add(f"key{number}", 1, tags=RAW)
    made, leases = planned(store), leases_of(store)
    monkeypatch.setattr(SWEEPING, "_UNCONDITIONAL", 1)
    clock, pauses = Clock(), list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.pause(seconds)
        leases.release(leases.acquire(SWEEP_LEASE, "another sweep", timeout=0))

    report = sweep_decisions(store, made.removals, "keep", pace=Pace(10, clock=clock, pause=pause))
    assert (len(report.removed), len(pauses)) == (3, 2)


def test_the_lease_is_where_leases_are(store: S3KV, make_store: Callable[..., S3KV]) -> None:
    store.add("key", 1, tags=RAW)
    other = make_store()
    sweep(store, planned(store), lease_bucket=other.bucket_name)
    listed = [[one.name for one in each.client.list_objects(each.bucket_name, "")] for each in (store, other)]
    assert listed == [[], [SWEEP_LEASE]]
