"""Single flight in real task runs, counted on the wire."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import anyio
import cloudpickle
import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.locking.protocol import LockManager
from prefect.results import get_result_store
from prefect.transactions import IsolationLevel, transaction

from s3kv_flows import LeaseLockManager, S3KVStore, caching
from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows.store._leases.renewer import LeaseRenewer, shared_renewer
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store.errors import KeyLockedError, LeaseTimeoutError, UnsupportedByServerError
from tests.support.lake import WEEK, Lake, adding_task, in_flow
from tests.support.waiting import PATIENCE, Clock, until

pytestmark = pytest.mark.usefixtures("prefect_api", "nothing_leased")


def lease_objects(lake: Lake) -> list[str]:
    bucket = lake.block.lease_bucket_name or lake.block.bucket_name
    return [item.name for item in lake.results.client.list_objects(bucket, lake.block.lease_namespace.prefix)]


def ready(lake: Lake) -> None:
    """Let the process know what the server can do, as after its first lease."""
    lake.block.leases()


# --- what it costs --------------------------------------------------------------------------------


def test_a_miss_is_five_requests_and_a_hit_one(lake: Lake) -> None:
    ready(lake)
    add_one = adding_task(lake, single_flight=True)
    miss = lake.count(lambda: add_one(1))
    assert dict(miss.requests) == {"GET": 2, "PUT": 2, "DELETE": 1}
    assert dict(lake.count(lambda: add_one(1)).requests) == {"GET": 1}
    assert lake.ran == [1]
    assert lease_objects(lake) == []


def test_it_is_the_same_on_a_bucket_with_object_lock(locked_lake: Lake) -> None:
    ready(locked_lake)
    add_one = adding_task(locked_lake, single_flight=True)
    assert sum(locked_lake.count(lambda: add_one(1)).requests.values()) == 5
    assert dict(locked_lake.count(lambda: add_one(1)).requests) == {"GET": 1}
    prefix = locked_lake.block.lease_namespace.prefix
    left = list(locked_lake.results.client.list_versions(locked_lake.results.bucket_name, prefix))
    assert left == [], "no versions pile up"


@pytest.mark.parametrize("aio", [False, True], ids=["sync", "async"])
def test_a_refresh_takes_the_lease_and_looks_at_what_it_will_replace(lake: Lake, aio: bool) -> None:  # noqa: FBT001
    ready(lake)

    async def aproduce() -> int:
        lake.ran.append(1)
        return len(lake.ran)

    def produce() -> int:
        lake.ran.append(1)
        return len(lake.ran)

    made: Any = task(**caching(lake.name, single_flight=True))(aproduce if aio else produce)

    def run(one: Any) -> Any:
        return asyncio.run(one()) if aio else one()

    assert run(made) == 1
    refresh = lake.count(lambda: run(made.with_options(refresh_cache=True)))
    until(lambda: lease_objects(lake) == [])
    assert {method: refresh.requests[method] for method in ("HEAD", "PUT")} == {"HEAD": 1, "PUT": 2}
    assert run(made) == 2
    assert lake.the_object().metadata["s3kv-fence"].isdecimal()


def test_an_expired_result_is_written_over_and_nothing_else(lake: Lake) -> None:
    add_one = adding_task(lake, single_flight=True, cache_expiration=timedelta(microseconds=1))
    add_one(1)
    first = lake.the_object()
    add_one(1)
    second = lake.the_object()
    assert lake.ran == [1, 1]
    assert first.etag != second.etag
    assert int(second.metadata["s3kv-fence"]) > int(first.metadata["s3kv-fence"])


# --- one at a time ----------------------------------------------------------------------------------


def test_threads_that_want_one_key_compute_it_once(lake: Lake) -> None:
    go = threading.Event()

    @task(**caching(lake.name, single_flight=True))
    def produce() -> int:
        lake.ran.append(1)
        assert go.wait(PATIENCE)
        return 7

    @flow
    def run() -> list[int]:
        futures = [produce.submit() for _ in range(6)]
        until(lambda: lake.ran)
        until(lambda: len(waiting_in_process()) == 5)
        go.set()
        return [future.result() for future in futures]

    wire = lake.count(lambda: run())
    assert lake.ran == [1]
    # Each run looks up; the holder takes the lease, looks up again, writes and releases; the others look up.
    assert wire.requests["PUT"] <= 2 + 40  # by the first probe of the server
    assert lease_objects(lake) == []


def waiting_in_process() -> list[object]:
    return [one for queue in list(shared_renewer().queue._queues.values()) for one in queue.waiting]


def test_refreshing_runs_compute_one_by_one(lake: Lake) -> None:
    inside: list[int] = []
    most: list[int] = []

    @task(refresh_cache=True, **caching(lake.name, single_flight=True))
    def produce() -> int:
        inside.append(1)
        most.append(len(inside))
        until(lambda: len(waiting_in_process()) == 4 - len(most))  # all others would, if they could
        inside.pop()
        return len(most)

    @flow
    def run() -> list[int]:
        return [future.result() for future in [produce.submit() for _ in range(4)]]

    assert sorted(run()) == [1, 2, 3, 4]
    assert set(most) == {1}
    assert lake.results.get(lake.results.namespace.key_of(lake.the_object().name) or "") == 4, "the last one"


def test_a_failed_run_lets_the_next_one_compute(lake: Lake) -> None:
    @task(**caching(lake.name, single_flight=True))
    def produce() -> int:
        lake.ran.append(1)
        if len(lake.ran) == 1:
            raise RuntimeError("not this time")
        return 5

    @flow
    def run() -> list[Any]:
        futures = [produce.submit() for _ in range(3)]
        return [future.result(raise_on_failure=False) for future in futures]

    results = run()
    assert [result for result in results if result == 5] == [5, 5]
    assert lake.ran == [1, 1]


def test_runs_of_a_flow_that_has_failed_still_compute_one_by_one(lake: Lake) -> None:
    inside: list[int] = []
    has_failed = threading.Event()

    @task(**caching(lake.name, single_flight=True))
    def produce() -> None:
        inside.append(1)
        lake.ran.append(len(inside))
        assert has_failed.wait(PATIENCE)
        inside.pop()
        raise RuntimeError("so that each computes")

    @flow
    def run() -> None:
        for _ in range(6):
            produce.submit()
        until(lambda: len(waiting_in_process()) == 5)
        has_failed.set()
        raise ValueError("of the flow")

    with pytest.raises(ValueError, match="of the flow"):
        run()
    assert lake.ran == [1] * 6


@pytest.mark.parametrize("step", ["its store is loaded", "its lease is renewed", "it knows its lease"])
def test_who_fails_as_its_turn_begins_lets_the_next_one_compute(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    add_one = adding_task(lake, single_flight=True)
    owner, name, number = {
        "its store is loaded": (LeaseLockManager, "_store", 2),
        "its lease is renewed": (LeaseRenewer, "_wake", 1),
        "it knows its lease": (CacheAttempt, "took_lease", 1),
    }[step]
    method = getattr(owner, name)
    calls: list[None] = []

    def fails(*args: Any) -> Any:
        calls.append(None)
        if len(calls) == number:
            raise DeprecationWarning("which a program has made an error")
        return method(*args)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        with pytest.raises(DeprecationWarning):
            add_one(1)
    assert lake.ran == []
    assert not shared_renewer().queue._queues
    assert add_one(1) == 2


def test_each_attempt_of_a_retried_run_takes_the_lease_anew(lake: Lake) -> None:
    numbers: list[Any] = []

    @task(retries=2, **caching(lake.name, single_flight=True))
    def produce() -> int:
        (entry,) = shared_renewer()._entries.values()
        numbers.extend(lease.number for lease in entry.values() if lease)
        if len(numbers) < 3:
            raise RuntimeError("again")
        return 5

    assert produce() == 5
    assert len(numbers) == 3
    assert sorted(set(numbers)) == numbers, "they only grow"


def test_a_lazily_committed_run_holds_its_lease_until_then(lake: Lake) -> None:
    add_one = adding_task(lake, single_flight=True)

    def body() -> list[str]:
        with transaction():
            add_one(1)
            held = lease_objects(lake)
            assert lake.objects() == []
        return held

    assert len(in_flow(body)) == 1
    assert lease_objects(lake) == []
    assert lake.the_object().metadata["s3kv-fence"]


def test_who_waits_too_long_fails_before_it_computes(lake: Lake) -> None:
    @task(**caching(lake.name, single_flight=True, lease_wait_seconds=0.3))
    def produce() -> int:
        lake.ran.append(1)
        return 1

    name = lease_name_of(lake, produce)
    leases = lake.block.leases(600)
    lease = leases.acquire(name, "another process")
    state = produce(return_state=True)
    assert state.is_failed()
    assert "held by another process" in (state.message or "")
    assert lake.ran == []
    leases.release(lease)
    assert produce() == 1


def lease_name_of(lake: Lake, produce: Any) -> str:
    """Return the object that the task's runs take for a lease."""
    names: list[str] = []
    produce.with_options(refresh_cache=True)()
    names += [item.name for item in lake.objects()]
    key = lake.results.namespace.key_of(names[0]) or ""
    lake.results.delete(key)
    lake.ran.clear()
    return lake.block.lease_namespace.name_of(key)


def test_the_result_of_another_process_is_taken_when_it_is_there(lake: Lake) -> None:
    @task(**caching(lake.name, single_flight=True))
    def produce() -> int:
        lake.ran.append(1)
        return 1

    produce()
    saved = lake.results.objects.get(lake.the_object().name)
    name = lease_name_of(lake, produce)
    leases = lake.block.leases(600)  # it does not end by itself meanwhile
    lease = leases.acquire(name, "another process")
    since = len(lake.proxy.read().paths)
    with lake.results.client.counters.measure() as counted, ThreadPoolExecutor(1) as pool:
        running = pool.submit(copy_context().run, produce)
        looked = re.compile(rf"GET .*{re.escape(name)}")
        until(lambda: any(looked.match(path) for path in lake.proxy.read().paths[since:]))
        lake.results.client.put_object(
            lake.results.bucket_name,
            saved.info.name,
            bytes(saved.body or b""),
            content_type=saved.info.content_type,
            metadata=saved.info.metadata,
        )
        leases.release(lease)
        assert running.result(timeout=PATIENCE) == 1
    assert lake.ran == []
    assert counted[0]["requests.PutObject"] == 2, "the other's result, and one lease that was refused"


# --- what is lost -----------------------------------------------------------------------------------


def test_a_late_writer_does_not_replace_a_newer_result(lake: Lake, logged: pytest.LogCaptureFixture) -> None:
    @task(**caching(lake.name, single_flight=True))
    def produce() -> str:
        if not lake.ran:
            lake.ran.append("first")
            (entries,) = shared_renewer()._entries.values()
            (kept,) = entries.values()
            assert kept
            # As after a long stop: the lease is over, and another run has come, written and gone.
            key = lake.block.lease_namespace.key_of(kept.name) or ""
            kept._leases.release(kept._lease)
            lake.results.add(key, "newer")
        return "late"

    with lake.results.client.counters.measure() as counted:
        state = produce(return_state=True)
    assert state.is_completed()
    assert state.result() == "late"
    assert lake.results.get(lake.results.namespace.key_of(lake.the_object().name) or "") == "newer"
    assert counted[0]["results.refused"] == 1
    assert "another run has written the result in the meantime" in logged.text


def test_a_holder_that_was_replaced_does_not_write(lake: Lake, logged: pytest.LogCaptureFixture) -> None:
    heirs: list[Any] = []

    @task(**caching(lake.name, single_flight=True, lease_seconds=1.0))
    def produce() -> str:
        (entries,) = shared_renewer()._entries.values()
        (kept,) = entries.values()
        assert kept
        with kept._mutex:  # as if its process were stopped
            heirs.append(lake.block.leases(60).acquire(kept.name, "heir", timeout=PATIENCE))
        return "late"

    assert produce() == "late"
    assert lake.objects() == []
    assert "taken over by heir" in logged.text
    assert "will not replace a newer result" in logged.text
    lake.block.leases(60).release(heirs[0])


# --- what it refuses --------------------------------------------------------------------------------


def test_refreshing_a_locked_result_is_refused_before_computing(locked_lake: Lake) -> None:
    add_one = adding_task(locked_lake, retention=WEEK, single_flight=True)
    assert add_one(1) == 2
    with pytest.raises(KeyLockedError):
        add_one.with_options(refresh_cache=True)(1)
    assert locked_lake.ran == [1]
    assert lease_objects(locked_lake) == []


def test_where_leases_would_be_locked_another_bucket_is_wanted(
    locked_lake: Lake, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = locked_lake.results.bucket_name
    client = type(locked_lake.results.client)
    monkeypatch.setattr(client, "has_default_retention", lambda _, bucket: bucket == locked)
    add_one = adding_task(locked_lake, single_flight=True)
    with pytest.raises(UnsupportedByServerError, match="lease_bucket_name"):
        add_one(1)
    assert locked_lake.ran == []
    locked_lake.block.lease_bucket_name = lake.results.bucket_name
    locked_lake.block.save(locked_lake.name, overwrite=True)
    assert add_one(1) == 2
    prefix = locked_lake.block.lease_namespace.prefix
    assert list(locked_lake.results.client.list_versions(locked, prefix)) == []


@pytest.mark.parametrize("options", [{"lease_seconds": 0}, {"lease_seconds": -1}, {"lease_wait_seconds": -1}])
def test_times_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        caching("lake", single_flight=True, **options)  # type: ignore[arg-type]


# --- tasks within, and other policies ----------------------------------------------------------------


def test_a_task_within_does_not_compute_alone_because_the_outer_one_does(lake: Lake) -> None:
    inner = adding_task(lake)

    @task(persist_result=True, result_storage=f"s3kv-store/{lake.name}")
    def plain(number: int) -> int:
        return number

    @task(**caching(lake.name, single_flight=True))
    def outer(number: int) -> int:
        held = lease_objects(lake)
        value = int(inner(number)) + plain(number)
        assert lease_objects(lake) == held
        assert len(held) == 1
        return value

    assert outer(1) == 3
    assert outer(1) == 3


def test_it_is_a_plain_lock_for_other_policies_and_transactions(lake: Lake) -> None:
    manager = LeaseLockManager(lake.name)
    policy = INPUTS.configure(lock_manager=manager, isolation_level=IsolationLevel.SERIALIZABLE)

    @task(cache_policy=policy, result_storage=f"s3kv-store/{lake.name}", persist_result=True)
    def add_one(number: int) -> int:
        lake.ran.append(len(lease_objects(lake)))
        return number + 1

    assert [add_one(1), add_one(1)] == [2, 2]
    assert lake.ran == [1]
    assert lease_objects(lake) == []


def test_the_protocol_of_prefect(lake: Lake) -> None:
    manager, other = LeaseLockManager(lake.block, 600), LeaseLockManager(lake.name)
    assert isinstance(manager, LockManager)
    assert not manager.is_locked("key")
    assert manager.acquire_lock("key", "me", acquire_timeout=0)
    assert manager.is_locked("key")
    assert other.is_locked("key")
    assert manager.is_lock_holder("key", "me")
    assert not manager.is_lock_holder("key", "you")
    with pytest.raises(LeaseTimeoutError):
        manager.acquire_lock("key", "you", acquire_timeout=0)
    manager.release_lock("key", "you")
    assert not manager.wait_for_lock("key", timeout=0.2)
    assert not asyncio.run(manager.await_for_lock("key", timeout=0.2))
    manager.release_lock("key", "me")
    assert manager.wait_for_lock("key", timeout=PATIENCE)
    assert asyncio.run(manager.await_for_lock("key", timeout=PATIENCE))


def test_a_lease_with_a_time_to_hold_is_not_renewed(lake: Lake) -> None:
    manager = LeaseLockManager(lake.name)
    manager.acquire_lock("key", "me", hold_timeout=0.5)
    leases = lake.block.leases()
    heir = leases.acquire(lake.block.lease_namespace.name_of("key"), "you", timeout=PATIENCE)
    manager.release_lock("key", "me")
    record = leases.holder_of(heir.name)
    assert record
    assert record.holder == "you", "who was replaced gives back nothing of the heir's"
    leases.release(heir)


def test_a_holder_that_acquires_again_sends_no_request_and_has_it_until_it_releases_it_once(
    lake: Lake,
) -> None:
    manager = LeaseLockManager(lake.name, 600)
    manager.acquire_lock("key", "me")

    async def acquire() -> bool:
        return await manager.aacquire_lock("key", "me", acquire_timeout=0)

    again = lake.count(lambda: [manager.acquire_lock("key", "me"), asyncio.run(acquire())])
    assert sum(again.requests.values()) == 0
    manager.release_lock("key", "me")
    assert not manager.is_locked("key")


def test_calls_of_one_holder_that_overlap_have_the_lock_both(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = LeaseLockManager(lake.name, 600)
    ready(lake)
    put = S3Client.put_object

    def put_when_the_other_waits(*args: Any, **kwargs: Any) -> Any:
        until(waiting_in_process)
        return put(*args, **kwargs)

    async def acquire_both() -> list[bool]:
        return await asyncio.gather(*(manager.aacquire_lock("key", "me") for _ in range(2)))

    with monkeypatch.context() as patch:
        patch.setattr(S3Client, "put_object", put_when_the_other_waits)
        assert asyncio.run(acquire_both()) == [True, True]
    manager.release_lock("key", "me")
    assert not manager.is_locked("key")


def test_when_its_time_to_hold_is_over_the_next_in_this_process_gets_the_lock(
    lake: Lake, clock: Clock
) -> None:
    manager = LeaseLockManager(lake.name, 600)
    manager.acquire_lock("key", "me", hold_timeout=600)
    assert manager.acquire_lock("key", "me", hold_timeout=6000), "the time to hold does not change"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(copy_context().run, manager.acquire_lock, "key", "you")
        until(waiting_in_process)
        clock.pause(599)
        assert manager.is_lock_holder("key", "me")
        clock.pause(2)
        assert not manager.is_lock_holder("key", "me")
        assert waiting.result(timeout=PATIENCE)
    assert manager.is_lock_holder("key", "you")
    assert not manager.is_lock_holder("key", "me")
    manager.release_lock("key", "me")
    assert manager.is_lock_holder("key", "you"), "who held it before releases nothing of the heir's"
    manager.release_lock("key", "you")
    assert not manager.is_locked("key")


def test_a_lock_whose_time_to_hold_is_over_is_removed_without_a_release(lake: Lake) -> None:
    manager = LeaseLockManager(lake.name)
    manager.acquire_lock("key", "me", hold_timeout=0.3)
    until(lambda: lease_objects(lake) == [])
    assert not manager.is_locked("key")


def test_a_plain_lock_that_another_process_took_over_is_held_no_more(lake: Lake, clock: Clock) -> None:
    manager = LeaseLockManager(lake.name, 600)
    manager.acquire_lock("key", "me")
    (kept,) = [lease for holders in shared_renewer()._entries.values() for lease in holders.values()]
    assert kept
    leases = lake.block.leases(600)
    leases._pause = clock.pause
    with kept._mutex:  # as if its process were stopped
        heir = leases.acquire(kept.name, "another process")
    until(lambda: not manager.is_lock_holder("key", "me"))
    assert manager.is_locked("key"), "by the heir"
    manager.release_lock("key", "me")
    leases.verify(heir)
    leases.release(heir)
    assert not manager.is_locked("key")


@pytest.mark.parametrize("seconds", [0, -1])
def test_nothing_is_held_for_no_time(lake: Lake, seconds: float) -> None:
    with pytest.raises(ValueError, match="hold_timeout must be positive"):
        LeaseLockManager(lake.name).acquire_lock("key", "me", hold_timeout=seconds)


COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda one: pickle.loads(pickle.dumps(one)),
    lambda one: cloudpickle.loads(cloudpickle.dumps(one)),
]


@pytest.mark.parametrize("make_copy", COPIES)
def test_copies_and_pickles_are_the_same_lock(lake: Lake, make_copy: Callable[[Any], Any]) -> None:
    manager = LeaseLockManager(lake.name, 20.0)
    copied = make_copy(manager)
    assert copied == manager
    manager.acquire_lock("key", "me")
    assert copied.is_lock_holder("key", "me")
    copied.release_lock("key", "me")
    assert not manager.is_locked("key")


# --- in an event loop -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_mapped_tasks_compute_once_and_never_block_the_event_loop(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking: set[int] = set()
    add = Counters.add

    def noting(self: Counters, name: str, amount: float = 1) -> None:
        if name.startswith("requests."):
            asking.add(threading.get_ident())
        add(self, name, amount)

    monkeypatch.setattr(Counters, "add", noting)
    loops: set[int] = set()

    @task(**caching(lake.name, single_flight=True))
    async def produce(_: int) -> int:
        lake.ran.append(1)
        loops.add(threading.get_ident())
        await asyncio.to_thread(until, waiting_in_process)
        return 7

    @flow
    async def run() -> Any:
        loops.add(threading.get_ident())
        return produce.map([1] * 100).result()

    assert asyncio.run(run()) == [7] * 100
    assert lake.ran == [1]
    assert asking
    assert not asking & loops, "no request is made in the event loop"
    until(lambda: lease_objects(lake) == [])


def test_a_cancelled_wait_leaves_nothing_behind(lake: Lake) -> None:
    manager = LeaseLockManager(lake.name, 600)
    manager.acquire_lock("key", "me")

    async def cancel_while_waiting() -> None:
        waiting = asyncio.ensure_future(manager.aacquire_lock("key", "you"))
        await asyncio.to_thread(until, waiting_in_process)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancel_while_waiting())
    assert waiting_in_process() == []
    manager.release_lock("key", "me")

    async def cancel_while_taking() -> None:
        taking = asyncio.ensure_future(manager.aacquire_lock("key", "you"))
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    asyncio.run(cancel_while_taking())
    until(lambda: not manager.is_locked("key"))


def test_a_cancelled_call_of_a_holder_does_not_release_what_it_has(lake: Lake) -> None:
    manager = LeaseLockManager(lake.name, 600)
    manager.acquire_lock("key", "me")

    async def cancel() -> None:
        again = asyncio.ensure_future(manager.aacquire_lock("key", "me"))
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again

    asyncio.run(cancel())
    assert manager.is_lock_holder("key", "me")
    manager.release_lock("key", "me")


def test_the_same_key_of_two_stores_is_two(lake: Lake, s3_url: str) -> None:
    other = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    other.values.create_bucket()
    one, two = LeaseLockManager(lake.name), LeaseLockManager(other)
    assert one.acquire_lock("key", "me", 0)
    assert two.acquire_lock("key", "me", 0)
    one.release_lock("key", "me")
    assert two.is_locked("key")
    two.release_lock("key", "me")


# --- what ends otherwise ------------------------------------------------------------------------------


def test_runs_that_time_out_while_they_begin_leave_nothing_behind(lake: Lake) -> None:
    """Prefect cancels them again and again, so that nothing can be awaited any more."""
    manager = LeaseLockManager(lake.block, 600)
    manager.acquire_lock("key", "me")

    async def wait_in_queue() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(manager.aacquire_lock, "key", "you")
            await asyncio.to_thread(until, waiting_in_process)
            group.cancel_scope.cancel()

    asyncio.run(wait_in_queue())
    assert waiting_in_process() == []
    manager.release_lock("key", "me")

    async def take() -> None:
        with anyio.move_on_after(0):
            await asyncio.sleep(0)
            await manager.aacquire_lock("key", "you")

    for _ in range(5):
        asyncio.run(take())
    until(lambda: not manager.is_locked("key"))


def test_an_interrupt_while_a_run_looks_again_gives_its_lease_back(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_one = adding_task(lake, single_flight=True)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("s3kv_flows._cache.record_storage.lookup_or_raise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            add_one(1)
    assert lease_objects(lake) == []
    assert add_one(1) == 2


def test_runs_of_one_transaction_that_overlap_share_the_result(lake: Lake) -> None:
    @task(**caching(lake.name, single_flight=True, code="source"))
    def produce(number: int) -> int:
        lake.ran.append(number)
        until(lambda: waiting_in_process())
        return number

    @flow
    def run() -> list[Any]:
        with transaction():
            futures = [produce.submit(1) for _ in range(2)]
            return [future.result() for future in futures]

    assert run() == [1, 1]
    assert lake.ran == [1]


def test_another_key_within_a_run_is_not_taken_for_its_own(lake: Lake) -> None:
    @task(**caching(lake.name, single_flight=True))
    def produce() -> str:
        lake.results.add("other", 1)
        with transaction(key="other", isolation_level=IsolationLevel.SERIALIZABLE, store=get_result_store()):
            pass
        return "own"

    assert produce() == "own"
    values = [lake.results.get(key) for key in lake.results.iter_keys() if key != "other"]
    assert values == ["own"]


def test_what_had_expired_may_be_swept_while_it_is_computed_anew(lake: Lake) -> None:
    @task(**caching(lake.name, single_flight=True, cache_expiration=timedelta(microseconds=1)))
    def produce() -> int:
        lake.ran.append(1)
        if len(lake.ran) == 2:
            lake.results.delete(lake.results.namespace.key_of(lake.the_object().name) or "")
        return len(lake.ran)

    assert [produce(), produce()] == [1, 2]
    assert lake.results.get(lake.results.namespace.key_of(lake.the_object().name) or "") == 2
