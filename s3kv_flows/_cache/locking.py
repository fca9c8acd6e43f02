"""Leases behind Prefect's LockManager protocol: one computation per key at a time, on S3 alone."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Hashable
from dataclasses import dataclass, field
from functools import partial

from s3kv_flows._cache.acquisition import Acquired, Acquisition
from s3kv_flows._cache.driver import Wait, arun, run
from s3kv_flows._cache.record_storage import hand_over
from s3kv_flows._results import handoff as slots
from s3kv_flows._runs import loaded_store
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._leases.records import lease_clock
from s3kv_flows.store._leases.renewer import shared_renewer

__all__ = ["LeaseLockManager"]

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class LeaseLockManager:
    """Lets one run at a time compute a key, across threads, processes and machines.

    For tasks of ``caching(..., single_flight=True)``, which make one of their own. With them a hit takes
    no lease: it costs the one GET that it costs without. A miss costs five requests: it looks, takes the
    lease, looks again (that makes it exactly one computation), writes, and gives the lease back. A run with
    ``refresh_cache`` always takes the lease. Others of a process wait for the one that asks the server.

    The lease is renewed for as long as the run takes. A run that lost it, because its machine was stopped
    or cut off for longer than the lease, may still end: before it writes, it asks whether the lease is
    still its own, and writes over what it found before and nothing else, where the server can carry that
    condition. What remains where it cannot (an Object Lock bucket on Ceph) is a run that is stopped for
    longer than a lease between this question and the arrival of its PUT: that PUT replaces the newer result.

    As the manager of another policy, or of a ``transaction()``, it is a plain lock on a key.

    Attributes:
        store: The name of a saved :class:`S3KVStore`, or one.
        lease_seconds: After how long a holder that died is replaced. It has nothing to do with how long a
            task runs.
        wait_seconds: For how long to wait for another holder, where Prefect does not say. Finite, because
            a lazily committed transaction holds its leases until its parent commits.
    """

    store: str | S3KVStore
    lease_seconds: float = 30.0
    wait_seconds: float = field(default=3600.0, kw_only=True)

    def __post_init__(self) -> None:
        if self.lease_seconds <= 0:
            raise ValueError(f"a lease holds for more than {self.lease_seconds} seconds")
        if self.wait_seconds < 0:
            raise ValueError(f"nobody can wait for {self.wait_seconds} seconds")

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lease of a key, or find the result of the current run, which then needs none.

        Args:
            key: The cache key.
            holder: Who is to hold it; unlike any other.
            acquire_timeout: Seconds to wait; 0 tries once, None waits for :attr:`wait_seconds`.
            hold_timeout: Seconds after which the lease ends; by default, it is renewed until it is released.

        Returns:
            True: Prefect would ignore anything else, and compute.

        Raises:
            LeaseTimeoutError: Another run held it all the time; or one of the same transaction does, which
                will not end before this one.
            KeyLockedError: The run would refresh a result that is under retention.
            UnsupportedByServerError: Nothing of this server excludes two holders.
            StoreUnavailableError: It does not answer.
        """
        acquisition = self._acquisition(key, holder, acquire_timeout, hold_timeout)
        self._leave(key, run(acquisition.steps()))
        return True

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Do as :meth:`acquire_lock`, with requests in worker threads and pauses in the event loop."""
        acquisition = self._acquisition(key, holder, acquire_timeout, hold_timeout)
        give_back = partial(self.release_lock, key, holder)
        self._leave(key, await arun(acquisition.steps(), give_back))
        return True

    def release_lock(self, key: str, holder: str) -> None:
        """Give the lease back, where this holder has one: one request.

        Called in an event loop, it hands the request to the thread that renews leases, and returns.
        """
        keeper, queue_key = shared_renewer(), self._queue_key(key)
        lease = keeper.lease_of(queue_key, holder)
        result_ready = lease is not None and lease.result_ready
        if result_ready:
            keeper.queue.release(queue_key, holder, result_ready=True)
        keeper.release(queue_key, holder, wait=not _in_event_loop())
        if not result_ready:
            keeper.queue.release(queue_key, holder, result_ready=False)

    def is_locked(self, key: str) -> bool:
        """Tell whether anybody holds the lease: no request where that is this process, else one."""
        if shared_renewer().knows(self._queue_key(key)):
            return True
        store = self._store()
        return store.leases().holder_of(store.lease_namespace.name_of(key)) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Tell whether this holder has the lease, or needs none: no request."""
        return shared_renewer().knows(self._queue_key(key), holder)

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lease; return whether that came about in time."""
        return run(self._until_free(key, timeout))

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Do as :meth:`wait_for_lock`, with requests in worker threads and pauses in the event loop."""
        return await arun(self._until_free(key, timeout), lambda: None)

    # --- how -----------------------------------------------------------------------------------

    def _acquisition(
        self, key: str, holder: str, acquire_timeout: float | None, hold_timeout: float | None
    ) -> Acquisition:
        return Acquisition(
            manager=self,
            load_store=self._store,
            queue_key=self._queue_key(key),
            key=key,
            holder=holder,
            give_back=partial(self.release_lock, key, holder),
            wait_seconds=self.wait_seconds if acquire_timeout is None else acquire_timeout,
            lease_seconds=self.lease_seconds,
            hold_seconds=hold_timeout,
        )

    def _leave(self, key: str, acquired: Acquired) -> None:
        """Leave what was found to the next calls of this run, in its own context."""
        slots.drop_value()
        if acquired.found is not None:
            hand_over(acquired.store, key, acquired.found)

    def _until_free(self, key: str, timeout: float | None) -> Generator[Wait, None, bool]:
        give_up, pause = None if timeout is None else lease_clock() + timeout, _FIRST_PAUSE_SECONDS
        while self.is_locked(key):
            left = pause if give_up is None else min(pause, give_up - lease_clock())
            if left <= 0:
                return False
            yield Wait(left)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return True

    def _store(self) -> S3KVStore:
        """Return the block that this run has loaded, where it is this one; else load it."""
        loaded = loaded_store(S3KVStore)
        if loaded is not None and (loaded == self.store or loaded.reference == self._name):
            return loaded
        return S3KVStore.of(self.store)

    def _queue_key(self, key: str) -> Hashable:
        """Return by what the keeper knows a key of this store, without loading it."""
        return (self._name or repr(self.store), key)

    @property
    def _name(self) -> str | None:
        return S3KVStore.reference_to(self.store) if isinstance(self.store, str) else self.store.reference


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
