"""Circuit breaker: refuses requests to a server that is down.

So that it costs the first operation its time limit, and the next ones nothing.
"""

from __future__ import annotations

import threading
import time

from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = ["Breaker", "DownError"]

logger = loggable(__name__)

_CONNECTS = 3
_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0


class DownError(StoreUnavailableError):
    """The server was down a moment ago, and was not asked again."""


class Breaker:
    """Refuses requests to a server that was down a moment ago.

    It opens when nothing at all was heard from the server during the time limit of an operation, or when
    three attempts to connect failed in a row. Once a pause has passed, one operation asks the server again;
    the pauses double from 5 to 60 seconds. Any response closes it.

    Args:
        server: The name of the server in messages.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._heard = time.monotonic()
        self._failed_connects = 0
        self._pause = 0.0
        self._asks_again = 0.0
        self._is_asking = False
        self._asking: object = None
        self._reason = ""

    @property
    def is_open(self) -> bool:
        """Whether requests are refused."""
        return self._pause > 0

    def require_closed(self, operation: object = None) -> None:
        """Let a request pass, or refuse it.

        Args:
            operation: What it belongs to: all attempts of the one that asks again pass.

        Raises:
            DownError: The server was down a moment ago.
        """
        if not self._pause:
            return
        with self._lock:
            now = time.monotonic()
            if self._is_asking and operation is not None and self._asking is operation:
                return
            if self._pause and now < self._asks_again:
                raise DownError(
                    f"cannot reach {self._server}: a moment ago {self._reason}; it is asked again in "
                    f"{self._asks_again - now:.0f} s"
                )
            self._asks_again, self._is_asking, self._asking = now + self._pause, True, operation

    def heard(self) -> None:
        """Note a response of the server."""
        self._heard = time.monotonic()
        if not self._failed_connects and not self._pause:
            return
        with self._lock:
            was_open, self._pause, self._failed_connects = self.is_open, 0.0, 0
            self._is_asking, self._asking = False, None
        if was_open:
            logger.info("%s answers again", self._server)

    def did_not_connect(self, reason: object) -> None:
        """Note that an attempt to connect failed."""
        with self._lock:
            self._failed_connects += 1
            opens = self._failed_connects >= _CONNECTS
        if opens:
            self._open(f"three attempts to connect failed: {reason}")

    def ran_out_of_time(self, began: float) -> None:
        """Note that the time of an operation was over.

        Args:
            began: When it began, by ``time.monotonic()``. A response to another one since then says that the
                server is not down.
        """
        if self._heard <= began:
            self._open("it did not answer")

    def _open(self, reason: str) -> None:
        with self._lock:
            was_open = self.is_open
            if was_open and not self._is_asking:
                return  # by one of many requests that were under way
            self._is_asking, self._asking, self._reason = False, None, reason
            self._pause = min(2 * self._pause, _LONGEST_PAUSE) if was_open else _FIRST_PAUSE
            self._asks_again = time.monotonic() + self._pause
        if not was_open:
            logger.error("Until %s answers, requests fail at once: %s", self._server, reason)
