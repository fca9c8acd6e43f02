"""Acquire, renew, verify and release leases with conditional requests.

A lease is one small object per key. A conditional PUT creates it, and S3 lets only one of several writers
succeed. It holds for some seconds, and its holder renews it while it works. If the holder dies, the lease
ends by itself; another holder then takes it over, with a condition on the ETag of the old lease record.

The clocks of two machines are never compared. A holder counts from the moment before it sent its request; a
waiter uses the server's dates, or the time for which it has read the same lease record. So a waiter never
finds a lease ended before its holder does, as long as clocks run at the same speed.

::

    holder   PUT--------renew at 1/3--------...        gives up |      (its own clock, from before each PUT)
    server     |written                                            | ended
    waiter                                                           | finds it ended (server's dates, or
                                                                       unchanged for as long on its own clock)

The fencing number is for systems that keep the highest number so far and refuse a lower one (M. Kleppmann,
"How to do distributed locking", 2016). It is one above that of the previous lease record. Without a previous
record it is the server's time in milliseconds, which two processes know to within a second; ``above`` makes
it larger than a given number.
"""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import timedelta

from s3kv_flows.store._layout.documents import MAX_NUMBER
from s3kv_flows.store._leases.records import (
    MAX_LEASE_SECONDS,
    LeaseBackend,
    LeaseRecord,
    StoredRecord,
    lease_clock,
    new_record,
)
from s3kv_flows.store.errors import (
    ConflictError,
    LeaseNotHeldError,
    LeaseTimeoutError,
    StaleWriterError,
)

__all__ = ["HeldLease", "Leases"]

_RESOLUTION = timedelta(seconds=1)
"""HTTP dates are truncated to whole seconds: a lease that seems a second over may just have ended."""

_FIRST_PAUSE_SECONDS = 0.05
_PAUSES_PER_LEASE = 8
"""How often a waiter reads the lease record within the lease's time, once its pauses have grown."""


@dataclass(frozen=True)
class HeldLease:
    """A lease that this process holds.

    Attributes:
        name: The object name.
        stored: The lease record, as it was written.
        ends: When it ends unless it is renewed, by :func:`~s3kv_flows.store._leases.records.lease_clock`.
    """

    name: str
    stored: StoredRecord
    ends: float

    @property
    def number(self) -> int:
        """The fencing number."""
        return self.stored.record.number

    def seconds_left(self) -> float:
        """Return for how many seconds it still holds; 0 or less if it has ended."""
        return self.ends - lease_clock()


class Leases:
    """The leases of a bucket.

    Args:
        backend: Stores the lease records; see :func:`~s3kv_flows.store._leases.backend.backend_of`.
        now_ms: Returns the server's time, in milliseconds.
        seconds: For how long a lease holds: an hour at most.
        pause: Waits for a number of seconds.
    """

    def __init__(
        self,
        backend: LeaseBackend,
        now_ms: Callable[[], int],
        *,
        seconds: float = 30.0,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        if seconds <= 0:
            raise ValueError(f"a lease holds for more than {seconds} seconds")
        if not seconds <= MAX_LEASE_SECONDS:  # others would take it over after that
            raise ValueError(
                f"a lease holds for at most {MAX_LEASE_SECONDS:,.0f} seconds without being renewed, "
                f"got {seconds}"
            )
        self.seconds = seconds
        self._backend, self._now_ms, self._pause = backend, now_ms, pause

    def acquire(self, name: str, holder: str, *, timeout: float | None = None, above: int = 0) -> HeldLease:
        """Acquire a lease, waiting for its current holder: one request if it is free.

        A waiter reads the lease record about eight times within a lease's time. It takes over a dead
        holder's lease within that time and an eighth of it.

        Args:
            name: The object name.
            holder: The name of the holder, for messages.
            timeout: Seconds to wait; 0 tries once, None waits forever.
            above: The fencing number has to be larger than this.

        Raises:
            LeaseTimeoutError: Another holder had the lease all the time.
        """
        for pause in (attempts := _Attempts(self.attempts(name, holder, timeout=timeout, above=above))):
            self._pause(pause)
        assert attempts.lease is not None, "attempts() returns None only for result_ready"  # noqa: S101
        return attempts.lease

    def attempts(
        self,
        name: str,
        holder: str,
        *,
        timeout: float | None = None,
        above: int = 0,
        result_ready: Callable[[], bool] = bool,
    ) -> Generator[float, None, HeldLease | None]:
        """Acquire a lease as :meth:`acquire` does, in steps: yield how long to pause before the next step.

        Args:
            name: The object name.
            holder: The name of the holder, for messages.
            timeout: Seconds to wait; 0 tries once, None waits forever.
            above: The fencing number has to be larger than this.
            result_ready: Called each time the lease of another holder has ended; if it returns True, the
                lease is not needed any more.

        Returns:
            The lease, or None if it is not needed any more.

        Raises:
            LeaseTimeoutError: Another holder had the lease all the time.
        """
        deadline = None if timeout is None else lease_clock() + timeout
        watch, pauses = _ExpiryWatch(), _Pauses(self.seconds)
        current: StoredRecord | None = None
        while True:
            try:
                lease = self._write_new(name, holder, after=current, above=above)
                # The response may have arrived after the lease had ended.
                return lease if lease.seconds_left() > 0 else self.reclaim(lease)
            except ConflictError:
                current = self._backend.read(name)
            while current is not None and not watch.has_ended(current):
                left = None if deadline is None else deadline - lease_clock()
                if left is not None and left <= 0:
                    raise LeaseTimeoutError(
                        f"{name!r} is still held by {current.record.holder} on {current.record.host} after "
                        f"{timeout:g} s"
                    )
                yield pauses.next(left)
                current = self._backend.read(name)
            if result_ready():
                return None

    def renew(self, lease: HeldLease, *, above: int = 0) -> HeldLease:
        """Renew a lease for its whole time: one request.

        Args:
            lease: The lease.
            above: The fencing number is raised above this, unless it is larger already.

        Raises:
            LeaseNotHeldError: It has ended.
            StaleWriterError: Another holder has taken it over.
        """
        self._require_not_ended(lease)
        return self._extend(lease, lease.stored, above)

    def reclaim(self, lease: HeldLease) -> HeldLease:
        """Continue a lease that has ended, if no other holder has taken it over since: two requests.

        Raises:
            LeaseNotHeldError: It does not exist any more.
            StaleWriterError: Another holder has taken it over.
        """
        return self._extend(lease, self._require_ours(lease), 0)

    def _extend(self, lease: HeldLease, stored: StoredRecord, above: int) -> HeldLease:
        try:
            return self._write_renewal(lease.name, stored, above)
        except ConflictError:
            # The response to an earlier renewal may have been lost.
            current = self._require_ours(lease)
        try:
            return self._write_renewal(lease.name, current, above)
        except ConflictError as exc:
            raise self._lost(lease) from exc

    def _write_renewal(self, name: str, stored: StoredRecord, above: int) -> HeldLease:
        started = lease_clock()
        record = stored.record
        record = replace(record, token=_next_token(record.token), number=max(record.number, above + 1))
        return HeldLease(name, self._backend.write(name, record, after=stored), started + self.seconds)

    def verify(self, lease: HeldLease) -> None:
        """Verify that a lease is still held: one request.

        Raises:
            LeaseNotHeldError: It has ended.
            StaleWriterError: Another holder has taken it over.
        """
        self._require_not_ended(lease)
        self._require_ours(lease)

    def release(self, lease: HeldLease) -> None:
        """Release a lease, so that others can acquire it at once: one request.

        Raises:
            LeaseNotHeldError: It has ended, and no other holder has taken it over.
            StaleWriterError: Another holder has taken it over.
        """
        try:
            self._backend.remove(lease.name, lease.stored)
        except ConflictError:
            current = self._require_ours(lease)
        else:
            return
        try:
            self._backend.remove(lease.name, current)
        except ConflictError as exc:
            raise self._lost(lease) from exc

    def holder_of(self, name: str) -> LeaseRecord | None:
        """Return the holder's record, None if the lease is free by the server's clock: one request."""
        current = self._backend.read(name)
        return None if current is None or _ExpiryWatch().has_ended(current) else current.record

    def _write_new(self, name: str, holder: str, *, after: StoredRecord | None, above: int) -> HeldLease:
        started = lease_clock()
        number = max(self._number_after(after), above + 1)
        record = new_record(holder, socket.gethostname(), self.seconds, number, _token())
        stored = self._backend.write(name, record, after=after)
        return HeldLease(name, stored, started + self.seconds)

    def _number_after(self, stored: StoredRecord | None) -> int:
        """Return the next fencing number; that of what was no lease, or ends all numbers, says nothing."""
        number = stored.record.number if stored else 0
        return number + 1 if 0 < number < MAX_NUMBER else self._now_ms()

    def _require_ours(self, lease: HeldLease) -> StoredRecord:
        current = self._backend.read(lease.name)
        if current is None or current.record.released or not _is_same(current.record, lease.stored.record):
            raise self._lost(lease, current)
        return current

    def _require_not_ended(self, lease: HeldLease) -> None:
        if lease.seconds_left() <= 0:
            raise LeaseNotHeldError(f"the lease {lease.name!r} ended before it was renewed")

    def _lost(self, lease: HeldLease, current: StoredRecord | None = None) -> ConflictError:
        current = current or self._backend.read(lease.name)
        if current is None or current.record.released:
            return LeaseNotHeldError(f"the lease {lease.name!r} is not held by anybody")
        return StaleWriterError(
            f"the lease {lease.name!r} was taken over by {current.record.holder} on {current.record.host}"
        )


class _ExpiryWatch:
    """Tells whether a lease has ended: by the server's dates, or by the time without a renewal."""

    def __init__(self) -> None:
        self._token = ""
        self._since = 0.0

    def has_ended(self, current: StoredRecord) -> bool:
        lasts = timedelta(seconds=current.record.seconds)
        if current.record.released or current.age >= lasts + _RESOLUTION:
            return True
        if current.record.token != self._token:
            self._token, self._since = current.record.token, lease_clock()
        return lease_clock() - self._since >= current.record.seconds


class _Attempts:
    """Yields the pauses of :meth:`Leases.attempts`, and keeps the lease that it returns."""

    def __init__(self, attempts: Generator[float, None, HeldLease | None]) -> None:
        self._attempts = attempts
        self.lease: HeldLease | None = None

    def __iter__(self) -> Generator[float, None, None]:
        self.lease = yield from self._attempts


class _Pauses:
    """Random pauses of a waiter that grow up to an eighth of a lease's time."""

    def __init__(self, lease_seconds: float) -> None:
        self._longest = lease_seconds / _PAUSES_PER_LEASE
        self._pause = min(_FIRST_PAUSE_SECONDS, self._longest)

    def next(self, left: float | None) -> float:
        pause = random.uniform(self._pause / 2, self._pause)  # noqa: S311  # no secret
        self._pause = min(2 * self._pause, self._longest)
        return pause if left is None else min(pause, left)


def _token() -> str:
    return f"{secrets.token_hex(8)}-{secrets.token_hex(4)}"


def _next_token(token: str) -> str:
    """Return the token of the next lease record of the same acquisition."""
    return f"{token.partition('-')[0]}-{secrets.token_hex(4)}"


def _is_same(one: LeaseRecord, other: LeaseRecord) -> bool:
    """Tell whether two lease records are of the same acquisition, with no other holder in between."""
    return one.token.partition("-")[0] == other.token.partition("-")[0]
