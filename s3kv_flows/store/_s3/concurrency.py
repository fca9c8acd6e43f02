"""Tag sets of objects: S3's limits, checked before any request, and search.

The limits are those of the S3 user guide, "Categorizing your objects using tags".
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

__all__ = ["WORKERS", "batched", "map_concurrently", "run_in_background_priority"]

SEARCHERS = 32
"""Threads of one tag search: its questions are small, and take the time of their way alone."""

WORKERS = 16
"""Threads of one bulk operation; a client keeps twice as many connections."""

_THREADS = "s3kv-bulk"

_NICENESS = 5
"""Where processors are short, a thread of it gets a third of what another gets. It also holds Python's lock
now and then, so that with much less, a process would wait for itself."""

T = TypeVar("T")
R = TypeVar("R")


def map_concurrently(work: Callable[[T], R], items: Iterable[T], *, workers: int = WORKERS) -> Iterator[R]:
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


def run_in_background_priority(work: Callable[[], R]) -> R:
    """Do work in a thread that leaves processors and wire to others, and wait for it.

    What it does in bulk goes one by one. On Linux, where threads have a priority of their own, its is low.
    A process that ends does not wait for it.
    """
    context = copy_context()

    def run(result: Future[R]) -> None:
        try:
            _step_back()
            result.set_result(context.run(work))
        except BaseException as exc:  # noqa: BLE001  # whoever waits raises it
            result.set_exception(exc)
        finally:
            del result  # an error holds this frame, and with it what was to be done

    result: Future[R] = Future()
    threading.Thread(target=run, args=(result,), name=f"{_THREADS}-behind-all-else", daemon=True).start()
    try:
        return result.result()
    finally:
        del result


def _step_back() -> None:
    if sys.platform == "linux":  # elsewhere, the number of a thread may be the one of another process
        with suppress(OSError):  # a sandbox may forbid it
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` items (``itertools.batched`` is newer than Python 3.10)."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
