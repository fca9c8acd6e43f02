"""Deferred SIGTERM: end the step, save, then honour the signal.

Prefect's worker sends SIGTERM to stop a run, and Prefect raises an error in its main thread, wherever that
is: in the middle of a step, when a state is half changed.
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
    """Records a SIGTERM instead of honouring it, within a ``with`` block and for a limited time.

    Blocks may be nested, or overlap: they share one handler, and the first one that calls :meth:`honour`
    does so for all. Outside of the main thread it does nothing: Python handles signals only there.

    Args:
        seconds: After this time, SIGTERM is honoured in any case. Of several blocks, the first decides.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._handling: _Handling | None = None
        self._is_inside = False

    @property
    def requested(self) -> bool:
        """Whether a SIGTERM is deferred."""
        return self._handling is not None and self._handling.requested

    def is_over(self) -> bool:
        """Return whether a SIGTERM was received, and the time for which it may be deferred is over."""
        return self._handling is not None and self._handling.is_over()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._handling = _Handling.join(self._seconds)
            self._is_inside = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._handling is not None and self._is_inside:
            self._is_inside = False
            self._handling.leave()

    def honour(self) -> None:
        """Raise a deferred SIGTERM now, so that the process ends as without this block.

        Raises:
            SystemExit: Outside of the main thread, to which the signal is sent, too.
        """
        if self._handling is not None:
            self._handling.honour()


class _Handling:
    """The signal handler that blocks share, until the last of them ends."""

    def __init__(self, seconds: float, former: _Handler) -> None:
        self._seconds, self._former = seconds, former
        self._process = os.getpid()
        self._blocks = 0
        self._deadline: float | None = None
        self._timer: threading.Timer | None = None
        self.requested = False

    @classmethod
    def join(cls, seconds: float) -> _Handling:
        """Return the installed handler, or install one."""
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
        return self._deadline is not None and time.monotonic() >= self._deadline

    def note(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature of a handler
        if os.getpid() != self._process:  # a forked child inherits the handler, and has nothing to save
            self.requested = True
        if self.requested:  # the second one: from a sender that cannot wait, or from the timer
            self.honour()
            return
        self.requested = True
        self._deadline = time.monotonic() + self._seconds
        self._timer = threading.Timer(self._seconds, os.kill, (os.getpid(), signal.SIGTERM))
        self._timer.daemon = True
        self._timer.start()

    def honour(self) -> None:
        if not self.requested:
            return
        if threading.current_thread() is not threading.main_thread():
            os.kill(os.getpid(), signal.SIGTERM)  # which the main thread then honours as the second one
            raise SystemExit(128 + signal.SIGTERM)
        self._restore()
        self.requested = False
        signal.raise_signal(signal.SIGTERM)
        self._deadline = None  # the former handler has let the process continue

    def _restore(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and getattr(signal.getsignal(signal.SIGTERM), "__self__", None) is self:
            signal.signal(signal.SIGTERM, self._former or signal.SIG_DFL)
