"""LeaseLockManager: Prefect's lock manager with leases in S3, for single flight."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Hashable
from dataclasses import dataclass, field
from functools import partial

from s3kv_flows._cache.acquisition import Acquired, Acquisition
from s3kv_flows._cache.driver import Wait, arun, run
from s3kv_flows._cache.record_storage import hand_over
from s3kv_flows._cache.store_reference import resolve
from s3kv_flows._prefect import loaded_store
from s3kv_flows._results import handoff
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._leases.records import MAX_LEASE_SECONDS, lease_clock
from s3kv_flows.store._leases.renewer import shared_renewer

__all__ = ["LeaseLockManager"]

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class LeaseLockManager:
    """Lets one run at a time compute a key, across threads, processes and machines.

    Tasks of ``caching(..., single_flight=True)`` make one themselves. Their hits take no lease, and cost
    one GET as without it. A miss costs five requests: a lookup, the lease, a second lookup (so that
    there is exactly one computation), the PUT, and the release of the lease. A run with
    ``refresh_cache`` always takes the lease. Of the runs of one process, one asks the server, and the
    others wait for it.

    A run whose result another one has staged, in the same ``transaction()`` or within the same task, takes
    that, without a request: as it was when that run ended. Where that is not possible, it would wait for
    itself, and fails: a run that calls itself, a second refresh, a result that has expired since or that
    cannot be encoded.

    The lease is renewed for as long as the run takes. A run that lost it, because its machine was stopped
    or cut off for longer than the lease, may still end: before it writes, it checks that it still holds
    the lease, and its PUT replaces the object that it found before and nothing else, if the server supports
    that condition. If not (an Object Lock bucket on Ceph), one case remains: a run that is stopped for
    longer than a lease between this check and the arrival of its PUT replaces the newer result.

    As the manager of another policy, or of a ``transaction()``, it is a plain lock on a key, as Prefect's
    managers are. It differs from these in the following, and ``tests/contracts/test_lock_managers.py``
    compares them:

    ======================  ==========================  ==================================================
    what                    Prefect's managers          this one, and why
    ======================  ==========================  ==================================================
    waiting too long        ``acquire_lock`` returns    raises LeaseTimeoutError: Prefect ignores False,
                            False                       and computes
    no ``acquire_timeout``  waits for ever              waits for :attr:`wait_seconds`, then raises
    ``acquire_timeout=0``   memory tries once, files    tries once, as the protocol says
                            wait for ever
    a run of one's own      waits for ever              takes its staged result, or raises, see above
    transaction holds it
    ``hold_timeout=0``      ends at once                raises ValueError
    acquiring again with    files change the time to    the time to hold stays
    another hold time       hold, memory does not
    releasing what is not   raises ValueError           does nothing: Prefect releases twice what commits
    held                                                eagerly within a transaction, and an error would
                                                        roll that transaction back
    a holder that died      keeps it (files), or its    is replaced within :attr:`lease_seconds`
                            process is gone (memory)
    a holder that was       does not happen             has it no more, and Prefect refuses its write while
    replaced                                            the heir holds it; runs of ``caching()`` check
                                                        before they write, also when the heir has gone
    copies and pickles      files: the same locks;      the same locks in all processes, and equal
                            memory: in one process
    many threads at once    two may have it (memory),   one has it
                            or one fails (files)
    ======================  ==========================  ==================================================

    Attributes:
        store: The name of a saved :class:`S3KVStore`, or one.
        lease_seconds: After how long a holder that died is replaced. It does not limit how long a task
            runs.
        wait_seconds: For how long to wait for another holder, if Prefect sets no timeout. Finite, because
            a lazily committed transaction holds its leases until its parent commits.
    """

    store: str | S3KVStore
    lease_seconds: float = 30.0
    wait_seconds: float = field(default=3600.0, kw_only=True)

    def __post_init__(self) -> None:
        if self.lease_seconds <= 0:
            raise ValueError(f"lease_seconds must be positive, got {self.lease_seconds}")
        if not self.lease_seconds <= MAX_LEASE_SECONDS:
            raise ValueError(f"lease_seconds must be at most {MAX_LEASE_SECONDS:g}, got {self.lease_seconds}")
        if self.wait_seconds < 0:
            raise ValueError(f"wait_seconds must not be negative, got {self.wait_seconds}")

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lease of a key, or find the result of the current run, which then needs no lease.

        Args:
            key: The cache key.
            holder: The holder, with an id that no other holder has.
            acquire_timeout: Seconds to wait; 0 tries once, None waits for :attr:`wait_seconds`.
            hold_timeout: Seconds after which the lease ends; by default, it is renewed until it is released.
                That of the first call counts, if the holder acquires the lease several times.

        Returns:
            True; Prefect would ignore any other value, and compute.

        Raises:
            LeaseTimeoutError: Another run held the lease all the time; or a run of the same transaction
                holds it, has no result for this one, and cannot release it before this one ends.
            KeyLockedError: The run would refresh a result that is under retention.
            UnsupportedByServerError: The server cannot exclude a second holder.
            StoreUnavailableError: The server does not answer.
            ValueError: ``hold_timeout`` is not positive, or more than an hour.
        """
        if self.is_lock_holder(key, holder):
            return True
        acquisition = self._acquisition(key, holder, acquire_timeout, hold_timeout)
        self._offer(key, run(acquisition.steps()))
        return True

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Do as :meth:`acquire_lock`, with requests in worker threads and waits in the event loop."""
        if self.is_lock_holder(key, holder):
            return True
        acquisition = self._acquisition(key, holder, acquire_timeout, hold_timeout)

        def release(acquired: Acquired) -> None:
            if not acquired.was_held:
                self.release_lock(key, holder)

        self._offer(key, await arun(acquisition.steps(), release))
        return True

    def release_lock(self, key: str, holder: str) -> None:
        """Release the lease, if this holder has it: one request.

        Called in an event loop, it leaves the request to the thread that renews leases, and returns.
        """
        renewer, queue_key = shared_renewer(), self._queue_key(key)
        lease = renewer.lease_of(queue_key, holder)
        result_ready = lease is not None and lease.result_ready
        if result_ready:
            renewer.queue.release(queue_key, holder, result_ready=True)
        try:
            renewer.release(queue_key, holder, wait=not _in_event_loop())
        finally:
            if not result_ready:
                renewer.queue.release(queue_key, holder, result_ready=False)

    def is_locked(self, key: str) -> bool:
        """Return whether any holder has the lease: no request if it is in this process, else one."""
        if shared_renewer().knows(self._queue_key(key)):
            return True
        store = self._store()
        return store.leases().holder_of(store.lease_namespace.name_of(key)) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Return whether this holder has the lease, or needs none: no request.

        A run of ``caching()`` has its lease until it releases it, even if it was lost: it checks that itself
        before it writes, and says why it does not.
        """
        return shared_renewer().knows(self._queue_key(key), holder)

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until the lease is free; return whether that happened in time."""
        return run(self._until_free(key, timeout))

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Do as :meth:`wait_for_lock`, with requests in worker threads and waits in the event loop."""
        return await arun(self._until_free(key, timeout), lambda _: None)

    # --- how -----------------------------------------------------------------------------------

    def _acquisition(
        self, key: str, holder: str, acquire_timeout: float | None, hold_timeout: float | None
    ) -> Acquisition:
        if hold_timeout is not None and hold_timeout <= 0:
            raise ValueError(f"hold_timeout must be positive, got {hold_timeout}")
        if hold_timeout is not None and not hold_timeout <= MAX_LEASE_SECONDS:
            raise ValueError(f"hold_timeout must be at most {MAX_LEASE_SECONDS:g}, got {hold_timeout}")
        return Acquisition(
            manager=self,
            is_same_lock=self._is_same_lock,
            load_store=self._store,
            queue_key=self._queue_key(key),
            key=key,
            holder=holder,
            release=partial(self.release_lock, key, holder),
            wait_seconds=self.wait_seconds if acquire_timeout is None else acquire_timeout,
            lease_seconds=self.lease_seconds,
            hold_seconds=hold_timeout,
        )

    def _offer(self, key: str, acquired: Acquired) -> None:
        """Offer the found result to the next calls of this run, in the context of the run."""
        if acquired.was_held:
            return
        handoff.clear_value()
        if acquired.found is not None:
            hand_over(acquired.store, key, acquired.found)

    def _until_free(self, key: str, timeout: float | None) -> Generator[Wait, None, bool]:
        deadline, pause = None if timeout is None else lease_clock() + timeout, _FIRST_PAUSE_SECONDS
        while self.is_locked(key):
            left = pause if deadline is None else min(pause, deadline - lease_clock())
            if left <= 0:
                return False
            yield Wait(left)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return True

    def _store(self) -> S3KVStore:
        """Return the block that this run has loaded, if it is this store; else load it."""
        loaded = loaded_store(S3KVStore)
        if loaded is not None and (loaded == self.store or loaded.reference == _reference_of(self.store)):
            return loaded
        return resolve(self.store) if isinstance(self.store, str) else self.store

    def _queue_key(self, key: str) -> Hashable:
        """Return the key of the local queue and the renewer, without loading the store."""
        return (_reference_of(self.store) or repr(self.store), key)

    def _is_same_lock(self, other: object) -> bool:
        """Tell whether another manager takes the same leases, whatever its times."""
        if not isinstance(other, LeaseLockManager):
            return False
        return (
            other.store == self.store or _reference_of(other.store) == _reference_of(self.store) is not None
        )


def _reference_of(store: str | S3KVStore) -> str | None:
    """Return the reference to a store, None if it is not saved."""
    return S3KVStore.reference_to(store) if isinstance(store, str) else store.reference


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
