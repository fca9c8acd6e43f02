"""SIGTERM, put off until a safe moment: a loop ends its step, saves, and then ends as it would have.

Prefect's worker sends SIGTERM to a run that is to stop, and Prefect raises an error in its main thread,
wherever that is: in the middle of a step, when a state is neither old nor new.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from typing_extensions import Self

__all__ = ["Deferred"]

_Handler = Callable[[int, FrameType | None], Any] | int | None


class Deferred:
    """Notes a SIGTERM instead of heeding it, within a ``with`` block and for a limited time.

    Blocks may lie within each other, or overlap: they share one handler, and who is the first to come to a
    safe moment heeds the signal for all. Outside of the main thread it does nothing: Python lets only that
    handle signals.

    Args:
        seconds: After this time, SIGTERM is heeded whatever goes on. Of several blocks, the first decides.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._handling: _Handling | None = None
        self._is_inside = False

    @property
    def requested(self) -> bool:
        """Whether a SIGTERM waits to be heeded."""
        return self._handling is not None and self._handling.requested

    def is_over(self) -> bool:
        """Tell whether there was a SIGTERM, and the time that it may wait is over."""
        return self._handling is not None and self._handling.is_over()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._handling = _Handling.joined(self._seconds)
            self._is_inside = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._handling is not None and self._is_inside:
            self._is_inside = False
            self._handling.leave()

    def honour(self) -> None:
        """End now as the process would have ended, where that was asked for.

        Raises:
            SystemExit: In another thread than the main one, which is told to end, too.
        """
        if self._handling is not None:
            self._handling.honour()


class _Handling:
    """The handler that blocks share, until the last of them ends."""

    def __init__(self, seconds: float, former: _Handler) -> None:
        self._seconds, self._former = seconds, former
        self._process = os.getpid()
        self._blocks = 0
        self._give_up_at: float | None = None
        self._timer: threading.Timer | None = None
        self.requested = False

    @classmethod
    def joined(cls, seconds: float) -> _Handling:
        """Return the handler that is there, or install one."""
        former = signal.getsignal(signal.SIGTERM)
        found = getattr(former, "__self__", None)
        if not isinstance(found, cls):
            found = cls(seconds, former)
            signal.signal(signal.SIGTERM, found.note)
        found._blocks += 1
        return found

    def leave(self) -> None:
        self._blocks -= 1
        if self._blocks == 0:
            self._restore()

    def is_over(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def note(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature of a handler
        if os.getpid() != self._process:  # a forked child has inherited this, and has nothing to save
            self.requested = True
        if self.requested:  # a second time: of somebody who cannot wait, or of the timer
            self.honour()
            return
        self.requested = True
        self._give_up_at = time.monotonic() + self._seconds
        self._timer = threading.Timer(self._seconds, os.kill, (os.getpid(), signal.SIGTERM))
        self._timer.daemon = True
        self._timer.start()

    def honour(self) -> None:
        if not self.requested:
            return
        if threading.current_thread() is not threading.main_thread():
            os.kill(os.getpid(), signal.SIGTERM)  # the main thread hears it a second time
            raise SystemExit(128 + signal.SIGTERM)
        self._restore()
        self.requested = False
        signal.raise_signal(signal.SIGTERM)
        self._give_up_at = None  # whoever handles signals lets this process live on

    def _restore(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and getattr(signal.getsignal(signal.SIGTERM), "__self__", None) is self:
            signal.signal(signal.SIGTERM, self._former or signal.SIG_DFL)
