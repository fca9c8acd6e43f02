"""Answers to direct reads, and their bodies, which are read in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from s3kv_flows.store._s3.transport.connections import Turn
from s3kv_flows.store._s3.transport.direct.private import body_reader
from s3kv_flows.store._s3.transport.failures import FAILURES
from s3kv_flows.store._s3.transport.streams import BodyStream, plain, read_whole
from s3kv_flows.store._s3.transport.time.limits import SliceLimit, note_connection
from s3kv_flows.store.errors import S3KVError, StoreUnavailableError

__all__ = ["Answer", "RawStream"]


class RawStream:
    """The body of a response, read from the connection into the buffer of the reader.

    botocore does not enforce the length of what is sent this way: the reader knows it.

    Args:
        raw: The response of urllib3.
        turn: The turn that ends with the body.
        limit: Limits the time of each read.
        on_break: Called if the connection breaks.
        count: Called with the number of bytes of each read.
    """

    def __init__(
        self,
        raw: Any,
        turn: Turn,
        limit: SliceLimit,
        on_break: Callable[[], None],
        count: Callable[[int], None],
    ) -> None:
        self._raw, self._turn, self._limit = raw, turn, limit
        self._on_break, self._count = on_break, count
        self._read = body_reader(raw)

    def readinto(self, view: memoryview) -> int:
        """Read bytes into a buffer; return how many, 0 at the end."""
        with self._translated():
            count = self._read(view)
        self._count(count)
        self._limit.made_progress(count)
        return count

    def finish(self) -> None:
        """Return the connection to the pool, after the whole body was read."""
        try:
            with self._limit():
                rest = self._read(memoryview(bytearray(1)))  # of a chunked body, its end
        except FAILURES:
            rest = 1
        if rest:
            self.close()
            return
        self._release()

    def close(self) -> None:
        """Close the connection without reading the rest of the body."""
        with suppress(*FAILURES):
            self._raw.close()
        self._release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Limit the time of what is done in the block, and translate its errors."""
        try:
            with self._limit():
                yield
        except FAILURES as exc:
            self.close()
            raise self._error(exc) from exc

    def _error(self, exc: Exception) -> S3KVError:
        self._on_break()
        return StoreUnavailableError(str(exc) or type(exc).__name__)

    def _release(self) -> None:
        release = getattr(self._raw, "release_conn", None)  # a response from a hook has no connection
        if release is not None:
            release()
        note_connection(None)
        self._turn.end()


class Answer:
    """A response of the server.

    Args:
        status: The HTTP status.
        headers: The headers.
        stream: The body.

    Attributes:
        status: The HTTP status.
        headers: The headers, with lower-case names.
        stream: The body.
    """

    def __init__(self, status: int, headers: Mapping[str, str], stream: BodyStream) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.stream = stream

    @property
    def length(self) -> int | None:
        """The length of the body, None if the headers do not give it.

        Raises:
            ValueError: It is malformed.
        """
        length = self.headers.get("content-length")
        return None if length is None else int(length)

    def read(self) -> bytes:
        """Read the body, to keep it in memory.

        Raises:
            StoreUnavailableError: It broke off.
        """
        return plain(self.headers, read_whole(self.stream, self.length))
