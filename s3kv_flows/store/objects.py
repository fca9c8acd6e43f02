"""Objects of one bucket: reads, and writes that respect what is locked.

Values, results and copies are written and deleted through :class:`GuardedBucket`. On a bucket without
Object Lock it costs nothing: one request. With Object Lock, S3 protects versions but lets a plain PUT
or DELETE hide them, so a write looks at the whole chain of the key, before and after::

    LIST versions of the key     a locked version may also lie under a newer one or a delete marker
    HEAD of each                 under retention: KeyLockedError; a hold on the current one is kept
    PUT, with a condition        If-None-Match where there was none, If-Match where there was one
    LIST, HEAD of what is new    a version that came between, or the one that was replaced, is locked
                                 by now: our own version is deleted again, KeyLockedError

The second LIST is for servers whose conditions do not hold in a race, or not at all; on AWS, where
they do, a HEAD of what was replaced is enough. It is what makes a lock that is placed in the same
instant safe.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from s3kv_flows.store.bulk import concurrently
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    KeyNotFoundError,
    UnsupportedByServerError,
)
from s3kv_flows.store.locks import Protection, Retention, protection_of
from s3kv_flows.store.s3 import S3Client
from s3kv_flows.store.s3_types import Fetched, ListedVersion, ObjectInfo, Written
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
            probably_new: The caller just saw that the key is absent, and the body is unlike any other:
                try one PUT with ``If-None-Match: *`` first, before anything is asked. Not on servers
                that are known to ignore the condition; and never for what is to be locked. What this
                cannot see is a delete marker, put by others, over a locked version: the new object
                would lie on top of both.

        Raises:
            KeyLockedError: A version of the key is under retention.
            UnsupportedByServerError: A lock is asked for, and the bucket has no Object Lock.
            ConflictError: Other writers won five times in a row.
        """
        if new.retention or new.legal_hold:
            self.require_object_lock()
        elif self.client.capabilities.knows_no_object_lock(self.bucket):
            return self._put_unlocked(name, new)
        elif probably_new and not self.client.capabilities.ignores_conditions:
            with suppress(ConflictError, UnsupportedByServerError):
                return self._put(name, new, if_none_match=True)
        if not self.client.has_object_lock(self.bucket):
            return self._put_unlocked(name, new)
        return self._put_guarded(name, new)

    def copy(self, source: str, target: str) -> Written:
        """Copy an object on the server, with its tags and metadata, unless the target is locked."""
        if not self.client.has_object_lock(self.bucket):
            return self.client.copy_object(self.bucket, source, target)
        chain = self.versions(target)
        hold = self._require_free(target, chain, "copy onto")
        written = self.client.copy_object(self.bucket, source, target)
        if written.version_id is None:  # Ceph does not say
            written = replace(written, version_id=self.head(target).version_id)
        self._undo_if_locked(target, chain, written, "copy onto")
        if hold:
            # Not by a header of the copy: some servers drop lock headers there.
            self.client.put_legal_hold(self.bucket, target, version_id=written.version_id)
        return written

    def delete(self, name: str) -> None:
        """Delete an object, unless a version of it is locked; one that is absent is no error.

        Raises:
            KeyLockedError: A version of the key is under retention or a legal hold.
        """
        if not self.client.has_object_lock(self.bucket):
            self.client.delete_object(self.bucket, name)
            return
        chain = self.versions(name)
        self._require_free(name, chain, "delete", holds=True)
        if _current(chain) is None:
            return
        marker = self.client.delete_object(self.bucket, name)
        self._undo_if_locked(name, chain, Written("", marker), "delete", holds=True)

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
            self._require_free(name, self.versions(name), action)

    def place_retention(self, name: str, retention: Retention) -> datetime:
        """Put the current version of an object under retention; return the moment it ends.

        Raises:
            KeyNotFoundError: No such object.
            KeyLockedError: It is under a stricter retention already, which this would weaken.
            UnsupportedByServerError: The bucket has no Object Lock.
        """
        self.require_object_lock()
        info = self.head(name)
        until = retention.retain_until(self.client.capabilities.now())
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
            self._undo_if_locked(name, [], written, "overwrite")
        return written

    def _put_guarded(self, name: str, new: NewObject) -> Written:
        chain = self.versions(name)
        known = {version.version_id for version in chain}
        refusals = 0
        for _ in range(_ATTEMPTS):
            hold = self._require_free(name, chain, "overwrite")
            current = _current(chain)
            # Some servers refuse every If-Match on versioned buckets: refused twice, nothing changed.
            conditional = refusals < 2
            try:
                written = self._put(
                    name,
                    new,
                    hold=hold,
                    if_none_match=conditional and current is None,
                    if_match=current.etag if current and conditional else None,
                )
            except (ConflictError, KeyNotFoundError):
                chain, before = self.versions(name), current
                if ours := _arrived(new, chain, known):
                    return ours
                refusals = refusals + 1 if _current(chain) == before else 0
                continue
            except UnsupportedByServerError:
                conditional = False  # what the listing showed is as good as it gets
                written = self._put(name, new, hold=hold)
            trusted = conditional and self.client.capabilities.heeds_conditions
            self._undo_if_locked(
                name,
                chain,
                written,
                "overwrite",
                trusted=trusted,
                carried_hold=hold,
                # A PUT whose answer was lost is sent again, and may have made a version before ours.
                twin=written.etag if new.retention else None,
            )
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
            retain_until=retention.retain_until(self.client.capabilities.now()) if retention else None,
            legal_hold=new.legal_hold or hold,
            if_none_match=if_none_match,
            if_match=if_match,
        )

    def _require_free(
        self, name: str, chain: list[ListedVersion], action: str, *, holds: bool = False
    ) -> bool:
        """Raise KeyLockedError where a version of a key is locked.

        Args:
            name: The object name.
            chain: Its versions.
            action: What the error says cannot be done.
            holds: Whether a legal hold forbids it, too.

        Returns:
            Whether the current version is under a legal hold, which the next one has to carry on.
        """
        hold = False
        for version, protection in self._protections(chain):
            if protection.retained or holds:
                raise protection.refusal(self._label(name), action)
            hold = hold or version.is_latest
        return hold

    def _protections(self, versions: list[ListedVersion]) -> list[tuple[ListedVersion, Protection]]:
        """Return what protects versions, of those that something does: one HEAD each."""
        asked = [version for version in versions if not version.is_delete_marker]
        found = map(self._protection, asked) if len(asked) < 2 else concurrently(self._protection, asked)
        return [(version, protection) for version, protection in zip(asked, found, strict=True) if protection]

    def _protection(self, version: ListedVersion) -> Protection | None:
        try:
            info = self.head(version.name, version_id=version.version_id)
        except KeyNotFoundError:  # deleted since it was listed
            return None
        return protection_of(info, is_current=version.is_latest)

    def _undo_if_locked(
        self,
        name: str,
        before: list[ListedVersion],
        ours: Written,
        action: str,
        *,
        holds: bool = False,
        trusted: bool = False,
        carried_hold: bool = False,
        twin: str | None = None,
    ) -> None:
        """Take our own version (or delete marker) back where it hides a version that is locked by now.

        Args:
            name: The object name.
            before: The versions that were found free, before we wrote.
            ours: The version that we wrote.
            action: What the error says cannot be done.
            holds: Whether a legal hold forbids it, too.
            trusted: Whether the server's condition excludes that a version came between.
            carried_hold: Whether our version carries the hold of the one before.
            twin: The ETag of a version that came in between and is our own, too.
        """
        replaced = _current(before)
        if trusted:
            suspects = [replaced] if replaced else []
        else:
            checked = {v.version_id for v in before if v != replaced} | {ours.version_id}
            suspects = [
                version
                for version in self.versions(name)
                if version.version_id not in checked
                and (version.etag != twin or (replaced and version.version_id == replaced.version_id))
            ]
        locks = [lock for _, lock in self._protections(suspects) if lock.retained or holds]
        if locks:
            self._take_back(name, ours, carried_hold=carried_hold)
            raise locks[0].refusal(self._label(name), action)

    def _take_back(self, name: str, ours: Written, *, carried_hold: bool) -> None:
        # Never without a version id: that would put a delete marker on top.
        try:
            if ours.version_id is not None and carried_hold:
                self.client.put_legal_hold(self.bucket, name, version_id=ours.version_id, on=False)
            if ours.version_id is not None:
                self.client.delete_object(self.bucket, name, version_id=ours.version_id)
                return
        except AccessDeniedError as exc:
            logger.debug("the server refused: %s", exc)
        logger.error(
            "%r was locked while it was written, and our version %s cannot be taken back: it stays on top",
            self._label(name),
            ours.version_id,
        )


def _current(chain: list[ListedVersion]) -> ListedVersion | None:
    """Return what the key reads as, None for an absent one."""
    return next((version for version in chain if version.is_latest and not version.is_delete_marker), None)


def _arrived(new: NewObject, chain: list[ListedVersion], known: set[str]) -> Written | None:
    """Return our own version, where a PUT arrived whose answer was lost, so that it was sent again."""
    current = _current(chain)
    digest = hashlib.md5(new.body, usedforsecurity=False).hexdigest()  # what S3 makes an ETag of
    if current is None or current.version_id in known or current.etag.strip('"') != digest:
        return None
    return Written(current.etag, current.version_id)
