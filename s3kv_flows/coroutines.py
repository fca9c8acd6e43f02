"""What coroutines need of threads, loops and iterables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["each", "left_loops_are_closed", "to_the_end", "until_done"]

T = TypeVar("T")


async def left_loops_are_closed() -> None:
    """Let the event loop close a loop that was left by ``break``."""
    for _ in range(2):
        await asyncio.sleep(0)


async def to_the_end(work: Coroutine[Any, Any, object], after: Callable[[], object]) -> None:
    """Wait for work, which goes on where the one that waits is cancelled; then, something is done after."""
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        doing.add_done_callback(lambda _: after())
        raise


async def until_done(told: Future[BaseException | None]) -> None:
    """Wait for a future of threads, which goes on where the one that waits is cancelled."""
    loop, is_done = asyncio.get_running_loop(), asyncio.Event()
    told.add_done_callback(lambda _: loop.call_soon_threadsafe(is_done.set))
    await is_done.wait()


async def each(items: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    """Yield the items of an iterable of either kind."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
