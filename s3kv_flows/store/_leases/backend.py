"""Choose and implement the lease backend: compare-and-swap with ``If-Match``.

There is one object per key. A bucket that keeps versions would keep one per renewal. So each writer deletes
the version that it replaced, and a release deletes the current version: nothing of a lease is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store._leases.leases import Leases
from s3kv_flows.store._leases.records import (
    RECORD_TYPE,
    LeaseBackend,
    LeaseRecord,
    StoredRecord,
    read_record,
    real_version,
    released,
)
from s3kv_flows.store.errors import ConflictError, KeyNotFoundError, S3KVError, UnsupportedByServerError

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client

__all__ = ["SwapBackend", "backend_of", "open_leases"]

logger = loggable(__name__)


@dataclass(frozen=True)
class SwapBackend:
    """Stores one lease record per key, and replaces it by compare-and-swap.

    Attributes:
        client: The client.
        bucket: The bucket.
        quoted: Whether the server takes ETags as it writes them, in quotes.
        deletes: Whether a DELETE honours ``If-Match``. If not, a release writes a released record.
    """

    client: S3Client
    bucket: str
    quoted: bool
    deletes: bool

    def read(self, name: str) -> StoredRecord | None:
        """Return the current lease record of a key: one request."""
        return read_record(self.client, self.bucket, name)

    def write(self, name: str, record: LeaseRecord, *, after: StoredRecord | None) -> StoredRecord:
        """Write a lease record: one request, one more with versions, and one if its response was lost."""
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
            ours = self.read(name) if exc.was_lost else None
            if ours is None or ours.record != record:
                raise
            return ours
        except KeyNotFoundError as exc:  # there is nothing to replace any more
            raise ConflictError(f"the lease {name!r} was released in the meantime") from exc
        if after is not None and after.version_id is not None:
            self._delete_replaced(name, after.version_id)
        return StoredRecord(record, written.etag, real_version(written.version_id))

    def remove(self, name: str, stored: StoredRecord) -> None:
        """Remove a lease record, or mark it as released: one request. The record of another holder stays."""
        if stored.version_id is not None:
            self.client.delete_object(self.bucket, name, version_id=stored.version_id)
            return
        if not self.deletes:
            self.write(name, released(stored.record), after=stored)
            return
        try:
            self.client.delete_object(self.bucket, name, if_match=self._condition(stored))
        except KeyNotFoundError as exc:
            raise ConflictError(f"the lease {name!r} does not exist any more") from exc

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names of lease objects: one request per 1,000."""
        for listed in self.client.list_objects(self.bucket, prefix):
            yield listed.name, listed.last_modified

    def retire(self, name: str, stored: StoredRecord, record: LeaseRecord) -> StoredRecord:
        """Take the lease over if a DELETE ignores ``If-Match``: one request; else do nothing."""
        if stored.version_id is not None or self.deletes:
            return stored
        return self.write(name, record, after=stored)

    def erase(self, name: str, stored: StoredRecord) -> None:
        """Delete the object: one request; with versions, delete each by its id, the current one last."""
        if stored.version_id is None:
            condition = self._condition(stored) if self.deletes else None
            self.client.delete_object(self.bucket, name, if_match=condition)
            return
        versions = self.client.list_versions_of(self.bucket, name)
        for version in reversed(versions):
            if not version.is_latest or version.version_id == stored.version_id:
                self.client.delete_object(self.bucket, name, version_id=version.version_id)

    def _delete_replaced(self, name: str, version_id: str) -> None:
        """Delete the version beneath a new lease record; if that fails, a sweep will delete it."""
        try:
            self.client.delete_object(self.bucket, name, version_id=version_id)
        except S3KVError as exc:
            logger.info("an old version of the lease %r was not deleted: %s", name, exc)

    def _condition(self, stored: StoredRecord) -> str:
        return stored.etag if self.quoted else stored.etag.strip('"')


def backend_of(client: S3Client, bucket: str, prefix: str) -> LeaseBackend:
    """Return the lease backend that a bucket supports.

    Unknown capabilities are probed, once per client: about thirty requests, in a bucket with versions two
    hundred.

    Args:
        client: The client.
        bucket: The bucket.
        prefix: Where leases, and objects of a probe, may be written.

    Raises:
        UnsupportedByServerError: Leases would not be exclusive in the bucket, or would be locked.
    """
    if client.capabilities.locks_by_default(bucket):
        raise UnsupportedByServerError(
            f"bucket {bucket!r} has a default retention, which would lock leases: "
            "name another one as lease_bucket_name"
        )
    puts = client.capabilities.conditional_puts(bucket, prefix, briefly=True)
    if puts.create != "atomic":
        raise UnsupportedByServerError(
            f"{client.server} lets several writers create the same object in bucket {bucket!r}, so that a "
            "lease would not exclude other holders: name a bucket without versions as lease_bucket_name"
        )
    if puts.replace != "atomic":
        raise UnsupportedByServerError(
            f"{client.server} supports no conditional overwrite (If-Match) in bucket {bucket!r}, so that a "
            "lease could not be renewed or taken over safely: name a bucket without versions as "
            "lease_bucket_name"
        )
    deletes = client.capabilities.conditional_deletes(bucket, prefix)
    return SwapBackend(client, bucket, puts.quoted, deletes.single)


def open_leases(client: S3Client, bucket: str, prefix: str, *, seconds: float = 30.0) -> Leases:
    """Return the leases of a bucket, with fencing numbers from the server's clock.

    Requests and errors are those of :func:`backend_of`.

    Args:
        client: The client.
        bucket: The bucket.
        prefix: The prefix of their object names.
        seconds: For how long a lease holds without being renewed.
    """
    capabilities = client.capabilities
    backend = backend_of(client, bucket, prefix)
    return Leases(backend, lambda: int(capabilities.now().timestamp() * 1000), seconds=seconds)
