"""The connections of a client: how many, and how old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from s3kv_flows.store._s3.transport.time.limits import current_limit

__all__ = ["Connections", "Turn"]

_OLDEST = 60.0
"""Seconds. A firewall or NAT forgets idle connections after some minutes (AWS after 350 s) and says nothing:
each would cost a read timeout. TCP keep-alive probes only after two hours."""


class Turn:
    """The right to use one connection, until :meth:`end`."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def end(self) -> None:
        """End the turn; further calls do nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __del__(self) -> None:
        self.end()  # of a body that nobody read or closed


class Connections:
    """Limits the connections of a client, and drops idle ones that may be dead.

    The pool of urllib3 does not wait: what exceeds it gets a connection that is closed after one request.

    Args:
        most: The limit; further requests wait for their turn.
        drop_idle: Closes the idle connections; those in use end normally.
    """

    def __init__(self, most: int, drop_idle: Callable[[], object]) -> None:
        self._turns = threading.BoundedSemaphore(most)
        self._drop_idle = drop_idle
        self._renewed = time.monotonic()

    def take_turn(self) -> Turn:
        """Wait until a connection may be used; the limit of the operation begins then."""
        if not self._turns.acquire(blocking=False):
            began, limit = time.monotonic(), current_limit()
            self._turns.acquire()  # those who have one have limits
            if limit is not None:
                limit.end += time.monotonic() - began
        turn = Turn(self._turns.release)
        if time.monotonic() - self._renewed > _OLDEST:
            self._renew()
        return turn

    def broke(self, since: float) -> None:
        """Drop the idle connections after one broke or stayed silent: it is rarely the only one.

        Args:
            since: When its request began. Connections that were renewed since are kept.
        """
        if since >= self._renewed:
            self._renew()

    def _renew(self) -> None:
        self._renewed = time.monotonic()
        self._drop_idle()
