"""An object whose headers are here, and whose body is still on its way."""

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
"""An unwanted body up to this size is read and thrown away: cheaper than a new connection."""


class BodyStream(Protocol):
    """The body of an answer. Its methods raise StoreUnavailableError where the connection breaks."""

    def readinto(self, view: memoryview) -> int:
        """Read a part into its place; return how many bytes, 0 at the end."""

    def finish(self) -> None:
        """Free the connection, where all was read.

        Raises:
            CorruptValueError: It has not the checksum the server sent along.
        """

    def close(self) -> None:
        """Give the connection up, with what is still on its way."""


@dataclass
class OpenObject:
    """An object, or a range of it.

    Attributes:
        info: The headers; its size is that of the whole object.
        start: The first byte that is sent.
        stop: The one after the last.
        is_range: Whether the server sends what was asked for, and not all of it.
        stream: The body.
        counters: Where its bytes are counted.
        where: What messages call it.
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
        """Read the body into its place.

        Args:
            view: The place.
            fresh: Whether the memory has never been written to. Then each slice is, just before the
                kernel copies into it: page faults within that copy cost three times as much.

        Raises:
            StoreUnavailableError: The connection broke; ``done`` says where.
            CorruptValueError: It has not the checksum the server sent along.
        """
        size, begin = self.stop - self.start, self.done
        try:
            while self.done < size:
                place = view[self.done : min(self.done + _SLICE, size)]
                if fresh:
                    place[:] = _ZEROS[: len(place)]
                if not (count := self.stream.readinto(place)):
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
        """Do without the body."""
        if self.stop - self.start <= _DRAIN_BYTES:
            self.read_into(memoryview(bytearray(self.stop - self.start)))
        else:
            self.stream.close()
