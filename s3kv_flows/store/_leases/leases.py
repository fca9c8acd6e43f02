"""Leases: who may work on a key, as one small object per key, on S3 alone.

A lease is taken by a conditional PUT, which S3 lets one of many succeed with. It holds for some seconds
from then; its holder renews it while it works. One whose holder died ends by itself, and is then taken
over, again by a condition: on the claim that was seen.

Time is never that of two machines compared. A holder counts from the moment before its request left; a
waiter takes the server's dates, or the time for which it has itself seen no renewal. So a waiter never
finds a lease ended before its holder does, as long as clocks run at the same speed.

::

    holder   PUT--------renew at 1/3--------...        gives up |      (its own clock, from before each PUT)
    server     |written                                            | ended
    waiter                                                           | sees it ended (server's dates, or
                                                                       as long unchanged before its eyes)

The fencing number is for those who keep the last number they have seen and refuse a lower one (M.
Kleppmann, "How to do distributed locking", 2016). It is one above that of the claim before. Where there
is none, it is the server's time in milliseconds, which two processes know to within a second: who needs it
above a number that was seen says so (``above``).
"""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import timedelta

from s3kv_flows.store._leases.records import LeaseBackend, LeaseRecord, StoredRecord, lease_clock
from s3kv_flows.store.errors import (
    ConflictError,
    LeaseNotHeldError,
    LeaseTimeoutError,
    StaleWriterError,
)

__all__ = ["HeldLease", "Leases"]

_RESOLUTION = timedelta(seconds=1)
"""Dates of HTTP are cut off to whole seconds: a lease that seems a second over may just have ended."""

_FIRST_PAUSE_SECONDS = 0.05
_PAUSES_PER_LEASE = 8
"""A waiter asks at most so often within a lease's time, once its pauses have grown."""


@dataclass(frozen=True)
class HeldLease:
    """A lease that this process holds.

    Attributes:
        name: The object name.
        stored: How it is written down.
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
        """Return how long it still holds; not more than 0 where it has ended."""
        return self.ends - lease_clock()


class Leases:
    """The leases of a bucket.

    Args:
        backend: Where they are written down; see :func:`~s3kv_flows.store._leases.backend.backend_of`.
        now_ms: Returns the server's time, in milliseconds.
        seconds: For how long a lease holds.
        pause: Waits for so many seconds; tests give their own.
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
        self.seconds = seconds
        self._backend, self._now_ms, self._pause = backend, now_ms, pause

    def acquire(self, name: str, holder: str, *, timeout: float | None = None, above: int = 0) -> HeldLease:
        """Take a lease, waiting for whoever holds it: one request where it is free.

        A waiter asks about eight times within a lease's time. It takes a dead holder's lease over within
        that time and an eighth of it.

        Args:
            name: The object name.
            holder: What to be called.
            timeout: Seconds to wait; 0 tries once, None waits for ever.
            above: A number that the fencing number has to be above.

        Raises:
            LeaseTimeoutError: Somebody else held it all the time.
        """
        for pause in (steps := _Steps(self.attempts(name, holder, timeout=timeout, above=above))):
            self._pause(pause)
        assert steps.result is not None, "nothing else could settle it"  # noqa: S101
        return steps.result

    def attempts(
        self,
        name: str,
        holder: str,
        *,
        timeout: float | None = None,
        above: int = 0,
        result_ready: Callable[[], bool] = bool,
    ) -> Generator[float, None, HeldLease | None]:
        """Take a lease as :meth:`acquire` does, in steps: yield for how long to pause before the next.

        Args:
            name: The object name.
            holder: What to be called.
            timeout: Seconds to wait; 0 tries once, None waits for ever.
            above: A number that the fencing number has to be above.
            result_ready: Asked each time when the lease of another has ended: whether that was all that was
                waited for.

        Returns:
            The lease, None where it is not needed any more.

        Raises:
            LeaseTimeoutError: Somebody else held it all the time.
        """
        give_up = None if timeout is None else lease_clock() + timeout
        watch, pauses = _Watch(), _Pauses(self.seconds)
        seen: StoredRecord | None = None
        while True:
            try:
                lease = self._claim(name, holder, after=seen, above=above)
                # The answer may have come too late.
                return lease if lease.seconds_left() > 0 else self.reclaim(lease)
            except ConflictError:
                seen = self._backend.look(name)
            while seen is not None and not watch.has_ended(seen):
                left = None if give_up is None else give_up - lease_clock()
                if left is not None and left <= 0:
                    raise LeaseTimeoutError(
                        f"{name!r} is held by {seen.record.holder} on {seen.record.host}, also after "
                        f"{timeout:g} s"
                    )
                yield pauses.next(left)
                seen = self._backend.look(name)
            if result_ready():
                return None

    def renew(self, lease: HeldLease, *, above: int = 0) -> HeldLease:
        """Let a lease hold for its whole time again: one request.

        Args:
            lease: The lease.
            above: A number that the fencing number has to be above; else it stays.

        Raises:
            LeaseNotHeldError: It has ended.
            StaleWriterError: Somebody else has taken it over.
        """
        self._require_time(lease)
        return self._write_again(lease, lease.stored, above)

    def reclaim(self, lease: HeldLease) -> HeldLease:
        """Go on with a lease that has ended, where nobody has taken it over since: two requests.

        Raises:
            LeaseNotHeldError: It is not there any more.
            StaleWriterError: Somebody else has taken it over.
        """
        return self._write_again(lease, self._require_ours(lease), 0)

    def _write_again(self, lease: HeldLease, stored: StoredRecord, above: int) -> HeldLease:
        try:
            return self._write_after(lease.name, stored, above)
        except ConflictError:
            # The answer to an earlier renewal may never have come.
            seen = self._require_ours(lease)
        try:
            return self._write_after(lease.name, seen, above)
        except ConflictError as exc:
            raise self._lost(lease) from exc

    def _write_after(self, name: str, stored: StoredRecord, above: int) -> HeldLease:
        started = lease_clock()
        record = stored.record
        record = replace(record, token=_next_token(record.token), number=max(record.number, above + 1))
        return HeldLease(name, self._backend.write(name, record, after=stored), started + self.seconds)

    def verify(self, lease: HeldLease) -> None:
        """Ask whether a lease is still held: one request.

        Raises:
            LeaseNotHeldError: It has ended.
            StaleWriterError: Somebody else has taken it over.
        """
        self._require_time(lease)
        self._require_ours(lease)

    def release(self, lease: HeldLease) -> None:
        """Give a lease back, for others to take at once: one request.

        Raises:
            LeaseNotHeldError: It has ended, and nobody has taken it over.
            StaleWriterError: Somebody else has.
        """
        try:
            self._backend.remove(lease.name, lease.stored)
        except ConflictError:
            seen = self._require_ours(lease)
        else:
            return
        try:
            self._backend.remove(lease.name, seen)
        except ConflictError as exc:
            raise self._lost(lease) from exc

    def holder_of(self, name: str) -> LeaseRecord | None:
        """Return who holds a lease, by the server's clock; None where nobody does: one request."""
        seen = self._backend.look(name)
        return None if seen is None or _Watch().has_ended(seen) else seen.record

    def _claim(self, name: str, holder: str, *, after: StoredRecord | None, above: int) -> HeldLease:
        started = lease_clock()
        number = max(after.record.number + 1 if after else self._now_ms(), above + 1)
        record = LeaseRecord(holder, socket.gethostname(), self.seconds, number, _token())
        stored = self._backend.write(name, record, after=after)
        return HeldLease(name, stored, started + self.seconds)

    def _require_ours(self, lease: HeldLease) -> StoredRecord:
        seen = self._backend.look(lease.name)
        if seen is None or seen.record.released or not _is_same(seen.record, lease.stored.record):
            raise self._lost(lease, seen)
        return seen

    def _require_time(self, lease: HeldLease) -> None:
        if lease.seconds_left() <= 0:
            raise LeaseNotHeldError(f"the lease {lease.name!r} ended before it was renewed")

    def _lost(self, lease: HeldLease, seen: StoredRecord | None = None) -> ConflictError:
        seen = seen or self._backend.look(lease.name)
        if seen is None or seen.record.released:
            return LeaseNotHeldError(f"the lease {lease.name!r} is not held by anybody")
        return StaleWriterError(
            f"the lease {lease.name!r} was taken over by {seen.record.holder} on {seen.record.host}"
        )


class _Watch:
    """Tells when a lease has ended: by the server's dates, or by how long nothing was renewed."""

    def __init__(self) -> None:
        self._token = ""
        self._since = 0.0

    def has_ended(self, seen: StoredRecord) -> bool:
        lasts = timedelta(seconds=seen.record.seconds)
        if seen.record.released or seen.age >= lasts + _RESOLUTION:
            return True
        if seen.record.token != self._token:
            self._token, self._since = seen.record.token, lease_clock()
        return lease_clock() - self._since >= seen.record.seconds


class _Steps:
    """The pauses of a generator, and what it returns."""

    def __init__(self, steps: Generator[float, None, HeldLease | None]) -> None:
        self._steps = steps
        self.result: HeldLease | None = None

    def __iter__(self) -> Generator[float, None, None]:
        self.result = yield from self._steps


class _Pauses:
    """Pauses of a waiter: they grow, up to an eighth of a lease's time, by a random part each."""

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
    """Return the token of the next claim of the same holding of a lease."""
    return f"{token.partition('-')[0]}-{secrets.token_hex(4)}"


def _is_same(one: LeaseRecord, other: LeaseRecord) -> bool:
    """Tell whether two claims are of the same holding of a lease: none was taken in between."""
    return one.token.partition("-")[0] == other.token.partition("-")[0]
