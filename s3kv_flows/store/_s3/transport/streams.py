"""Response streams: objects whose body has yet to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = ["BodyStream", "OpenObject"]

_SLICE = 1 << 20
_ZEROS = bytes(_SLICE)

_DRAIN_BYTES = 64 * 1024
"""An unneeded body up to this size is read and discarded, which is cheaper than a new connection."""


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


@dataclass
class OpenObject:
    """An object, or a range of it.

    Attributes:
        info: The headers; its size is that of the whole object.
        start: The first byte of the body.
        stop: The byte after the last one.
        is_range: Whether the server sends a range, and not the whole object.
        stream: The body.
        counters: Counts its bytes.
        where: The name of the object in messages.
        done: How many bytes have been read.
    """

    info: ObjectInfo
    start: int
    stop: int
    is_range: bool
    stream: BodyStream
    counters: Counters
    where: str
    done: int = 0

    def read_into(self, view: memoryview, *, fresh: bool = False) -> None:
        """Read the body into a buffer.

        Args:
            view: The buffer.
            fresh: Whether its memory has never been written to. Then each slice is zeroed just before the
                kernel copies into it: page faults within that copy cost three times as much.

        Raises:
            StoreUnavailableError: The connection broke after ``done`` bytes.
            CorruptValueError: The body does not match the checksum of the server.
        """
        size, begin = self.stop - self.start, self.done
        try:
            while self.done < size:
                part = view[self.done : min(self.done + _SLICE, size)]
                if fresh:
                    part[:] = _ZEROS[: len(part)]
                if not (count := self.stream.readinto(part)):
                    break
                self.done += count
        except StoreUnavailableError as exc:
            raise StoreUnavailableError(
                f"{self.where} broke off after {self.done} of {size} bytes: {exc}"
            ) from exc
        finally:
            self.counters.add("bytes.received", self.done - begin)
        if self.done < size:
            self.stream.close()
            raise StoreUnavailableError(f"{self.where} broke off after {self.done} of {size} bytes")
        self.stream.finish()

    def leave(self) -> None:
        """Discard the body."""
        if self.stop - self.start <= _DRAIN_BYTES:
            self.read_into(memoryview(bytearray(self.stop - self.start)))
        else:
            self.stream.close()
