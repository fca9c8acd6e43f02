"""Deletions that respect Object Lock: one object, many, or all versions.

On a versioned bucket a deletion adds a delete marker, as S3 does; :meth:`Deletions.purge` frees the bytes.
Locks are checked as :mod:`s3kv_flows.store._objects.bucket` does for writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from s3kv_flows.store._locks.chains import OwnWrite, current_of
from s3kv_flows.store._objects.bucket import GuardedBucket
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import batched, map_concurrently
from s3kv_flows.store._s3.transport.translation import error_type
from s3kv_flows.store._s3.types import DeleteFailure, ListedObject, Written
from s3kv_flows.store.errors import AccessDeniedError, KeyLockedError, S3KVError

__all__ = ["BATCH", "Deletions", "delete_batch", "delete_each"]

BATCH = 1000
"""The most objects that DeleteObjects accepts in one request."""


class Deletions:
    """Deletes objects of one bucket.

    Args:
        objects: The objects.
        display_name: Returns the name of an object in messages.
    """

    def __init__(self, objects: GuardedBucket, display_name: Callable[[str], str] = str) -> None:
        self._objects = objects
        self._client, self._bucket, self._guard = objects.client, objects.bucket, objects.guard
        self._display_name = display_name

    def delete(self, name: str) -> None:
        """Delete an object, unless a version of it is locked; an absent object is no error.

        Raises:
            KeyLockedError: A version of the key is under retention or a legal hold.
        """
        if not self._objects.has_object_lock:
            self._delete_plain(name)
            return
        chain = self._guard.versions(name)
        self._guard.require_unlocked(name, chain, "delete", refuse_held=True)
        if current_of(chain) is None:
            return
        marker = self._client.delete_object(self._bucket, name)
        self._guard.verify_after(name, chain, OwnWrite(Written("", marker)), "delete", refuse_held=True)

    def delete_many(self, listed: Iterable[ListedObject]) -> Iterator[tuple[str, S3KVError | None]]:
        """Delete listed objects; yield the name of each, with the error that prevented its deletion.

        One request per 1,000, and one to make sure that there is no Object Lock, unless that was asked
        within five minutes; with Object Lock those of :meth:`delete` for each, sixteen at a time. Without
        versions, objects that were overwritten since the listing stay, where the server supports such a
        condition.
        """
        if self._client.has_object_lock(self._bucket, surely=True):
            yield from map_concurrently(self._delete_one, (one.name for one in listed))
            return
        for batch in batched(listed, BATCH):
            # With versions a deletion only adds a delete marker, and can be undone.
            conditional = (
                not self._client.capabilities.is_versioned(self._bucket)
                and self._client.capabilities.conditional_deletes(self._bucket, self._objects.prefix).batch
            )
            objects = [(one.name, None, one.etag if conditional else None) for one in batch]
            try:
                failures = {each.name: each for each in self._client.delete_objects(self._bucket, objects)}
            except AccessDeniedError:
                # Ceph 16 requires a permission on the bucket for a batch, and on the key for one object.
                yield from map_concurrently(self._delete_one, (one.name for one in batch))
                continue
            except S3KVError as exc:
                yield from ((one.name, exc) for one in batch)
                continue
            for one in batch:
                failure = failures.get(one.name)
                yield one.name, self._failure(failure) if failure else None

    def purge(self, name: str) -> None:
        """Delete all versions of an object, and its delete markers.

        Older versions are deleted first, so that none of them becomes current, wherever it may break off.

        Raises:
            KeyLockedError: A version of the key is under retention or a legal hold; none was deleted.
        """
        if not self._client.capabilities.is_versioned(self._bucket):
            self._delete_plain(name)
            return
        chain = self._guard.versions(name)
        if self._objects.has_object_lock:
            self._guard.require_unlocked(name, chain, "purge", refuse_held=True)
        # The version or delete marker on top is deleted last and alone: it hides the others.
        older, top = chain[1:], chain[:1]
        for batch in (*batched(older, BATCH), *([top] if top else [])):
            objects = [(name, version.version_id, None) for version in batch]
            for failure in delete_batch(self._client, self._bucket, objects):
                raise self._failure(failure)

    # --- private -------------------------------------------------------------------------------

    def _delete_plain(self, name: str) -> None:
        """Delete in a bucket that had no Object Lock when this process last asked."""
        marker = self._client.delete_object(self._bucket, name)
        self._client.capabilities.learn_version(self._bucket, marker)
        if marker is not None and self._objects.has_object_lock:
            self._guard.verify_after(name, [], OwnWrite(Written("", marker)), "delete", refuse_held=True)

    def _delete_one(self, name: str) -> tuple[str, S3KVError | None]:
        try:
            self.delete(name)
        except S3KVError as refusal:
            return name, refusal
        return name, None

    def _failure(self, failure: DeleteFailure) -> S3KVError:
        """Return the error for one object of a batch."""
        kind = error_type(failure.code, 0)
        display_name = self._display_name(failure.name)
        if failure.code == "AccessDenied" and self._objects.has_object_lock:
            try:  # not every server names the version
                self._guard.require_unlocked(
                    failure.name, self._guard.versions(failure.name), "delete", refuse_held=True
                )
            except KeyLockedError as refusal:
                return refusal
        return kind(f"{display_name!r} was not deleted: {failure.code}: {failure.message}")


def delete_batch(
    client: S3Client, bucket: str, objects: Sequence[tuple[str, str | None, str | None]]
) -> list[DeleteFailure]:
    """Delete up to 1,000 objects, each by name, version id or None, ETag or None; return the failures.

    One request; or one per object, where these credentials may delete objects, but not in batches: Ceph 16
    requires a permission on the bucket for a batch, and on the key for one object.
    """
    try:
        return client.delete_objects(bucket, objects)
    except AccessDeniedError:
        return delete_each(client, bucket, objects)


def delete_each(
    client: S3Client, bucket: str, objects: Iterable[tuple[str, str | None, str | None]]
) -> list[DeleteFailure]:
    """Delete objects one by one, sixteen at a time; see :func:`delete_batch`."""

    def delete(one: tuple[str, str | None, str | None]) -> DeleteFailure | None:
        name, version_id, etag = one
        try:
            client.delete_object(bucket, name, version_id=version_id, if_match=etag)
        except S3KVError as exc:
            return DeleteFailure(name, version_id, exc.code, str(exc))
        return None

    return [failure for failure in map_concurrently(delete, objects) if failure is not None]
