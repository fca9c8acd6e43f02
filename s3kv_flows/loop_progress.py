"""How much of a loop is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from s3kv_flows._runs import run_logger
from s3kv_flows.saving_pace import SavingPace

__all__ = ["LoopProgress"]


class LoopProgress:
    """What is done in the one loop that a checkpoint counts.

    Attributes:
        done: How many items are done, those of former runs with them.
        position: How many items the loop has come to.
        offered: How many were when a state was last given to be saved.
        total: How many there are, where that is known.
        end: Returns the state of the loop, once it has ended, also by ``break``.
        has_begun: Whether there is, or was, a loop.
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self.begin_anew(0)

    def begin_anew(self, done: int) -> None:
        """Forget what was done; so many items were before."""
        self.done = self.offered = done
        self.end: Callable[[], Any] | None = None
        self.has_begun = False

    @property
    def is_open(self) -> bool:
        """Whether a loop has begun, and not ended."""
        return self.has_begun and self.end is None

    def begin(self, total: int | None, pace: SavingPace) -> None:
        """Note that the loop begins, and how often it wants its state saved.

        Raises:
            RuntimeError: One has begun before.
        """
        if self.has_begun:
            raise RuntimeError(
                "there was a loop before, or there is one around this, and a checkpoint counts what is done "
                "in one: give the items of both in a row, or each loop a Checkpoint of its own"
            )
        self.has_begun, self.total, self._pace = True, total, pace
        self.position = 0

    def passes(self) -> bool:
        """Come to the next item; tell whether a former run has done it."""
        self.position += 1
        return self.position <= self.done

    @property
    def must_be_safe(self) -> int:
        """How many items have to be in a state that has arrived, before the current one is begun."""
        return self._pace.oldest(self.position)

    def has_done(self, *, in_a_hurry: bool) -> bool:
        """Note that the current item is done; tell whether to save."""
        self.done = self.position
        if in_a_hurry:
            self._pace.hurry()
        return self._pace.is_due()

    def compare(self) -> None:
        """Warn at the end of a loop that was given fewer items than were done before."""
        if self.position < self.done:
            run_logger().warning(
                "%d items were done before, and the loop was given %d: are they the same, from the first on?",
                self.done,
                self.position,
            )

    @contextmanager
    def until_end(self, state: Callable[[], Any]) -> Iterator[None]:
        """Note at the end of the block that the loop has ended, and what returns its state."""
        try:
            yield
        finally:
            self.end = state
