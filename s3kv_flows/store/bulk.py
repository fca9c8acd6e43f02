"""Many requests at once, in bounded numbers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["WORKERS", "batched", "concurrently"]

WORKERS = 16
"""Threads of one bulk operation; a client keeps twice as many connections."""

_THREADS = "s3kv-bulk"

T = TypeVar("T")
R = TypeVar("R")


def concurrently(work: Callable[[T], R], items: Iterable[T], *, workers: int = WORKERS) -> Iterator[R]:
    """Yield ``work(item)`` of each item, in order, while the next ones are under way.

    One within another works one by one, so that threads and connections stay bounded. At most
    ``2 * workers`` items are taken ahead, so that a lazy listing of any length stays lazy. The
    first error ends it: what has not begun is not done.
    """
    remaining = iter(items)
    if threading.current_thread().name.startswith(_THREADS):  # within another bulk operation
        yield from map(work, remaining)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix=_THREADS) as pool:
        window: deque[Future[R]] = deque(pool.submit(work, item) for item in islice(remaining, 2 * workers))
        try:
            while window:
                yield window.popleft().result()
                window.extend(pool.submit(work, item) for item in islice(remaining, 1))
        finally:
            for future in window:
                future.cancel()


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` items (``itertools.batched`` is newer than Python 3.10)."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
