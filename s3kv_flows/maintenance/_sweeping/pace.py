"""Limit a sweep's rate; slow down when the server is busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Pace"]

_RECOVERY_SECONDS = 60.0


class Pace:
    """A rate limit in objects per second, shared by threads.

    S3 takes 3,500 writes and deletions a second below a prefix, those of pipelines included, and each
    object of a batch counts. It answers SlowDown to faster ones: the rate is halved then, and recovers
    within a minute.

    Args:
        per_second: Objects per second; None for no limit.
        clock: Returns monotonic seconds.
        pause: Sleeps for a number of seconds.

    Raises:
        ValueError: ``per_second`` is not positive.
    """

    def __init__(
        self,
        per_second: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        if per_second is not None and not per_second > 0:
            raise ValueError(f"per_second must be positive, not {per_second}")
        self._per_second, self._clock, self._pause = per_second, clock, pause
        self._lock = threading.Lock()
        self._free_at = clock()
        self._slowed_until = clock()
        self._factor = 1.0

    def take(self, count: int) -> None:
        """Wait until this many objects may be requested or deleted."""
        with self._lock:
            now = self._clock()
            rate = self._rate(now)
            begin = max(now, self._free_at)
            self._free_at = begin + (count / rate if rate else 0.0)
        if begin > now:
            self._pause(begin - now)

    def slow_down(self, attempt: int) -> None:
        """Wait before a retry, longer for each attempt, and halve the rate for a while."""
        with self._lock:
            self._factor = max(self._factor / 2, 1 / 64)
            self._slowed_until = self._clock() + _RECOVERY_SECONDS
        self._pause(0.25 * 2**attempt)

    def _rate(self, now: float) -> float | None:
        if now >= self._slowed_until:
            self._factor = 1.0
        return None if self._per_second is None else self._per_second * self._factor
