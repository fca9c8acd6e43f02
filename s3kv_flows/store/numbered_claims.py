"""Claims under ascending numbers: for servers that know ``If-None-Match`` and no ``If-Match``.

Whoever has seen number 7 creates number 8, which S3 lets one of them do. The last claim of a key stays,
marked as released, until a sweep removes it: were it deleted, the numbers would begin again, and two would
believe to be the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from s3kv_flows.store.errors import ConflictError
from s3kv_flows.store.lease_records import (
    CLAIM_TYPE,
    USABLE_SECONDS,
    Claim,
    LeaseRecord,
    lease_clock,
    own_until,
    read_claim,
    released,
)

if TYPE_CHECKING:
    from s3kv_flows.store.s3 import S3Client

__all__ = ["NumberedClaims"]

_DIGITS = 12


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
            last = numbers[-1]
            found = read_claim(self.client, self.bucket, _numbered(name, last), sequence=last)
            if found:
                return found
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
                self.bucket, where, record.to_json(), content_type=CLAIM_TYPE, if_none_match=True
            )
            etag = written.etag
        except ConflictError as exc:
            found = read_claim(self.client, self.bucket, where) if exc.was_lost else None
            if found is None or found.record != record:
                raise
            etag = found.etag
        numbers = self._numbers(name)
        is_late = after is not None and lease_clock() > after.usable_until
        if is_late or numbers[-1:] > [number]:
            self.client.delete_object(self.bucket, where)
            raise ConflictError(f"the claim of {name!r} came too late, or next to one that is not the last")
        older = [(_numbered(name, old), None, None) for old in numbers if old < number]
        if older:
            self.client.delete_objects(self.bucket, older)
        return Claim(record, etag, number, usable_until=own_until(record))

    def remove(self, name: str, claim: Claim) -> None:
        """Mark a claim as released: three requests."""
        self.write(name, released(claim.record), after=claim)

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
