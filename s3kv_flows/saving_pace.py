"""How often the state of a loop is saved."""

from __future__ import annotations

from math import inf
from time import monotonic

__all__ = ["SavingPace"]

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
