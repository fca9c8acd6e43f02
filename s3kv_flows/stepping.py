"""Work that pauses, for threads and event loops alike.

A generator does its requests between two yields, and yields what to wait for. :func:`drive` runs it in
the caller's thread; :func:`adrive` runs each step in a worker thread and waits in the event loop, so that
a thousand who wait need no thread each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Pause", "adrive", "drive"]

T = TypeVar("T")


@dataclass(frozen=True)
class Pause:
    """What to wait for before the next step.

    Attributes:
        seconds: For how long at most; None for as long as ``until`` takes.
        until: What may end the pause before.
    """

    seconds: float | None
    until: Future[None] | None = None


def drive(steps: Generator[Pause, None, T]) -> T:
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


async def adrive(steps: Generator[Pause, None, T]) -> T:
    """Do as :func:`drive`, each step in a worker thread. Cancelled, it lets the step under way end."""
    while True:
        working = asyncio.ensure_future(asyncio.to_thread(_advance, steps))
        try:
            step = await asyncio.shield(working)
            if isinstance(step, _Done):
                return step.result
            if step.until is not None:
                await asyncio.wait([asyncio.wrap_future(step.until)], timeout=step.seconds)
            else:
                await asyncio.sleep(step.seconds or 0)
        except asyncio.CancelledError:
            await asyncio.wait([working])
            await asyncio.to_thread(steps.close)
            raise


@dataclass(frozen=True)
class _Done(Generic[T]):
    result: T


def _advance(steps: Generator[Pause, None, T]) -> Pause | _Done[T]:
    # A StopIteration cannot leave a thread through a future.
    try:
        return next(steps)
    except StopIteration as stop:
        return _Done(stop.value)
