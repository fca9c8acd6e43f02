"""Work that goes on in the background, one piece at a time: what comes meanwhile replaces what waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

__all__ = ["LatestOnly", "each", "left_loops_are_closed", "to_the_end", "until_done"]

T = TypeVar("T")

_LOOK_SECONDS = 0.2
"""How often it is looked whether to wait on."""


class LatestOnly(Generic[T]):
    """Does the newest of what it is given, in a thread that ends when nothing is left to do.

    Args:
        work: Does one. Its error is told to who waits for that piece; where nobody does, by :meth:`check` or
            :meth:`wait`.
        name: The name of the thread.
        then: Done after each piece that could be done, when those who waited have been told.
        replaced: Done with each piece that is not to be done any more.
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
        self._told: list[Future[BaseException | None]] = []
        self._running = False
        self._error: BaseException | None = None

    def offer(self, item: T) -> Future[BaseException | None]:
        """Do this next, instead of what waits, which is done when this is.

        Returns:
            Its result is what an earlier piece could not be done for, where nobody knew yet.
        """
        told: Future[BaseException | None] = Future()
        with self._changed:
            replaced, self._waiting = self._waiting, [item]
            self._told.append(told)
            if not self._running:
                run = partial(copy_context().run, self._run)  # it logs as a part of the run
                threading.Thread(target=run, name=self._name, daemon=True).start()
                self._running = True  # it waits for this block to end
        for one in replaced:
            self._replaced(one)
        return told

    def check(self) -> None:
        """Raise what an earlier piece could not be done for, where nobody knows yet."""
        with self._changed:
            self._raise()

    def wait_for(
        self, told: Future[BaseException | None], give_up: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait until a piece is done, or to be given up; tell whether it is done.

        Where it is, what had become of those before it does not matter any more.

        Raises:
            BaseException: It could not be done.
        """
        self._wait(lambda: told.done() or give_up())
        if not told.done():
            return False
        error = told.exception()
        with self._changed:
            if self._error is (error or told.result()):
                self._error = None
        if error is not None:
            raise error
        return True

    def wait(self, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Wait until nothing is left to do, or it is to be given up; tell whether nothing is left.

        Args:
            give_up: Looked at after each piece, and a few times a second.

        Raises:
            BaseException: What was given could not be done, and nobody knows yet.
        """
        self._wait(lambda: not self._running or give_up())
        with self._changed:
            self._raise()
            return not self._running

    def _wait(self, ended: Callable[[], bool]) -> None:
        with self._changed:
            while not ended():
                self._changed.wait(_LOOK_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._running = False
                    self._changed.notify_all()
                    return
                item, told = self._waiting.pop(), self._told
                self._told = []
            error = _error_of(partial(self._work, item))
            with self._changed:
                self._error = error or self._error
                for one in told:
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
    """Call, and return the error: whoever waits raises it, and the thread goes on."""
    try:
        call()
    except BaseException as exc:  # noqa: BLE001  # as above
        return exc
    return None


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
