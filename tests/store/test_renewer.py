"""The renewer: leases are renewed while they are held, and given up before they end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._leases import leases as leases_module
from s3kv_flows.store._leases.backend import backend_of
from s3kv_flows.store._leases.leases import Leases
from s3kv_flows.store._leases.records import lease_clock
from s3kv_flows.store._leases.renewer import LeaseRenewer, RenewedLease, shared_renewer
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import (
    LeaseNotHeldError,
    S3KVError,
    StaleWriterError,
    StoreUnavailableError,
)
from tests.support.waiting import PATIENCE, Clock, until

NAME = "s3kv-leases/key"


LONG = 600.0  # no machine is so busy that it passes by itself


def make_leases(store: S3KV, seconds: float = LONG, pause: Callable[[float], object] = time.sleep) -> Leases:
    backend = backend_of(store.client, store.bucket_name, "s3kv-leases/")
    return Leases(
        backend,
        lambda: int(store.client.capabilities.now().timestamp() * 1000),
        seconds=seconds,
        pause=pause,
    )


@pytest.fixture
def renewer() -> Iterator[LeaseRenewer]:
    renewer = LeaseRenewer()
    yield renewer
    renewer.close(PATIENCE)
    assert renewer._thread is None


def held_lease(
    renewer: LeaseRenewer, leases: Leases, reasons: list[S3KVError] | None = None, *, renews: bool = True
) -> RenewedLease:
    on_lost = reasons.append if reasons is not None else None
    lease = RenewedLease(leases, leases.acquire(NAME, "holder", timeout=0), on_lost, renews=renews)
    renewer.add("key", "holder", lease)
    return lease


def fail_puts(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(S3Client, "put_object", fails)


def wake(renewer: LeaseRenewer) -> None:
    """Let the renewer read the clock."""
    with renewer._changed:
        renewer._changed.notify_all()


def let_renewal_be_tried(renewer: LeaseRenewer, lease: RenewedLease, clock: Clock) -> None:
    """Let time pass until a lease is due, and wait until a renewal was tried."""
    due = lease.due
    assert due is not None
    clock.pause(due - clock() + 0.001)
    wake(renewer)
    until(lambda: lease.due != due)


def token_of(lease: RenewedLease) -> str:
    return lease._lease.stored.record.token


def test_a_lease_outlives_its_time_while_it_is_renewed(
    store: S3KV, renewer: LeaseRenewer, clock: Clock
) -> None:
    leases = make_leases(store)
    lease = held_lease(renewer, leases)
    first_end = lease._lease.ends
    for _ in range(6):
        token = token_of(lease)
        let_renewal_be_tried(renewer, lease, clock)
        assert token_of(lease) != token
        assert leases.holder_of(NAME), "it never ends"
    assert clock() > first_end
    with store.client.counters.measure() as counted:
        lease.require()
    assert counted[0].requests == 0
    assert lease.lost is None
    record = leases.holder_of(NAME)
    assert record
    assert record.number == lease.number
    renewer.release("key", "holder", wait=True)
    assert leases.holder_of(NAME) is None
    until(lambda: renewer._thread is None)


@pytest.mark.parametrize("error", [StoreUnavailableError("no answer"), DeprecationWarning("no answer")])
def test_one_that_cannot_be_renewed_is_given_up_before_it_ends(
    store: S3KV, renewer: LeaseRenewer, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    leases = make_leases(store)
    left: list[float] = []
    lease = RenewedLease(
        leases, leases.acquire(NAME, "holder"), lambda _: left.append(lease._lease.seconds_left())
    )
    renewer.add("key", "holder", lease)
    with monkeypatch.context() as patch:
        fail_puts(patch, error)
        tries = 0
        while lease.due is not None:
            let_renewal_be_tried(renewer, lease, clock)
            tries += 1
        until(lambda: left)
    assert tries > 1, "it is tried again"
    assert left[0] > 0, "before it ends"
    assert "could not be renewed: no answer" in str(lease.lost)
    lease.require()
    assert lease.lost is None, "nobody had taken it over, so it goes on"
    token = token_of(lease)
    let_renewal_be_tried(renewer, lease, clock)
    assert token_of(lease) != token


def test_a_lease_that_ended_is_broken_although_nobody_has_taken_it_over(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = make_leases(store)
    lease = RenewedLease(leases, leases.acquire(NAME, "holder", timeout=0))
    lease.require_unbroken()
    with monkeypatch.context() as asleep:
        asleep.setattr(leases_module, "lease_clock", lambda: lease_clock() + LONG - 10)
        with pytest.raises(LeaseNotHeldError, match="not renewed"):
            lease.require_unbroken()
    lease._give_up(StoreUnavailableError("no answer"))
    with pytest.raises(LeaseNotHeldError, match="no answer"):
        lease.require_unbroken()
    lease.require()
    lease.require_unbroken()
    assert lease.lost is None, "it was reclaimed"


def test_one_that_another_has_taken_over_is_lost(store: S3KV, renewer: LeaseRenewer, clock: Clock) -> None:
    others = make_leases(store, pause=clock.pause)
    lease = held_lease(renewer, make_leases(store), renews=False)
    heir = others.acquire(NAME, "heir")
    with pytest.raises(StaleWriterError, match="taken over by heir"):
        lease.require()
    renewer.release("key", "holder", wait=True)
    others.verify(heir)
    others.release(heir)
    with pytest.raises(StaleWriterError, match="not held by anybody: others may have worked since"):
        lease.require()


def test_the_holder_hears_that_it_was_replaced(store: S3KV, renewer: LeaseRenewer, clock: Clock) -> None:
    reasons: list[S3KVError] = []
    lease = held_lease(renewer, make_leases(store), reasons)
    with lease._mutex:  # as if its process were stopped
        make_leases(store, pause=clock.pause).acquire(NAME, "heir")
    wake(renewer)
    assert isinstance(until(lambda: lease.lost), (StaleWriterError, LeaseNotHeldError))
    assert len(until(lambda: reasons)) == 1


def test_its_number_is_raised_above_one_that_was_seen(store: S3KV, renewer: LeaseRenewer) -> None:
    lease = held_lease(renewer, make_leases(store))
    number = lease.number
    with store.client.counters.measure() as counted:
        lease.require(above=number - 1)
    assert counted[0].requests == 0
    lease.require(above=number + 1000)
    assert lease.number == number + 1001


def test_a_release_without_waiting_is_made_in_the_background(store: S3KV, renewer: LeaseRenewer) -> None:
    leases = make_leases(store)
    held_lease(renewer, leases)
    assert renewer.knows("key", "holder")
    renewer.release("key", "holder", wait=False)
    assert not renewer.knows("key")
    until(lambda: leases.holder_of(NAME) is None)


SCRIPT = """
import os, sys
from tests.store.test_renewer import NAME, make_leases
from s3kv_flows.store import S3KV
from s3kv_flows.store._leases import renewer
from s3kv_flows.store._leases.renewer import RenewedLease, shared_renewer

renewer._EXIT_SECONDS = 300
store = S3KV(sys.argv[1], sys.argv[2])
leases = make_leases(store)
shared_renewer().add("key", "holder", RenewedLease(leases, leases.acquire(NAME, "holder")))
if sys.argv[3] == "fork" and os.fork() == 0:
    assert not shared_renewer().knows("key"), "the lease is the parent's"
    sys.exit()
if sys.argv[3] == "fork":
    os.wait()
    assert leases.holder_of(NAME), "the child has not released it"
"""


@pytest.mark.parametrize("how", ["plain", "fork"])
def test_a_process_that_exits_releases_its_leases(store: S3KV, s3_url: str, how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, s3_url, store.bucket_name, how],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert make_leases(store).holder_of(NAME) is None


def test_there_is_one_renewer_in_a_process() -> None:
    assert shared_renewer() is shared_renewer()


def test_a_reader_is_forgotten_with_its_run() -> None:
    class Run:
        pass

    renewer, run = LeaseRenewer(), Run()
    renewer.register_reader("key", "holder", while_alive=run)
    renewer.register_reader("key", "other")
    assert renewer.knows("key", "holder")
    del run
    gc.collect()
    assert not renewer.knows("key", "holder")
    assert renewer.knows("key", "other")
    renewer.release("key", "other", wait=True)
    assert renewer._entries == {}
