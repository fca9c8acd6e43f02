"""Acquisition of a key: find its result, or take its lease.

::

    staged      by another run of the same transaction: the run is a reader, and needs no lease
    lookup      of a valid result: likewise
    queue       in this process, while another of its runs tries or computes; then look up again
    take lease  or request it now and then while another process holds it; once it is free, look up again
    lookup      once more: Prefect's ``exists``; a refreshing run sends a HEAD instead
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from prefect.context import TaskRunContext

from s3kv_flows._cache.driver import Wait
from s3kv_flows._cache.lookup import current_attempt, lookup, require_own
from s3kv_flows._cache.preflight import require_savable
from s3kv_flows._cache.staged import find_staged, require_staged
from s3kv_flows._prefect import is_refreshing, run_logger
from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows._results.records import FoundResult
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.records import lease_clock
from s3kv_flows.store._leases.renewer import RenewedLease, shared_renewer
from s3kv_flows.store.errors import KeyNotFoundError, LeaseTimeoutError, S3KVError

__all__ = ["Acquired", "Acquisition"]

_FIRST_CHECK_SECONDS = 0.05
_LONGEST_CHECK_SECONDS = 1.0
"""How often a waiting run checks whether it waits for its own transaction; that takes no request."""


@dataclass(frozen=True)
class Acquired:
    """The outcome: the result of the run, or else the lease, which the renewer of this process holds.

    Attributes:
        store: The store of the result.
        found: The result, if it exists.
        was_held: Whether the holder had the lease before, or was a reader.
    """

    store: S3KVStore
    found: FoundResult | None = None
    was_held: bool = False


@dataclass(frozen=True)
class Acquisition:
    """One attempt of a holder to acquire a key.

    Attributes:
        manager: The lock manager that acquires.
        is_same_lock: Tells whether a lock manager takes the same lease for the key.
        load_store: Returns the store; called in the thread of the first step.
        queue_key: The key in the local queue and the renewer.
        key: The cache key.
        holder: The holder.
        release: Releases what the holder has.
        wait_seconds: For how long to wait for other holders.
        lease_seconds: For how long a lease holds without being renewed.
        hold_seconds: For how long it holds in all; None until the holder releases it.
    """

    manager: object
    is_same_lock: Callable[[object], bool]
    load_store: Callable[[], S3KVStore]
    queue_key: Hashable
    key: str
    holder: str
    release: Callable[[], object]
    wait_seconds: float
    lease_seconds: float
    hold_seconds: float | None

    def steps(self) -> Generator[Wait, None, Acquired]:
        """Find the result or take the lease; the errors are those of ``LeaseLockManager.acquire_lock``."""
        require_savable(self.key)
        store = self.load_store()
        if _inherits(self.manager):
            self._register_reader()
            return Acquired(store)
        attempt, refreshes = self._matching_attempt()
        readable = attempt if not refreshes else None
        deadline = lease_clock() + self.wait_seconds
        acquired = yield from self._wait_in_queue(store, readable, deadline)
        if acquired is None:
            acquired = yield from self._take_lease(attempt, refreshes=refreshes, deadline=deadline)
        if attempt is not None and not acquired.was_held:
            attempt.acquired(release=self.release, return_lease=self._return_lease)
        if acquired.found is not None:
            self._register_reader()
        return acquired

    def _register_reader(self) -> None:
        """Let the holder read without a lease, while its run lives: Prefect may not release it."""
        shared_renewer().register_reader(self.queue_key, self.holder, while_alive=TaskRunContext.get())

    def _return_lease(self) -> None:
        """Release the lease, because the result exists after all, and become a reader."""
        renewer = shared_renewer()
        renewer.queue.release(self.queue_key, self.holder, result_ready=True)
        renewer.release(self.queue_key, self.holder, wait=True)
        self._register_reader()

    def _matching_attempt(self) -> tuple[CacheAttempt | None, bool]:
        """Return the current attempt if it is for this key, else None; and whether it refreshes."""
        attempt, context = current_attempt(), TaskRunContext.get()
        if attempt is None or attempt.key != self.key or context is None:
            return None, False
        return attempt, is_refreshing(context)

    def _wait_in_queue(
        self, store: S3KVStore, readable: CacheAttempt | None, deadline: float
    ) -> Generator[Wait, None, Acquired | None]:
        """Wait while another run of this process tries for the key; return None when it is this one's turn.

        Args:
            store: The store.
            readable: The attempt, if it may end with the result of another run.
            deadline: Until when to wait, by :func:`lease_clock`.
        """
        queue = shared_renewer().queue
        ticket: Future[None] | None = None
        found: FoundResult | None = None
        try:
            while True:
                found = self._find_staged(store, readable)
                if found is None and readable is not None:
                    found = lookup(store, self.key)
                if found is None:
                    found = self._require_staged(store, readable)
                if found is not None:
                    return Acquired(store, found)
                ticket = queue.enter(self.queue_key, self.holder)
                if ticket is None:
                    return None
                for wait in self._checks(ticket, deadline):
                    yield wait
                    if shared_renewer().knows(self.queue_key, self.holder):
                        return Acquired(store, was_held=True)  # by another call with the same holder
                    # A run that has ended may still have to be committed.
                    if (found := self._require_staged(store, readable)) is not None:
                        return Acquired(store, found)
        finally:
            if ticket is not None:
                queue.leave(self.queue_key, ticket, result_ready=found is not None)

    def _checks(self, ticket: Future[None], deadline: float) -> Iterator[Wait]:
        """Yield waits, with growing pauses, until a ticket of the queue is done.

        Raises:
            LeaseTimeoutError: The deadline has passed before.
        """
        pause = _FIRST_CHECK_SECONDS
        while not ticket.done():
            left = deadline - lease_clock()
            if left <= 0:
                raise LeaseTimeoutError(
                    f"another run of this process has been computing {self.key!r} for the "
                    f"{self.wait_seconds:g} s that this one would wait"
                )
            yield Wait(min(left, pause), ticket)
            pause = min(2 * pause, _LONGEST_CHECK_SECONDS)

    def _find_staged(self, store: S3KVStore, readable: CacheAttempt | None) -> FoundResult | None:
        """Return what another run of the same transaction has staged, and count the hit: no request."""
        found = None if readable is None else find_staged(self.key, self.is_same_lock)
        return self._counted(store, readable, found)

    def _require_staged(self, store: S3KVStore, readable: CacheAttempt | None) -> FoundResult | None:
        """Do as :meth:`_find_staged`; raise LeaseTimeoutError if this run would wait for itself."""
        found = require_staged(self.key, self.is_same_lock, reads=readable is not None)
        return self._counted(store, readable, found)

    @staticmethod
    def _counted(
        store: S3KVStore, readable: CacheAttempt | None, found: FoundResult | None
    ) -> FoundResult | None:
        if readable is not None and found is not None:
            require_own(store.results, readable, found)
            store.results.client.counters.add("results.hits")
        return found

    def _take_lease(
        self, attempt: CacheAttempt | None, *, refreshes: bool, deadline: float
    ) -> Generator[Wait, None, Acquired]:
        """Take the lease, and pass it to the renewer; or return the result that another run has made.

        It is this run's turn in the queue: whatever fails, the next one has its turn.
        """
        renewer, found = shared_renewer(), None
        leases: Leases | None = None
        lease: HeldLease | None = None

        def result_ready() -> bool:
            nonlocal found
            looks_up = attempt is not None and not refreshes
            found = lookup(store, self.key) if looks_up else None
            return found is not None

        try:
            store = self.load_store()  # which a lookup may have exchanged
            leases = store.leases(self.hold_seconds or self.lease_seconds)
            attempts = leases.attempts(
                store.lease_namespace.name_of(self.key),
                self.holder,
                timeout=max(0.0, deadline - lease_clock()),
                result_ready=result_ready,
            )
            lease = yield from _waiting(attempts)
            if lease is not None and refreshes:
                require_savable(self.key)  # another run may have locked the result in the meantime
                _note_existing(store, self.key, attempt)
            if lease is not None:
                renewed = RenewedLease(
                    leases,
                    lease,
                    _loss_reporter(self.key),
                    renews=self.hold_seconds is None,
                    # The serializer of an attempt requires the lease before it writes, and says why it
                    # does not.
                    until_released=attempt is not None and self.hold_seconds is None,
                )
                renewer.add(self.queue_key, self.holder, renewed)
                if attempt is not None:
                    attempt.took_lease(renewed)
        except BaseException:
            if renewer.lease_of(self.queue_key, self.holder) is not None:
                renewer.release(self.queue_key, self.holder, wait=True)
            elif leases is not None and lease is not None:
                _release_quietly(leases, lease)
            renewer.queue.release(self.queue_key, self.holder, result_ready=False)
            raise
        if lease is None:
            renewer.queue.release(self.queue_key, self.holder, result_ready=True)
        return Acquired(store, found)


def _waiting(attempts: Iterator[float]) -> Generator[Wait, None, HeldLease | None]:
    while True:
        try:
            seconds = next(attempts)
        except StopIteration as stop:
            lease: HeldLease | None = stop.value
            return lease
        yield Wait(seconds)


def _inherits(manager: object) -> bool:
    """Return whether the current run only inherited the manager from Prefect.

    A task within another one has the manager and the isolation level of its transaction. It did not request
    single flight.
    """
    context = TaskRunContext.get()
    if context is None or context.result_store.lock_manager is not manager:
        return False
    policy = context.task.cache_policy
    return not isinstance(getattr(policy, "lock_manager", None), type(manager))


def _note_existing(store: S3KVStore, key: str, attempt: CacheAttempt | None) -> None:
    """Record the object that a refreshing run, which makes no lookup, will replace: one request."""
    if attempt is None:
        return
    try:
        attempt.found(store.results.objects.head(store.results.namespace.name_of(key)))
    except KeyNotFoundError as exc:
        attempt.found_nothing(deleted=exc.is_deleted)


def _release_quietly(leases: Leases, lease: HeldLease) -> None:
    with suppress(Exception):  # the lease expires anyway
        leases.release(lease)


def _loss_reporter(key: str) -> Callable[[S3KVError], object]:
    """Return a function that logs, for the current run, that its lease was lost."""
    logger = run_logger()
    return lambda reason: logger.warning(
        "This run may no longer be the only one to compute %r, and will not replace a newer result: %s",
        key,
        reason,
    )
