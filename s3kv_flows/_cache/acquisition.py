"""How a run comes to compute a key alone, or to the result of another: step by step.

::

    look             a valid result: a reader, which needs no lease
    wait for a turn  in this process, while another of its runs tries or computes; then look again
    take             the lease; where it is another's, ask now and then, and when it is free look again
    look             once more: Prefect does, with its ``exists``; who refreshes asks for what is there
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from prefect.context import TaskRunContext
from prefect.transactions import BaseTransaction, get_transaction

from s3kv_flows._cache.driver import Wait
from s3kv_flows._cache.lookup import current_attempt, lookup
from s3kv_flows._cache.preflight import require_savable
from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows._results.records import FoundResult
from s3kv_flows._runs import is_refreshing, run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.records import lease_clock
from s3kv_flows.store._leases.renewer import RenewedLease, shared_renewer
from s3kv_flows.store.errors import KeyNotFoundError, LeaseTimeoutError, S3KVError

__all__ = ["Acquired", "Acquisition"]

_RELATIVES_SECONDS = 1.0
"""How often who waits looks whether it waits for itself; that takes no request."""


@dataclass(frozen=True)
class Acquired:
    """What came of it: the result of the run, or else the lease, which the keeper of this process holds."""

    store: S3KVStore
    found: FoundResult | None = None


@dataclass(frozen=True)
class Acquisition:
    """One attempt of a holder to come to a key.

    Attributes:
        manager: The lock manager that asks.
        load_store: Returns the store; in the thread of the first step.
        queue_key: By what the keeper knows the key.
        key: The cache key.
        holder: The holder.
        wait_seconds: For how long to wait for others.
        lease_seconds: For how long a lease holds without being renewed.
        give_back: Gives back what the holder has.
        hold_seconds: For how long it is to hold in all; None for as long as the holder has it.
    """

    manager: object
    load_store: Callable[[], S3KVStore]
    queue_key: Hashable
    key: str
    holder: str
    give_back: Callable[[], object]
    wait_seconds: float
    lease_seconds: float
    hold_seconds: float | None

    def steps(self) -> Generator[Wait, None, Acquired]:
        """Come to the result or the lease; the errors are those of ``LeaseLockManager.acquire_lock``."""
        require_savable(self.key)
        store = self.load_store()
        if _inherits(self.manager):
            self._admit()
            return Acquired(store)
        attempt, refreshes = self._own_attempt()
        looks = attempt is not None and not refreshes
        give_up = lease_clock() + self.wait_seconds
        found = yield from self._await_turn(store, looks=looks, give_up=give_up)
        if found is None:
            found = yield from self._take(store, attempt, refreshes=refreshes, looks=looks, give_up=give_up)
        if attempt is not None:
            attempt.entered(release=self.give_back, return_lease=self._return_lease)
        if found is not None:
            self._admit()
        return Acquired(store, found)

    def _admit(self) -> None:
        """Let the holder read without a lease, while its run lives: Prefect may forget to release."""
        shared_renewer().register_reader(self.queue_key, self.holder, while_alive=TaskRunContext.get())

    def _return_lease(self) -> None:
        """Give the lease back that was taken for a result that is there after all, and read it."""
        keeper = shared_renewer()
        keeper.queue.release(self.queue_key, self.holder, result_ready=True)
        keeper.release(self.queue_key, self.holder, wait=True)
        self._admit()

    def _own_attempt(self) -> tuple[CacheAttempt | None, bool]:
        """Return the attempt whose result this key is, and whether it refreshes; None for another key."""
        attempt, context = current_attempt(), TaskRunContext.get()
        if attempt is None or attempt.key != self.key or context is None:
            return None, False
        return attempt, is_refreshing(context)

    def _await_turn(
        self, store: S3KVStore, *, looks: bool, give_up: float
    ) -> Generator[Wait, None, FoundResult | None]:
        """Wait while another run of this process tries for the key; return the result where it is there."""
        queue = shared_renewer().queue
        waited: Future[None] | None = None
        found: FoundResult | None = None
        try:
            while True:
                found = lookup(store, self.key) if looks else None
                if found is not None:
                    return found
                self._require_no_relative()
                waited = queue.enter(self.queue_key, self.holder)
                if waited is None:
                    return None
                while not waited.done() and (left := give_up - lease_clock()) > 0:
                    yield Wait(min(left, _RELATIVES_SECONDS), waited)
                    self._require_no_relative()  # who has ended meanwhile may be waiting to be committed
                if not waited.done():
                    raise LeaseTimeoutError(
                        f"another run of this process has been computing {self.key!r} for the "
                        f"{self.wait_seconds:g} s that this one would wait"
                    )
        finally:
            if waited is not None:
                queue.leave(self.queue_key, waited, result_ready=found is not None)

    def _take(
        self, store: S3KVStore, attempt: CacheAttempt | None, *, refreshes: bool, looks: bool, give_up: float
    ) -> Generator[Wait, None, FoundResult | None]:
        """Take the lease, and give it to the keeper; or return the result that another run has made."""
        keeper, found = shared_renewer(), None
        leases: Leases | None = None
        lease: HeldLease | None = None

        def result_ready() -> bool:
            nonlocal found
            found = lookup(store, self.key) if looks else None
            return found is not None

        try:
            leases = store.leases(self.hold_seconds or self.lease_seconds)
            attempts = leases.attempts(
                store.lease_namespace.name_of(self.key),
                self.holder,
                timeout=max(0.0, give_up - lease_clock()),
                result_ready=result_ready,
            )
            lease = yield from _pausing(attempts)
            if lease is not None and refreshes:
                require_savable(self.key)  # others may have locked it meanwhile
                _note_existing(store, self.key, attempt)
        except BaseException:
            if leases is not None and lease is not None:
                _give_back(leases, lease)
            keeper.queue.release(self.queue_key, self.holder, result_ready=False)
            raise
        if lease is None:
            keeper.queue.release(self.queue_key, self.holder, result_ready=True)
            return found
        kept = RenewedLease(leases, lease, _reporter(self.key), renews=self.hold_seconds is None)
        keeper.add(self.queue_key, self.holder, kept)
        if attempt is not None:
            attempt.took_lease(kept)
        return None

    def _require_no_relative(self) -> None:
        """Refuse to wait for a run of the same transaction: it ends with that, and that not before us."""
        for relative in _relatives(get_transaction()):
            manager = relative.store.lock_manager if relative.store is not None else None
            if relative.key == self.key and manager == self.manager:
                if relative.is_committed() or relative.is_rolled_back():
                    continue
                raise LeaseTimeoutError(
                    f"{self.key!r} is being computed in the same transaction, which holds its lease until "
                    "it commits: this run would wait for itself"
                )


def _pausing(attempts: Iterator[float]) -> Generator[Wait, None, HeldLease | None]:
    while True:
        try:
            seconds = next(attempts)
        except StopIteration as stop:
            lease: HeldLease | None = stop.value
            return lease
        yield Wait(seconds)


def _inherits(manager: object) -> bool:
    """Tell whether the current run has the manager only because Prefect lets tasks inherit it.

    A task within another one has the manager of its transaction, and the isolation level, too. It was not
    asked to compute alone.
    """
    context = TaskRunContext.get()
    if context is None or context.result_store.lock_manager is not manager:
        return False
    policy = context.task.cache_policy
    return not isinstance(getattr(policy, "lock_manager", None), type(manager))


def _relatives(transaction: BaseTransaction | None) -> Iterator[BaseTransaction]:
    """Yield the transactions that are open around the current one, and those that they will commit."""
    while transaction is not None:
        yield from _with_children(transaction)
        transaction = transaction.get_parent()


def _with_children(transaction: BaseTransaction) -> Iterator[BaseTransaction]:
    yield transaction
    for child in transaction.children:
        yield from _with_children(child)


def _note_existing(store: S3KVStore, key: str, attempt: CacheAttempt | None) -> None:
    """Tell the writer of a refreshing run, which does not look, what it will replace: one request."""
    if attempt is None:
        return
    try:
        attempt.found(store.results.objects.head(store.results.namespace.name_of(key)))
    except KeyNotFoundError as exc:
        attempt.found_nothing(deleted=exc.is_deleted)


def _give_back(leases: Leases, lease: HeldLease) -> None:
    with suppress(S3KVError):  # it ends by itself
        leases.release(lease)


def _reporter(key: str) -> Callable[[S3KVError], object]:
    """Return what says on the page of the current run that its lease was lost."""
    logger = run_logger()
    return lambda reason: logger.warning(
        "This run may not be the only one to compute %r any more, and will not replace a newer result: %s",
        key,
        reason,
    )
