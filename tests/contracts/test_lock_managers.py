"""What Prefect's protocol of lock managers means: its own two side by side with LeaseLockManager.

What differs is in :class:`Ways`, and in the docstring of :class:`LeaseLockManager`.
"""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from prefect.filesystems import LocalFileSystem
from prefect.locking.filesystem import FileSystemLockManager
from prefect.locking.memory import MemoryLockManager
from prefect.locking.protocol import LockManager
from prefect.results import ResultStore
from prefect.transactions import CommitMode, IsolationLevel, atransaction, transaction

from s3kv_flows import LeaseLockManager, S3KVStore
from s3kv_flows.store.errors import LeaseTimeoutError
from tests.servers import Server
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("prefect_api", "nothing_leased")

BRIEF = 0.3
"""Seconds of a wait, or of a time to hold, that is to end."""

LONG = 600.0
"""Seconds that do not pass by themselves during a test."""


@pytest.fixture(autouse=True)
def _any_server(server: Server) -> None:
    if server.name != "moto":
        pytest.skip("what Prefect's protocol means is the same on any server that keeps leases")


@dataclass(frozen=True)
class Ways:
    """What a lock manager does in its own way.

    Attributes:
        make: Makes one; all of them are for the same locks.
        raises: Whether a wait that was too long raises an error, instead of returning False.
        refuses_release: Whether releasing what is not held raises an error.
        tries_once: Whether a timeout of 0 is one, and not none.
        equal: Whether two that are for the same locks are equal.
        excludes: How many threads may want a lock at a time, so that never two of them have it.
    """

    make: Callable[[], Any]
    raises: bool = False
    refuses_release: bool = True
    tries_once: bool = True
    equal: bool = True
    excludes: float = math.inf


@pytest.fixture
def every_way(block: S3KVStore, tmp_path: Path) -> dict[str, Ways]:
    name = f"lake-{uuid.uuid4().hex[:8]}"
    block.save(name)
    return {
        "leases": Ways(lambda: LeaseLockManager(name, LONG), raises=True, refuses_release=False),
        # Who comes right after a release makes a new lock, and those that wait still get the old one.
        "memory": Ways(MemoryLockManager, excludes=2),
        # Others may read a file that is not written yet, and then fail.
        "files": Ways(
            lambda: FileSystemLockManager(tmp_path / "locks"), tries_once=False, equal=False, excludes=1
        ),
    }


@pytest.fixture(params=["leases", "memory", "files"])
def ways(request: pytest.FixtureRequest, every_way: dict[str, Ways]) -> Ways:
    return every_way[request.param]


@pytest.fixture
def key() -> str:
    return f"key-{uuid.uuid4().hex}"


class Manager:
    """A lock manager, called by its sync or its async methods."""

    def __init__(self, ways: Ways, kind: str) -> None:
        self.ways, self.kind, self.itself = ways, kind, ways.make()

    def acquire(self, key: str, holder: str, **times: Any) -> bool:
        """Return whether the lock was acquired, in whatever way the manager says so."""
        try:
            return bool(self._call("acquire_lock", key, holder, **times))
        except LeaseTimeoutError:
            assert self.ways.raises
            return False

    def wait(self, key: str, **times: Any) -> bool:
        method = "wait_for_lock" if self.kind == "sync" else "await_for_lock"
        return bool(self._run(getattr(self.itself, method)(key, **times)))

    def _call(self, name: str, *args: Any, **times: Any) -> Any:
        return self._run(getattr(self.itself, name if self.kind == "sync" else f"a{name}")(*args, **times))

    def _run(self, outcome: Any) -> Any:
        async def wait(outcome: Awaitable[Any]) -> Any:
            return await outcome

        return asyncio.run(wait(outcome)) if self.kind == "async" else outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self.itself, name)


@pytest.fixture(params=["sync", "async"])
def manager(request: pytest.FixtureRequest, ways: Ways, key: str) -> Iterator[Manager]:
    made = Manager(ways, request.param)
    yield made
    for holder in ("me", "you"):
        if made.is_lock_holder(key, holder):
            made.release_lock(key, holder)


class Threads(ThreadPoolExecutor):
    """Threads that know the settings of the tests."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(copy_context().run, function, *args, **kwargs)


def test_it_has_the_methods_of_the_protocol(ways: Ways) -> None:
    assert isinstance(ways.make(), LockManager)


# --- one holder ---------------------------------------------------------------------------------------


def test_a_lock_has_one_holder_from_acquiring_to_releasing(manager: Manager, key: str) -> None:
    assert not manager.is_locked(key)
    assert not manager.is_lock_holder(key, "me")
    assert manager.acquire(key, "me")
    assert manager.is_locked(key)
    assert manager.is_lock_holder(key, "me")
    assert not manager.is_lock_holder(key, "you")
    assert not manager.is_locked("another key")
    manager.release_lock(key, "me")
    assert not manager.is_locked(key)
    assert not manager.is_lock_holder(key, "me")


@pytest.mark.parametrize("timeout", [None, 0, LONG], ids=repr)
def test_its_holder_acquires_it_again_at_once_and_releases_it_once(
    manager: Manager, key: str, timeout: float | None
) -> None:
    assert manager.acquire(key, "me")
    assert manager.acquire(key, "me", acquire_timeout=timeout)
    assert manager.is_lock_holder(key, "me")
    manager.release_lock(key, "me")
    assert not manager.is_locked(key)
    assert manager.acquire(key, "you", acquire_timeout=LONG)


def test_another_key_is_another_lock(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me")
    other = f"other-{key}"
    assert manager.acquire(other, "you", acquire_timeout=LONG)
    assert manager.is_lock_holder(key, "me")
    manager.release_lock(other, "you")
    assert manager.is_locked(key)


# --- two that want it ---------------------------------------------------------------------------------


def test_another_holder_waits_for_so_long_and_does_not_get_it(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me")
    assert not manager.acquire(key, "you", acquire_timeout=BRIEF)
    assert manager.is_lock_holder(key, "me")
    assert not manager.is_lock_holder(key, "you")


def test_a_timeout_of_zero_tries_once(manager: Manager, key: str) -> None:
    if not manager.ways.tries_once:
        pytest.skip("Prefect's files take a timeout of 0 for none, and wait for ever")
    assert manager.acquire(key, "me", acquire_timeout=0)
    assert not manager.acquire(key, "you", acquire_timeout=0)
    assert not manager.wait(key, timeout=0)


@pytest.mark.parametrize("timeout", [None, LONG], ids=repr)
def test_who_waits_gets_it_when_it_is_released(manager: Manager, key: str, timeout: float | None) -> None:
    assert manager.acquire(key, "me")
    with Threads(1) as pool:
        waiting = pool.submit(manager.acquire, key, "you", acquire_timeout=timeout)
        assert not waiting.done()
        assert manager.is_lock_holder(key, "me")
        manager.release_lock(key, "me")
        assert waiting.result(PATIENCE)
    assert manager.is_lock_holder(key, "you")
    assert not manager.is_lock_holder(key, "me")


def test_of_many_that_want_it_one_has_it(manager: Manager, key: str) -> None:
    inside: list[str] = []

    def work(holder: str) -> None:
        assert manager.acquire(key, holder, acquire_timeout=PATIENCE)
        inside.append(holder)
        assert inside == [holder]
        inside.remove(holder)
        manager.release_lock(key, holder)

    if manager.ways.excludes < 4:
        pytest.skip("Prefect's own managers do not exclude so many")
    with Threads(4) as pool:
        list(pool.map(work, map(str, range(8))))
    assert not manager.is_locked(key)


# --- a time to hold -----------------------------------------------------------------------------------


def test_a_lock_is_free_when_its_time_to_hold_is_over(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me", hold_timeout=BRIEF)
    until(lambda: not manager.is_locked(key))
    assert not manager.is_lock_holder(key, "me")
    assert manager.acquire(key, "you", acquire_timeout=LONG)
    assert manager.is_lock_holder(key, "you")
    assert not manager.is_lock_holder(key, "me")


def test_who_waits_gets_it_when_its_time_to_hold_is_over(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me", hold_timeout=BRIEF)
    assert manager.acquire(key, "you", acquire_timeout=LONG)
    assert manager.is_lock_holder(key, "you")
    assert not manager.is_lock_holder(key, "me")


def test_its_holder_acquires_it_anew_when_its_time_to_hold_is_over(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me", hold_timeout=BRIEF)
    until(lambda: not manager.is_lock_holder(key, "me"))
    assert manager.acquire(key, "me", acquire_timeout=LONG)
    assert manager.is_lock_holder(key, "me")


def test_until_then_it_is_held(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me", hold_timeout=LONG)
    assert manager.is_lock_holder(key, "me")
    assert not manager.acquire(key, "you", acquire_timeout=BRIEF)
    manager.release_lock(key, "me")
    assert manager.acquire(key, "you", acquire_timeout=LONG)


# --- releasing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [True, False], ids=["held by another", "free"])
def test_releasing_what_one_does_not_hold_releases_nothing(manager: Manager, key: str, held: bool) -> None:  # noqa: FBT001
    if held:
        assert manager.acquire(key, "me")
    if manager.ways.refuses_release:
        with pytest.raises(ValueError, match="No lock"):
            manager.release_lock(key, "you")
    else:
        manager.release_lock(key, "you")
    assert manager.is_locked(key) == held
    assert manager.is_lock_holder(key, "me") == held


def test_another_thread_may_release_it(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me")
    with Threads(1) as pool:
        pool.submit(manager.release_lock, key, "me").result(PATIENCE)
    assert not manager.is_locked(key)


# --- waiting without acquiring ------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, BRIEF], ids=repr)
def test_nobody_waits_for_what_is_free(manager: Manager, key: str, timeout: float | None) -> None:
    assert manager.wait(key, timeout=timeout)
    assert not manager.is_locked(key), "waiting acquires nothing"


def test_a_wait_for_what_is_held_ends_in_time_and_says_so(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me")
    assert not manager.wait(key, timeout=BRIEF)
    assert manager.is_lock_holder(key, "me")


@pytest.mark.parametrize("timeout", [None, LONG], ids=repr)
def test_a_wait_ends_when_the_lock_is_released(manager: Manager, key: str, timeout: float | None) -> None:
    assert manager.acquire(key, "me")
    with Threads(1) as pool:
        waiting = pool.submit(manager.wait, key, timeout=timeout)
        assert not waiting.done()
        manager.release_lock(key, "me")
        assert waiting.result(PATIENCE)
    assert not manager.is_locked(key)


def test_a_wait_ends_with_the_time_to_hold(manager: Manager, key: str) -> None:
    assert manager.acquire(key, "me", hold_timeout=BRIEF)
    assert manager.wait(key, timeout=LONG)


# --- two managers, and copies of one ------------------------------------------------------------------


COPIES: dict[str, Callable[[Any], Any]] = {
    "another": lambda _: None,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "cloudpickle": lambda one: cloudpickle.loads(cloudpickle.dumps(one)),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_of_the_same_locks(ways: Ways, key: str, how: str) -> None:
    manager = ways.make()
    copied = COPIES[how](manager) or ways.make()
    assert manager.acquire_lock(key, "me")
    assert copied.is_locked(key)
    assert copied.is_lock_holder(key, "me")
    copied.release_lock(key, "me")
    assert not ways.make().is_locked(key)


def test_managers_of_the_same_locks_are_equal(ways: Ways) -> None:
    """Prefect adds cache policies whose managers are equal, and no others."""
    assert (ways.make() == ways.make()) is ways.equal


# --- what uses it -------------------------------------------------------------------------------------


def store_of(ways: Ways, directory: Path) -> ResultStore:
    return ResultStore(
        result_storage=LocalFileSystem(basepath=str(directory)),
        metadata_storage=LocalFileSystem(basepath=str(directory / "records")),
        lock_manager=ways.make(),
    )


def test_a_serializable_transaction_holds_the_lock_until_it_commits(
    ways: Ways, key: str, tmp_path: Path
) -> None:
    store = store_of(ways, tmp_path / "results")
    serializable = IsolationLevel.SERIALIZABLE
    with transaction(key, store=store, isolation_level=serializable) as first:
        assert store.is_locked(key)
        first.stage("value")
    assert first.is_committed()
    assert not store.is_locked(key)
    with transaction(key, store=store, isolation_level=serializable) as second:
        assert second.is_committed(), "it has found what the first one wrote"
        record = second.read()
        assert record is not None
        assert record.result == "value"
    assert not store.is_locked(key)


def test_an_asynchronous_transaction_does_so_too(ways: Ways, key: str, tmp_path: Path) -> None:
    store = store_of(ways, tmp_path / "results")

    async def run() -> bool:
        async with atransaction(key, store=store, isolation_level=IsolationLevel.SERIALIZABLE) as one:
            assert store.is_locked(key)
            one.stage("value")
        return one.is_committed()

    assert asyncio.run(run())
    until(lambda: not store.is_locked(key))  # an event loop does not wait for the release


def test_a_transaction_that_is_rolled_back_releases_the_lock(ways: Ways, key: str, tmp_path: Path) -> None:
    store = store_of(ways, tmp_path / "results")
    with (
        pytest.raises(RuntimeError, match="roll back"),
        transaction(key, store=store, isolation_level=IsolationLevel.SERIALIZABLE),
    ):
        raise RuntimeError("roll back")
    assert not store.is_locked(key)
    assert not store.exists(key)


def test_transactions_of_one_key_run_one_after_the_other(ways: Ways, key: str, tmp_path: Path) -> None:
    store, computed = store_of(ways, tmp_path / "results"), list[int]()

    def run(number: int) -> Any:
        with transaction(key, store=store, isolation_level=IsolationLevel.SERIALIZABLE) as one:
            if not one.is_committed():
                computed.append(number)
                one.stage(number)
                return number
            record = one.read()
            return record.result if record else None

    threads = 4 if ways.excludes > 4 else 2
    if ways.excludes < threads:
        pytest.skip("Prefect's files exclude no two that come at once")
    with Threads(threads) as pool:
        values = set(pool.map(run, range(threads)))
    assert values == set(computed)
    assert len(computed) == 1


def test_prefect_releases_twice_what_commits_within_a_transaction(
    ways: Ways, key: str, tmp_path: Path
) -> None:
    """It is why releasing what is not held is no error of LeaseLockManager: the outer one would be undone."""
    store = store_of(ways, tmp_path / "results")
    with transaction() as outer:
        options: dict[str, Any] = {"isolation_level": IsolationLevel.SERIALIZABLE, "store": store}
        with transaction(key, commit_mode=CommitMode.EAGER, **options) as inner:
            inner.stage("value")
    assert inner.is_committed()
    assert outer.is_rolled_back() is ways.refuses_release
    assert store.exists(key)
    assert not store.is_locked(key)
