"""Leases: who may work on a key, as one small object per key, on S3 alone.

A lease is taken by a conditional PUT, which S3 lets one of many succeed with. It holds for some seconds
from then; its holder renews it while it works. One whose holder died ends by itself, and is then taken
over, again by a condition: on the claim that was seen.

Time is never that of two machines compared. A holder counts from the moment before its request left; a
waiter takes the server's dates, or the time for which it has itself seen no renewal. So a waiter never
finds a lease ended before its holder does, as long as clocks run at the same speed.

The fencing number is for those who keep the last number they have seen and refuse a lower one (M.
Kleppmann, "How to do distributed locking", 2016). It is one above that of the claim before, and where
there is none, the server's time in milliseconds.
"""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from s3kv_flows.store.errors import (
    ConflictError,
    LeaseNotHeldError,
    LeaseTimeoutError,
    StaleWriterError,
    UnsupportedByServerError,
)
from s3kv_flows.store.lease_registers import (
    Claim,
    LeaseRecord,
    NumberedClaims,
    Register,
    ReplacedClaims,
)
from s3kv_flows.store.s3 import S3Client

__all__ = ["HeldLease", "Leases", "register_of"]

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
        claim: How it is written down.
        ends: When it ends unless it is renewed, by ``time.monotonic()``.
    """

    name: str
    claim: Claim
    ends: float

    @property
    def number(self) -> int:
        """The fencing number."""
        return self.claim.record.number

    def seconds_left(self) -> float:
        """Return how long it still holds; not more than 0 where it has ended."""
        return self.ends - time.monotonic()


class Leases:
    """The leases of a bucket.

    Args:
        register: Where they are written down; see :func:`register_of`.
        now_ms: Returns the server's time, in milliseconds.
        seconds: For how long a lease holds.
        pause: Waits for so many seconds; tests give their own.
    """

    def __init__(
        self,
        register: Register,
        now_ms: Callable[[], int],
        *,
        seconds: float = 30.0,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        if seconds <= 0:
            raise ValueError(f"a lease holds for more than {seconds} seconds")
        self.seconds = seconds
        self._register, self._now_ms, self._pause = register, now_ms, pause

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
        started = time.monotonic()
        watch = _Watch()
        pauses = _Pauses(self.seconds)
        seen: Claim | None = None
        while True:
            try:
                return self._claim(name, holder, after=seen, above=above)
            except ConflictError:
                seen = self._register.look(name)
            while seen is not None and not watch.has_ended(seen):
                left = None if timeout is None else timeout - (time.monotonic() - started)
                if left is not None and left <= 0:
                    raise LeaseTimeoutError(
                        f"{name!r} is held by {seen.record.holder} on {seen.record.host}, also after "
                        f"{timeout:g} s"
                    )
                self._pause(pauses.next(left))
                seen = self._register.look(name)

    def renew(self, lease: HeldLease) -> HeldLease:
        """Let a lease hold for its whole time again: one request.

        Raises:
            LeaseNotHeldError: It has ended.
            StaleWriterError: Somebody else has taken it over.
        """
        self._require_time(lease)
        started = time.monotonic()
        record = replace(lease.claim.record, token=_token())
        try:
            claim = self._register.write(lease.name, record, after=lease.claim)
        except ConflictError as exc:
            raise self._lost(lease) from exc
        return HeldLease(lease.name, claim, started + self.seconds)

    def verify(self, lease: HeldLease) -> None:
        """Ask whether a lease is still held: one request.

        Raises:
            LeaseNotHeldError: It has ended.
            StaleWriterError: Somebody else has taken it over.
        """
        self._require_time(lease)
        seen = self._register.look(lease.name)
        if seen is None or seen.record.token != lease.claim.record.token:
            raise self._lost(lease, seen)

    def release(self, lease: HeldLease) -> None:
        """Give a lease back, for others to take at once: one request.

        Raises:
            LeaseNotHeldError: It has ended, and nobody has taken it over.
            StaleWriterError: Somebody else has.
        """
        try:
            self._register.remove(lease.name, lease.claim)
        except ConflictError as exc:
            raise self._lost(lease) from exc

    def holder_of(self, name: str) -> LeaseRecord | None:
        """Return who holds a lease, by the server's clock; None where nobody does: one request."""
        seen = self._register.look(name)
        return None if seen is None or _Watch().has_ended(seen) else seen.record

    def _claim(self, name: str, holder: str, *, after: Claim | None, above: int) -> HeldLease:
        started = time.monotonic()
        number = max(after.record.number + 1 if after else self._now_ms(), above + 1)
        record = LeaseRecord(holder, socket.gethostname(), self.seconds, number, _token())
        claim = self._register.write(name, record, after=after)
        return HeldLease(name, claim, started + self.seconds)

    def _require_time(self, lease: HeldLease) -> None:
        if lease.seconds_left() <= 0:
            raise LeaseNotHeldError(f"the lease {lease.name!r} ended before it was renewed")

    def _lost(self, lease: HeldLease, seen: Claim | None = None) -> ConflictError:
        seen = seen or self._register.look(lease.name)
        if seen is None or seen.record.released:
            return LeaseNotHeldError(f"the lease {lease.name!r} is not held by anybody")
        return StaleWriterError(
            f"the lease {lease.name!r} was taken over by {seen.record.holder} on {seen.record.host}"
        )


def register_of(client: S3Client, bucket: str, prefix: str) -> Register:
    """Return the register that a bucket can carry.

    Args:
        client: The client.
        bucket: The bucket.
        prefix: Where leases, and objects of a probe, may be written.

    Raises:
        UnsupportedByServerError: Claims would not be exclusive there, or would be locked.
    """
    if client.has_default_retention(bucket):
        raise UnsupportedByServerError(
            f"bucket {bucket!r} locks whatever is written to it, and would lock leases: "
            "name another one as lease_bucket_name"
        )
    puts = client.capabilities.conditional_puts(bucket, prefix)
    if puts.create != "atomic":
        raise UnsupportedByServerError(
            f"{client.config.server} lets several writers create one object in bucket {bucket!r}, so that a "
            "lease would not exclude anybody: name a bucket without versions as lease_bucket_name"
        )
    if puts.replace != "atomic":
        return NumberedClaims(client, bucket)
    deletes = client.capabilities.conditional_deletes(bucket, prefix)
    return ReplacedClaims(client, bucket, puts.quoted, deletes.single)


class _Watch:
    """Tells when a lease has ended: by the server's dates, or by how long nothing was renewed."""

    def __init__(self) -> None:
        self._token = ""
        self._since = 0.0

    def has_ended(self, seen: Claim) -> bool:
        lasts = timedelta(seconds=seen.record.seconds)
        if seen.record.released or seen.age >= lasts + _RESOLUTION:
            return True
        if seen.record.token != self._token:
            self._token, self._since = seen.record.token, time.monotonic()
        return time.monotonic() - self._since >= seen.record.seconds


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
    return secrets.token_hex(8)
