from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, seconds: float = 30) -> T:
    """Return what the condition returns as soon as that is true; fail when it takes too long."""
    give_up_at = time.monotonic() + seconds
    pause = threading.Event()
    while not (result := condition()):
        assert time.monotonic() < give_up_at, f"still not so after {seconds} s"
        pause.wait(0.05)
    return result
