"""Where leases are written down: one claim per key, which nobody can replace without having seen it.

Two ways, by what a server offers. With ``If-Match``, a claim is one object, which each claim after it
replaces. With ``If-None-Match`` alone, claims are numbered objects: whoever has seen number 7 creates
number 8, which S3 lets one of them do. The last claim of a key then stays, marked as released, until a
sweep removes it: were it deleted, the numbers would begin again, and two would believe to be the next.

A bucket that keeps versions would keep one per renewal. So whoever replaces a claim there deletes the
version it replaced, and a claim is given back by deleting its version: nothing of a lease is left.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
)
from s3kv_flows.store.s3_types import NotModified, ObjectInfo

if TYPE_CHECKING:
    from s3kv_flows.store.s3 import S3Client

__all__ = [
    "LEAST_DEAD_SECONDS",
    "USABLE_SECONDS",
    "Claim",
    "LeaseRecord",
    "NumberedClaims",
    "Register",
    "ReplacedClaims",
    "lease_clock",
]

logger = logging.getLogger(__name__)

_TYPE = "application/json"
_FORMAT = 1
_DIGITS = 12

USABLE_SECONDS = 10.0
"""Who has read a claim writes the next one within this time, or reads again: a sweep that removes dead claims
holds each for longer than that before it does."""

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
        token: What tells this claim from any other, also of the same holder.
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
class Claim:
    """A claim as it is written down.

    Attributes:
        record: What it says.
        etag: The ETag of its object.
        sequence: Its number among the claims of the key; 0 where one replaces the other.
        version_id: Its version, where the bucket keeps versions.
        written: When it was written, by the server's clock.
        age: How old it was when it was read, by the server's clock, whose dates are whole seconds.
        usable_until: Until when another may be written next to it, by :func:`lease_clock`.
    """

    record: LeaseRecord
    etag: str
    sequence: int = 0
    version_id: str | None = None
    written: datetime | None = None
    age: timedelta = timedelta(0)
    usable_until: float = field(default_factory=lambda: lease_clock() + USABLE_SECONDS)


class Register(Protocol):
    """The claims of a bucket. Methods raise the errors of the client."""

    @property
    def retired_seconds(self) -> float:
        """Return for how long a claim has to be retired before it may be erased."""

    def look(self, name: str) -> Claim | None:
        """Return the last claim of a key, None where there is none."""

    def write(self, name: str, record: LeaseRecord, *, after: Claim | None) -> Claim:
        """Write a claim down, next to the one that was seen.

        Raises:
            ConflictError: Somebody else was first.
        """

    def remove(self, name: str, claim: Claim) -> None:
        """Give a claim back.

        Raises:
            ConflictError: It is not the last one any more.
        """

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names that have claims, and when each was last written: one request per 1,000."""

    def retire(self, name: str, claim: Claim, record: LeaseRecord) -> Claim:
        """Make sure that nobody builds on a dead claim any more: by the record of who erases it.

        Raises:
            ConflictError: It is not the last one any more.
        """

    def erase(self, name: str, claim: Claim) -> None:
        """Remove a retired claim, and all that lies beneath.

        Raises:
            ConflictError: It is not the last one any more.
        """


@dataclass(frozen=True)
class ReplacedClaims:
    """Claims that replace one another: one object per key.

    Attributes:
        client: The client.
        bucket: The bucket.
        quoted: Whether the server takes ETags as it writes them, in quotes.
        deletes: Whether a deletion heeds the ETag. Where it does not, a released claim is written.
    """

    client: S3Client
    bucket: str
    quoted: bool
    deletes: bool

    def look(self, name: str) -> Claim | None:
        """Return the last claim of a key: one request."""
        found = _read(self.client, self.bucket, name)
        return found and _claim(*found)

    def write(self, name: str, record: LeaseRecord, *, after: Claim | None) -> Claim:
        """Write a claim down: one request, one more with versions, and one where its answer was lost."""
        try:
            written = self.client.put_object(
                self.bucket,
                name,
                record.to_json(),
                content_type=_TYPE,
                if_none_match=after is None,
                if_match=self._condition(after) if after else None,
            )
        except ConflictError as exc:
            mine = self.look(name) if exc.was_lost else None
            if mine is None or mine.record != record:
                raise
            return mine
        except KeyNotFoundError as exc:  # there is nothing to replace any more
            raise ConflictError(f"{name!r} was given back meanwhile") from exc
        if after is not None and after.version_id is not None:
            self._forget(name, after.version_id)
        return Claim(
            record, written.etag, version_id=_version(written.version_id), usable_until=_own_until(record)
        )

    def remove(self, name: str, claim: Claim) -> None:
        """Give a claim back: one request. One that was replaced stays replaced."""
        if claim.version_id is not None:
            self.client.delete_object(self.bucket, name, version_id=claim.version_id)
            return
        if not self.deletes:
            self.write(name, _released(claim.record), after=claim)
            return
        try:
            self.client.delete_object(self.bucket, name, if_match=self._condition(claim))
        except KeyNotFoundError as exc:
            raise ConflictError(f"{name!r} is not there any more") from exc

    retired_seconds = 0.0

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names that have claims: one request per 1,000."""
        for listed in self.client.list_objects(self.bucket, prefix):
            yield listed.name, listed.last_modified

    def retire(self, name: str, claim: Claim, record: LeaseRecord) -> Claim:
        """Take the lease where a deletion heeds no condition: one request; else nothing has to be done."""
        if claim.version_id is not None or self.deletes:
            return claim
        return self.write(name, record, after=claim)

    def erase(self, name: str, claim: Claim) -> None:
        """Delete the object: one request; with versions, each by its id, the current one last."""
        if claim.version_id is None:
            condition = self._condition(claim) if self.deletes else None
            self.client.delete_object(self.bucket, name, if_match=condition)
            return
        versions = self.client.list_versions_of(self.bucket, name)
        for version in reversed(versions):
            if not version.is_latest or version.version_id == claim.version_id:
                self.client.delete_object(self.bucket, name, version_id=version.version_id)

    def _forget(self, name: str, version_id: str) -> None:
        """Delete the version beneath a new claim; where that fails, a sweep will."""
        try:
            self.client.delete_object(self.bucket, name, version_id=version_id)
        except S3KVError as exc:
            logger.info("an old version of the lease %r stays: %s", name, exc)

    def _condition(self, claim: Claim) -> str:
        return claim.etag if self.quoted else claim.etag.strip('"')


@dataclass(frozen=True)
class NumberedClaims:
    """Claims under ascending numbers: for servers that know no ``If-Match``.

    Attributes:
        client: The client.
        bucket: The bucket.
    """

    client: S3Client
    bucket: str

    def look(self, name: str) -> Claim | None:
        """Return the last claim of a key: two requests, and two more where it was just replaced."""
        while numbers := self._numbers(name):
            found = _read(self.client, self.bucket, _numbered(name, numbers[-1]))
            if found:
                return _claim(*found, sequence=numbers[-1])
        return None

    def write(self, name: str, record: LeaseRecord, *, after: Claim | None) -> Claim:
        """Write a claim down: three requests.

        Who has read the last claim too long ago may have missed that all of them were swept, and that the
        numbers began again: that is a conflict.
        """
        number = after.sequence + 1 if after else 1
        where = _numbered(name, number)
        try:
            written = self.client.put_object(
                self.bucket, where, record.to_json(), content_type=_TYPE, if_none_match=True
            )
            etag = written.etag
        except ConflictError as exc:
            found = _read(self.client, self.bucket, where) if exc.was_lost else None
            if found is None or LeaseRecord.from_json(where, found[1]) != record:
                raise
            etag = found[0].etag
        numbers = self._numbers(name)
        is_late = after is not None and lease_clock() > after.usable_until
        if is_late or numbers[-1:] > [number]:
            self.client.delete_object(self.bucket, where)
            raise ConflictError(f"the claim of {name!r} came too late, or next to one that is not the last")
        older = [(_numbered(name, old), None, None) for old in numbers if old < number]
        if older:
            self.client.delete_objects(self.bucket, older)
        return Claim(record, etag, number, usable_until=_own_until(record))

    def remove(self, name: str, claim: Claim) -> None:
        """Mark a claim as released: three requests."""
        self.write(name, _released(claim.record), after=claim)

    retired_seconds = USABLE_SECONDS

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names that have claims: one request per 1,000."""
        numbered = (
            (*item.name.rpartition("/")[::2], item.last_modified)
            for item in self.client.list_objects(self.bucket, prefix)
        )
        claims = (
            (name, written)
            for name, number, written in numbered
            if len(number) == _DIGITS and number.isdecimal()
        )
        for name, of_name in groupby(claims, key=itemgetter(0)):
            yield name, max(written for _, written in of_name)

    def retire(self, name: str, claim: Claim, record: LeaseRecord) -> Claim:
        """Take the lease: three requests. Who has read an older claim finds the next number taken."""
        return self.write(name, record, after=claim)

    def erase(self, name: str, claim: Claim) -> None:
        """Delete the claim: one request. Those beneath went when it was written."""
        self.client.delete_object(self.bucket, _numbered(name, claim.sequence))

    def _numbers(self, name: str) -> list[int]:
        prefix = f"{name}/"
        listed = (item.name.removeprefix(prefix) for item in self.client.list_objects(self.bucket, prefix))
        return sorted(int(number) for number in listed if number.isdecimal())


def _numbered(name: str, number: int) -> str:
    return f"{name}/{number:0{_DIGITS}}"


def _released(record: LeaseRecord) -> LeaseRecord:
    return replace(record, released=True)


def _claim(info: ObjectInfo, body: bytes, *, sequence: int = 0) -> Claim:
    record = LeaseRecord.from_json(info.name, body)
    return Claim(
        record,
        info.etag,
        sequence,
        _version(info.version_id),
        info.last_modified,
        info.server_time - info.last_modified,
    )


def _version(version_id: str | None) -> str | None:
    """Return the id of a version that stays when it is replaced; what is called "null" does not."""
    return None if version_id == "null" else version_id


def _own_until(record: LeaseRecord) -> float:
    return lease_clock() + record.seconds + LEAST_DEAD_SECONDS / 2


def _read(client: S3Client, bucket: str, name: str) -> tuple[ObjectInfo, bytes] | None:
    try:
        opened = client.open_object(bucket, name)
    except KeyNotFoundError:
        return None
    if isinstance(opened, NotModified):  # nothing of the kind was asked
        raise StoreUnavailableError(f"{name!r}: the server answers 304 to an unconditional request")
    body = bytearray(opened.info.size)
    opened.read_into(memoryview(body))
    return opened.info, bytes(body)
