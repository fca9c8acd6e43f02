"""Direct reads: signed GETs by the standard library, without the weight of the full client.

A tag search asks once per key, and a small result is one GET. Of that, botocore makes 3 ms of work for
one core (endpoint rules, events, models, measured on Python 3.11), which limits a search to 300 keys a
second in whatever number of threads; here it is 0.7 ms. A large body goes from the socket into its place,
where botocore's HTTP library copies it twice. All that is not a plain answer is left to the full client,
which knows proxies, redirects to other regions, retries and errors.
"""

from __future__ import annotations

import http.client
import logging
import queue
import selectors
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._s3.transport.boto import MAX_CONNECTIONS, Boto
from s3kv_flows.store._s3.transport.sigv4 import Signer
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = ["Connections", "DirectAnswer", "DirectPaths", "DirectReads", "error_code", "parse_tags"]

logger = logging.getLogger(__name__)

_PLAIN = (200, 206, 304, 404, 416)
_LEFT_TO_THE_FULL_CLIENT = (412, *range(500, 600))  # it tries again; other answers will not get better


class Connections:
    """Connections to a server, kept open for whoever asks next.

    Args:
        origin: Such as ``https://s3.amazonaws.com``.
        connect_timeout: In seconds.
        read_timeout: In seconds, for each piece of an answer.
        tls: What verifies the server before anything is asked of it; None for plain HTTP.
        keep: How many are kept.
    """

    def __init__(
        self,
        origin: str,
        *,
        connect_timeout: float,
        read_timeout: float,
        tls: ssl.SSLContext | None,
        keep: int,
    ) -> None:
        parts = urlsplit(origin)
        self._host, self._port = parts.hostname or "", parts.port
        self._connect_timeout, self._read_timeout = connect_timeout, read_timeout
        self._tls = tls
        # The last one comes first, so that those a server has closed meanwhile stay at the bottom.
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(keep)

    def get(self, target: str, headers: Mapping[str, str]) -> DirectAnswer:
        """Send a GET; return the answer, whose body is still to be read."""
        connection = self._kept()
        if connection is not None:
            try:
                return self._ask(connection, target, headers)
            except (ConnectionError, http.client.BadStatusLine):
                logger.debug("a kept connection was closed by the server")
        return self._ask(self._new(), target, headers)

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection, whose last answer was read to its end."""
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]
    ) -> DirectAnswer:
        try:
            connection.request("GET", target, headers=dict(headers))
            return DirectAnswer(connection.getresponse(), connection, self)
        except BaseException:
            connection.close()
            raise

    def _kept(self) -> http.client.HTTPConnection | None:
        """Return a connection that was kept and is still open, None where there is none."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return None
            if not _is_dropped(connection):
                return connection
            connection.close()

    def _new(self) -> http.client.HTTPConnection:
        timeout = self._connect_timeout
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            if self._tls is None
            else http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        )
        connection.connect()
        connection.sock.settimeout(self._read_timeout)
        return connection


def _is_dropped(connection: http.client.HTTPConnection) -> bool:
    """Tell whether the server has closed a kept connection: then there is something to read, its end."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


@dataclass
class DirectAnswer:
    """An answer whose headers are here."""

    _response: http.client.HTTPResponse
    _connection: http.client.HTTPConnection
    _connections: Connections

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> dict[str, str]:
        """The headers, with lower-case names."""
        return {name.lower(): value for name, value in self._response.headers.items()}

    def read(self) -> bytes:
        """Read a small body whole, and free the connection."""
        try:
            body = self._response.read()
        except BaseException:
            self.close()
            raise
        self.finish()
        return body

    def readinto(self, view: memoryview) -> int:
        """Read a part of the body into its place; return how many bytes, 0 at the end.

        Raises:
            StoreUnavailableError: The connection broke.
        """
        try:
            return self._response.readinto(view)
        except (http.client.HTTPException, OSError) as exc:
            self.close()
            raise StoreUnavailableError(str(exc)) from exc

    def finish(self) -> None:
        """Free the connection, where the body was read to its end."""
        if not self._response.isclosed():
            self._response.read()
        if self._response.will_close:
            self.close()
        else:
            self._connections.give_back(self._connection)

    def close(self) -> None:
        """Give the connection up, with what is still on its way."""
        self._response.close()
        self._connection.close()


class DirectReads:
    """Signed GETs about the objects of one bucket.

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

    def get(
        self, name: str, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> DirectAnswer | None:
        """Ask about an object.

        Args:
            name: The object name.
            query: At most one parameter.
            headers: Headers that need no signature: none of ``x-amz-``.

        Returns:
            An answer with one of the plain statuses: found, in part, not modified, missing, no such
            range; None where the full client has to ask.
        """
        if not self._usable:
            return None
        path = f"{self._path}{quote(name, safe='/~')}"
        pairs = "&".join(f"{key}={quote(value, safe='~')}" for key, value in query.items())
        signed = self._signer.headers(self._host, path, pairs)
        try:
            answer = self._connections.get(
                f"{path}?{pairs}" if pairs else path, {**signed, **(headers or {})}
            )
            if answer.status in _PLAIN:
                return answer
            answer.read()
        except (http.client.HTTPException, OSError) as exc:
            logger.debug("the full client asks about %r: %s", name, exc)
            self._usable = not isinstance(exc, ssl.SSLError)
            return None
        logger.debug("the full client asks about %r: %s", name, answer.status)
        self._usable = answer.status in _LEFT_TO_THE_FULL_CLIENT
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


def error_code(body: bytes) -> str:
    """Return the code of an error, empty where the answer holds none."""
    try:
        root = ET.fromstring(body)  # noqa: S314  # see parse_tags
    except ET.ParseError:
        return ""
    return next((item.text or "" for item in root.iter() if item.tag.rpartition("}")[2] == "Code"), "")


class DirectPaths:
    """The direct reads of each bucket of a server.

    Args:
        config: The configuration of the client.
        boto: The full client.
    """

    def __init__(self, config: S3Config, boto: Boto) -> None:
        self._config, self._boto = config, boto
        self._connections: dict[str, Connections] = {}
        self._reads: dict[str, DirectReads | Literal[False]] = {}

    def to(self, bucket: str) -> DirectReads | Literal[False]:
        """Return the direct reads of a bucket; False where only the full client knows the way."""
        reads = self._reads.get(bucket)
        if reads is None:
            reads = self._reads[bucket] = self._new(bucket)
        return reads

    def _new(self, bucket: str) -> DirectReads | Literal[False]:
        options = self._boto.options
        if self._boto.credentials() is None:
            return False
        url = self._boto.base_url(bucket)
        if options.signature_version != "s3v4" or options.client_cert or not self._boto.verifies:
            return False
        if self._boto.has_proxy(url):
            return False
        signer = Signer(self._boto.region, self._boto.credentials)
        try:
            return DirectReads(url, signer, self._connections_to)
        except OSError as exc:  # the bundle cannot be read, which the full client will say
            logger.debug("the full client asks about bucket %r: %s", bucket, exc)
            return False

    def _connections_to(self, origin: str) -> Connections:
        """Return the connections to a server, which its buckets share."""
        options = self._boto.options
        found = self._connections.get(origin) or Connections(
            origin,
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            tls=self._boto.tls() if origin.startswith("https:") else None,
            keep=MAX_CONNECTIONS,
        )
        return self._connections.setdefault(origin, found)
