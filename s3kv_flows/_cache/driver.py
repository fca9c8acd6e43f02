"""Drive generators that wait, in threads or in event loops.

A generator sends its requests between two yields, and yields a :class:`Wait`. :func:`run` runs it in
the caller's thread; :func:`arun` runs each step in a worker thread and waits in the event loop, so that
a thousand waiting runs need no thread each.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Wait", "arun", "run"]

T = TypeVar("T")


@dataclass(frozen=True)
class Wait:
    """A wait before the next step.

    Attributes:
        seconds: For how long at most; None for as long as ``until`` takes.
        until: A future that may end the wait before.
    """

    seconds: float | None
    until: Future[None] | None = None


def run(steps: Generator[Wait, None, T]) -> T:
    """Run all steps; return the result of the generator."""
    try:
        while not isinstance(step := _advance(steps), _Done):
            if step.until is not None:
                wait([step.until], step.seconds)
            else:
                time.sleep(step.seconds or 0)
        return step.result
    finally:
        steps.close()


async def arun(steps: Generator[Wait, None, T], on_cancel: Callable[[T], object]) -> T:
    """Do as :func:`run`, with each step in a worker thread, and the waits in the event loop.

    Args:
        steps: The steps.
        on_cancel: Called after a cancellation if the current step, which cannot be stopped, was the last one,
            with the result: it releases what the steps acquired. The cancelled task does not wait for it,
            because it may be cancelled again. Steps that have not ended are closed: they release it.
    """
    work = _CancellableSteps(steps, on_cancel)
    try:
        while not isinstance(step := await asyncio.to_thread(work.advance), _Done):
            if step.until is not None:
                await asyncio.wait([asyncio.wrap_future(step.until)], timeout=step.seconds)
            else:
                await asyncio.sleep(step.seconds or 0)
    except asyncio.CancelledError:
        work.cancel()
        raise
    return step.result


class _CancellableSteps(Generic[T]):
    """Steps that run in threads, and are cancelled from the event loop."""

    def __init__(self, steps: Generator[Wait, None, T], on_cancel: Callable[[T], object]) -> None:
        self._steps, self._on_cancel = steps, on_cancel
        self._last: Wait | _Done[T] | None = None
        self._lock = threading.Lock()
        self._is_running = self._is_cancelled = False

    def advance(self) -> Wait | _Done[T]:
        with self._lock:
            if self._is_cancelled:
                return Wait(0)
            self._is_running = True
        try:
            self._last = _advance(self._steps)
            return self._last
        finally:
            with self._lock:
                self._is_running = False
                is_cancelled = self._is_cancelled
            if is_cancelled:
                self._clean_up()

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            is_running = self._is_running
        if not is_running:
            self._clean_up()

    def _clean_up(self) -> None:
        self._steps.close()
        if isinstance(self._last, _Done):
            self._on_cancel(self._last.result)


@dataclass(frozen=True)
class _Done(Generic[T]):
    result: T


def _advance(steps: Generator[Wait, None, T]) -> Wait | _Done[T]:
    # A StopIteration cannot leave a thread through a future.
    try:
        return next(steps)
    except StopIteration as stop:
        return _Done(stop.value)
