"""Background work of checkpoints: one item at a time, the latest only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

__all__ = ["LatestOnly", "close_left_loops", "each", "run_to_end", "wait_for_future"]

T = TypeVar("T")

_POLL_SECONDS = 0.2
"""How often a waiting caller checks whether to give up."""


class LatestOnly(Generic[T]):
    """Processes the latest offered item, in a thread that ends when no item is left.

    Args:
        work: Processes one item. Its error is raised to the caller that waits for that item; if none does,
            by :meth:`check` or :meth:`wait`.
        name: The name of the thread.
        then: Called after each item that succeeded, once its future is set.
        replaced: Called with each item that will not be processed.
    """

    def __init__(
        self,
        work: Callable[[T], object],
        name: str,
        *,
        then: Callable[[], object] = lambda: None,
        replaced: Callable[[T], object] = lambda _: None,
    ) -> None:
        self._work, self._name, self._then, self._replaced = work, name, then, replaced
        self._changed = threading.Condition()
        self._waiting: list[T] = []
        self._futures: list[Future[BaseException | None]] = []
        self._running = False
        self._error: BaseException | None = None

    def offer(self, item: T) -> Future[BaseException | None]:
        """Process this item next, instead of a waiting one, whose future is set together with this one.

        Returns:
            A future; its result is the error of an earlier item, if that has not been raised yet.
        """
        future: Future[BaseException | None] = Future()
        with self._changed:
            replaced, self._waiting = self._waiting, [item]
            self._futures.append(future)
            if not self._running:
                run = partial(copy_context().run, self._run)  # so that it logs as part of the run
                threading.Thread(target=run, name=self._name, daemon=True).start()
                self._running = True  # the thread waits for the end of this block
        for one in replaced:
            self._replaced(one)
        return future

    def check(self) -> None:
        """Raise the error of an earlier item, if that has not been raised yet."""
        with self._changed:
            self._raise()

    def wait_for(
        self, future: Future[BaseException | None], give_up: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait until an item is processed, or ``give_up`` returns True; return whether it is processed.

        If it succeeded, errors of earlier items no longer matter.

        Raises:
            BaseException: The error of the item.
        """
        self._wait(lambda: future.done() or give_up())
        if not future.done():
            return False
        error = future.exception()
        with self._changed:
            if self._error is (error or future.result()):
                self._error = None
        if error is not None:
            raise error
        return True

    def wait(self, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Wait until no item is left, or ``give_up`` returns True; return whether no item is left.

        Args:
            give_up: Called after each item, and a few times a second.

        Raises:
            BaseException: The error of an earlier item, if that has not been raised yet.
        """
        self._wait(lambda: not self._running or give_up())
        with self._changed:
            self._raise()
            return not self._running

    def _wait(self, ended: Callable[[], bool]) -> None:
        with self._changed:
            while not ended():
                self._changed.wait(_POLL_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._running = False
                    self._changed.notify_all()
                    return
                item, futures = self._waiting.pop(), self._futures
                self._futures = []
            error = _error_of(partial(self._work, item))
            with self._changed:
                self._error = error or self._error
                for one in futures:
                    one.set_exception(error) if error is not None else one.set_result(self._error)
                self._changed.notify_all()
            if error is None and (error := _error_of(self._then)) is not None:
                with self._changed:
                    self._error = error

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


def _error_of(call: Callable[[], object]) -> BaseException | None:
    """Call; return the error, which the waiting caller raises, so that the thread continues."""
    try:
        call()
    except BaseException as exc:  # noqa: BLE001  # as above
        return exc
    return None


async def close_left_loops() -> None:
    """Let the event loop close an async generator that was left by ``break``."""
    for _ in range(2):
        await asyncio.sleep(0)


async def run_to_end(work: Coroutine[Any, Any, object], after: Callable[[], object]) -> None:
    """Wait for work that continues if the caller is cancelled; in that case, call ``after`` at its end."""
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        doing.add_done_callback(lambda _: after())
        raise


async def wait_for_future(future: Future[BaseException | None]) -> None:
    """Wait for a future of a thread, which continues if the caller is cancelled."""
    loop, is_done = asyncio.get_running_loop(), asyncio.Event()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(is_done.set))
    await is_done.wait()


async def each(items: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    """Yield the items of an iterable of either kind."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
