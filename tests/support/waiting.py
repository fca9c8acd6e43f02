from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds after which what is waited for counts as hanging. No machine is so busy that it is only slow."""


def until(condition: Callable[[], T]) -> T:
    """Return what the condition returns as soon as that is true; fail when it hangs."""
    give_up_at = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not (result := condition()):
        assert time.monotonic() < give_up_at, f"still not so after {PATIENCE:g} s"
        pause.wait(0.05)
    return result


class Clock:
    """Seconds that only waiting makes pass, for all threads."""

    def __init__(self) -> None:
        self.now = 100.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
