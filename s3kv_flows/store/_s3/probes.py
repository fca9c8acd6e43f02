"""Probe the capabilities of a bucket with small temporary objects.

If no experiment is possible, the result is None, and counts as unsupported: in a bucket whose default
retention would lock the objects of a probe, and without the permission to write or delete. The objects are
named ``<prefix>.s3kv-probe-<random>``, which listings of keys leave out, and are deleted again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from s3kv_flows.store._layout.keys import PROBE
from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store._s3.capabilities import (
    Atomicity,
    ConditionalDeletes,
    ConditionalPuts,
    Copies,
    MultipartUploads,
)
from s3kv_flows.store._s3.types import NotModified
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    KeyNotFoundError,
    S3KVError,
    UnsupportedByServerError,
)

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client

__all__ = ["PlainRequests", "Probes"]

logger = loggable(__name__)

_ROUNDS, _FEW_ROUNDS = 10, 1
"""The number of races. No number proves atomicity: a gap between condition and write of less than a
millisecond may go unnoticed. They confirm a server that is designed to be atomic."""

_TYPE = "application/octet-stream"

T = TypeVar("T")


@dataclass(frozen=True)
class PlainRequests:
    """Whether an object could be written, and read as it was written, without any condition.

    Attributes:
        refused: The request that failed; None if none did.
        code: The code of its error, if the server sent one.
        message: What is wrong.
        checksums: Whether it works without the checksums that boto3 adds, so that they are the cause.
        stays: Whether the object stays, because these credentials may not delete it.
    """

    refused: Literal["PUT", "GET"] | None = None
    code: str = ""
    message: str = ""
    checksums: bool = False
    stays: bool = False


class Probes:
    """The experiments of one client.

    Args:
        client: The client.
        writers: The number of writers in a race.
        rounds: The number of races.
    """

    def __init__(self, client: S3Client, *, writers: int = 8, rounds: int = _ROUNDS) -> None:
        self._client = client
        self._writers, self._rounds = writers, rounds

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether the bucket keeps versions: one request. Without the permission, return True."""
        try:
            return self._client.is_versioned(bucket)
        except AccessDeniedError:
            return True  # the ways to write with versions are correct in any bucket

    def has_default_retention(self, bucket: str) -> bool:
        """Tell whether the bucket has a default retention: one request.

        Raises:
            AccessDeniedError: No permission, and the bucket keeps versions; without versions it has none.
        """
        try:
            return self._client.has_default_retention(bucket)
        except AccessDeniedError:
            if self._client.capabilities.is_versioned(bucket):
                raise
            return False

    def plain_requests(self, bucket: str, prefix: str) -> PlainRequests:
        """Write an object, read it, and delete it: 4 to 6 requests.

        Without the permission to delete, it always has the same name, so that no more than one stays.
        """
        name, stays = f"{prefix}{PROBE}{secrets.token_hex(8)}", False
        try:
            self._require_delete_permission(bucket, name)
        except AccessDeniedError:
            name, stays = f"{prefix}{PROBE}kept", True
        if stays:
            found = self._write_and_read(bucket, name)
            return replace(found, stays=found.refused != "PUT")
        with self._removed(bucket, name):
            return self._write_and_read(bucket, name)

    def conditional_puts(self, bucket: str, prefix: str, *, briefly: bool = False) -> ConditionalPuts | None:
        """Try conditional PUTs, in sequence and in races: 200 requests if they hold, briefly 35."""
        rounds = _FEW_ROUNDS if briefly else self._rounds

        def experiment(name: str) -> ConditionalPuts:
            create = self._create(bucket, name, rounds)
            quoted = self._replaces(bucket, name, quoted=True)
            replaces = quoted or self._replaces(bucket, name, quoted=False)
            return ConditionalPuts(
                create, self._replace_races(bucket, name, quoted, rounds) if replaces else "no", quoted
            )

        return self._try(bucket, prefix, experiment)

    def conditional_deletes(self, bucket: str, prefix: str) -> ConditionalDeletes | None:
        """Try to delete with an ETag that does not match: 6 requests."""

        def experiment(name: str) -> ConditionalDeletes:
            return ConditionalDeletes(
                single=self._stays(
                    bucket, name, lambda: self._client.delete_object(bucket, name, if_match=_OTHER)
                ),
                batch=self._stays(
                    bucket, name, lambda: self._client.delete_objects(bucket, [(name, None, _OTHER)])
                ),
            )

        return self._try(bucket, prefix, experiment)

    def multipart_uploads(self, bucket: str, prefix: str) -> MultipartUploads | None:
        """Make a multipart upload with a tag and, with Object Lock, a legal hold: 6 to 8 requests."""
        locks = self._client.has_object_lock(bucket)

        def experiment(name: str) -> MultipartUploads:
            upload = self._client.create_multipart_upload(
                bucket, name, content_type=_TYPE, tagging="probe=1", legal_hold=locks
            )
            try:
                part = self._client.upload_part(bucket, name, upload, 1, b"probe")
                self._client.complete_multipart_upload(bucket, name, upload, [part])
            except S3KVError:
                with suppress(KeyNotFoundError):
                    self._client.abort_multipart_upload(bucket, name, upload)
                raise
            held = self._client.head_object(bucket, name).legal_hold
            return MultipartUploads(tags=self._client.get_tags(bucket, name) == {"probe": "1"}, locks=held)

        return self._try(bucket, prefix, experiment)

    def tags(self, bucket: str, prefix: str) -> bool | None:
        """Write an object with a tag, and give it another: 6 requests."""

        def experiment(name: str) -> bool:
            self._client.put_object(bucket, name, b"probe", content_type=_TYPE, tagging="probe=1")
            stored = self._client.get_tags(bucket, name) == {"probe": "1"}
            self._client.put_tags(bucket, name, {"probe": "2"})
            return stored and self._client.get_tags(bucket, name) == {"probe": "2"}

        return self._try(bucket, prefix, experiment)

    def copies(self, bucket: str, prefix: str) -> Copies | None:
        """Copy an object with other tags and, with Object Lock, a legal hold: 6 to 9 requests."""
        locks = self._client.has_object_lock(bucket)

        def copy_is_held(name: str, target: str, *, hold: bool) -> bool:
            self._client.copy_object(bucket, name, target, tagging="probe=1", legal_hold=hold)
            return self._client.head_object(bucket, target).legal_hold

        def experiment(name: str) -> Copies:
            self._put(bucket, name)
            target = f"{name}-copy"
            with self._removed(bucket, target):
                try:
                    held = copy_is_held(name, target, hold=locks)
                except UnsupportedByServerError:
                    held = copy_is_held(name, target, hold=False)
                tags = self._client.get_tags(bucket, target)
                return Copies(replace_tags=tags == {"probe": "1"}, locks=held)

        return self._try(bucket, prefix, experiment)

    def require_visible_locks(self, bucket: str, name: str, version_id: str | None) -> bool:
        """Read the retention and the legal hold of a version for which HEAD showed none: two requests.

        Raises:
            AccessDeniedError: The credentials lack the permission to read locks.
        """
        try:
            self._client.get_retention(bucket, name, version_id=version_id)
            self._client.get_legal_hold(bucket, name, version_id=version_id)
        except AccessDeniedError as exc:
            raise AccessDeniedError(
                f"no permission to read whether {name!r} in bucket {bucket!r} is locked, so it is left "
                f"alone: grant s3:GetObjectRetention and s3:GetObjectLegalHold ({exc})"
            ) from exc
        return True

    # --- how -------------------------------------------------------------------------------------

    def _write_and_read(self, bucket: str, name: str) -> PlainRequests:
        body, stored = secrets.token_bytes(64), bytearray(64)
        try:
            self._client.put_object(bucket, name, body, content_type=_TYPE)
        except S3KVError as exc:
            return PlainRequests("PUT", exc.code, str(exc))
        try:
            found = self._client.open_object(bucket, name)
            if isinstance(found, NotModified) or found.info.size != len(body):
                return PlainRequests("GET", "", f"{name!r} is not stored as it was sent")
            found.read_into(memoryview(stored))
        except S3KVError as exc:
            return PlainRequests("GET", exc.code, str(exc))
        return PlainRequests() if stored == body else PlainRequests("GET", "", f"{name!r} has other bytes")

    def _try(self, bucket: str, prefix: str, experiment: Callable[[str], T]) -> T | None:
        try:
            if self._client.has_default_retention(bucket):
                return None
            name = f"{prefix}{PROBE}{secrets.token_hex(8)}"
            self._require_delete_permission(bucket, name)
            with self._removed(bucket, name):
                return experiment(name)
        except (AccessDeniedError, UnsupportedByServerError) as exc:
            logger.info("a capability of bucket %r could not be probed: %s", bucket, exc)
            return None

    def _require_delete_permission(self, bucket: str, name: str) -> None:
        """Delete a missing object: without the permission, the objects of the probe would stay."""
        versioned = self._client.capabilities.is_versioned(bucket)
        with suppress(KeyNotFoundError):
            self._client.delete_object(bucket, name, version_id="null" if versioned else None)

    @contextmanager
    def _removed(self, bucket: str, name: str) -> Iterator[None]:
        """Remove all versions of an object afterwards."""
        try:
            yield
        finally:
            for version in self._client.list_versions_of(bucket, name):
                held = not version.is_delete_marker and (
                    self._client.head_object(bucket, name, version_id=version.version_id).legal_hold
                    if self._client.has_object_lock(bucket)
                    else False
                )
                if held:
                    self._client.put_legal_hold(bucket, name, version_id=version.version_id, on=False)
                self._client.delete_object(bucket, name, version_id=version.version_id)

    def _put(self, bucket: str, name: str, *, create: bool = False, if_match: str | None = None) -> str:
        body = secrets.token_bytes(8)  # equal bodies would have equal ETags
        return self._client.put_object(
            bucket, name, body, content_type=_TYPE, if_none_match=create, if_match=if_match
        ).etag

    def _wins(self, bucket: str, name: str, *, create: bool = False, if_match: str | None = None) -> bool:
        try:
            self._put(bucket, name, create=create, if_match=if_match)
        except (ConflictError, KeyNotFoundError, UnsupportedByServerError):
            return False
        return True

    def _create(self, bucket: str, name: str, rounds: int) -> Atomicity:
        if not self._wins(bucket, name, create=True) or self._wins(bucket, name, create=True):
            return "no"
        for number in range(rounds):
            contested = f"{name}-{number}"
            with self._removed(bucket, contested):
                if self._winners(lambda: self._wins(bucket, contested, create=True)) > 1:  # noqa: B023  # run here
                    return "sequential"
        return "atomic"

    def _replaces(self, bucket: str, name: str, *, quoted: bool) -> bool:
        etag = _spelled(self._put(bucket, name), quoted=quoted)
        return self._wins(bucket, name, if_match=etag) and not self._wins(bucket, name, if_match=etag)

    def _replace_races(self, bucket: str, name: str, quoted: bool, rounds: int) -> Atomicity:  # noqa: FBT001  # private
        for _ in range(rounds):
            etag = _spelled(self._put(bucket, name), quoted=quoted)
            if self._winners(lambda: self._wins(bucket, name, if_match=etag)) > 1:  # noqa: B023  # run here
                return "sequential"
        return "atomic"

    def _winners(self, write: Callable[[], bool]) -> int:
        """Return how many writers succeed that start at the same moment."""
        start = threading.Barrier(self._writers)

        def run(_: int) -> bool:
            start.wait()
            return write()

        with ThreadPoolExecutor(self._writers, thread_name_prefix="s3kv-probe") as pool:
            return sum(pool.map(run, range(self._writers)))

    def _stays(self, bucket: str, name: str, delete: Callable[[], object]) -> bool:
        """Tell whether an object survives a deletion with a condition that does not hold."""
        etag = self._put(bucket, name)
        try:
            delete()
        except (ConflictError, UnsupportedByServerError):
            return True
        try:
            return self._client.head_object(bucket, name).etag == etag
        except KeyNotFoundError:
            return False


_OTHER = '"00000000000000000000000000000000"'
"""An ETag that no object has."""


def _spelled(etag: str, *, quoted: bool) -> str:
    return etag if quoted else etag.strip('"')
