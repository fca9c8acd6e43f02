"""Lease records as JSON, and the interface of a lease backend.

They are JSON so that a person can read who holds a lease. Who may write to the bucket may write anything in
place of one. That is read within bounds, counts as a lease that has ended, and is replaced like one: it
neither holds a key for ever nor fails whoever wants it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from s3kv_flows.store._layout.documents import MAX_NUMBER, is_number, is_text, read_document
from s3kv_flows.store._layout.printable import loggable, printable
from s3kv_flows.store._s3.types import NotModified, ObjectInfo
from s3kv_flows.store.errors import (
    CorruptValueError,
    KeyNotFoundError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client
    from s3kv_flows.store._s3.transport.streams import OpenObject

__all__ = [
    "MAX_LEASE_SECONDS",
    "MIN_ENDED_SECONDS",
    "RECORD_TYPE",
    "LeaseBackend",
    "LeaseRecord",
    "StoredRecord",
    "lease_clock",
    "new_record",
    "read_record",
    "real_version",
    "released",
]

logger = loggable(__name__)

RECORD_TYPE = "application/json"
"""The content type of a lease record."""

_FORMAT = 1

MAX_LEASE_SECONDS = 3600.0
"""The longest time that a lease may hold without being renewed; a record that says more holds that long."""

_MAX_BYTES = 4096
_MAX_HOLDER, _MAX_HOST, _MAX_TOKEN = 512, 255, 64

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
            return _parse(read_document(body, max_bytes=_MAX_BYTES))
        except ValueError as exc:
            raise CorruptValueError(f"{name!r} is no lease: {exc}", reason="format") from exc


def _parse(found: Any) -> LeaseRecord:
    """Return the record that a document holds, or raise ValueError."""
    if not isinstance(found, dict):
        raise ValueError("it is no mapping")  # noqa: TRY004  # of a document
    for key, most in (("holder", _MAX_HOLDER), ("host", _MAX_HOST), ("token", _MAX_TOKEN)):
        if not is_text(found.get(key), most):
            raise ValueError(f"{key} is no printable text of up to {most} characters")
    if not is_number(found.get("number")):
        raise ValueError(f"number is no integer from 0 to {MAX_NUMBER}")
    if type(found.get("released")) is not bool:
        raise ValueError("released is neither true nor false")
    return LeaseRecord(
        holder=found["holder"],
        host=found["host"],
        seconds=_seconds(found.get("seconds")),
        number=found["number"],
        token=found["token"],
        released=found["released"],
    )


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not value > 0:
        raise ValueError("seconds is no number above 0")
    return float(min(value, MAX_LEASE_SECONDS))  # which an integer of many digits is compared with as it is


def new_record(holder: str, host: str, seconds: float, number: int, token: str) -> LeaseRecord:
    """Return the record of a new lease, with names that :meth:`LeaseRecord.from_json` takes."""
    holder = printable(holder)[:_MAX_HOLDER] or "?"
    return LeaseRecord(holder, printable(host)[:_MAX_HOST] or "?", seconds, number, token)


_NOBODY = LeaseRecord(holder="nobody", host="", seconds=0.0, number=0, token="", released=True)
"""What stands for an object that is no lease; its number says nothing."""


@dataclass(frozen=True)
class StoredRecord:
    """A lease record as it is stored in the bucket; of an object that is no lease, a released record.

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

    A record that cannot be read is requested once more: it may have been damaged on its way here. What is no
    lease then, either, is returned as a released one, with the ETag of the object.

    Raises:
        UnsupportedByServerError: The server does not say how old it is.
    """
    try:
        return _read_once(client, bucket, name, strict=True)
    except CorruptValueError:
        return _read_once(client, bucket, name, strict=False)


def _read_once(client: S3Client, bucket: str, name: str, *, strict: bool) -> StoredRecord | None:
    try:
        opened = client.open_object(bucket, name)
    except KeyNotFoundError:
        return None
    if isinstance(opened, NotModified):  # the request had no If-None-Match
        raise StoreUnavailableError(f"{name!r}: the server responded with 304 to an unconditional request")
    try:
        record = LeaseRecord.from_json(name, _small_body(opened))
    except CorruptValueError as exc:
        if strict:
            raise
        logger.warning("an object among the leases counts as one that has ended: %s", exc)
        record = _NOBODY
    return _stored_record(opened.info, record)


def _small_body(opened: OpenObject) -> bytes:
    """Return the body of a lease; of a larger one nothing is read, whatever its size is."""
    if opened.info.size > _MAX_BYTES:
        opened.stream.close()
        raise CorruptValueError(
            f"{opened.info.name!r} is no lease: it has {opened.info.size:,} bytes", reason="too_large"
        )
    body = bytearray(opened.info.size)
    opened.read_into(memoryview(body))
    return bytes(body)


def _stored_record(info: ObjectInfo, record: LeaseRecord) -> StoredRecord:
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
