"""Small reads: the one question that a tag search asks per key, without the weight of the full client.

A listing shows no tags, so a search asks once per key. Of that, botocore makes 3 ms of work for one core
(endpoint rules, events, models, measured on Python 3.11), which limits a search to 300 keys a second in
whatever number of threads, and its HTTP library 1 ms of these. Here the standard library sends the
signed GET: 0.7 ms in all. All that is not plain success is left to the full client, which knows
proxies, redirects to other regions, retries and errors.
"""

from __future__ import annotations

import http.client
import logging
import queue
import ssl
from collections.abc import Callable
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from s3kv_flows.store.signatures import Signer

__all__ = ["Connections", "SmallReads", "parse_tags"]

logger = logging.getLogger(__name__)

_FOUND, _MISSING = 200, 404
_LEFT_TO_THE_FULL_CLIENT = range(500, 600)  # it tries again; other answers will not get better


class Connections:
    """Connections to a server, kept open for whoever asks next.

    Args:
        origin: Such as ``https://s3.amazonaws.com``.
        timeout: Of each step, in seconds.
        certificates: The file or directory of the authorities to trust.
        keep: How many are kept.
    """

    def __init__(self, origin: str, *, timeout: float, certificates: str, keep: int) -> None:
        parts = urlsplit(origin)
        self._host, self._port = parts.hostname or "", parts.port
        self._timeout = timeout
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context()
            self._tls.load_verify_locations(certificates)
        # The last one comes first, so that those a server has closed meanwhile stay at the bottom.
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(keep)

    def get(self, target: str, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body of the answer to a GET."""
        connection = self._take()
        try:
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            answer = response.status, response.headers, response.read()
        except BaseException:
            connection.close()
            raise
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()
        return answer

    def _take(self) -> http.client.HTTPConnection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            if self._tls is None:
                return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._tls
            )


class SmallReads:
    """Signed GETs of small answers about the objects of one bucket.

    Args:
        base_url: URL of the object with the empty name.
        signer: Signs each request.
        connections: Returns the connections to an origin, which the buckets of a server share.
    """

    def __init__(self, base_url: str, signer: Signer, connections: Callable[[str], Connections]) -> None:
        self._signer = signer
        self._usable = True
        parts = urlsplit(base_url)
        self._host, self._path = parts.netloc, parts.path
        self._connections = connections(f"{parts.scheme}://{parts.netloc}")

    def get(self, name: str, query: str) -> tuple[bool, bytes, str | None] | None:
        """Ask about an object.

        Returns:
            Whether there is such an object, the answer, and the version id if it names one; None where
            the full client has to ask.
        """
        if not self._usable:
            return None
        path = f"{self._path}{quote(name, safe='/~')}"
        try:
            status, headers, body = self._connections.get(
                f"{path}?{query}", dict(self._signer.headers(self._host, path, query))
            )
        except (http.client.HTTPException, OSError) as exc:
            logger.debug("the full client asks about %r: %s", name, exc)
            self._usable = not isinstance(exc, ssl.SSLError)
            return None
        if status in (_FOUND, _MISSING):
            version_id = headers.get("x-amz-version-id")
            return status == _FOUND, body, None if version_id == "null" else version_id
        logger.debug("the full client asks about %r: %s", name, status)
        self._usable = status in _LEFT_TO_THE_FULL_CLIENT
        return None


def parse_tags(body: bytes) -> dict[str, str]:
    """Return the tags of an answer to GetObjectTagging."""
    root = ET.fromstring(body)  # noqa: S314  # expat has limits against bombs; botocore parses so, too
    found = {}
    for tag in root.iter():
        if tag.tag.rpartition("}")[2] == "Tag":
            pair = {child.tag.rpartition("}")[2]: child.text or "" for child in tag}
            found[pair["Key"]] = pair["Value"]
    return found
