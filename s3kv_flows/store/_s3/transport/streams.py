"""Response streams: objects whose body has yet to be read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = [
    "SMALL_BYTES",
    "BodyStream",
    "MemoryStream",
    "OpenObject",
    "is_sized",
    "plain",
    "read_whole",
    "sent_length",
]

_SLICE = 1 << 20
_ZEROS = bytes(_SLICE)

SMALL_BYTES = 64 * 1024
"""An unneeded body up to this size is read and discarded, which is cheaper than a new connection."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_UNCHANGED = {"", "identity", "aws-chunked"}  # some servers keep the last one from an upload
_COMPRESSED = {"gzip", "x-gzip", "deflate"}


class BodyStream(Protocol):
    """The body of a response. Its methods raise StoreUnavailableError if the connection breaks."""

    def readinto(self, view: memoryview) -> int:
        """Read bytes into a buffer; return how many, 0 at the end."""

    def finish(self) -> None:
        """Return the connection to the pool, after the whole body was read.

        Raises:
            CorruptValueError: The body does not match the checksum of the server.
        """

    def close(self) -> None:
        """Close the connection without reading the rest of the body."""


class MemoryStream:
    """A body that was read already."""

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)

    def readinto(self, view: memoryview) -> int:
        """Copy bytes into a buffer; return how many, 0 at the end."""
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def finish(self) -> None:
        """Do nothing: there is no connection any more."""

    def close(self) -> None:
        """Do nothing: there is no connection any more."""


def is_sized(headers: Mapping[str, str]) -> bool:
    """Tell whether the headers give the size of the object: not on its way through what compresses it."""
    return "content-length" in headers and not _encodings(headers)


def sent_length(headers: Mapping[str, str]) -> int | None:
    """Return the length of a body on its way, None for a chunked one, which says where it ends.

    Raises:
        StoreUnavailableError: Nothing says where it ends. Where a connection breaks within the headers,
            Python takes those that arrived for all, and an object would seem to be empty.
        ValueError: The header is malformed.
    """
    if "content-length" in headers:
        return int(headers["content-length"])
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return None
    raise StoreUnavailableError("the headers broke off: they do not say where the body ends")


def read_whole(stream: BodyStream, length: int | None) -> bytes:
    """Read a body of a known length, or to its end, and finish it.

    Raises:
        StoreUnavailableError: It broke off.
    """
    body = bytearray()
    block = memoryview(bytearray(_SLICE if length is None else max(length, 1)))
    while length is None or len(body) < length:
        count = stream.readinto(block)
        if not count:
            break
        body += block[:count]
    if length is not None and len(body) < length:
        stream.close()
        raise StoreUnavailableError(f"broke off after {len(body)} of {length} bytes")
    stream.finish()
    return bytes(body)


def plain(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a body as it was before something on its way compressed it.

    Raises:
        StoreUnavailableError: It cannot be decompressed.
    """
    for encoding in reversed(_encodings(headers)):
        if encoding not in _COMPRESSED:
            raise StoreUnavailableError(f"the server sent it encoded as {encoding!r}, unasked")
        body = _decompressed(body)
    return body


def _encodings(headers: Mapping[str, str]) -> list[str]:
    names = (name.strip().lower() for name in headers.get("content-encoding", "").split(","))
    return [name for name in names if name not in _UNCHANGED]


def _decompressed(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        found = decompressor.decompress(body)
    except zlib.error as exc:
        raise StoreUnavailableError(f"the server sent what cannot be decompressed: {exc}") from exc
    if not decompressor.eof:
        raise StoreUnavailableError("the compressed body broke off")
    return found


@dataclass
class OpenObject:
    """An object, or a range of it.

    Attributes:
        info: The headers; its size is that of the whole object.
        start: The first byte of the body.
        stop: The byte after the last one.
        is_range: Whether the server sends a range, and not the whole object.
        stream: The body.
        where: The name of the object in messages.
        done: How many bytes have been read.
    """

    info: ObjectInfo
    start: int
    stop: int
    is_range: bool
    stream: BodyStream
    where: str
    done: int = 0

    def read_into(
        self,
        view: memoryview,
        *,
        fresh: bool = False,
        arrived: Callable[[memoryview], object] | None = None,
    ) -> None:
        """Read the body into a buffer.

        Args:
            view: The buffer.
            fresh: Whether its memory has never been written to. Then each slice is zeroed just before the
                kernel copies into it: page faults within that copy cost three times as much.
            arrived: Called with the bytes as they arrive, in order, while the processor has them at hand.

        Raises:
            StoreUnavailableError: The connection broke after ``done`` bytes.
            CorruptValueError: The body does not match the checksum of the server.
        """
        size = self.stop - self.start
        try:
            while self.done < size:
                part = view[self.done : min(self.done + _SLICE, size)]
                if fresh:
                    part[:] = _ZEROS[: len(part)]
                if not (count := self.stream.readinto(part)):
                    break
                if arrived is not None:
                    arrived(part[:count])
                self.done += count
        except StoreUnavailableError as exc:
            raise StoreUnavailableError(
                f"{self.where} broke off after {self.done} of {size} bytes: {exc}"
            ) from exc
        if self.done < size:
            self.stream.close()
            raise StoreUnavailableError(f"{self.where} broke off after {self.done} of {size} bytes")
        self.stream.finish()

    def leave(self) -> None:
        """Discard the body."""
        if self.stop - self.start <= SMALL_BYTES:
            self.read_into(memoryview(bytearray(self.stop - self.start)))
        else:
            self.stream.close()
