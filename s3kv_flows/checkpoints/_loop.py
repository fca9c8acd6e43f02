"""Progress of a loop: items done, and when to save."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any

from s3kv_flows._prefect import run_logger
from s3kv_flows.store._values.digests import digest_or_none

__all__ = ["LoopProgress", "MutatedState", "SavingPace"]


class LoopProgress:
    """Counts the items of the one loop of a checkpoint.

    Attributes:
        done: How many items are done, those of earlier runs included.
        position: How many items the loop has reached.
        offered: The value of ``done`` when a state was last offered for saving.
        total: The number of items, if known.
        end: Returns the state of the loop; set once the loop has ended, also by ``break``.
        has_begun: Whether the loop has begun, or ended.
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self.reset(0)

    def reset(self, done: int) -> None:
        """Start again with so many items done."""
        self.done = self.offered = done
        self.end: Callable[[], Any] | None = None
        self.has_begun = False

    @property
    def is_open(self) -> bool:
        """Whether a loop has begun, and not ended."""
        return self.has_begun and self.end is None

    def begin(self, total: int | None, pace: SavingPace) -> None:
        """Begin the loop, and set how often its state is saved.

        Raises:
            RuntimeError: A loop has begun before.
        """
        if self.has_begun:
            raise RuntimeError(
                "there was a loop before, or there is one around this, and a checkpoint counts what is done "
                "in one: give the items of both in a row, or each loop a Checkpoint of its own"
            )
        self.has_begun, self.total, self._pace = True, total, pace
        self.position = 0

    def passes(self) -> bool:
        """Advance to the next item; return whether an earlier run has done it."""
        self.position += 1
        return self.position <= self.done

    @property
    def required_position(self) -> int:
        """How many items the newest saved state must include before the current item begins."""
        return self._pace.required_position(self.position)

    def finish_item(self, *, hurry: bool) -> bool:
        """Count the current item as done; return whether to save."""
        self.done = self.position
        if hurry:
            self._pace.hurry()
        return self._pace.is_due()

    def warn_if_shorter(self) -> None:
        """Warn at the end of a loop that had fewer items than earlier runs have done."""
        if self.position < self.done:
            run_logger().warning(
                "%d items were done before, and the loop had %d: are they the same, from the first one on?",
                self.done,
                self.position,
            )

    @contextmanager
    def until_end(self, state: Callable[[], Any]) -> Iterator[None]:
        """Mark the loop as ended at the end of the block, and keep the function that returns its state."""
        try:
            yield
        finally:
            self.end = state


_UNCHANGEABLE = (int, float, complex, str, bytes, tuple, frozenset)


class MutatedState:
    """Returns the object that a loop changes in place.

    A loop that makes a new object each time would save the first one again and again, and resume from that
    with all items counted as done. So the first call warns if the object has not changed.

    Args:
        value: The object; None if the position is the only state of the loop.

    Raises:
        TypeError: The object is immutable.
    """

    def __init__(self, value: Any) -> None:
        if isinstance(value, _UNCHANGEABLE):
            raise TypeError(
                f"load() returned {type(value).__name__} {value!r:.40}, which no loop can change in place: "
                "give iterate() a function that returns the state to save, as its second argument"
            )
        self._value = value
        self._before = None if value is None else digest_or_none(value, with_sharing=True)

    def __call__(self) -> Any:
        """Return the object."""
        before, self._before = self._before, None
        if before is not None and digest_or_none(self._value, with_sharing=True) == before:
            run_logger().warning(
                "The state that load() returned is saved unchanged: the loop has not modified it so far. If "
                "it makes a new state, give iterate() a function that returns it, as its second argument"
            )
        return self._value


_HURRIED_SECONDS = 1.0


class SavingPace:
    """Decides after each item whether to save.

    Args:
        every: How many items may be done that no saved state includes. Saving begins after half
            as many: the other half continues during the upload.
        seconds: Save when so many seconds have passed since the last save.

    Raises:
        ValueError: Neither is given, or one is not positive.
    """

    def __init__(self, every: int | None, seconds: float | None) -> None:
        given = [number for number in (every, seconds) if number is not None]
        if not given or not all(0 < number < inf for number in given):
            raise ValueError("give every=, a number of items, or seconds=, or both, each more than 0")
        self._every, self._seconds = every, seconds
        self._items, self._since = 0, monotonic()
        self._is_hurried = False

    def required_position(self, position: int) -> int:
        """Return how many items a saved state must include before the item at a position begins."""
        return 0 if self._every is None else position - self._every

    def is_due(self) -> bool:
        """Count an item as done; return whether to save."""
        self._items += 1
        is_overdue = self._seconds is not None and monotonic() >= self._since + self._seconds
        if is_overdue or (self._every is not None and self._items >= (self._every + 1) // 2):
            self._items, self._since = 0, monotonic()
            return True
        return False

    def hurry(self) -> None:
        """Save after this item, and every second from now on: any item may be the last."""
        if not self._is_hurried:
            self._is_hurried, self._since = True, -inf
            self._seconds = min(self._seconds or inf, _HURRIED_SECONDS)
