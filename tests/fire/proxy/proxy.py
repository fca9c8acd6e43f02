"""The proxy: an event loop in a thread, and dice for each connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from urllib.parse import urlsplit

from typing_extensions import Self

from tests.fire.proxy.faults import INSTEAD, Fault, applies_to, damaged, mismatch
from tests.fire.proxy.messages import Answered, Asked, read_answer, read_request

__all__ = ["Choose", "FireProxy"]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: a close sends RST

Choose = Callable[[Asked, Random], "Fault | None"]
"""Returns the fault of a request; called in the thread of the proxy."""


def _no_fault(_asked: Asked, _dice: Random) -> Fault | None:
    return None


class FireProxy:
    """Passes on requests and answers whole, except those that get a fault.

    Args:
        target: URL of the server.
        choose: Returns the fault of each request.
        seed: The dice of a connection are seeded with it and the number of the connection.
        pause: Seconds between two bytes that trickle.

    Attributes:
        choose: As the argument; may be replaced at any time.
        url: Where it listens.
        asked: How many requests there were, by operation.
        injected: How many faults there were, by operation and fault: those that changed something.
    """

    def __init__(
        self, target: str, choose: Choose = _no_fault, *, seed: int = 0, pause: float = 0.05
    ) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._seed, self._pause = seed, pause
        self.choose = choose
        self.asked: Counter[str] = Counter()
        self.injected: Counter[tuple[str, Fault]] = Counter()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="fire-proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def by_fault(self) -> Counter[Fault]:
        """How many faults of each kind there were."""
        counts: Counter[Fault] = Counter()
        for (_, fault), count in list(self.injected.items()):
            counts[fault] += count
        return counts

    def pass_all(self) -> None:
        """Inject no faults any more."""
        self.choose = _no_fault

    def close(self) -> None:
        """End all connections, and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # --- how -----------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = asyncio.start_server(self._accept, sock=self._listener)
        server = self._loop.run_until_complete(serving)
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        dice = Random(f"{self._seed}:{self._connections}")
        self._connections += 1
        upstream = _Upstream(self._target)
        try:
            with suppress(OSError, IncompleteReadError, asyncio.CancelledError):
                while await self._exchange(reader, writer, upstream, dice):
                    pass
        finally:
            upstream.close()
            writer.close()

    async def _exchange(
        self, reader: StreamReader, writer: StreamWriter, upstream: _Upstream, dice: Random
    ) -> bool:
        """Pass one request and its answer on; return whether the connection goes on."""
        asked = await read_request(reader, lambda: writer.write(_CONTINUE))
        if asked is None:
            return False
        self.asked[asked.operation] += 1
        fault = self.choose(asked, dice)
        if fault in INSTEAD:
            return await self._send(writer, self._counted(asked, fault, INSTEAD[fault]))
        if fault is Fault.RESET_BEFORE:
            self._counted(asked, fault)
            return _reset(writer)
        if fault is Fault.FLIP_SENT and (refusal := mismatch(asked, dice)):
            return await self._send(writer, self._counted(asked, fault, refusal))
        answered = await upstream.ask(asked)
        if fault is None or fault is Fault.FLIP_SENT or not applies_to(fault, asked, answered):
            return await self._send(writer, answered)
        self._counted(asked, fault)
        return await self._break(fault, answered, reader, writer, dice)

    async def _break(
        self, fault: Fault, answered: Answered, reader: StreamReader, writer: StreamWriter, dice: Random
    ) -> bool:
        """Let the answer of the server break."""
        if fault in (Fault.FLIP_BODY, Fault.FLIP_XML):
            return await self._send(writer, damaged(fault, answered, dice))
        if fault is Fault.RESET_AFTER:
            return _reset(writer)
        if fault is Fault.STALL:
            writer.write(answered.head[: dice.randrange(len(answered.head))])
            await writer.drain()
            await reader.read(1)  # until the other end has enough
            return False
        if fault is Fault.TRICKLE:
            return await self._trickle(writer, answered)
        writer.write(_cut(fault, answered, dice))
        await writer.drain()
        return False

    def _counted(self, asked: Asked, fault: Fault, answered: Answered | None = None) -> Answered:
        self.injected[asked.operation, fault] += 1
        if answered is not None and asked.method == "HEAD":
            return answered.with_body(b"")
        return answered or Answered(0, b"")

    async def _send(self, writer: StreamWriter, answered: Answered) -> bool:
        writer.write(answered.head)
        writer.write(answered.sent_body if answered.body or answered.is_chunked else b"")
        await writer.drain()
        return True

    async def _trickle(self, writer: StreamWriter, answered: Answered) -> bool:
        for byte in answered.head + answered.sent_body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(self._pause)
        return True


class _Upstream:
    """The connection to the server that belongs to one of a client."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._streams: tuple[StreamReader, StreamWriter] | None = None

    async def ask(self, asked: Asked) -> Answered:
        """Send a request; once more on a new connection if the server has closed an idle one."""
        is_new = self._streams is None
        try:
            return await self._ask(asked)
        except (IncompleteReadError, OSError) as exc:
            self.close()
            if is_new or (isinstance(exc, IncompleteReadError) and exc.partial):
                raise
            return await self._ask(asked)

    async def _ask(self, asked: Asked) -> Answered:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._target)
        reader, writer = self._streams
        writer.write(asked.head)
        writer.write(asked.body)
        await writer.drain()
        answered = await read_answer(reader, asked.method)
        if b"connection: close" in answered.head.lower():
            self.close()
        return answered

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _reset(writer: StreamWriter) -> bool:
    opened: socket.socket = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
    return False


def _cut(fault: Fault, answered: Answered, dice: Random) -> bytes:
    if fault is Fault.CUT_HEADERS:
        return answered.head[: dice.randrange(1, len(answered.head))]
    body = answered.sent_body
    return answered.head + body[: dice.randrange(len(body))]
