"""What is written down of a lease, and what a place to write it down has to offer.

Claims are JSON, so that a person can read who holds what.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from s3kv_flows.store._s3.types import NotModified, ObjectInfo
from s3kv_flows.store.errors import CorruptValueError, KeyNotFoundError, StoreUnavailableError

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client

__all__ = [
    "LEAST_DEAD_SECONDS",
    "RECORD_TYPE",
    "LeaseBackend",
    "LeaseRecord",
    "StoredRecord",
    "kept_version",
    "lease_clock",
    "read_record",
    "released",
]

RECORD_TYPE = "application/json"
"""The content type of a claim."""

_FORMAT = 1

LEAST_DEAD_SECONDS = 600.0
"""A sweep leaves claims alone that ended less long ago; their own writer may still go on from them."""


def lease_clock() -> float:
    """Return seconds that go on while the process, or the machine, is stopped.

    ``time.monotonic()`` stands still on Linux while a machine is suspended: a holder that wakes up would
    believe that it still holds what others have taken over.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True)
class LeaseRecord:
    """What a claim says.

    Attributes:
        holder: Who holds the lease, as the holder calls itself.
        host: The machine it is on.
        seconds: For how long the lease holds from when it was written.
        number: The fencing number: of two holders of a key, the later one has the higher.
        token: What tells this claim from any other: its first part, up to a hyphen, names one holding of
            the lease, and stays when it is renewed.
        released: Whether the holder is done.
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
        """Return the record of an object.

        Raises:
            CorruptValueError: It is none.
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
        except (ValueError, KeyError, TypeError) as exc:
            raise CorruptValueError(f"{name!r} is no lease: {exc!r}") from exc


@dataclass(frozen=True)
class StoredRecord:
    """A claim as it is written down.

    Attributes:
        record: What it says.
        etag: The ETag of its object.
        version_id: Its version, where the bucket keeps versions.
        written: When it was written, by the server's clock.
        age: How old it was when it was read, by the server's clock, whose dates are whole seconds.
    """

    record: LeaseRecord
    etag: str
    version_id: str | None = None
    written: datetime | None = None
    age: timedelta = timedelta(0)


class LeaseBackend(Protocol):
    """The claims of a bucket. Methods raise the errors of the client."""

    def look(self, name: str) -> StoredRecord | None:
        """Return the last claim of a key, None where there is none."""

    def write(self, name: str, record: LeaseRecord, *, after: StoredRecord | None) -> StoredRecord:
        """Write a claim down, next to the one that was seen.

        Raises:
            ConflictError: Somebody else was first.
        """

    def remove(self, name: str, stored: StoredRecord) -> None:
        """Give a claim back.

        Raises:
            ConflictError: It is not the last one any more.
        """

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names that have claims, and when each was last written: one request per 1,000."""

    def retire(self, name: str, stored: StoredRecord, record: LeaseRecord) -> StoredRecord:
        """Make sure that nobody builds on a dead claim any more: by the record of who erases it.

        Raises:
            ConflictError: It is not the last one any more.
        """

    def erase(self, name: str, stored: StoredRecord) -> None:
        """Remove a retired claim, and all that lies beneath.

        Raises:
            ConflictError: It is not the last one any more.
        """


def read_record(client: S3Client, bucket: str, name: str) -> StoredRecord | None:
    """Return the claim in an object, None where there is none: one request.

    Raises:
        CorruptValueError: The object is no claim.
    """
    try:
        opened = client.open_object(bucket, name)
    except KeyNotFoundError:
        return None
    if isinstance(opened, NotModified):  # nothing of the kind was asked
        raise StoreUnavailableError(f"{name!r}: the server answers 304 to an unconditional request")
    body = bytearray(opened.info.size)
    opened.read_into(memoryview(body))
    return _claim(opened.info, bytes(body))


def _claim(info: ObjectInfo, body: bytes) -> StoredRecord:
    record = LeaseRecord.from_json(info.name, body)
    return StoredRecord(
        record,
        info.etag,
        kept_version(info.version_id),
        info.last_modified,
        info.server_time - info.last_modified,
    )


def kept_version(version_id: str | None) -> str | None:
    """Return the id of a version that stays when it is replaced; what is called "null" does not."""
    return None if version_id == "null" else version_id


def released(record: LeaseRecord) -> LeaseRecord:
    """Return the record that says that its holder is done."""
    return replace(record, released=True)
