"""Watchdog: one thread that cuts connections whose time is over.

A time limit of a socket holds for each read from it: a server that sends a byte now and then is never late.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Protocol

__all__ = ["Watched", "cut", "unwatch", "watch"]

_TICK = 1.0
_TICKS_PER_LIMIT = 20
_IDLE_TICKS = 10


class Watched(Protocol):
    """What has a time limit.

    Attributes:
        end: When its time is over, by ``time.monotonic()``.
        seconds: The time limit.
        connection: The connection in use; None without one.
    """

    end: float
    seconds: float
    connection: Any


class _Watchdog:
    """Looks now and then whether the time of what it watches is over."""

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.Lock())
        self._watched: set[Watched] = set()
        self._tick = _TICK
        self._thread: threading.Thread | None = None

    def add(self, one: Watched) -> None:
        tick = min(_TICK, one.seconds / _TICKS_PER_LIMIT)
        with self._lock:
            self._watched.add(one)
            if tick < self._tick:
                self._tick = tick
                self._lock.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="s3kv-watchdog", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # newer Pythons start no threads when they exit
                    self._thread = None

    def remove(self, one: Watched) -> None:
        with self._lock:
            self._watched.discard(one)

    def _run(self) -> None:
        idle = 0
        with self._lock:
            while idle < _IDLE_TICKS:
                self._lock.wait(self._tick)
                now = time.monotonic()
                for one in self._watched:
                    if now >= one.end:
                        cut(one.connection)
                idle = 0 if self._watched else idle + 1
                if not self._watched:
                    self._tick = _TICK
            self._thread = None


def cut(connection: Any) -> None:
    """Shut the socket of a connection down: who reads from it or writes to it gets an error now."""
    opened = getattr(connection, "sock", None)
    if opened is not None:
        with suppress(OSError, ValueError):  # it is closed already
            opened.shutdown(socket.SHUT_RDWR)


_watchdog = _Watchdog()


def watch(one: Watched) -> None:
    """Cut the connection of something when its time is over, until :func:`unwatch`."""
    _watchdog.add(one)


def unwatch(one: Watched) -> None:
    """Stop watching."""
    _watchdog.remove(one)


def _after_fork() -> None:
    global _watchdog  # its thread does not exist here, and its lock may be held
    _watchdog = _Watchdog()


os.register_at_fork(after_in_child=_after_fork)
