"""Lean responses against those of Python's HTTP client."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from s3kv_flows.store._s3.transport.direct.heads import LeanResponse

BODY = b"0123456789"
SIZED = f"Content-Length: {len(BODY)}\r\n"
HEADS = {
    "plain": f'HTTP/1.1 200 OK\r\n{SIZED}ETag: "x"\r\n\r\n',
    "no reason": f"HTTP/1.1 200\r\n{SIZED}\r\n",
    "spaces": f"HTTP/1.1 206  Partial \r\n{SIZED}A:b\r\nC:   d e  \r\nX:\r\n\r\n",
    "lines end with a line feed": f"HTTP/1.1 200 OK\n{SIZED}A: b\n\n",
    "colons": f"HTTP/1.1 200 OK\r\n{SIZED}Date: Mon, 23 Nov 2026 08:00:00 GMT\r\n\r\n",
    "other letters": f"HTTP/1.1 200 OK\r\n{SIZED}x-amz-meta-a: é\r\n\r\n",
    "continued": f"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{SIZED}\r\n",
    "folded": f"HTTP/1.1 200 OK\r\n{SIZED}A: b\r\n  c\r\n\r\n",
    "old": f"HTTP/1.0 200 OK\r\n{SIZED}\r\n",
    "old, kept": f"HTTP/1.0 200 OK\r\n{SIZED}Connection: keep-alive\r\n\r\n",
    "closing": f"HTTP/1.1 200 OK\r\n{SIZED}Connection: Close\r\n\r\n",
    "without a length": "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
    "nothing": "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n",
    "not modified": f"HTTP/1.1 304 Not Modified\r\n{SIZED}\r\n",
    "in chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nA: b\r\n\r\na\r\n",
}


def read(kind: type[http.client.HTTPResponse], head: str) -> Any:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        end = b"\r\n0\r\n\r\n" if "Chunked" in head else b""
        theirs.sendall(head.encode("latin-1") + BODY + end)
        theirs.shutdown(socket.SHUT_WR)
        response = kind(ours, method="GET")
        response.begin()
        buffer = bytearray(64)
        count = response.readinto(buffer)
        while more := response.readinto(memoryview(buffer)[count:]):
            count += more
        return response, bytes(buffer[:count])


@pytest.mark.parametrize("what", HEADS)
def test_they_say_the_same(what: str) -> None:
    (lean, our_body), (plain, their_body) = (
        read(kind, HEADS[what]) for kind in (LeanResponse, http.client.HTTPResponse)
    )
    about = ("status", "reason", "version", "chunked", "will_close")
    assert [getattr(lean, one) for one in about] == [getattr(plain, one) for one in about]
    assert our_body == their_body
    if what != "folded":
        named = {name.lower(): value.strip() for name, value in plain.headers.items()}
        assert lean.by_name == named
    assert lean.isclosed() == plain.isclosed()


def test_values_of_one_name_are_joined_as_urllib3_joins_them() -> None:
    lean, _ = read(LeanResponse, f"HTTP/1.1 200 OK\r\n{SIZED}A: 1\r\nB: 2\r\na: 3\r\nC: x\r\n  y\r\n\r\n")
    joined = urllib3.HTTPHeaderDict([("A", "1"), ("a", "3")])
    assert (lean.by_name["a"], lean.by_name["c"]) == (joined["a"], "x y")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda head: head[:-2], ConnectionError),
        (lambda head: head[:-5], ConnectionError),
        (lambda head: head[:0], ConnectionError),
        (lambda head: head.replace("HTTP/1.1", "no HTTP"), http.client.HTTPException),
        (lambda head: head[:-2] + "no header\r\n\r\n", http.client.HTTPException),
        (lambda head: head[:-2] + "A: b\r\n" * 101 + "\r\n", http.client.HTTPException),
        (lambda head: head[:-2] + f"A: {'b' * 70_000}\r\n\r\n", http.client.HTTPException),
        (lambda head: head[:-2] + "Content-Length: 11\r\n\r\n", http.client.HTTPException),
        (lambda head: head.replace("10", "ten"), http.client.HTTPException),
    ],
)
def test_what_is_malformed_or_cut_off_is_an_error(
    make: Callable[[str], str], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.BODY", b"")
    with pytest.raises(error):
        read(LeanResponse, make(HEADS["plain"]))
