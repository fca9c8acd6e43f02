"""Queue the holders of one process that want the same key.

One holder at a time tries for the key, and the others wait without a request. When it has finished, its
release wakes the next waiter, or all of them if the result is ready.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["LocalQueue"]


@dataclass
class _Queue:
    current: str | None = None
    waiting: deque[Future[None]] = field(default_factory=deque)


class LocalQueue:
    """One queue of holders per key. :class:`LeaseRenewer` has the one of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[Hashable, _Queue] = {}

    def enter(self, key: Hashable, holder: str) -> Future[None] | None:
        """Become the current holder of a key, or return a future that is done when to try again.

        A waiter whose future is done has to call :meth:`enter` again, or :meth:`leave`.
        """
        with self._lock:
            queue = self._queues.setdefault(key, _Queue())
            if queue.current is None:
                queue.current = holder
                return None
            waiting: Future[None] = Future()
            queue.waiting.append(waiting)
            return waiting

    def leave(self, key: Hashable, waiting: Future[None], *, result_ready: bool = False) -> None:
        """Stop waiting; if the waiter was woken already, wake the next one."""
        with self._lock:
            queue = self._queues.get(key, _Queue())
            if waiting in queue.waiting:
                queue.waiting.remove(waiting)
            woken = self._pop_next(key, result_ready=result_ready)
        _wake(woken)

    def release(self, key: Hashable, holder: str, *, result_ready: bool) -> None:
        """Let the next waiter try, if this is the current holder; else do nothing.

        Args:
            key: The key.
            holder: The holder that has finished.
            result_ready: Whether all waiters will find the result that they wait for.
        """
        with self._lock:
            queue = self._queues.get(key, _Queue())
            if queue.current != holder:
                return
            queue.current = None
            woken = self._pop_next(key, result_ready=result_ready)
        _wake(woken)

    @contextmanager
    def entered(self, key: Hashable, holder: str) -> Iterator[None]:
        """Wait to become the current holder, and stay it to the end of the block."""
        try:
            while (waiting := self.enter(key, holder)) is not None:
                self._wait(key, waiting)
            yield
        finally:
            self.release(key, holder, result_ready=False)  # does nothing if it was interrupted while waiting

    def _wait(self, key: Hashable, waiting: Future[None]) -> None:
        try:
            waiting.result()
        except BaseException:
            self.leave(key, waiting)
            raise

    def _pop_next(self, key: Hashable, *, result_ready: bool) -> list[Future[None]]:
        """Remove and return the waiters to wake now."""
        queue = self._queues.get(key)
        if queue is None or queue.current is not None:
            return []
        woken = [
            queue.waiting.popleft()
            for _ in range(len(queue.waiting) if result_ready else min(1, len(queue.waiting)))
        ]
        if not queue.waiting:
            del self._queues[key]
        return woken


def _wake(woken: list[Future[None]]) -> None:
    for waiting in woken:
        waiting.set_result(None)
