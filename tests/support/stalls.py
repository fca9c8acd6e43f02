"""A server that hangs, trickles or has no time, and counts who asks it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from tests.support.faults import Asked, FaultyServer, Respond


class StallingServer(FaultyServer):
    """Sends an answer up to some place, and then one byte now and then, or nothing any more.

    Attributes:
        place: Called with a request: after how many bytes of its answer it stalls; None for never.
        pause: Seconds between two bytes after that; None for no byte any more.
    """

    def __init__(self, respond: Respond) -> None:
        self.place: Callable[[Asked], int | None] = lambda _: None
        self.pause: float | None = None
        self._ends = threading.Event()
        super().__init__(respond)

    def close(self) -> None:
        self._ends.set()
        super().close()

    def _send(self, opened: socket.socket, asked: Asked, _number: int) -> bool:
        data = self.respond(asked)
        place = self.place(asked)
        if place is None:
            opened.sendall(data)
            return True
        opened.sendall(data[:place])
        with suppress(OSError):
            for byte in self._rest(data[place:]):
                opened.sendall(byte)
        return False

    def _rest(self, data: bytes) -> Iterator[bytes]:
        """Yield the bytes of an answer, slowly; end with the server."""
        for number in range(len(data)):
            if self._ends.wait(self.pause):
                return
            yield data[number : number + 1]
