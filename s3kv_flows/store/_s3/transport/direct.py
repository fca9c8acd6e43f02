"""Direct reads: signed GETs with the standard library instead of botocore.

A tag search makes one request per key, and a small result is one GET. For each, botocore needs 3 ms of one
core (endpoint rules, events, models, measured on Python 3.11), which limits a search to 300 keys a second
with any number of threads; a direct read needs 0.7 ms. A large body is read from the socket into its final
buffer, where urllib3 copies it twice. All but plain responses are left to boto3, which handles proxies,
redirects to other regions, retries and errors.
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
from s3kv_flows.store._s3.transport.direct_signing import Signer
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = ["Connections", "DirectReader", "DirectReaders", "DirectResponse", "error_code", "parse_tags"]

logger = logging.getLogger(__name__)

_PLAIN = (200, 206, 304, 404, 416)
_TRANSIENT = (412, *range(500, 600))  # boto3 retries these; other statuses would recur


class Connections:
    """A pool of connections to a server.

    Args:
        origin: Such as ``https://s3.amazonaws.com``.
        connect_timeout: In seconds.
        read_timeout: In seconds, for each read from the socket.
        tls: Verifies the server before any request is sent; None for plain HTTP.
        keep: The maximal number of idle connections.
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
        # The most recently used comes first, so that those closed by the server stay at the bottom.
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(keep)

    def get(self, target: str, headers: Mapping[str, str]) -> DirectResponse:
        """Send a GET; return the response, whose body has yet to be read."""
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._send(connection, target, headers)
            except (ConnectionError, http.client.BadStatusLine):
                logger.debug("the server has closed an idle connection")
        return self._send(self._new(), target, headers)

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Return a connection to the pool, after its last response was read to the end."""
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def _send(
        self, connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]
    ) -> DirectResponse:
        try:
            connection.request("GET", target, headers=dict(headers))
            return DirectResponse(connection.getresponse(), connection, self)
        except BaseException:
            connection.close()
            raise

    def _take_idle(self) -> http.client.HTTPConnection | None:
        """Return an idle connection that is still open, None if there is none."""
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
    """Tell whether the server has closed an idle connection, which makes its socket readable."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


@dataclass
class DirectResponse:
    """A response whose body has yet to be read."""

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
        """Read a small body, and return the connection to the pool."""
        try:
            body = self._response.read()
        except BaseException:
            self.close()
            raise
        self.finish()
        return body

    def readinto(self, view: memoryview) -> int:
        """Read bytes of the body into a buffer; return how many, 0 at the end.

        Raises:
            StoreUnavailableError: The connection broke.
        """
        try:
            return self._response.readinto(view)
        except (http.client.HTTPException, OSError) as exc:
            self.close()
            raise StoreUnavailableError(str(exc)) from exc

    def finish(self) -> None:
        """Return the connection to the pool, after the body was read to the end."""
        if not self._response.isclosed():
            self._response.read()
        if self._response.will_close:
            self.close()
        else:
            self._connections.give_back(self._connection)

    def close(self) -> None:
        """Close the connection without reading the rest of the body."""
        self._response.close()
        self._connection.close()


class DirectReader:
    """Sends signed GETs for the objects of one bucket.

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
    ) -> DirectResponse | None:
        """Send a GET for an object.

        Args:
            name: The object name.
            query: At most one parameter.
            headers: Headers that need no signature: none that begin with ``x-amz-``.

        Returns:
            A response with the status 200, 206, 304, 404 or 416; None if boto3 has to make the request.
        """
        if not self._usable:
            return None
        path = f"{self._path}{quote(name, safe='/~')}"
        pairs = "&".join(f"{key}={quote(value, safe='~')}" for key, value in query.items())
        signed = self._signer.headers(self._host, path, pairs)
        try:
            response = self._connections.get(
                f"{path}?{pairs}" if pairs else path, {**signed, **(headers or {})}
            )
            if response.status in _PLAIN:
                return response
            response.read()
        except (http.client.HTTPException, OSError) as exc:
            logger.debug("boto3 makes the request for %r: %s", name, exc)
            self._usable = not isinstance(exc, ssl.SSLError)
            return None
        logger.debug("boto3 makes the request for %r: %s", name, response.status)
        self._usable = response.status in _TRANSIENT
        return None


def parse_tags(body: bytes) -> dict[str, str]:
    """Parse the response to GetObjectTagging."""
    root = ET.fromstring(body)  # noqa: S314  # expat has limits against bombs; botocore parses so, too
    tags = {}
    for tag in root.iter():
        if tag.tag.rpartition("}")[2] == "Tag":
            pair = {child.tag.rpartition("}")[2]: child.text or "" for child in tag}
            tags[pair["Key"]] = pair["Value"]
    return tags


def error_code(body: bytes) -> str:
    """Return the code of an error response, empty if it has none."""
    try:
        root = ET.fromstring(body)  # noqa: S314  # see parse_tags
    except ET.ParseError:
        return ""
    return next((item.text or "" for item in root.iter() if item.tag.rpartition("}")[2] == "Code"), "")


class DirectReaders:
    """The direct readers of the buckets of a server.

    Args:
        config: The configuration of the client.
        boto: The boto3 client.
    """

    def __init__(self, config: S3Config, boto: Boto) -> None:
        self._config, self._boto = config, boto
        self._connections: dict[str, Connections] = {}
        self._readers: dict[str, DirectReader | Literal[False]] = {}

    def of(self, bucket: str) -> DirectReader | Literal[False]:
        """Return the direct reader of a bucket; False if only boto3 can read from it."""
        reader = self._readers.get(bucket)
        if reader is None:
            reader = self._readers[bucket] = self._new(bucket)
        return reader

    def _new(self, bucket: str) -> DirectReader | Literal[False]:
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
            return DirectReader(url, signer, self._connections_to)
        except OSError as exc:  # the CA bundle cannot be read, which boto3 will report
            logger.debug("boto3 makes the requests for bucket %r: %s", bucket, exc)
            return False

    def _connections_to(self, origin: str) -> Connections:
        """Return the connections to a server, which its buckets share."""
        options = self._boto.options
        connections = self._connections.get(origin) or Connections(
            origin,
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            tls=self._boto.tls() if origin.startswith("https:") else None,
            keep=MAX_CONNECTIONS,
        )
        return self._connections.setdefault(origin, connections)
