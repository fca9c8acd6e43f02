"""HTTP messages on asyncio's streams: a head, and a body of known length or in chunks."""

from __future__ import annotations

import re
from asyncio import IncompleteReadError, StreamReader
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.fire.proxy.operations import operation_of

__all__ = ["Answered", "Asked", "read_answer", "read_request"]

_NO_BODY = (204, 304)
_EXPECT = re.compile(rb"(?im)^expect:.*\r\n")


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        operation: The operation of S3; see :func:`operation_of`.
        head: Its first line and headers, with the empty line.
        headers: The headers, with lower-case names.
        body: The body as it is sent.
    """

    operation: str
    method: str
    target: str
    head: bytes
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answered:
    """An answer.

    Attributes:
        status: The HTTP status.
        head: Its first line and headers, with the empty line.
        body: The body, without the sizes of chunks.
        is_chunked: Whether it is sent in chunks.
    """

    status: int
    head: bytes
    body: bytes = b""
    is_chunked: bool = False

    @property
    def sent_body(self) -> bytes:
        """The body as it is sent."""
        if not self.is_chunked:
            return self.body
        half = (len(self.body) + 1) // 2
        parts = [part for part in (self.body[:half], self.body[half:]) if part]
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    @property
    def is_xml(self) -> bool:
        """Whether the body is a document."""
        return self.body.lstrip()[:1] == b"<"

    def with_body(self, body: bytes) -> Answered:
        """Return the answer with another body of the same length."""
        return replace(self, body=body)


async def read_request(stream: StreamReader, go_on: Callable[[], object]) -> Asked | None:
    """Return the next request; None at the end of the connection.

    Args:
        stream: The connection.
        go_on: Called if the body waits until it is asked for.
    """
    head = await _read_head(stream)
    if head is None:
        return None
    if _EXPECT.search(head):
        go_on()
        head = _EXPECT.sub(b"", head)
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    headers = _headers(head)
    body = await _read_sent_body(stream, headers)
    return Asked(operation_of(method, target, headers), method, target, head, headers, body)


async def read_answer(stream: StreamReader, method: str) -> Answered:
    """Return the next answer.

    Raises:
        IncompleteReadError: The connection ended.
    """
    status = 100
    while status == 100:
        head = await stream.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
    headers = _headers(head)
    if method == "HEAD" or status in _NO_BODY:
        return Answered(status, head)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Answered(status, head, await _read_chunks(stream), is_chunked=True)
    return Answered(status, head, await stream.readexactly(int(headers.get("content-length", 0))))


async def _read_head(stream: StreamReader) -> bytes | None:
    try:
        return await stream.readuntil(b"\r\n\r\n")
    except (IncompleteReadError, OSError):
        return None


async def _read_sent_body(stream: StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await _read_chunks(stream)
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    return await stream.readexactly(int(headers.get("content-length", 0)))


async def _read_chunks(stream: StreamReader) -> bytes:
    body = b""
    while size := int((await stream.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await stream.readexactly(size)
        await stream.readexactly(2)
    await stream.readuntil(b"\r\n")
    return body


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}
