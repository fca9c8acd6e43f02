"""A server with prepared responses, which can break off or stall."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

MODIFIED = "Mon, 23 Nov 2026 08:00:00 GMT"


@dataclass(frozen=True)
class Asked:
    """A request: its method, its target, and its headers with lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """The region of its signature."""
        return self.headers["authorization"].split("/")[2]


Respond = Callable[[Asked], bytes]


def answer(status: str, body: bytes = b"", **headers: str | None) -> bytes:
    """Return a response; ``_`` stands for ``-`` in the names of headers. None leaves a header out."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    named = {**named, "Content-Length": named.get("Content-Length", str(len(body)))}
    if "Transfer-Encoding" in named:
        del named["Content-Length"]
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {text}" for name, text in named.items() if text is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(status: str, body: bytes, **headers: str | None) -> bytes:
    """Return a response without its length, in two chunks."""
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
    head = answer(status, b"", Transfer_Encoding="chunked", **headers)
    return head + chunks + b"0\r\n\r\n"


class FaultyServer:
    """Answers what it is asked, one request after the other on each connection.

    Args:
        respond: Returns the bytes of a response.

    Attributes:
        asked: What it was asked.
        cut: Called with the number of a request, from 0 on: how many bytes of the answer are sent before
            the connection is closed; None for all.
        silent: The numbers of the requests that get no answer, while their connections stay open.
    """

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.asked: list[Asked] = []
        self.cut: Callable[[int], int | None] = lambda _: None
        self.silent: set[int] = set()
        self.connections = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """Count requests from 0 on again."""
        self.asked.clear()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for opened in self._sockets:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                opened, _ = self._listener.accept()
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._sockets.append(opened)
                threading.Thread(target=self._serve, args=(opened,), daemon=True).start()

    def _serve(self, opened: socket.socket) -> None:
        with suppress(OSError), opened, opened.makefile("rb") as lines:
            while head := lines.readline():
                headers = {}
                while (line := lines.readline().strip()) != b"":
                    name, _, text = line.decode().partition(":")
                    headers[name.lower()] = text.strip()
                lines.read(int(headers.get("content-length", 0)))
                method, target, _ = head.decode().split(" ", 2)
                with self._lock:
                    number = len(self.asked)
                    self.asked.append(Asked(method, target, headers))
                if number not in self.silent and not self._send(opened, self.asked[number], number):
                    return

    def _send(self, opened: socket.socket, asked: Asked, number: int) -> bool:
        """Send an answer; return whether the connection stays open."""
        data = self.respond(asked)
        sent = self.cut(number)
        opened.sendall(data if sent is None else data[:sent])
        return sent is None
