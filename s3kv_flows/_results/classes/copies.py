"""Copies of a script's classes, for processes that do not have them.

Pickles hold the names of this module, of :class:`Copies` and of the functions below: they stay as they are.
What reads a pickle with classes of scripts needs this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s3kv_flows._results.classes.origins import Origin, find
from s3kv_flows._results.classes.unpickler import loads

__all__ = ["Copies", "class_or_copy", "fill_copy", "make_copy"]


class Copies:
    """The copies of all classes of one pickle: a pickle of their own, loaded when a copy is needed.

    Args:
        pickled: A pickle of the list of classes.
    """

    def __init__(self, pickled: bytes | memoryview) -> None:
        self._pickled = pickled
        self._classes: list[type] | None = None

    def __getitem__(self, number: int) -> type:
        if self._classes is None:
            self._classes = loads(self._pickled)
        return self._classes[number]


def class_or_copy(copies: Copies, number: int, *origin: Any) -> type:
    """Return the class of this process, or the copy of that number."""
    return find(Origin(*origin)) or copies[number]


def make_copy(origin: tuple[Any, ...], make: Callable[..., type], arguments: tuple[Any, ...]) -> type:
    """Return the class of this process, which other copies then refer to, or an empty copy."""
    return find(Origin(*origin)) or make(*arguments)


def fill_copy(cls: type, state: tuple[tuple[Any, ...], Callable[..., object], Any]) -> None:
    """Give a copy its attributes; leave a class of this process as it is."""
    origin, fill, attributes = state
    if find(Origin(*origin)) is not cls:
        fill(cls, attributes)
