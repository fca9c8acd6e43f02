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

__all__ = ["Turns"]


@dataclass
class _Line:
    at_turn: str | None = None
    waiting: deque[Future[None]] = field(default_factory=deque)


class Turns:
    """Whose turn it is, by key. Get the ones of this process with their keeper."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}

    def take(self, place: Hashable, holder: str) -> Future[None] | None:
        """Take the turn; where it is another's, return what is done when to look again.

        Who was told, and looks again, takes the turn or says that it does not: :meth:`leave`.
        """
        with self._lock:
            line = self._lines.setdefault(place, _Line())
            if line.at_turn is None:
                line.at_turn = holder
                return None
            waiting: Future[None] = Future()
            line.waiting.append(waiting)
            return waiting

    def leave(self, place: Hashable, waiting: Future[None], *, settled: bool = False) -> None:
        """Wait no longer; who was told already lets another one try."""
        with self._lock:
            line = self._lines.get(place, _Line())
            if waiting in line.waiting:
                line.waiting.remove(waiting)
            told = self._next(place, settled=settled)
        _tell(told)

    def pass_on(self, place: Hashable, holder: str, *, settled: bool) -> None:
        """End the turn of a holder, where it is its turn.

        Args:
            place: The key.
            holder: Whose turn it was.
            settled: Whether those that wait will find what they wait for.
        """
        with self._lock:
            line = self._lines.get(place, _Line())
            if line.at_turn != holder:
                return
            line.at_turn = None
            told = self._next(place, settled=settled)
        _tell(told)

    @contextmanager
    def turn(self, place: Hashable, holder: str) -> Iterator[None]:
        """Wait for the turn, and have it to the end of the block."""
        try:
            while (waiting := self.take(place, holder)) is not None:
                self._wait(place, waiting)
            yield
        finally:
            self.pass_on(place, holder, settled=False)  # nothing, where it was interrupted while it waited

    def _wait(self, place: Hashable, waiting: Future[None]) -> None:
        try:
            waiting.result()
        except BaseException:
            self.leave(place, waiting)
            raise

    def _next(self, place: Hashable, *, settled: bool) -> list[Future[None]]:
        """Return who is to be told now."""
        line = self._lines.get(place)
        if line is None or line.at_turn is not None:
            return []
        told = [
            line.waiting.popleft() for _ in range(len(line.waiting) if settled else min(1, len(line.waiting)))
        ]
        if not line.waiting:
            del self._lines[place]
        return told


def _tell(told: list[Future[None]]) -> None:
    for waiting in told:
        waiting.set_result(None)
