"""Unkeyable: the error for a value or code without a digest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["TooDeepError", "Unkeyable", "UnsteadyError", "changed_meanwhile", "steady"]

_Found = TypeVar("_Found")
_MOST_LOOKS = 20


class Unkeyable(TypeError):  # noqa: N818 -- reads as what it says of the value
    """Raised for a value, or code, without a digest that a key could be made of.

    Args:
        reason: The value, and why it has no digest.
        remedy: What the user can do instead.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[Unkeyable], tuple[str, str]]:
        return type(self), (self.reason, self.remedy)


class TooDeepError(Unkeyable):
    """Raised for a value with a content that is nested too deeply to be gone through."""


class UnsteadyError(Unkeyable):
    """Raised for a value that changed each time while it was looked at."""


def steady(look: Callable[[], _Found]) -> _Found:
    """Return what a look at a value finds; look again where another thread changed the value meanwhile.

    Raises:
        UnsteadyError: It changed each time.
    """
    for _ in range(_MOST_LOOKS):
        try:
            return look()
        except RuntimeError as exc:  # noqa: PERF203 -- once, but for a change in just that moment
            if not changed_meanwhile(exc):
                raise
    raise UnsteadyError("a value changes all the time while it is digested", "use a copy of it")


def changed_meanwhile(exc: BaseException) -> bool:
    """Return whether an error says that a container changed while somebody went through it."""
    return type(exc) is RuntimeError and "during iteration" in str(exc)
