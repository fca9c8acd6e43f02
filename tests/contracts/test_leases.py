"""Leases: held by one at a time, ended by themselves, taken over in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._leases.backend import backend_of
from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.observer import LeaseObserver
from s3kv_flows.store._leases.records import LeaseBackend
from s3kv_flows.store._leases.sweep import LeaseSweep
from s3kv_flows.store._s3.capabilities import Capabilities, ConditionalPuts
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import (
    ConflictError,
    LeaseNotHeldError,
    LeaseTimeoutError,
    StaleWriterError,
    UnsupportedByServerError,
)
from tests.servers import Server
from tests.support.waiting import PATIENCE, Clock

NAME = "s3kv-leases/key"
SHORT = 1.0
LONG = 600.0  # no machine is so busy that it passes by itself


def now_ms(store: S3KV) -> int:
    return int(store.client.capabilities.now().timestamp() * 1000)


@pytest.fixture
def backend(store: S3KV) -> LeaseBackend:
    return backend_of(store.client, store.bucket_name, "s3kv/")


@pytest.fixture
def make_leases(backend: LeaseBackend, store: S3KV) -> Callable[..., Leases]:
    def make(seconds: float = LONG, pause: Callable[[float], object] = time.sleep) -> Leases:
        return Leases(backend, lambda: now_ms(store), seconds=seconds, pause=pause)

    return make


@pytest.fixture
def leases(make_leases: Callable[..., Leases]) -> Leases:
    return make_leases()


def ended(lease: HeldLease) -> HeldLease:
    """Return a lease as its holder has it after it was stopped for longer than the lease's time."""
    return replace(lease, ends=lease.ends - 1000)


def test_one_of_many_takes_it(leases: Leases, server: Server) -> None:
    barrier = threading.Barrier(server.racers)

    def take(number: int) -> HeldLease | None:
        barrier.wait()
        try:
            return leases.acquire(NAME, f"holder {number}", timeout=0)
        except LeaseTimeoutError:
            return None

    with ThreadPoolExecutor(server.racers) as pool:
        taken = [lease for lease in pool.map(take, range(server.racers)) if lease]
    assert len(taken) == 1
    record = leases.holder_of(NAME)
    assert record
    assert record == taken[0].stored.record


def test_a_waiter_that_times_out_is_told_the_holder(make_leases: Callable[..., Leases], clock: Clock) -> None:
    leases = make_leases(pause=clock.pause)
    leases.acquire(NAME, "first")
    with pytest.raises(LeaseTimeoutError, match=r"still held by first on .* after 0\.2 s"):
        leases.acquire(NAME, "second", timeout=0.2)


def test_a_released_lease_is_free_at_once(leases: Leases) -> None:
    numbers: list[int] = []
    for holder in ("first", "second", "third"):
        lease = leases.acquire(NAME, holder, timeout=0, above=max(numbers, default=0))
        numbers.append(lease.number)
        leases.release(lease)
        assert leases.holder_of(NAME) is None
    assert numbers == sorted(set(numbers))
    with pytest.raises(LeaseNotHeldError):
        leases.release(lease)


def test_a_waiter_gets_it_when_it_is_released(leases: Leases) -> None:
    lease = leases.acquire(NAME, "first")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(leases.acquire, NAME, "second", timeout=PATIENCE)
        leases.release(lease)
        assert waiting.result(timeout=PATIENCE).stored.record.holder == "second"


def test_a_renewed_lease_goes_on_and_keeps_its_number(leases: Leases) -> None:
    lease = leases.acquire(NAME, "first")
    renewed = leases.renew(lease)
    assert renewed.ends > lease.ends
    assert renewed.number == lease.number
    leases.verify(renewed)
    leases.verify(lease)


def test_a_renewal_whose_response_was_lost_can_be_renewed(leases: Leases) -> None:
    lease = leases.acquire(NAME, "first")
    leases.renew(lease)  # as if the holder had not got the response
    renewed = leases.renew(lease)
    assert renewed.number == lease.number
    leases.release(lease)
    assert leases.holder_of(NAME) is None
    other = leases.acquire(NAME, "first", above=lease.number)
    for act in (leases.renew, leases.release):
        with pytest.raises(StaleWriterError, match="taken over by first"):
            act(renewed)
    leases.verify(other)


def test_a_dead_holder_is_followed_by_a_higher_number(
    make_leases: Callable[..., Leases], clock: Clock
) -> None:
    leases = make_leases(pause=clock.pause)
    dead = leases.acquire(NAME, "dead")
    heir = leases.acquire(NAME, "heir")
    assert dead.seconds_left() <= 0, "not before it had ended"
    assert dead.seconds_left() >= -LONG / 8, "and not long after"
    assert heir.number > dead.number


def test_one_of_many_takes_a_dead_lease_over(
    make_leases: Callable[..., Leases], clock: Clock, server: Server
) -> None:
    late = make_leases(6 * LONG, clock.pause)
    make_leases().acquire(NAME, "dead")

    def take(number: int) -> HeldLease | None:
        try:
            return late.acquire(NAME, f"heir {number}", timeout=2.5 * LONG)
        except LeaseTimeoutError:
            return None

    waiting = min(8, server.racers)
    with ThreadPoolExecutor(waiting) as pool:
        heirs = [lease for lease in pool.map(take, range(waiting)) if lease]
    assert len(heirs) == 1


def test_a_holder_that_was_stopped_learns_that_it_was_replaced(
    make_leases: Callable[..., Leases], clock: Clock
) -> None:
    leases = make_leases()
    stopped = leases.acquire(NAME, "stopped")
    heir = make_leases(pause=clock.pause).acquire(NAME, "heir")
    for act in (leases.renew, leases.verify):
        with pytest.raises(LeaseNotHeldError, match="ended before it was renewed"):
            act(ended(stopped))
        with pytest.raises(StaleWriterError, match="taken over by heir"):
            act(replace(stopped, ends=stopped.ends + 1000))
    with pytest.raises(StaleWriterError, match="taken over by heir"):
        leases.release(stopped)
    leases.verify(heir)


def test_a_lease_record_whose_response_was_lost_is_recognized(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = S3Client.put_object

    def lost(self: S3Client, *args: object, **kwargs: object) -> object:
        original(self, *args, **kwargs)  # type: ignore[arg-type]
        monkeypatch.setattr(S3Client, "put_object", original)
        refused = ConflictError("PreconditionFailed")  # the answer to boto3's second attempt
        refused.was_lost = True
        raise refused

    monkeypatch.setattr(S3Client, "put_object", lost)
    lease = leases.acquire(NAME, "first", timeout=0)
    monkeypatch.setattr(S3Client, "put_object", lost)
    leases.release(leases.renew(lease))
    assert leases.holder_of(NAME) is None


def test_leases_of_other_keys_are_others(leases: Leases) -> None:
    one = leases.acquire(NAME, "one", timeout=0)
    two = leases.acquire(f"{NAME}/000000000007", "two", timeout=0)
    three = leases.acquire(f"{NAME}2", "three", timeout=0)
    records = [leases.holder_of(lease.name) for lease in (one, two, three)]
    assert [record and record.holder for record in records] == ["one", "two", "three"]
    for lease in (one, two, three):
        leases.release(leases.renew(lease))


JUNK = {
    "no JSON": b"no lease",
    "no fields": b"{}",
    "deep": b"[" * 4000,
    "large": b" " * (1 << 20),
    "for ever": b'{"holder": "x", "host": "x", "seconds": 1e999, "number": -1, "token": "x"}',
    "odd types": b'{"holder": [], "host": {}, "seconds": "nan", "number": 1e999, "token": 3, "released": 0}',
}


@pytest.mark.parametrize("body", JUNK.values(), ids=JUNK)
def test_an_object_that_is_no_lease_is_replaced(leases: Leases, store: S3KV, body: bytes) -> None:
    store.client.put_object(store.bucket_name, NAME, body, content_type="text/plain")
    assert leases.holder_of(NAME) is None
    observer = LeaseObserver(store.client, store.bucket_name, "s3kv-leases/")
    assert observer.may_be_held("key")
    assert not observer.is_held("key")
    before = now_ms(store)
    lease = leases.acquire(NAME, "first", timeout=0)
    assert lease.number >= before, "the number of what was there says nothing"
    record = leases.holder_of(NAME)
    assert record
    assert record.holder == "first"
    leases.release(leases.renew(lease))


def test_what_is_no_lease_is_replaced_by_one_of_several(
    make_leases: Callable[..., Leases], store: S3KV
) -> None:
    store.client.put_object(store.bucket_name, NAME, b"no lease", content_type="text/plain")

    def acquire(number: int) -> bool:
        try:
            make_leases().acquire(NAME, f"holder {number}", timeout=0)
        except LeaseTimeoutError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(acquire, range(4))) == 1


def test_a_holder_whose_lease_was_overwritten_has_it_no_more(leases: Leases, store: S3KV) -> None:
    lease = leases.acquire(NAME, "first")
    store.client.put_object(store.bucket_name, NAME, b"no lease", content_type="text/plain")
    with pytest.raises(LeaseNotHeldError):
        leases.verify(lease)
    with pytest.raises(LeaseNotHeldError):
        leases.renew(lease)


def test_what_is_no_lease_is_swept_like_an_ended_one(backend: LeaseBackend, store: S3KV) -> None:
    store.client.put_object(store.bucket_name, NAME, b"no lease", content_type="text/plain")
    now = store.server_time()
    sweep = LeaseSweep(backend).run
    assert sweep("s3kv-leases/", now + timedelta(minutes=9), timedelta(0)) == []
    observer = LeaseObserver(store.client, store.bucket_name, "s3kv-leases/")
    assert observer.ended(now + HOUR, timedelta(0)) == [NAME]
    assert sweep("s3kv-leases/", now + HOUR, timedelta(0)) == [NAME]


def test_nothing_is_left_of_a_lease_but_where_it_must(leases: Leases, store: S3KV, server: Server) -> None:
    leases.release(leases.renew(leases.acquire(NAME, "first")))
    left = list(store.client.list_objects(store.bucket_name, "s3kv-leases/"))
    assert len(left) == (server.name == "ceph")


def test_requests(leases: Leases, store: S3KV) -> None:
    with store.client.counters.measure() as counted:
        lease = leases.acquire(NAME, "first", timeout=0)
        lease = leases.renew(lease)
        leases.verify(lease)
        leases.release(lease)
    assert sum(counted[0].by_operation.values()) == 4


def test_where_leases_would_not_be_exclusive_there_are_none(make_store: Callable[..., S3KV]) -> None:
    versioned = make_store(object_lock=True)
    capabilities = versioned.client.capabilities
    if capabilities.conditional_puts(versioned.bucket_name, "s3kv/").create == "atomic":
        pytest.skip("here they do")
    with pytest.raises(UnsupportedByServerError, match="lease_bucket_name"):
        backend_of(versioned.client, versioned.bucket_name, "s3kv/")


def test_where_leases_could_not_be_renewed_there_are_none(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    creates_alone = ConditionalPuts(create="atomic", replace="no")
    monkeypatch.setattr(Capabilities, "conditional_puts", lambda *_, **__: creates_alone)
    with pytest.raises(UnsupportedByServerError, match="supports no conditional overwrite"):
        backend_of(store.client, store.bucket_name, "s3kv/")


def test_where_everything_is_locked_there_are_no_leases(store: S3KV, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(S3Client, "has_default_retention", lambda *_: True)
    with pytest.raises(UnsupportedByServerError, match="lease_bucket_name"):
        backend_of(store.client, store.bucket_name, "s3kv/")


def test_a_lease_that_never_holds_is_refused(backend: LeaseBackend) -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        Leases(backend, lambda: 0, seconds=0)
    with pytest.raises(ValueError, match="at most 3,600 seconds"):
        Leases(backend, lambda: 0, seconds=3601)


# --- what is left of them -----------------------------------------------------------------------------

HOUR = timedelta(hours=1)


def everything(store: S3KV) -> list[str]:
    return [version.name for version in store.client.list_versions(store.bucket_name, "s3kv-leases/")]


def test_a_sweep_removes_the_leases_of_the_dead_and_no_others(backend: LeaseBackend, store: S3KV) -> None:
    leases = Leases(backend, lambda: now_ms(store), seconds=SHORT)
    sweep = LeaseSweep(backend).run
    for name in ("s3kv-leases/dead", "s3kv-leases/released", "s3kv-leases/path/of/many"):
        leases.acquire(name, "dead")
    lease = leases.acquire("s3kv-leases/again", "alive", timeout=0)
    leases.release(lease)
    now = store.server_time()
    prefix = "s3kv-leases/"
    assert sweep(prefix, now + timedelta(minutes=9), timedelta(0)) == [], "ten minutes at least"
    Leases(backend, lambda: now_ms(store), seconds=3600).acquire("s3kv-leases/long", "alive")
    observer = LeaseObserver(store.client, store.bucket_name, prefix)
    found = observer.ended(now + HOUR, timedelta(minutes=30))
    assert observer.is_held("long")
    assert {"s3kv-leases/dead", "s3kv-leases/path/of/many"} <= set(found)
    assert leases.holder_of("s3kv-leases/long")
    assert sorted(sweep(prefix, now + HOUR, timedelta(minutes=30))) == sorted(found)
    assert {name for name in everything(store) if not name.startswith("s3kv-leases/long")} == set()
    record = leases.holder_of("s3kv-leases/long")
    assert record
    assert record.holder == "alive"


def test_what_was_taken_over_since_is_not_swept(
    backend: LeaseBackend,
    make_leases: Callable[..., Leases],
    store: S3KV,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leases = make_leases(SHORT)
    leases.acquire(NAME, "dead")
    sweeping = LeaseSweep(backend)
    read_ended = sweeping._read_ended

    def taken_over(name: str, limit: datetime) -> object:
        found = read_ended(name, limit)
        make_leases(pause=clock.pause).acquire(name, "heir")
        return found

    monkeypatch.setattr(sweeping, "_read_ended", taken_over)
    sweeping.run("s3kv-leases/", store.server_time() + HOUR, timedelta(0))
    record = leases.holder_of(NAME)
    assert record
    assert record.holder == "heir"


def test_on_a_bucket_with_versions_none_of_them_is_left(
    make_store: Callable[..., S3KV], clock: Clock
) -> None:
    store = make_store(object_lock=True)
    if store.client.capabilities.conditional_puts(store.bucket_name, "s3kv/").create != "atomic":
        pytest.skip("leases would not be exclusive there")
    backend = backend_of(store.client, store.bucket_name, "s3kv/")
    leases = Leases(backend, lambda: now_ms(store), seconds=LONG, pause=clock.pause)
    lease = leases.acquire(NAME, "first")
    for _ in range(3):
        lease = leases.renew(lease)
    assert len(everything(store)) == 1
    heir = leases.acquire(NAME, "heir")
    assert len(everything(store)) == 1
    leases.release(heir)
    assert everything(store) == []
    leases.acquire(NAME, "dead")
    sweep = LeaseSweep(leases._backend).run
    assert sweep("s3kv-leases/", store.server_time() + HOUR, timedelta(0)) == [NAME]
    assert everything(store) == []
