"""Claims that replace one another: one object per key, by ``If-Match``.

A bucket that keeps versions would keep one per renewal. So whoever replaces a claim there deletes the
version it replaced, and a claim is given back by deleting its version: nothing of a lease is left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from s3kv_flows.store._leases.records import (
    RECORD_TYPE,
    LeaseRecord,
    StoredRecord,
    kept_version,
    read_record,
    released,
)
from s3kv_flows.store.errors import ConflictError, KeyNotFoundError, S3KVError

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._leases.leases import Leases
from s3kv_flows.store._leases.records import LeaseBackend
from s3kv_flows.store.errors import UnsupportedByServerError

__all__ = ["SwapBackend", "backend_of", "open_leases"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SwapBackend:
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

    def look(self, name: str) -> StoredRecord | None:
        """Return the last claim of a key: one request."""
        return read_record(self.client, self.bucket, name)

    def write(self, name: str, record: LeaseRecord, *, after: StoredRecord | None) -> StoredRecord:
        """Write a claim down: one request, one more with versions, and one where its answer was lost."""
        try:
            written = self.client.put_object(
                self.bucket,
                name,
                record.to_json(),
                content_type=RECORD_TYPE,
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
        return StoredRecord(record, written.etag, kept_version(written.version_id))

    def remove(self, name: str, stored: StoredRecord) -> None:
        """Give a claim back: one request. One that was replaced stays replaced."""
        if stored.version_id is not None:
            self.client.delete_object(self.bucket, name, version_id=stored.version_id)
            return
        if not self.deletes:
            self.write(name, released(stored.record), after=stored)
            return
        try:
            self.client.delete_object(self.bucket, name, if_match=self._condition(stored))
        except KeyNotFoundError as exc:
            raise ConflictError(f"{name!r} is not there any more") from exc

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names that have claims: one request per 1,000."""
        for listed in self.client.list_objects(self.bucket, prefix):
            yield listed.name, listed.last_modified

    def retire(self, name: str, stored: StoredRecord, record: LeaseRecord) -> StoredRecord:
        """Take the lease where a deletion heeds no condition: one request; else nothing has to be done."""
        if stored.version_id is not None or self.deletes:
            return stored
        return self.write(name, record, after=stored)

    def erase(self, name: str, stored: StoredRecord) -> None:
        """Delete the object: one request; with versions, each by its id, the current one last."""
        if stored.version_id is None:
            condition = self._condition(stored) if self.deletes else None
            self.client.delete_object(self.bucket, name, if_match=condition)
            return
        versions = self.client.list_versions_of(self.bucket, name)
        for version in reversed(versions):
            if not version.is_latest or version.version_id == stored.version_id:
                self.client.delete_object(self.bucket, name, version_id=version.version_id)

    def _forget(self, name: str, version_id: str) -> None:
        """Delete the version beneath a new claim; where that fails, a sweep will."""
        try:
            self.client.delete_object(self.bucket, name, version_id=version_id)
        except S3KVError as exc:
            logger.info("an old version of the lease %r stays: %s", name, exc)

    def _condition(self, stored: StoredRecord) -> str:
        return stored.etag if self.quoted else stored.etag.strip('"')


def backend_of(client: S3Client, bucket: str, prefix: str) -> LeaseBackend:
    """Return the register that a bucket can carry.

    What is not known of the server is tried out, once per client: about thirty requests, in a bucket with
    versions two hundred.

    Args:
        client: The client.
        bucket: The bucket.
        prefix: Where leases, and objects of a probe, may be written.

    Raises:
        UnsupportedByServerError: Claims would not be exclusive there, or would be locked.
    """
    if client.capabilities.locks_by_default(bucket):
        raise UnsupportedByServerError(
            f"bucket {bucket!r} locks whatever is written to it, and would lock leases: "
            "name another one as lease_bucket_name"
        )
    puts = client.capabilities.conditional_puts(bucket, prefix, briefly=True)
    if puts.create != "atomic":
        raise UnsupportedByServerError(
            f"{client.server} lets several writers create one object in bucket {bucket!r}, so that a "
            "lease would not exclude anybody: name a bucket without versions as lease_bucket_name"
        )
    if puts.replace != "atomic":
        raise UnsupportedByServerError(
            f"{client.server} has no conditional overwrite (If-Match) in bucket {bucket!r}, so that a "
            "lease could not be renewed or taken over safely: name a bucket without versions as "
            "lease_bucket_name"
        )
    deletes = client.capabilities.conditional_deletes(bucket, prefix)
    return SwapBackend(client, bucket, puts.quoted, deletes.single)


def open_leases(client: S3Client, bucket: str, prefix: str, *, seconds: float = 30.0) -> Leases:
    """Return the leases of a bucket, numbered by the server's clock.

    Requests and errors are those of :func:`backend_of`.

    Args:
        client: The client.
        bucket: The bucket.
        prefix: What their names begin with.
        seconds: For how long a lease holds without being renewed.
    """
    capabilities = client.capabilities
    backend = backend_of(client, bucket, prefix)
    return Leases(backend, lambda: int(capabilities.now().timestamp() * 1000), seconds=seconds)
