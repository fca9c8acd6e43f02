"""Renew the leases of this process in one background thread.

A lease is renewed when a third of its time is over. If it cannot be renewed, it is given up a tenth of its
time before it ends, so that no other holder can have it while this one still believes to hold it; the
``on_lost`` callback is called. :meth:`RenewedLease.require` reclaims such a lease, if no other holder has
taken it over.

A lease that is kept until it is released stays its holder's in this process, lost or not, because its holder
calls :meth:`RenewedLease.require` before it writes. Any other lease is free again as soon as it has ended or
is lost: its holder is forgotten, and the next holder in the local queue may try.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.local_queue import LocalQueue
from s3kv_flows.store._leases.records import lease_clock
from s3kv_flows.store.errors import ConflictError, LeaseNotHeldError, S3KVError, StaleWriterError

__all__ = ["LeaseRenewer", "RenewedLease", "shared_renewer"]

logger = loggable(__name__)

_RENEWALS = 8  # at once
_RENEW_AT = 1 / 3
_RETRY_AT = 1 / 12
_GIVE_UP_AT = 1 / 10
_RECHECK_LOST_SECONDS = 1.0  # a lost lease may have been reclaimed
_EXIT_SECONDS = 5.0


class RenewedLease:
    """A lease that is renewed until it is released.

    Args:
        leases: The leases of its bucket.
        lease: The acquired lease.
        on_lost: Called by the renewing thread with the reason if the lease is lost.
        renews: Whether to renew it at all.
        until_released: Whether its holder keeps it until it releases it, and requires it before it writes.

    Attributes:
        name: The object name.
        result_ready: Whether the result that others wait for exists; set by the holder.
    """

    def __init__(
        self,
        leases: Leases,
        lease: HeldLease,
        on_lost: Callable[[S3KVError], object] | None = None,
        *,
        renews: bool = True,
        until_released: bool = True,
    ) -> None:
        self.name = lease.name
        self.result_ready = False
        self._renews, self._until_released = renews, until_released
        self._leases, self._lease, self._on_lost = leases, lease, on_lost
        self._due = self._due_of(lease)
        self._mutex = threading.Lock()
        self._lost: S3KVError | None = None
        self._released = False

    @property
    def number(self) -> int:
        """The fencing number."""
        return self._lease.number

    @property
    def lost(self) -> S3KVError | None:
        """The reason why it was lost; None if it was not."""
        return self._lost

    @property
    def due(self) -> float | None:
        """When to renew it, by :func:`lease_clock`; None if it is not renewed (any more)."""
        return self._due if self._renews and not self._lost and not self._released else None

    @property
    def ends(self) -> float | None:
        """When its holder has it no more, by :func:`lease_clock`; None if that is when it is released."""
        if self._until_released:
            return None
        return self._lease.ends if self._lost is None else float("-inf")

    def require(self, *, above: int = 0) -> None:
        """Make sure that this process holds the lease: no request while it does.

        Args:
            above: The fencing number is raised above this, with one request, unless it is larger already.

        Raises:
            StaleWriterError: Another holder has taken it over, and may have released it since.
        """
        with self._mutex:
            try:
                if self._lost is not None or self._lease.seconds_left() <= self._margin:
                    self._set(self._leases.reclaim(self._lease))
                if self._lease.number <= above:
                    self._set(self._leases.renew(self._lease, above=above))
            except StaleWriterError:
                raise
            except ConflictError as exc:
                raise StaleWriterError(f"{exc}: others may have worked since") from exc

    def require_unbroken(self) -> None:
        """Make sure that no other holder can have had the lease since: no request, no waiting.

        A lost lease counts as broken, whoever holds it now, unless :meth:`require` has reclaimed it.

        Raises:
            LeaseNotHeldError: It ended in between, or is about to.
        """
        lease, lost = self._lease, self._lost  # a renewal may be under way
        if lost is not None or lease.seconds_left() <= self._margin:
            raise LeaseNotHeldError(
                f"the lease {self.name!r} ended in the meantime: {lost or 'it was not renewed'}"
            )

    def renew(self) -> None:
        """Renew it if that is due; call ``on_lost`` if it is lost."""
        with self._mutex:
            if self.due is None or self.due > lease_clock():
                return
            try:
                self._set(self._leases.renew(self._lease))
            except ConflictError as exc:
                self._give_up(exc)
            except Exception as exc:  # noqa: BLE001 -- also a warning that a program has made an error
                self._due = lease_clock() + self._leases.seconds * _RETRY_AT
                if self._lease.ends - self._due < self._margin:
                    self._give_up(LeaseNotHeldError(f"the lease {self.name!r} could not be renewed: {exc}"))

    def release(self) -> None:
        """Release it: one request, none if it was taken over. Errors are logged; it then ends by itself."""
        with self._mutex:
            if self._released:
                return
            self._released = True
            if isinstance(self._lost, StaleWriterError):
                return
            try:
                self._leases.release(self._lease)
            except Exception as exc:  # noqa: BLE001 -- as of a renewal
                logger.info("the lease %r was not released: %s", self.name, exc)

    @property
    def _margin(self) -> float:
        return self._leases.seconds * _GIVE_UP_AT

    def _set(self, lease: HeldLease) -> None:
        self._lease, self._lost = lease, None
        self._due = self._due_of(lease)

    def _due_of(self, lease: HeldLease) -> float:
        return lease.ends - self._leases.seconds * (1 - _RENEW_AT)

    def _give_up(self, reason: S3KVError) -> None:
        self._lost = reason
        logger.warning("a lease was lost: %s", reason)
        if self._on_lost is not None:
            self._on_lost(reason)


class LeaseRenewer:
    """Renews the leases of a process, and registers the holders that may read without a lease.

    :func:`shared_renewer` returns the one of this process. Its thread starts with the first lease and ends
    with the last. When the interpreter exits, the remaining leases are released, which takes five seconds at
    most.
    """

    def __init__(self) -> None:
        self.queue = LocalQueue()
        self._changed = threading.Condition()
        self._entries: dict[Hashable, dict[str, RenewedLease | None]] = {}
        self._releases: list[RenewedLease] = []
        self._thread: threading.Thread | None = None
        self._in_progress: set[RenewedLease] = set()
        self._dead_readers: deque[tuple[Hashable, str]] = deque()
        self._process = os.getpid()

    def add(self, key: Hashable, holder: str, lease: RenewedLease) -> None:
        """Renew a lease until its holder releases it."""
        with self._changed:
            self._entries.setdefault(key, {})[holder] = lease
            self._wake()

    def register_reader(self, key: Hashable, holder: str, *, while_alive: object = None) -> None:
        """Register a holder that needs no lease, until it is released or an object is garbage-collected."""
        if while_alive is not None:
            # Called wherever garbage is collected, also within this class: so it does nothing but append.
            weakref.finalize(while_alive, self._dead_readers.append, (key, holder)).atexit = False
        with self._changed:
            self._drop_dead_readers()
            self._entries.setdefault(key, {})[holder] = None

    def lease_of(self, key: Hashable, holder: str) -> RenewedLease | None:
        """Return the lease of a holder, None if it has none."""
        with self._changed:
            return self._entries.get(key, {}).get(holder)

    def knows(self, key: Hashable, holder: str | None = None) -> bool:
        """Tell whether this holder, or any of this process, holds a lease or is registered as a reader."""
        with self._changed:
            self._drop_dead_readers()
            self._drop_ended()
            holders = self._entries.get(key, {})
            return bool(holders) if holder is None else holder in holders

    def release(self, key: Hashable, holder: str, *, wait: bool) -> None:
        """Forget a holder, and release its lease: now, or, without waiting, in the background thread."""
        with self._changed:
            holders = self._entries.get(key, {})
            lease = holders.pop(holder, None)
            if not holders:
                self._entries.pop(key, None)
            if lease is None:
                return
            if not wait:
                self._releases.append(lease)
                self._wake()
                return
            self._changed.notify_all()  # the thread may have nothing left to do
        lease.release()

    def close(self, timeout: float | None = None) -> None:
        """Release all leases, and end the thread; wait for that ``timeout`` seconds, by default five."""
        if os.getpid() != self._process:
            return  # a forked child has a copy of this object, but none of the leases
        with self._changed:
            for holders in self._entries.values():
                self._releases += [lease for lease in holders.values() if lease is not None]
            self._entries.clear()
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(_EXIT_SECONDS if timeout is None else timeout)

    def _drop_dead_readers(self) -> None:
        while self._dead_readers:
            key, holder = self._dead_readers.popleft()
            holders = self._entries.get(key, {})
            if holder in holders and holders[holder] is None:
                del holders[holder]
                if not holders:
                    del self._entries[key]

    def _drop_ended(self) -> None:
        """Forget the holders whose leases have ended; the thread removes what is left of these in S3."""
        now = lease_clock()
        ended = [
            (key, holder, lease)
            for key, holders in self._entries.items()
            for holder, lease in holders.items()
            if lease is not None and lease.ends is not None and lease.ends <= now
        ]
        for key, holder, lease in ended:
            del self._entries[key][holder]
            if not self._entries[key]:
                del self._entries[key]
            self._releases.append(lease)
            self.queue.release(key, holder, result_ready=False)
        if ended:
            self._wake()

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            # A plain thread would keep the interpreter from exiting; a daemon alone would end too early.
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._run, name="s3kv-leases", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while not self._ends_thread():
            with ThreadPoolExecutor(_RENEWALS, thread_name_prefix="s3kv-lease") as pool:
                while self._submit_due(pool):
                    pass

    def _ends_thread(self) -> bool:
        """Unregister the thread, and return True, unless a lease was added while its pool shut down."""
        with self._changed:
            if self._releases or any(one for holders in self._entries.values() for one in holders.values()):
                return False
            self._thread = None
            atexit.unregister(self.close)
            return True

    def _submit_due(self, pool: ThreadPoolExecutor) -> bool:
        """Start the renewals and releases that are due, or wait for one; return False if no lease is left."""
        with self._changed:
            self._drop_ended()
            work: list[tuple[Callable[[RenewedLease], None], RenewedLease]] = []
            work += [(RenewedLease.release, lease) for lease in self._releases]
            self._releases.clear()
            held = [lease for holders in self._entries.values() for lease in holders.values() if lease]
            # A renewal that hangs does not keep the other leases from being renewed.
            dues = [
                (due, lease)
                for lease in held
                if lease not in self._in_progress and (due := lease.due) is not None
            ]
            now = lease_clock()
            work += [(RenewedLease.renew, lease) for due, lease in dues if due <= now]
            if not work and not held:
                return False
            if not work:
                ends = [lease.ends for lease in held if lease.ends is not None]
                next_due = min([due for due, _ in dues] + ends, default=now + _RECHECK_LOST_SECONDS)
                self._changed.wait(next_due - now)
            self._in_progress.update(lease for _, lease in work)
        for action, lease in work:
            self._submit(pool, action, lease)
        return True

    def _submit(
        self, pool: ThreadPoolExecutor, action: Callable[[RenewedLease], None], lease: RenewedLease
    ) -> None:
        try:
            pool.submit(self._perform, action, lease)
        except RuntimeError:  # while the interpreter exits, no thread can be started
            self._perform(action, lease)

    def _perform(self, action: Callable[[RenewedLease], None], lease: RenewedLease) -> None:
        try:
            action(lease)
        finally:
            with self._changed:
                self._in_progress.discard(lease)
                self._changed.notify_all()


_renewer = LeaseRenewer()


def shared_renewer() -> LeaseRenewer:
    """Return the lease renewer of this process; a forked child has another one, without leases."""
    return _renewer


def _reset_after_fork() -> None:
    global _renewer
    _renewer = LeaseRenewer()


os.register_at_fork(after_in_child=_reset_after_fork)
