"""Parses source texts, quietly and seldom more than once."""

from __future__ import annotations

import ast
import gc
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from s3kv_flows._keys.quiet import parse_quietly

__all__ = ["examining", "parse", "parsing"]

_MOST_TEXT = 2**20
"""Of so much text the trees are kept: they take a hundred times as much memory."""


@contextmanager
def parsing() -> Iterator[None]:
    """Parse without collecting garbage, one thread at a time."""
    with _PARSES.lock, _collecting_nothing():
        yield


def parse(text: str | bytes) -> ast.Module:
    """Return the tree of a text, which nobody may change: while code is examined, others get the same one.

    Raises:
        SyntaxError, ValueError: It is none of Python's.
        RecursionError, MemoryError: It is nested too deeply.
    """
    with parsing():
        tree = _TREES.get(text)
        if tree is None:
            tree = parse_quietly(text)
            _TREES.keep(text, tree)
        return tree


@contextmanager
def examining() -> Iterator[None]:
    """Collect no garbage, and keep trees of texts, until all threads are done that examine code.

    A tree is a million objects that are all in use, as is what is found in them; to look through these again
    and again takes longer than to find them.
    """
    with _collecting_nothing():
        yield


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    _PAUSE.begin()
    try:
        yield
    finally:
        if _PAUSE.is_last():
            with _PARSES.lock:
                _TREES.clear()  # before they are looked through
        _PAUSE.end()


class _Parses:
    """Which thread parses."""

    def __init__(self) -> None:
        self.go_on()

    def go_on(self) -> None:
        """Go on in the child of a fork, where the thread that parses does not exist."""
        self.lock = threading.RLock()


class _Pause:
    """The time in which no garbage is collected, for all threads that ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._collects = False

    def begin(self) -> None:
        with self._lock:
            if not self._count:
                self._collects = gc.isenabled()
                gc.disable()
            self._count += 1

    def is_last(self) -> bool:
        """Return whether nobody else asks for it now."""
        return self._count <= 1

    def end(self) -> None:
        with self._lock:
            self._count = max(0, self._count - 1)  # of a child that was forked meanwhile
            if not self._count and self._collects:
                self._collects = False
                gc.enable()

    def go_on(self) -> None:
        """Go on in the child of a fork, where the threads that would end it do not exist."""
        self._lock = threading.Lock()
        if self._count:
            self._count = 0
            if self._collects:
                gc.enable()


class _Trees:
    """The trees of the texts that were parsed last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str | bytes, ast.Module] = OrderedDict()
        self._size = 0

    def get(self, text: str | bytes) -> ast.Module | None:
        tree = self._known.get(text)
        if tree is not None:
            self._known.move_to_end(text)
        return tree

    def keep(self, text: str | bytes, tree: ast.Module) -> None:
        self._known[text] = tree
        self._size += len(text)
        while self._size > _MOST_TEXT and len(self._known) > 1:
            oldest, _ = self._known.popitem(last=False)
            self._size -= len(oldest)

    def clear(self) -> None:
        self._known = OrderedDict()
        self._size = 0


_PARSES, _PAUSE, _TREES = _Parses(), _Pause(), _Trees()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_PARSES.go_on)
    os.register_at_fork(after_in_child=_PAUSE.go_on)
