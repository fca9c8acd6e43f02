"""Experiments that show what a bucket can do. They write small objects, and delete them again.

Where nothing may be tried, the answer is None, and counts as "cannot": in a bucket whose default
retention would lock every object of a probe, and for callers who may not write or delete there. The
objects are named ``<prefix>.s3kv-probe-<random>``, which no list of keys shows.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from s3kv_flows.store._layout.keys import PROBE
from s3kv_flows.store._s3.capabilities import (
    Carries,
    ConditionalDeletes,
    ConditionalPuts,
    Copies,
    MultipartUploads,
)
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    KeyNotFoundError,
    S3KVError,
    UnsupportedByServerError,
)

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client

__all__ = ["Probes"]

logger = logging.getLogger(__name__)

_ROUNDS, _FEW_ROUNDS = 10, 1
"""Races are run so often. No number of them proves atomicity: a gap between condition and write of less
than a millisecond may go unnoticed. It takes a server that means to be atomic for what it is."""

_TYPE = "application/octet-stream"

T = TypeVar("T")


class Probes:
    """The experiments of one client.

    Args:
        client: The client.
        writers: How many take part in a race.
        rounds: How many races there are.
    """

    def __init__(self, client: S3Client, *, writers: int = 8, rounds: int = _ROUNDS) -> None:
        self._client = client
        self._writers, self._rounds = writers, rounds

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether the bucket keeps versions: one request. Who may not ask is told that it does."""
        try:
            return self._client.is_versioned(bucket)
        except AccessDeniedError:
            return True  # the careful way is right in any bucket

    def has_default_retention(self, bucket: str) -> bool:
        """Tell whether the bucket locks whatever is written to it: one request.

        Raises:
            AccessDeniedError: One may not ask, of a bucket with versions; without, it cannot.
        """
        try:
            return self._client.has_default_retention(bucket)
        except AccessDeniedError:
            if self._client.capabilities.is_versioned(bucket):
                raise
            return False

    def conditional_puts(self, bucket: str, prefix: str, *, briefly: bool = False) -> ConditionalPuts | None:
        """Try conditional PUTs, in sequence and in races: 200 requests where they hold, briefly 35."""
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
        """Upload in parts with a tag and, on an Object Lock bucket, with a hold: 6 to 8 requests."""
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
            kept = self._client.get_tags(bucket, name) == {"probe": "1"}
            self._client.put_tags(bucket, name, {"probe": "2"})
            return kept and self._client.get_tags(bucket, name) == {"probe": "2"}

        return self._try(bucket, prefix, experiment)

    def copies(self, bucket: str, prefix: str) -> Copies | None:
        """Copy an object with other tags and, on an Object Lock bucket, with a hold: 6 to 9 requests."""
        locks = self._client.has_object_lock(bucket)

        def copied(name: str, target: str, *, hold: bool) -> bool:
            self._client.copy_object(bucket, name, target, tagging="probe=1", legal_hold=hold)
            return self._client.head_object(bucket, target).legal_hold

        def experiment(name: str) -> Copies:
            self._put(bucket, name)
            target = f"{name}-copy"
            with self._removed(bucket, target):
                try:
                    held = copied(name, target, hold=locks)
                except UnsupportedByServerError:
                    held = copied(name, target, hold=False)
                tags = self._client.get_tags(bucket, target)
                return Copies(replace_tags=tags == {"probe": "1"}, locks=held)

        return self._try(bucket, prefix, experiment)

    def require_visible_locks(self, bucket: str, name: str, version_id: str | None) -> bool:
        """Ask for the lock of a version, which HEAD did not show: two requests.

        Raises:
            AccessDeniedError: These credentials may not see locks.
        """
        try:
            self._client.get_retention(bucket, name, version_id=version_id)
            self._client.get_legal_hold(bucket, name, version_id=version_id)
        except AccessDeniedError as exc:
            raise AccessDeniedError(
                f"whether {name!r} in bucket {bucket!r} is locked cannot be seen, so it is left alone: grant "
                f"s3:GetObjectRetention and s3:GetObjectLegalHold ({exc})"
            ) from exc
        return True

    # --- how -------------------------------------------------------------------------------------

    def _try(self, bucket: str, prefix: str, experiment: Callable[[str], T]) -> T | None:
        try:
            if self._client.has_default_retention(bucket):
                return None
            name = f"{prefix}{PROBE}{secrets.token_hex(8)}"
            self._require_that_deleting_is_allowed(bucket, name)
            with self._removed(bucket, name):
                return experiment(name)
        except (AccessDeniedError, UnsupportedByServerError) as exc:
            logger.info("what bucket %r can do was not found out: %s", bucket, exc)
            return None

    def _require_that_deleting_is_allowed(self, bucket: str, name: str) -> None:
        """Delete what is not there: who may not do that would leave the objects of the probe behind."""
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
        body = secrets.token_bytes(8)  # two writers of equal bodies could not be told apart
        return self._client.put_object(
            bucket, name, body, content_type=_TYPE, if_none_match=create, if_match=if_match
        ).etag

    def _wins(self, bucket: str, name: str, *, create: bool = False, if_match: str | None = None) -> bool:
        try:
            self._put(bucket, name, create=create, if_match=if_match)
        except (ConflictError, KeyNotFoundError, UnsupportedByServerError):
            return False
        return True

    def _create(self, bucket: str, name: str, rounds: int) -> Carries:
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

    def _replace_races(self, bucket: str, name: str, quoted: bool, rounds: int) -> Carries:  # noqa: FBT001  # private
        for _ in range(rounds):
            etag = _spelled(self._put(bucket, name), quoted=quoted)
            if self._winners(lambda: self._wins(bucket, name, if_match=etag)) > 1:  # noqa: B023  # run here
                return "sequential"
        return "atomic"

    def _winners(self, write: Callable[[], bool]) -> int:
        """Return how many writers win that begin at the same moment."""
        start = threading.Barrier(self._writers)

        def run(_: int) -> bool:
            start.wait()
            return write()

        with ThreadPoolExecutor(self._writers, thread_name_prefix="s3kv-probe") as pool:
            return sum(pool.map(run, range(self._writers)))

    def _stays(self, bucket: str, name: str, delete: Callable[[], object]) -> bool:
        """Tell whether an object survives a deletion whose condition does not hold."""
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
