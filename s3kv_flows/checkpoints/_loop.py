"""How much of a loop is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any

from s3kv_flows._runs import run_logger
from s3kv_flows.store._values.digests import digest_or_none

__all__ = ["LoopProgress", "MutatedState", "SavingPace"]


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


_UNCHANGEABLE = (int, float, complex, str, bytes, tuple, frozenset)


class MutatedState:
    """Returns, when it is called, the object that a loop changes in place.

    A loop that makes a new object each time would save the first one again and again, and go on from that
    with all items counted as done. So the first call warns where nothing has changed.

    Args:
        value: The object; None where a loop has no state but how far it is.

    Raises:
        TypeError: Nothing can change it.
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
                "What load() returned is saved as it was: nothing has changed it so far. Where the loop "
                "makes a new state, give iterate() a function that returns it, as its second argument"
            )
        return self._value


_HURRIED_SECONDS = 1.0


class SavingPace:
    """Tells after each item whether to save.

    Args:
        every: How many items may be done that are in no state which has arrived. Saving begins after half
            as many: the other half goes on while it is under way.
        seconds: Save when so many seconds have passed since the last time.

    Raises:
        ValueError: Neither is given, or one is not positive.
    """

    def __init__(self, every: int | None, seconds: float | None) -> None:
        given = [number for number in (every, seconds) if number is not None]
        if not given or not all(0 < number < inf for number in given):
            raise ValueError("give every=, a number of items, or seconds=, or both, and more than 0")
        self._every, self._seconds = every, seconds
        self._items, self._since = 0, monotonic()
        self._is_hurried = False

    def oldest(self, position: int) -> int:
        """Return how many items have to be safe before this one is begun."""
        return 0 if self._every is None else position - self._every

    def is_due(self) -> bool:
        """Count an item that is done; tell whether to save."""
        self._items += 1
        late = self._seconds is not None and monotonic() >= self._since + self._seconds
        if late or (self._every is not None and self._items >= (self._every + 1) // 2):
            self._items, self._since = 0, monotonic()
            return True
        return False

    def hurry(self) -> None:
        """Save after this item, and every second from now on: any may be the last."""
        if not self._is_hurried:
            self._is_hurried, self._since = True, -inf
            self._seconds = min(self._seconds or inf, _HURRIED_SECONDS)
