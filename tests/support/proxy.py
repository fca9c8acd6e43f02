"""A TCP proxy that counts what goes over the wire, and can put a distance between the two ends."""

from __future__ import annotations

import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Wire:
    """What went over the wire. Bytes are all there were, headers included; bodies are counted apart."""

    connections: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    paths: list[str] = field(default_factory=list)
    bytes_sent: int = 0
    bytes_received: int = 0
    body_sent: int = 0
    body_received: int = 0

    def since(self, before: Wire) -> Wire:
        return Wire(
            self.connections - before.connections,
            self.requests - before.requests,
            self.paths[len(before.paths) :],
            self.bytes_sent - before.bytes_sent,
            self.bytes_received - before.bytes_received,
            self.body_sent - before.body_sent,
            self.body_received - before.body_received,
        )


_CHUNK = 1 << 20

Edit = Callable[[bytes], bytes]


def adding_headers(**headers: str) -> Edit:
    """Return an edit that adds headers to each successful response; ``_`` stands for ``-`` in their names."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()).encode()

    def edit(data: bytes) -> bytes:
        if not data.startswith((b"HTTP/1.1 200", b"HTTP/1.1 206")):
            return data
        status, _, rest = data.partition(b"\r\n")
        return status + b"\r\n" + lines + rest

    return edit


class CountingProxy:
    """Passes on what comes, and counts: connections, requests, responses, bytes.

    Args:
        target: URL of the server.
        round_trip: Seconds from here to the server and back. Each message begins to arrive half of it
            later, and the first of a connection one round trip after that, as TCP has it. What a network
            does to the bandwidth is not imitated.
    """

    def __init__(self, target: str, *, round_trip: float = 0) -> None:
        self._round_trip = round_trip
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._lock = threading.Lock()
        self._wire = Wire()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._break_after: int | None = None
        self._edits: dict[type[_Messages], Edit] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def break_next_answer(self, *, after: int) -> None:
        """Close the connection that brings the next answer when so many bytes of it have passed."""
        self._break_after = after

    @contextmanager
    def editing(self, *, requests: Edit | None = None, responses: Edit | None = None) -> Iterator[None]:
        """Change what passes in the block, piece by piece as it arrives; bodies must keep their length."""
        edits: dict[type[_Messages], Edit | None] = {_Requests: requests, _Responses: responses}
        self._edits = {kind: edit for kind, edit in edits.items() if edit is not None}
        try:
            yield
        finally:
            self._edits = {}

    def read(self) -> Wire:
        with self._lock:
            wire = self._wire
            return Wire(
                wire.connections,
                Counter(wire.requests),
                list(wire.paths),
                wire.bytes_sent,
                wire.bytes_received,
                wire.body_sent,
                wire.body_received,
            )

    @contextmanager
    def counting(self) -> Iterator[Wire]:
        """Yield a record that holds, after the block, what went over the wire within it."""
        before = self.read()
        result = Wire()
        yield result
        result.__dict__.update(self.read().since(before).__dict__)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()
        for thread in self._threads:
            thread.join(timeout=5)

    def close_connections(self) -> None:
        """Close all connections, as a server does with idle ones."""
        for opened in self._sockets:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        self._sockets.clear()

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for opened in (client, server):
                    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                with self._lock:
                    self._wire.connections += 1
                methods: deque[str] = deque()
                distance = _Distance(self._round_trip)
                self._start(self._pump, client, server, _Requests(self, methods), distance)
                self._start(self._pump, server, client, _Responses(self, methods), distance)

    def _pump(
        self, source: socket.socket, sink: socket.socket, messages: _Messages, distance: _Distance
    ) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        passes: int | None = None  # bytes until this connection breaks
        with suppress(OSError):
            while count := source.recv_into(buffer):
                data = buffer[:count]
                with self._lock:
                    messages.feed(data)
                    if isinstance(messages, _Responses) and self._break_after is not None:
                        passes, self._break_after = self._break_after, None
                if passes is not None and (passes := passes - count) <= 0:
                    source.shutdown(socket.SHUT_RDWR)
                    break
                distance.come_from(source)
                edit = self._edits.get(type(messages))
                sink.sendall(edit(bytes(data)) if edit else data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class _Distance:
    """Half a round trip between what one end of a connection hears and what it says to that."""

    def __init__(self, round_trip: float) -> None:
        self._round_trip = round_trip
        self._open_at = time.monotonic() + round_trip
        self._speaker: socket.socket | None = None

    def come_from(self, speaker: socket.socket) -> None:
        """Wait as long as it takes from the one end to the other, unless there is more of it already."""
        if not self._round_trip or speaker is self._speaker:
            return
        first, self._speaker = self._speaker is None, speaker
        time.sleep(self._round_trip / 2 + (max(0, self._open_at - time.monotonic()) if first else 0))


class _Messages(ABC):
    """Finds HTTP messages in a stream: a head, then a body of Content-Length, or in chunks."""

    def __init__(self, proxy: CountingProxy, methods: deque[str]) -> None:
        self._wire, self._methods = proxy._wire, methods
        self._buffer = b""
        self._body_left = 0
        self._chunked = False

    def feed(self, data: memoryview) -> None:
        self.count_bytes(len(data))
        while data:
            if self._body_left:
                taken = min(self._body_left, len(data))
                self._body_left -= taken
                self.count_body(taken)
                data = data[taken:]
                continue
            head, found, rest = (self._buffer + bytes(data)).partition(
                b"\r\n" if self._chunked else b"\r\n\r\n"
            )
            if not found:
                self._buffer = head
                return
            self._buffer, data = b"", memoryview(rest)
            if self._chunked:
                self._begin_chunk(head)
            else:
                self._body_left, self._chunked = self.begin(head.decode("latin-1").split("\r\n"))

    def _begin_chunk(self, line: bytes) -> None:
        if line:  # the empty one ends a chunk, and the last one the message
            size = int(line.split(b";")[0], 16)
            self._body_left, self._last_chunk = size, size == 0
        elif self._last_chunk:
            self._chunked = self._last_chunk = False

    _last_chunk = False

    @abstractmethod
    def count_bytes(self, count: int) -> None: ...

    @abstractmethod
    def count_body(self, count: int) -> None: ...

    @abstractmethod
    def begin(self, lines: list[str]) -> tuple[int, bool]:
        """Return the length of the body that follows, and whether it comes in chunks instead."""

    @staticmethod
    def body(lines: list[str]) -> tuple[int, bool]:
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        return int(headers.get("content-length", 0)), headers.get(
            "transfer-encoding", ""
        ).lower() == "chunked"


class _Requests(_Messages):
    def count_bytes(self, count: int) -> None:
        self._wire.bytes_sent += count

    def count_body(self, count: int) -> None:
        self._wire.body_sent += count

    def begin(self, lines: list[str]) -> tuple[int, bool]:
        method, path, _ = lines[0].split(" ", 2)
        self._methods.append(method)
        self._wire.requests[method] += 1
        self._wire.paths.append(f"{method} {path}")
        return self.body(lines)


class _Responses(_Messages):
    def count_bytes(self, count: int) -> None:
        self._wire.bytes_received += count

    def count_body(self, count: int) -> None:
        self._wire.body_received += count

    def begin(self, lines: list[str]) -> tuple[int, bool]:
        status = int(lines[0].split(" ")[1])
        if status == 100:  # "go on": the answer is still to come
            return 0, False
        method = self._methods.popleft()
        return (0, False) if method == "HEAD" or status in (204, 304) else self.body(lines)
