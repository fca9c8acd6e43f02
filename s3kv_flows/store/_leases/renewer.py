"""Keeps the leases of this process: one thread renews them, for as long as there are any.

A lease is renewed when a third of its time is over. One that could not be renewed is given up a tenth of
its time before it ends, so that nobody else can hold it while its holder still believes to; whoever waits
for that is told. What was given up may still be there: :meth:`RenewedLease.require` asks, and goes on where
nobody has taken it over.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.local_queue import LocalQueue
from s3kv_flows.store._leases.records import lease_clock
from s3kv_flows.store.errors import ConflictError, LeaseNotHeldError, S3KVError, StaleWriterError

__all__ = ["LeaseRenewer", "RenewedLease", "shared_renewer"]

logger = logging.getLogger(__name__)

_RENEWALS = 8  # at once
_RENEW_AT = 1 / 3
_TRY_AGAIN_AT = 1 / 12
_GIVE_UP_AT = 1 / 10
_LOOK_AGAIN_SECONDS = 1.0  # whether what was lost was taken again
_EXIT_SECONDS = 5.0

_FAILURES = (S3KVError, RuntimeError, OSError)
"""What a request may end with; botocore raises a RuntimeError where credentials cannot be refreshed."""


class RenewedLease:
    """A lease that is renewed until it is given back.

    Args:
        leases: Where it was taken.
        lease: What was taken.
        on_lost: Called by the renewing thread with the reason when the lease could not be kept.
        renews: Whether to renew it at all.

    Attributes:
        name: The object name.
        result_ready: Whether what others wait for is there; its holder says so.
    """

    def __init__(
        self,
        leases: Leases,
        lease: HeldLease,
        on_lost: Callable[[S3KVError], object] | None = None,
        *,
        renews: bool = True,
    ) -> None:
        self.name = lease.name
        self.result_ready = False
        self._renews = renews
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
        """Why it is not renewed any more; None while it is, or after it was given back."""
        return self._lost

    @property
    def due(self) -> float | None:
        """When it is to be renewed, by the clock of leases; None where it is not."""
        return self._due if self._renews and not self._lost and not self._released else None

    def require(self, *, above: int = 0) -> None:
        """Make sure that this process holds the lease: no request while it does.

        Args:
            above: A number that the fencing number has to be above: one request where it is not.

        Raises:
            StaleWriterError: Somebody else has taken it over, and maybe given it back.
        """
        with self._mutex:
            try:
                if self._lost is not None or self._lease.seconds_left() <= self._reserve:
                    self._set(self._leases.reclaim(self._lease))
                if self._lease.number <= above:
                    self._set(self._leases.renew(self._lease, above=above))
            except StaleWriterError:
                raise
            except ConflictError as exc:
                raise StaleWriterError(f"{exc}: others may have worked since") from exc

    def require_unbroken(self) -> None:
        """Make sure that nobody else can have held the lease since it was taken: no request, no waiting.

        What was lost once counts as broken, whoever has it now, unless :meth:`require` took it up again.

        Raises:
            LeaseNotHeldError: It ended in between, or is about to.
        """
        lease, lost = self._lease, self._lost  # a renewal may be under way
        if lost is not None or lease.seconds_left() <= self._reserve:
            raise LeaseNotHeldError(
                f"the lease {self.name!r} ended meanwhile: {lost or 'it was not renewed'}"
            )

    def renew(self) -> None:
        """Renew it where that is due; say so where it cannot be kept."""
        with self._mutex:
            if self.due is None or self.due > lease_clock():
                return
            try:
                self._set(self._leases.renew(self._lease))
            except ConflictError as exc:
                self._give_up(exc)
            except _FAILURES as exc:
                self._due = lease_clock() + self._leases.seconds * _TRY_AGAIN_AT
                if self._lease.ends - self._due < self._reserve:
                    self._give_up(LeaseNotHeldError(f"the lease {self.name!r} could not be renewed: {exc}"))

    def release(self) -> None:
        """Give it back: one request, none where it is lost. Errors are logged: it then ends by itself."""
        with self._mutex:
            if self._released:
                return
            self._released = True
            if isinstance(self._lost, StaleWriterError):
                return
            try:
                self._leases.release(self._lease)
            except _FAILURES as exc:
                logger.info("the lease %r was not given back: %s", self.name, exc)

    @property
    def _reserve(self) -> float:
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
    """The leases that a process holds, and who of its holders may read without one.

    Get the one of this process from :func:`~s3kv_flows.store._s3.clients.shared_renewer`. Its thread begins
    with the first lease and ends with the last. At the exit of the interpreter what is still held is given
    back, for which it waits five seconds at most.
    """

    def __init__(self) -> None:
        self.queue = LocalQueue()
        self._changed = threading.Condition()
        self._entries: dict[Hashable, dict[str, RenewedLease | None]] = {}
        self._releases: list[RenewedLease] = []
        self._thread: threading.Thread | None = None
        self._at_work: set[RenewedLease] = set()
        self._gone: deque[tuple[Hashable, str]] = deque()
        self._process = os.getpid()

    def keep(self, key: Hashable, holder: str, lease: RenewedLease) -> None:
        """Renew a lease until its holder is dismissed."""
        with self._changed:
            self._entries.setdefault(key, {})[holder] = lease
            self._wake()

    def register_reader(self, key: Hashable, holder: str, *, while_alive: object = None) -> None:
        """Remember a holder that needs no lease, while it is not dismissed and an object lives."""
        if while_alive is not None:
            # Called wherever garbage is collected, also within this class: so it does nothing but append.
            weakref.finalize(while_alive, self._gone.append, (key, holder)).atexit = False
        with self._changed:
            self._drop_the_gone()
            self._entries.setdefault(key, {})[holder] = None

    def kept(self, key: Hashable, holder: str) -> RenewedLease | None:
        """Return the lease of a holder."""
        with self._changed:
            return self._entries.get(key, {}).get(holder)

    def knows(self, key: Hashable, holder: str | None = None) -> bool:
        """Tell whether this holder, or any, of this process holds a lease or was admitted."""
        with self._changed:
            self._drop_the_gone()
            holders = self._entries.get(key, {})
            return bool(holders) if holder is None else holder in holders

    def release(self, key: Hashable, holder: str, *, wait: bool) -> None:
        """Forget a holder, and give its lease back: now, or, without waiting for that, by the thread."""
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
        """Give everything back, and end the thread; wait for it so many seconds at most, by default five."""
        if os.getpid() != self._process:
            return  # a forked child has a copy of this, and none of the leases
        with self._changed:
            for holders in self._entries.values():
                self._releases += [lease for lease in holders.values() if lease is not None]
            self._entries.clear()
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(_EXIT_SECONDS if timeout is None else timeout)

    def _drop_the_gone(self) -> None:
        while self._gone:
            key, holder = self._gone.popleft()
            holders = self._entries.get(key, {})
            if holder in holders and holders[holder] is None:
                del holders[holder]
                if not holders:
                    del self._entries[key]

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            # A plain thread would keep the interpreter from ending; a daemon alone would end too early.
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._run, name="s3kv-leases", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while not self._has_ended():
            with ThreadPoolExecutor(_RENEWALS, thread_name_prefix="s3kv-lease") as pool:
                while self._step(pool):
                    pass

    def _has_ended(self) -> bool:
        """End the thread where nothing came while its pool ended."""
        with self._changed:
            if self._releases or any(one for holders in self._entries.values() for one in holders.values()):
                return False
            self._thread = None
            atexit.unregister(self.close)
            return True

    def _step(self, pool: ThreadPoolExecutor) -> bool:
        """Begin what is due, or wait for it; return False when nothing is left to do."""
        with self._changed:
            work: list[tuple[Callable[[RenewedLease], None], RenewedLease]] = []
            work += [(RenewedLease.release, lease) for lease in self._releases]
            self._releases.clear()
            kept = [lease for holders in self._entries.values() for lease in holders.values() if lease]
            # One that hangs does not keep the others from being renewed.
            dues = [(due, one) for one in kept if one not in self._at_work and (due := one.due) is not None]
            now = lease_clock()
            work += [(RenewedLease.renew, lease) for due, lease in dues if due <= now]
            if not work and not kept:
                return False
            if not work:
                next_due = min((due for due, _ in dues), default=now + _LOOK_AGAIN_SECONDS)
                self._changed.wait(next_due - now)
            self._at_work.update(lease for _, lease in work)
        for act, lease in work:
            self._begin(pool, act, lease)
        return True

    def _begin(
        self, pool: ThreadPoolExecutor, act: Callable[[RenewedLease], None], lease: RenewedLease
    ) -> None:
        try:
            pool.submit(self._do, act, lease)
        except RuntimeError:  # at the exit of the interpreter, no thread can be started
            self._do(act, lease)

    def _do(self, act: Callable[[RenewedLease], None], lease: RenewedLease) -> None:
        try:
            act(lease)
        finally:
            with self._changed:
                self._at_work.discard(lease)
                self._changed.notify_all()


_keeper = LeaseRenewer()


def shared_renewer() -> LeaseRenewer:
    """Return the keeper of the leases of this process; a forked child has one of its own, with none."""
    return _keeper


def _begin_anew() -> None:
    global _keeper
    _keeper = LeaseRenewer()


os.register_at_fork(after_in_child=_begin_anew)
