"""The keeper: leases are renewed while they are held, and given up before they end."""

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
def keeper() -> Iterator[LeaseRenewer]:
    keeper = LeaseRenewer()
    yield keeper
    keeper.close(PATIENCE)
    assert keeper._thread is None


def keep(
    keeper: LeaseRenewer, leases: Leases, reasons: list[S3KVError] | None = None, *, renews: bool = True
) -> RenewedLease:
    on_lost = reasons.append if reasons is not None else None
    kept = RenewedLease(leases, leases.acquire(NAME, "holder", timeout=0), on_lost, renews=renews)
    keeper.keep("place", "holder", kept)
    return kept


def fail_puts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr(S3Client, "put_object", fails)


def look(keeper: LeaseRenewer) -> None:
    """Let the keeper look at the clock."""
    with keeper._changed:
        keeper._changed.notify_all()


def let_be_tried(keeper: LeaseRenewer, kept: RenewedLease, clock: Clock) -> None:
    """Let time pass until a lease is due, and wait until it was tried to renew it."""
    due = kept.due
    assert due is not None
    clock.pause(due - clock() + 0.001)
    look(keeper)
    until(lambda: kept.due != due)


def token_of(kept: RenewedLease) -> str:
    return kept._lease.stored.record.token


def test_a_lease_outlives_its_time_while_it_is_kept(store: S3KV, keeper: LeaseRenewer, clock: Clock) -> None:
    leases = make_leases(store)
    kept = keep(keeper, leases)
    first_end = kept._lease.ends
    for _ in range(6):
        token = token_of(kept)
        let_be_tried(keeper, kept, clock)
        assert token_of(kept) != token
        assert leases.holder_of(NAME), "it never ends"
    assert clock() > first_end
    with store.client.counters.measure() as counted:
        kept.require()
    assert counted[0].requests == 0
    assert kept.lost is None
    record = leases.holder_of(NAME)
    assert record
    assert record.number == kept.number
    keeper.release("place", "holder", wait=True)
    assert leases.holder_of(NAME) is None
    until(lambda: keeper._thread is None)


def test_one_that_cannot_be_renewed_is_given_up_before_it_ends(
    store: S3KV, keeper: LeaseRenewer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = make_leases(store)
    left: list[float] = []
    kept = RenewedLease(
        leases, leases.acquire(NAME, "holder"), lambda _: left.append(kept._lease.seconds_left())
    )
    keeper.keep("place", "holder", kept)
    with monkeypatch.context() as patch:
        fail_puts(patch)
        tries = 0
        while kept.due is not None:
            let_be_tried(keeper, kept, clock)
            tries += 1
        until(lambda: left)
    assert tries > 1, "it is tried again"
    assert left[0] > 0, "before it ends"
    assert "could not be renewed: no answer" in str(kept.lost)
    kept.require()
    assert kept.lost is None, "nobody had taken it over, so it goes on"
    token = token_of(kept)
    let_be_tried(keeper, kept, clock)
    assert token_of(kept) != token


def test_what_ended_once_is_broken_although_nobody_has_taken_it_over(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = make_leases(store)
    kept = RenewedLease(leases, leases.acquire(NAME, "holder", timeout=0))
    kept.require_unbroken()
    with monkeypatch.context() as asleep:
        asleep.setattr(leases_module, "lease_clock", lambda: lease_clock() + LONG - 10)
        with pytest.raises(LeaseNotHeldError, match="not renewed"):
            kept.require_unbroken()
    kept._give_up(StoreUnavailableError("no answer"))
    with pytest.raises(LeaseNotHeldError, match="no answer"):
        kept.require_unbroken()
    kept.require()
    kept.require_unbroken()
    assert kept.lost is None, "it was taken up again"


def test_one_that_another_has_taken_over_is_lost(store: S3KV, keeper: LeaseRenewer, clock: Clock) -> None:
    others = make_leases(store, pause=clock.pause)
    kept = keep(keeper, make_leases(store), renews=False)
    heir = others.acquire(NAME, "heir")
    with pytest.raises(StaleWriterError, match="taken over by heir"):
        kept.require()
    keeper.release("place", "holder", wait=True)
    others.verify(heir)
    others.release(heir)
    with pytest.raises(StaleWriterError, match="not held by anybody: others may have worked since"):
        kept.require()


def test_the_holder_hears_that_it_was_replaced(store: S3KV, keeper: LeaseRenewer, clock: Clock) -> None:
    reasons: list[S3KVError] = []
    kept = keep(keeper, make_leases(store), reasons)
    with kept._mutex:  # as if its process were stopped
        make_leases(store, pause=clock.pause).acquire(NAME, "heir")
    look(keeper)
    assert isinstance(until(lambda: kept.lost), (StaleWriterError, LeaseNotHeldError))
    assert len(until(lambda: reasons)) == 1


def test_its_number_is_raised_above_one_that_was_seen(store: S3KV, keeper: LeaseRenewer) -> None:
    kept = keep(keeper, make_leases(store))
    number = kept.number
    with store.client.counters.measure() as counted:
        kept.require(above=number - 1)
    assert counted[0].requests == 0
    kept.require(above=number + 1000)
    assert kept.number == number + 1001


def test_who_does_not_wait_has_it_given_back_all_the_same(store: S3KV, keeper: LeaseRenewer) -> None:
    leases = make_leases(store)
    keep(keeper, leases)
    assert keeper.knows("place", "holder")
    keeper.release("place", "holder", wait=False)
    assert not keeper.knows("place")
    until(lambda: leases.holder_of(NAME) is None)


SCRIPT = """
import os, sys
from tests.store.test_renewer import NAME, make_leases
from s3kv_flows.store import S3KV
from s3kv_flows.store._leases import renewer
from s3kv_flows.store._leases.renewer import shared_renewer
from s3kv_flows.store._leases.renewer import RenewedLease

renewer._EXIT_SECONDS = 300
store = S3KV(sys.argv[1], sys.argv[2])
leases = make_leases(store)
shared_renewer().keep("place", "holder", RenewedLease(leases, leases.acquire(NAME, "holder")))
if sys.argv[3] == "fork" and os.fork() == 0:
    assert not shared_renewer().knows("place"), "the lease is the parent's"
    sys.exit()
if sys.argv[3] == "fork":
    os.wait()
    assert leases.holder_of(NAME), "the child has not given it back"
"""


@pytest.mark.parametrize("how", ["plain", "fork"])
def test_a_process_that_ends_gives_back_what_it_holds(store: S3KV, s3_url: str, how: str) -> None:
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


def test_there_is_one_keeper_in_a_process() -> None:
    assert shared_renewer() is shared_renewer()


def test_who_needs_no_lease_is_forgotten_with_its_run() -> None:
    class Run:
        pass

    keeper, run = LeaseRenewer(), Run()
    keeper.register_reader("place", "holder", while_alive=run)
    keeper.register_reader("place", "other")
    assert keeper.knows("place", "holder")
    del run
    gc.collect()
    assert not keeper.knows("place", "holder")
    assert keeper.knows("place", "other")
    keeper.release("place", "other", wait=True)
    assert keeper._entries == {}
