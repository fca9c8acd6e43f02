"""Requests on connections that botocore's session has opened already.

botocore and urllib3 take twice as long around a small exchange as the exchange itself. What they do when
they connect (names, proxies, TLS and its authorities) holds as long as the connection: a request on one that
is open is written to it, and its response is read by Python's HTTP client. Where none is open, the session
sends the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3kv_flows.store._s3.transport.direct.heads import LeanResponse
from s3kv_flows.store._s3.transport.direct.private import put_back, take_open, usable_pool
from s3kv_flows.store._s3.transport.time.limits import note_connection

__all__ = ["KeptConnections", "KeptResponse"]

_SCHEME = len("https://")


class KeptResponse:
    """A response on a kept connection, with the names that responses of botocore and urllib3 have.

    Args:
        pool: The pool of the connection.
        connection: The connection.
        response: The response.

    Attributes:
        status_code: The HTTP status.
        headers: The headers, with lower-case names.
        raw: The body: this object.
        readinto: Reads bytes into a buffer; returns how many, 0 at the end.
    """

    def __init__(self, pool: Any, connection: Any, response: LeanResponse) -> None:
        self._pool, self._connection, self._response = pool, connection, response
        self.status_code: int = response.status
        self.headers: Mapping[str, str] = response.by_name
        self.raw = self
        self.readinto = response.readinto

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        if self._connection is not None:
            self._connection.close()

    def release_conn(self) -> None:
        """Return the connection to the pool; close it, if anything of the body was not read."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._response.will_close or not self._response.isclosed():
                self._response.close()
                connection.close()
            put_back(self._pool, connection)


class KeptConnections:
    """Sends requests on the open connections of a session."""

    def __init__(self) -> None:
        self._pools: dict[str, Any] = {}

    def learn(self, url: str, raw: Any) -> None:
        """Remember from a response of the session which pool its connection belongs to.

        Args:
            url: The URL of the request.
            raw: The response of urllib3.
        """
        pool = usable_pool(raw)
        if pool is not None:
            self._pools[_split(url)[0]] = pool

    def send(self, request: Any, *, patience: float, silence: float) -> KeptResponse | None:
        """Send a GET on an open connection; return None if there is none.

        Args:
            request: The request.
            patience: For how long to wait for the response, in seconds.
            silence: For how long to wait for each part of its body.
        """
        origin, target = _split(request.url)
        pool = self._pools.get(origin)
        connection = take_open(pool) if pool is not None else None
        if connection is None:
            return None
        note_connection(connection)
        try:
            connection.sock.settimeout(patience)
            connection.sock.sendall(_head(target, request.headers))
            response = LeanResponse(connection.sock, method="GET")
            response.begin()
            connection.sock.settimeout(silence)
        except BaseException:
            connection.close()
            put_back(pool, connection)
            raise
        return KeptResponse(pool, connection, response)


def _split(url: str) -> tuple[str, str]:
    """Return the scheme and host of a URL, and what a request to that host names."""
    place = url.find("/", _SCHEME)
    return (url, "/") if place < 0 else (url[:place], url[place:])


def _head(target: str, headers: Mapping[str, str]) -> bytes:
    """Return the request, as Python's HTTP client would write it.

    Raises:
        ValueError: A header has several lines.
    """
    lines = [f"GET {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    if "Accept-Encoding" not in headers:
        lines.append("Accept-Encoding: identity")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a header has several lines")
    return f"{text}\r\n\r\n".encode()
