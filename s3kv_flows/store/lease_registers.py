"""Where leases are written down: one claim per key, which nobody can replace without having seen it.

Two ways, by what a server offers. With ``If-Match``, a claim is one object, which each claim after it
replaces. With ``If-None-Match`` alone, claims are numbered objects: whoever has seen number 7 creates
number 8, which S3 lets one of them do. The last claim of a key then stays, marked as released, until a
sweep removes it: were it deleted, the numbers would begin again, and two would believe to be the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from s3kv_flows.store.errors import ConflictError, CorruptValueError, KeyNotFoundError, StoreUnavailableError
from s3kv_flows.store.s3 import S3Client
from s3kv_flows.store.s3_types import NotModified, ObjectInfo

__all__ = ["Claim", "LeaseRecord", "NumberedClaims", "Register", "ReplacedClaims"]

_TYPE = "application/json"
_FORMAT = 1
_DIGITS = 12


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
        written: When it was written, by the server's clock.
        age: How old it was when it was read, by the server's clock, whose dates are whole seconds.
    """

    record: LeaseRecord
    etag: str
    sequence: int = 0
    written: datetime | None = None
    age: timedelta = timedelta(0)


class Register(Protocol):
    """The claims of a bucket. Methods raise the errors of the client."""

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
        """Write a claim down: one request, and one more where its answer was lost."""
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
        return Claim(record, written.etag)

    def remove(self, name: str, claim: Claim) -> None:
        """Give a claim back: one request."""
        if not self.deletes:
            self.write(name, _released(claim.record), after=claim)
            return
        try:
            self.client.delete_object(self.bucket, name, if_match=self._condition(claim))
        except KeyNotFoundError as exc:
            raise ConflictError(f"{name!r} is not there any more") from exc

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
        """Write a claim down: three requests."""
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
        if numbers and numbers[-1] > number:  # the claim that was seen was an old one
            self.client.delete_object(self.bucket, where)
            raise ConflictError(f"{name!r} has a later claim")
        older = [(_numbered(name, old), None, None) for old in numbers if old < number]
        if older:
            self.client.delete_objects(self.bucket, older)
        return Claim(record, etag, number)

    def remove(self, name: str, claim: Claim) -> None:
        """Mark a claim as released: three requests."""
        self.write(name, _released(claim.record), after=claim)

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
    return Claim(record, info.etag, sequence, info.last_modified, info.server_time - info.last_modified)


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
