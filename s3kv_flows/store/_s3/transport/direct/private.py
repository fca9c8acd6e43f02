"""The private names of botocore and urllib3, for direct reads.

Each may be missing in another version; then the full client makes the requests.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

__all__ = ["body_reader", "is_instrumented", "session_of"]


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
