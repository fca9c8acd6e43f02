"""Objects of one bucket: reads, and writes that respect what is locked.

Every write and deletion of this project goes through :class:`GuardedBucket`. On a bucket without
Object Lock it costs nothing: one request. With Object Lock, S3 protects versions but lets a plain
PUT or DELETE hide them, so a write first looks at the whole chain of the key::

    LIST versions of the key     a locked version may also lie under a newer one or a delete marker
    HEAD of each                 under retention: KeyLockedError; a hold on the current one is kept
    PUT, with a condition        If-None-Match where there was none, If-Match where there was one
    HEAD of what was replaced    locked by now: our own new version is deleted again, KeyLockedError

The last step is what makes a lock that is placed in the same instant safe.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    KeyNotFoundError,
    UnsupportedByServerError,
)
from s3kv_flows.store.locks import Protection, Retention, protection_of
from s3kv_flows.store.s3 import Fetched, ListedVersion, ObjectInfo, S3Client, Written
from s3kv_flows.store.tags import tagging_header

__all__ = ["GuardedBucket", "NewObject"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 5  # of a write that loses against other writers


@dataclass(frozen=True)
class NewObject:
    """An object to write, complete."""

    body: bytes
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    legal_hold: bool = False


@dataclass(frozen=True)
class _Chain:
    """The current version of a key, after all of its versions were found free to be changed."""

    current: ListedVersion | None
    hold: bool = False


class GuardedBucket:
    """Reads and guarded writes of the objects of one bucket.

    Args:
        client: The shared client.
        bucket: The bucket name.
        label: What messages call an object; by default its name.
    """

    def __init__(self, client: S3Client, bucket: str, label: Callable[[str], str] = str) -> None:
        self.client = client
        self.bucket = bucket
        self._label = label

    # --- reads ---------------------------------------------------------------------------------

    def get(
        self,
        name: str,
        *,
        version_id: str | None = None,
        if_none_match: str | None = None,
        wanted: Callable[[ObjectInfo], bool] | None = None,
    ) -> Fetched | None:
        """Read an object; see :meth:`S3Client.get_object`."""
        return self.client.get_object(
            self.bucket, name, version_id=version_id, if_none_match=if_none_match, wanted=wanted
        )

    def head(self, name: str, *, version_id: str | None = None) -> ObjectInfo:
        """Return what one HEAD tells of an object."""
        return self.client.head_object(self.bucket, name, version_id=version_id)

    # --- writes --------------------------------------------------------------------------------

    def put(self, name: str, new: NewObject, *, probably_new: bool = False) -> Written:
        """Write an object, unless what it would hide is locked.

        Args:
            name: The object name.
            new: The object.
            probably_new: The caller just saw that the key is absent: try one PUT with
                ``If-None-Match: *`` first, which is right on any bucket, before anything is asked.

        Raises:
            KeyLockedError: A version of the key is under retention.
            UnsupportedByServerError: A lock is asked for, and the bucket has no Object Lock.
            ConflictError: Other writers won five times in a row.
        """
        if new.retention or new.legal_hold:
            self.require_object_lock()
        elif self.client.knows_no_object_lock(self.bucket):
            return self._put_unlocked(name, new)
        elif probably_new:
            with suppress(ConflictError, UnsupportedByServerError):
                return self._put(name, new, if_none_match=True)
        if not self.client.has_object_lock(self.bucket):
            return self._put_unlocked(name, new)
        return self._put_guarded(name, new)

    def copy(self, source: str, target: str) -> Written:
        """Copy an object on the server, with its tags and metadata, unless the target is locked."""
        if not self.client.has_object_lock(self.bucket):
            return self.client.copy_object(self.bucket, source, target)
        chain = self._changeable(target, "copy onto")
        written = self.client.copy_object(self.bucket, source, target)
        if chain.hold:
            # Not by a header of the copy: some servers drop lock headers there.
            self.client.put_legal_hold(self.bucket, target, version_id=written.version_id)
        self._undo_if_locked(target, chain.current, written.version_id, "copy onto")
        return written

    def delete(self, name: str) -> None:
        """Delete an object, unless a version of it is locked; one that is absent is no error.

        Raises:
            KeyLockedError: A version of the key is under retention or a legal hold.
        """
        if not self.client.has_object_lock(self.bucket):
            self.client.delete_object(self.bucket, name)
            return
        current = self._free(name, "delete", holds=True).current
        if current is None:
            return
        marker = self.client.delete_object(self.bucket, name)
        self._undo_if_locked(name, current, marker, "delete", holds=True)

    def amend(self, name: str, written: Written, metadata: Mapping[str, str], content_type: str) -> Written:
        """Replace the metadata of an object that was just written, by one copy onto itself.

        The version with the old metadata is deleted on a versioned bucket.

        Raises:
            ConflictError: Somebody else wrote the object since.
        """
        amended = self.client.copy_object(
            self.bucket, name, name, source_etag=written.etag, metadata=metadata, content_type=content_type
        )
        if written.version_id is not None:
            self.client.delete_object(self.bucket, name, version_id=written.version_id)
        return amended

    # --- locks ---------------------------------------------------------------------------------

    def require_object_lock(self) -> None:
        """Raise UnsupportedByServerError where the bucket has no Object Lock."""
        if not self.client.has_object_lock(self.bucket):
            raise UnsupportedByServerError(
                f"bucket {self.bucket!r} has no Object Lock, so nothing in it can be locked: use a bucket "
                "made by `s3kv init ... --object-lock` or create_bucket(object_lock=True)"
            )

    def refuse_if_retained(self, name: str, action: str) -> None:
        """Raise KeyLockedError where a version of the object is under retention."""
        if self.client.has_object_lock(self.bucket):
            self._changeable(name, action)

    def place_retention(self, name: str, retention: Retention) -> datetime:
        """Put the current version of an object under retention; return the moment it ends.

        Raises:
            KeyNotFoundError: No such object.
            KeyLockedError: It is under a stricter retention already, which this would weaken.
            UnsupportedByServerError: The bucket has no Object Lock.
        """
        self.require_object_lock()
        info = self.head(name)
        until = retention.retain_until(self.client.now())
        held = protection_of(info)
        if (
            held
            and held.until
            and (held.until > until or (held.mode == "COMPLIANCE" and retention.mode == "GOVERNANCE"))
        ):
            raise held.refusal(
                self._label(name), f"weaken the lock to {until.isoformat(timespec='seconds')} of"
            )
        self.client.put_retention(self.bucket, name, retention.mode, until, version_id=info.version_id)
        return until

    def versions(self, name: str) -> list[ListedVersion]:
        """Return all versions and delete markers of exactly this object."""
        return self.client.list_versions_of(self.bucket, name)

    # --- how -----------------------------------------------------------------------------------

    def _put_unlocked(self, name: str, new: NewObject) -> Written:
        written = self._put(name, new)
        if written.version_id is not None and self.client.has_object_lock(self.bucket):
            # The bucket was given Object Lock since this process last asked.
            for version in self.versions(name):
                if version.version_id != written.version_id and not version.is_delete_marker:
                    self._undo_if_locked(name, version, written.version_id, "overwrite")
        return written

    def _put_guarded(self, name: str, new: NewObject) -> Written:
        refused_at: str | None = None
        for _ in range(_ATTEMPTS):
            chain = self._changeable(name, "overwrite")
            current = chain.current
            # Some servers refuse every If-Match on versioned buckets: refused, and nothing changed.
            unconditional = current is not None and current.version_id == refused_at
            try:
                written = self._put(
                    name,
                    new,
                    hold=chain.hold,
                    if_none_match=current is None,
                    if_match=current.etag if current and not unconditional else None,
                )
            except (ConflictError, KeyNotFoundError):
                refused_at = current.version_id if current else None
                continue
            except UnsupportedByServerError:
                # No conditional writes at all: what HEAD showed is as good as it gets.
                written = self._put(name, new, hold=chain.hold)
            self._undo_if_locked(name, current, written.version_id, "overwrite")
            return written
        raise ConflictError(f"{self._label(name)!r} was changed by others {_ATTEMPTS} times in a row")

    def _put(
        self,
        name: str,
        new: NewObject,
        *,
        hold: bool = False,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> Written:
        retention = new.retention
        return self.client.put_object(
            self.bucket,
            name,
            new.body,
            content_type=new.content_type,
            metadata=new.metadata,
            tagging=tagging_header(new.tags),
            lock_mode=retention.mode if retention else None,
            retain_until=retention.retain_until(self.client.now()) if retention else None,
            legal_hold=new.legal_hold or hold,
            if_none_match=if_none_match,
            if_match=if_match,
        )

    def _changeable(self, name: str, action: str) -> _Chain:
        return self._free(name, action, holds=False)

    def _free(self, name: str, action: str, *, holds: bool) -> _Chain:
        """Return the chain of a key, or raise KeyLockedError where a version of it is locked.

        Args:
            name: The object name.
            action: What the error says cannot be done.
            holds: Whether a legal hold forbids it, too.
        """
        current: ListedVersion | None = None
        hold = False
        for version in self.versions(name):
            if version.is_delete_marker:
                continue
            protection = self._protection(version)
            if protection and (protection.retained or holds):
                raise protection.refusal(self._label(name), action)
            if version.is_latest:
                current = version
                hold = protection is not None and protection.legal_hold
        return _Chain(current, hold)

    def _protection(self, version: ListedVersion) -> Protection | None:
        try:
            info = self.head(version.name, version_id=version.version_id)
        except KeyNotFoundError:  # deleted since it was listed
            return None
        return protection_of(info, is_current=version.is_latest)

    def _undo_if_locked(
        self, name: str, replaced: ListedVersion | None, ours: str | None, action: str, *, holds: bool = False
    ) -> None:
        """Take our own version (or delete marker) back where it hides a version that is locked by now."""
        protection = replaced and self._protection(replaced)
        if not protection or not (protection.retained or holds):
            return
        try:
            self.client.delete_object(self.bucket, name, version_id=ours)
        except AccessDeniedError:
            logger.exception(
                "%r was locked while it was written, and version %s, which is locked too, stays on top of it",
                self._label(name),
                ours,
            )
        raise protection.refusal(self._label(name), action)
