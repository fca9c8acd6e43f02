"""Work that pauses, for threads and event loops alike.

A generator does its requests between two yields, and yields what to wait for. :func:`drive` runs it in
the caller's thread; :func:`arun` runs each step in a worker thread and waits in the event loop, so that
a thousand who wait need no thread each.
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
    """What to wait for before the next step.

    Attributes:
        seconds: For how long at most; None for as long as ``until`` takes.
        until: What may end the pause before.
    """

    seconds: float | None
    until: Future[None] | None = None


def run(steps: Generator[Wait, None, T]) -> T:
    """Run all steps, and return what the last one does."""
    try:
        while not isinstance(step := _advance(steps), _Done):
            if step.until is not None:
                wait([step.until], step.seconds)
            else:
                time.sleep(step.seconds or 0)
        return step.result
    finally:
        steps.close()


async def arun(steps: Generator[Wait, None, T], abandoned: Callable[[], object]) -> T:
    """Do as :func:`drive`, each step in a worker thread, and the pauses in the event loop.

    Args:
        steps: The steps.
        abandoned: Called when this is cancelled, after the step that was under way, which cannot be stopped:
            what it took is to be given back. Nobody waits for it: who was cancelled once may be again.
    """
    work = _CancellableSteps(steps, abandoned)
    try:
        while not isinstance(step := await asyncio.to_thread(work.advance), _Done):
            if step.until is not None:
                await asyncio.wait([asyncio.wrap_future(step.until)], timeout=step.seconds)
            else:
                await asyncio.sleep(step.seconds or 0)
    except asyncio.CancelledError:
        work.abandon()
        raise
    return step.result


class _CancellableSteps(Generic[T]):
    """Steps that are taken in threads, and given up from the event loop."""

    def __init__(self, steps: Generator[Wait, None, T], abandoned: Callable[[], object]) -> None:
        self._steps, self._abandoned = steps, abandoned
        self._lock = threading.Lock()
        self._is_running = self._is_abandoned = False

    def advance(self) -> Wait | _Done[T]:
        with self._lock:
            if self._is_abandoned:
                return Wait(0)
            self._is_running = True
        try:
            return _advance(self._steps)
        finally:
            with self._lock:
                self._is_running = False
                is_abandoned = self._is_abandoned
            if is_abandoned:
                self._clean_up()

    def abandon(self) -> None:
        with self._lock:
            self._is_abandoned = True
            is_running = self._is_running
        if not is_running:
            self._clean_up()

    def _clean_up(self) -> None:
        self._steps.close()
        self._abandoned()


@dataclass(frozen=True)
class _Done(Generic[T]):
    result: T


def _advance(steps: Generator[Wait, None, T]) -> Wait | _Done[T]:
    # A StopIteration cannot leave a thread through a future.
    try:
        return next(steps)
    except StopIteration as stop:
        return _Done(stop.value)
