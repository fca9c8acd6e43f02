"""Time limits of operations, with all their attempts, and of large bodies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from s3kv_flows.store._s3.transport.time.watchdog import unwatch, watch

__all__ = ["Limit", "Limits", "SliceLimit", "current_limit", "note_connection"]

_SILENCE_OF_READS = 20.0
_PATIENCE = 5.0
"""Seconds for the first byte on a connection that was idle: a firewall may have forgotten it."""

_SLOWEST = 50_000
"""Bytes per second, with which a body must be sent."""

_SLICE = 1 << 20

_LEAST = 0.05
"""Seconds; the time limit of an attempt is never less."""


class Limit:
    """The time limit of one operation.

    Attributes:
        seconds: The time limit.
        began: When the operation began, by ``time.monotonic()``.
        end: When its time is over.
        connection: The connection in use.
        attempts: How many attempts may have waited for long, since the last answer to a direct read.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began = time.monotonic()
        self.end = self.began + seconds
        self.connection: Any = None
        self.attempts = 0

    @property
    def left(self) -> float:
        """The seconds that are left, at least 0."""
        return max(0.0, self.end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no time is left for another attempt."""
        return self.left <= min(_LEAST, self.seconds / 10)


_limit: ContextVar[Limit | None] = ContextVar("s3kv_limit", default=None)


def current_limit() -> Limit | None:
    """Return the limit of the operation in this context."""
    return _limit.get()


def note_connection(connection: Any) -> None:
    """Note the connection that the current operation uses from now on."""
    limit = _limit.get()
    if limit is not None:
        limit.connection = connection


class SliceLimit:
    """Limits the time of each read of a body, which may be large.

    Args:
        seconds: The limit of each.
        connection: The connection that the body is read from.
    """

    def __init__(self, seconds: float, connection: Any) -> None:
        self._seconds, self._connection = seconds, connection

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Cut the connection when the time is over; an operation has a limit of its own."""
        if _limit.get() is not None:
            yield
            return
        limit = Limit(self._seconds)
        limit.connection = self._connection
        watch(limit)
        try:
            yield
        finally:
            unwatch(limit)

    def made_progress(self, count: int) -> None:
        """Let an operation that reads a large body go on, as long as that arrives."""
        limit = _limit.get()
        if limit is not None and count >= _SLICE:
            limit.end = max(limit.end, time.monotonic() + self._seconds)


class Limits:
    """The time limits of a client.

    Args:
        seconds: The limit of a small operation, its retries included. Each slice of a large body, of up to
            1 MiB, has half of it.
        silence: The longest wait for the next byte that the user gave; None for our own.
    """

    def __init__(self, seconds: float, silence: float | None = None) -> None:
        self.seconds = seconds
        self._silence = silence

    @property
    def silence(self) -> float:
        """For how long a body may pause, in seconds."""
        return self._silence or min(_SILENCE_OF_READS, self.seconds / 2)

    @contextmanager
    def operation(self, *, times: int = 1, sends: int = 0) -> Iterator[Limit]:
        """Limit an operation: its connection is cut when its time is over.

        Within another operation, the limit of that one holds.

        Args:
            times: How many times the usual limit it may take.
            sends: The size of the body that it sends.
        """
        outer = _limit.get()
        if outer is not None:
            yield outer
            return
        limit = Limit(self.seconds * times + sends / _SLOWEST)
        token = _limit.set(limit)
        watch(limit)
        try:
            yield limit
        finally:
            unwatch(limit)
            _limit.reset(token)

    def of_slices(self) -> SliceLimit:
        """Return the limit of each read of a body, on the connection of the current operation."""
        limit = _limit.get()
        return SliceLimit(self.seconds / 2, None if limit is None else limit.connection)

    def of_attempt(self, *, reads: bool, idle: bool = False) -> float:
        """Return for how long an attempt may wait for a byte.

        Args:
            reads: Whether it only reads: the first attempt leaves time for a second one.
            idle: Whether it is on a connection that was idle.
        """
        limit = _limit.get() or Limit(self.seconds)
        usual = self._silence or self.seconds
        if self._silence is None and reads and not limit.attempts:
            usual = min(_SILENCE_OF_READS, self.seconds / 2)
        if idle:
            usual = min(usual, _PATIENCE, self.seconds / 4)
        else:
            limit.attempts += 1
        return max(_LEAST, min(usual, limit.left))
