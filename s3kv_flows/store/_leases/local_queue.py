"""Turns: of many in this process that want one key, one at a time tries for it, and the others wait for it.

Who is done passes the turn on. Where the key is settled, all that wait are told at once; else the next one.
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
class _Line:
    current: str | None = None
    waiting: deque[Future[None]] = field(default_factory=deque)


class LocalQueue:
    """Whose turn it is, by key. Get the ones of this process with their keeper."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}

    def enter(self, key: Hashable, holder: str) -> Future[None] | None:
        """Take the turn; where it is another's, return what is done when to look again.

        Who was told, and looks again, takes the turn or says that it does not: :meth:`leave`.
        """
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            if line.current is None:
                line.current = holder
                return None
            waiting: Future[None] = Future()
            line.waiting.append(waiting)
            return waiting

    def leave(self, key: Hashable, waiting: Future[None], *, result_ready: bool = False) -> None:
        """Wait no longer; who was told already lets another one try."""
        with self._lock:
            line = self._lines.get(key, _Line())
            if waiting in line.waiting:
                line.waiting.remove(waiting)
            told = self._next(key, result_ready=result_ready)
        _tell(told)

    def release(self, key: Hashable, holder: str, *, result_ready: bool) -> None:
        """End the turn of a holder, where it is its turn.

        Args:
            key: The key.
            holder: Whose turn it was.
            result_ready: Whether those that wait will find what they wait for.
        """
        with self._lock:
            line = self._lines.get(key, _Line())
            if line.current != holder:
                return
            line.current = None
            told = self._next(key, result_ready=result_ready)
        _tell(told)

    @contextmanager
    def turn(self, key: Hashable, holder: str) -> Iterator[None]:
        """Wait for the turn, and have it to the end of the block."""
        try:
            while (waiting := self.enter(key, holder)) is not None:
                self._wait(key, waiting)
            yield
        finally:
            self.release(key, holder, result_ready=False)  # nothing, where it was interrupted while it waited

    def _wait(self, key: Hashable, waiting: Future[None]) -> None:
        try:
            waiting.result()
        except BaseException:
            self.leave(key, waiting)
            raise

    def _next(self, key: Hashable, *, result_ready: bool) -> list[Future[None]]:
        """Return who is to be told now."""
        line = self._lines.get(key)
        if line is None or line.current is not None:
            return []
        told = [
            line.waiting.popleft()
            for _ in range(len(line.waiting) if result_ready else min(1, len(line.waiting)))
        ]
        if not line.waiting:
            del self._lines[key]
        return told


def _tell(told: list[Future[None]]) -> None:
    for waiting in told:
        waiting.set_result(None)
