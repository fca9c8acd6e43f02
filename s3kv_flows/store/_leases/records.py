"""Lease records as JSON, and the interface of a lease backend.

They are JSON so that a person can read who holds a lease.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from s3kv_flows.store._s3.types import NotModified, ObjectInfo
from s3kv_flows.store.errors import (
    CorruptValueError,
    KeyNotFoundError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client

__all__ = [
    "MIN_ENDED_SECONDS",
    "RECORD_TYPE",
    "LeaseBackend",
    "LeaseRecord",
    "StoredRecord",
    "lease_clock",
    "read_record",
    "real_version",
    "released",
]

RECORD_TYPE = "application/json"
"""The content type of a lease record."""

_FORMAT = 1

MIN_ENDED_SECONDS = 600.0
"""A sweep keeps leases that ended more recently, because their holders may still reclaim them."""


def lease_clock() -> float:
    """Return the seconds of a clock that keeps running while the process, or the machine, is suspended.

    On Linux ``time.monotonic()`` stops while a machine is suspended: after it resumes, a holder would
    believe that it still holds a lease that others have taken over.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True)
class LeaseRecord:
    """The content of a lease object.

    Attributes:
        holder: The name of the holder.
        host: The machine of the holder.
        seconds: For how long the lease holds from the moment of its writing.
        number: The fencing number: of two holders of a key, the later one has the higher.
        token: Unique to this record; its first part, up to a hyphen, is unique to one acquisition of the
            lease, and stays when it is renewed.
        released: Whether the holder has released the lease.
    """

    holder: str
    host: str
    seconds: float
    number: int
    token: str
    released: bool = False

    def to_json(self) -> bytes:
        """Return the body of the object."""
        return json.dumps({"format": _FORMAT, **asdict(self)}).encode()

    @classmethod
    def from_json(cls, name: str, body: bytes) -> LeaseRecord:
        """Return the lease record in the body of an object.

        Raises:
            CorruptValueError: The object is no lease.
        """
        try:
            found: Mapping[str, Any] = json.loads(body)
            return cls(
                holder=str(found["holder"]),
                host=str(found["host"]),
                seconds=float(found["seconds"]),
                number=int(found["number"]),
                token=str(found["token"]),
                released=bool(found["released"]),
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
            raise CorruptValueError(f"{name!r} is no lease: {exc!r}", reason="format") from exc


@dataclass(frozen=True)
class StoredRecord:
    """A lease record as it is stored in the bucket.

    Attributes:
        record: The record.
        etag: The ETag of its object.
        version_id: Its version, if the bucket keeps versions.
        written: When it was written, by the server's clock.
        age: How old it was when it was read, by the server's clock, whose dates are whole seconds.
    """

    record: LeaseRecord
    etag: str
    version_id: str | None = None
    written: datetime | None = None
    age: timedelta = timedelta(0)


class LeaseBackend(Protocol):
    """Stores the lease records of a bucket. Methods raise the errors of the client."""

    def read(self, name: str) -> StoredRecord | None:
        """Return the current lease record of a key, None if there is none."""

    def write(self, name: str, record: LeaseRecord, *, after: StoredRecord | None) -> StoredRecord:
        """Write a lease record, if ``after`` is still the current one.

        Raises:
            ConflictError: Another writer was first.
        """

    def remove(self, name: str, stored: StoredRecord) -> None:
        """Remove a lease record, or mark it as released.

        Raises:
            ConflictError: It is not the current one any more.
        """

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names of lease objects, and when each was last written: one request per 1,000."""

    def retire(self, name: str, stored: StoredRecord, record: LeaseRecord) -> StoredRecord:
        """Make sure that no holder can continue a lease that has ended, with a record of the sweep if needed.

        Raises:
            ConflictError: It is not the current one any more.
        """

    def erase(self, name: str, stored: StoredRecord) -> None:
        """Delete a retired lease record, with all versions beneath it.

        Raises:
            ConflictError: It is not the current one any more.
        """


def read_record(client: S3Client, bucket: str, name: str) -> StoredRecord | None:
    """Return the lease record in an object, None if there is no object: one request.

    A record that cannot be read is requested once more: it may have been damaged on its way here.

    Raises:
        CorruptValueError: The object is no lease.
        UnsupportedByServerError: The server does not say how old it is.
    """
    try:
        return _read_once(client, bucket, name)
    except CorruptValueError:
        return _read_once(client, bucket, name)


def _read_once(client: S3Client, bucket: str, name: str) -> StoredRecord | None:
    try:
        opened = client.open_object(bucket, name)
    except KeyNotFoundError:
        return None
    if isinstance(opened, NotModified):  # the request had no If-None-Match
        raise StoreUnavailableError(f"{name!r}: the server responded with 304 to an unconditional request")
    body = bytearray(opened.info.size)
    opened.read_into(memoryview(body))
    return _stored_record(opened.info, bytes(body))


def _stored_record(info: ObjectInfo, body: bytes) -> StoredRecord:
    record = LeaseRecord.from_json(info.name, body)
    if not info.is_dated:
        raise UnsupportedByServerError(
            f"the response for the lease {info.name!r} has no Last-Modified, so nobody can tell when it ends"
        )
    return StoredRecord(
        record,
        info.etag,
        real_version(info.version_id),
        info.last_modified,
        info.server_time - info.last_modified,
    )


def real_version(version_id: str | None) -> str | None:
    """Return a version id, None for "null": S3 replaces that version instead of keeping it."""
    return None if version_id == "null" else version_id


def released(record: LeaseRecord) -> LeaseRecord:
    """Return the record, marked as released by its holder."""
    return replace(record, released=True)
