"""The private names of botocore and urllib3, for direct reads.

Each may be missing in another version; then the full client makes the requests.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from urllib3.exceptions import ClosedPoolError

__all__ = [
    "body_reader",
    "is_instrumented",
    "put_back",
    "session_of",
    "take_open",
    "usable_pool",
    "watch_connections",
]


_LAST_LINES = (b"\r\n", b"\n")
_BROKE_OFF = "the headers broke off"


def session_of(client: Any) -> Any | None:
    """Return the HTTP session of a client, with its ``send`` and ``close``; None if it is not found."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    return session if hasattr(session, "send") and hasattr(session, "close") else None


def is_instrumented(client: Any) -> bool:
    """Tell whether other code stands around the calls of a client, which it would miss direct reads.

    OpenTelemetry, Datadog and X-Ray wrap the method; tests of others replace it.
    """
    method = getattr(type(client), "_make_api_call", None)
    # botocore's own decorators are functions, too.
    return not (isinstance(method, FunctionType) and method.__globals__["__name__"].startswith("botocore."))


def body_reader(raw: Any) -> Callable[[memoryview], int]:
    """Return a function that reads a body into a buffer: the socket's own ``readinto``, if it is found."""
    # urllib3's own would copy each slice; botocore's own is missing in older versions.
    inner = getattr(raw, "_fp", None)
    readinto = getattr(inner, "readinto", None) or getattr(raw, "readinto", None)
    if readinto is not None:
        found: Callable[[memoryview], int] = readinto
        return found

    def read(view: memoryview) -> int:
        data = raw.read(len(view))
        view[: len(data)] = data
        return len(data)

    return read


def watch_connections(session: Any, note: Callable[[Any], object]) -> None:
    """Let a session tell which connection each of its requests uses, and refuse headers that broke off.

    A version of botocore with other names does neither. A server that sends a byte now and then is not cut
    off then.

    Args:
        session: The HTTP session of a client.
        note: Called with the connection, in the thread of the request.
    """
    manager: Any = getattr(session, "_manager", None)
    classes = getattr(manager, "pool_classes_by_scheme", None)
    if not isinstance(classes, dict) or not hasattr(session, "_pool_classes_by_scheme"):
        return
    watched = {scheme: _watched(pool_class, note) for scheme, pool_class in classes.items()}
    session._pool_classes_by_scheme = manager.pool_classes_by_scheme = watched  # noqa: SLF001


def _watched(pool_class: Any, note: Callable[[Any], object]) -> Any:
    connection_class = pool_class.ConnectionCls

    def request(self: Any, *args: Any, **options: Any) -> Any:
        note(self)
        return connection_class.request(self, *args, **options)

    def consume_headers(_self: Any, lines: Any) -> None:
        """Read what follows ``100 Continue``; botocore's own would never end where a connection does."""
        while (line := lines.readline()) not in _LAST_LINES:
            if not line:
                raise ConnectionError(_BROKE_OFF)

    about = {
        "__module__": connection_class.__module__,
        "request": request,
        "_consume_headers": consume_headers,
        "response_class": _whole(connection_class.response_class),
    }
    watched = type(connection_class.__name__, (connection_class,), about)
    about = {"__module__": pool_class.__module__, "ConnectionCls": watched}
    return type(pool_class.__name__, (pool_class,), about)


class _Lines:
    """A response as a file, which knows whether the last line that was read ends the headers."""

    def __init__(self, file: Any) -> None:
        self.file, self.is_ended = file, False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self.file.readline(limit)
        self.is_ended = line in _LAST_LINES
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _whole(response_class: Any) -> Any:
    """Return a class of responses that are whole, or none.

    Where a connection breaks within the headers, Python takes those that arrived for all: a lock would be
    none, and a write would have no version.
    """

    def begin(self: Any) -> None:
        if self.headers is not None:
            return
        lines = self.fp = _Lines(self.fp)
        try:
            response_class.begin(self)
        finally:
            if self.fp is lines:
                self.fp = lines.file
        if not lines.is_ended:
            raise ConnectionError(_BROKE_OFF)

    about = {"__module__": response_class.__module__, "begin": begin}
    return type(response_class.__name__, (response_class,), about)


def usable_pool(raw: Any) -> Any | None:
    """Return the pool of connections that a response of urllib3 came from; None if it cannot be used.

    Behind a proxy, a request may have to name its host.
    """
    pool = getattr(raw, "_pool", None)
    if not type(pool).__module__.startswith("botocore.") or getattr(pool, "proxy", pool) is not None:
        return None
    names = ("_get_conn", "_put_conn")
    return pool if all(hasattr(pool, name) for name in names) else None


def take_open(pool: Any) -> Any | None:
    """Take a connection that is open from a pool.

    Returns:
        None if no connection is open, or if other code stands around the pool, which would miss the request.
    """
    urlopen = getattr(type(pool), "urlopen", None)
    if not (isinstance(urlopen, FunctionType) and urlopen.__globals__["__name__"].startswith("urllib3.")):
        return None
    try:
        connection = pool._get_conn()  # noqa: SLF001
    except ClosedPoolError:
        return None
    if getattr(connection, "sock", None) is None:
        put_back(pool, connection)
        return None
    return connection


def put_back(pool: Any, connection: Any) -> None:
    """Return a connection, open or closed, to its pool."""
    pool._put_conn(connection)  # noqa: SLF001
