"""Run requests concurrently, and background work at low priority."""

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
"""Threads of one tag search: its requests are small, and take little but the network's latency."""

WORKERS = 16
"""Threads of one bulk operation; a client keeps twice as many connections."""

_THREADS = "s3kv-bulk"

_NICENESS = 5
"""When all processors are busy, such a thread gets a third of the time of another one. It also holds Python's
global lock at times, so that with much less, the process would wait for it."""

_NO_MORE = "cannot schedule new futures"
"""What a pool says, before it takes the work, when the interpreter exits."""

T = TypeVar("T")
R = TypeVar("R")


def map_concurrently(work: Callable[[T], R], items: Iterable[T], *, workers: int = WORKERS) -> Iterator[R]:
    """Yield ``work(item)`` for each item, in order, and run the next ones concurrently.

    A nested call runs one by one, so that threads and connections stay bounded. At most ``2 * workers``
    items are taken ahead, so that a lazy listing of any length stays lazy. After the first error, no further
    item is started. When the interpreter exits, it gives no threads any more: the rest runs one by one.
    """
    remaining = iter(items)
    if threading.current_thread().name.startswith(_THREADS):  # nested in another bulk operation
        yield from map(work, remaining)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix=_THREADS) as pool:
        window: deque[Future[R]] = deque(_submit(pool, work, item) for item in islice(remaining, 2 * workers))
        try:
            while window:
                yield window.popleft().result()
                window.extend(_submit(pool, work, item) for item in islice(remaining, 1))
        finally:
            for future in window:
                future.cancel()


def _submit(pool: ThreadPoolExecutor, work: Callable[[T], R], item: T) -> Future[R]:
    """Submit work to a pool; do it at once if the pool takes none because the interpreter exits."""
    try:
        return pool.submit(work, item)
    except RuntimeError as exc:
        if _NO_MORE not in str(exc):
            raise
    done: Future[R] = Future()
    try:
        done.set_result(work(item))
    except Exception as exc:  # noqa: BLE001  # as from the pool
        done.set_exception(exc)
    return done


def run_in_background_priority(work: Callable[[], R]) -> R:
    """Run work in a thread with low priority, and wait for it.

    Its bulk operations run one by one. On Linux, where each thread has a priority, its priority is low. A
    process that exits does not wait for it.
    """
    context = copy_context()

    def run(result: Future[R]) -> None:
        try:
            _lower_priority()
            result.set_result(context.run(work))
        except BaseException as exc:  # noqa: BLE001  # the waiting thread raises it
            result.set_exception(exc)
        finally:
            del result  # an exception refers to this frame, and thereby to the work

    result: Future[R] = Future()
    thread = threading.Thread(target=run, args=(result,), name=f"{_THREADS}-background", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # newer Pythons start no threads when they exit
        return work()
    try:
        return result.result()
    finally:
        del result


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere, the id of a thread may be that of another process
        with suppress(OSError):  # a sandbox may forbid it
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` items (``itertools.batched`` is newer than Python 3.10)."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
