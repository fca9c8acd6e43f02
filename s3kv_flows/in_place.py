"""What a loop saves that is not told how to get at its state: the object it went on from, as it is now."""

from __future__ import annotations

from typing import Any

from s3kv_flows._runs import run_logger
from s3kv_flows.store._values.digests import digest_or_none

__all__ = ["ChangedInPlace"]

_UNCHANGEABLE = (int, float, complex, str, bytes, tuple, frozenset)


class ChangedInPlace:
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
