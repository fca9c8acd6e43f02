"""Chains: all versions of one key, and whether any of them is locked.

S3 locks versions, not keys. What this project forbids concerns the key, so it looks at the whole
chain: a locked version may lie under a newer one, or under a delete marker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from s3kv_flows.store.bulk import concurrently
from s3kv_flows.store.errors import AccessDeniedError, KeyNotFoundError
from s3kv_flows.store.locks import Protection, protection_of
from s3kv_flows.store.s3 import S3Client
from s3kv_flows.store.s3_types import ListedVersion, ObjectInfo, Written

__all__ = ["WRITE_ID", "ChainGuard", "Own", "current_of", "visible_protection"]

logger = logging.getLogger(__name__)

WRITE_ID = "s3kv-write-id"
"""The metadata by which a writer knows its own version again, also where it was sent twice."""


@dataclass(frozen=True)
class Own:
    """What a writer has just written.

    Attributes:
        written: Its version, or its delete marker.
        write_id: The write id it carries.
        holds: Whether it carries the legal hold of the version before.
    """

    written: Written
    write_id: str | None = None
    holds: bool = False


class ChainGuard:
    """Keeps writers from hiding what is locked.

    Args:
        client: The shared client.
        bucket: A bucket with Object Lock.
        label: What messages call an object.
    """

    def __init__(self, client: S3Client, bucket: str, label: Callable[[str], str] = str) -> None:
        self._client = client
        self._bucket = bucket
        self._label = label

    def versions(self, name: str) -> list[ListedVersion]:
        """Return all versions and delete markers of exactly this object, the current one first."""
        return self._client.list_versions_of(self._bucket, name)

    def require_free(
        self, name: str, chain: list[ListedVersion], action: str, *, holds: bool = False
    ) -> bool:
        """Raise KeyLockedError where a version of a key is locked: one HEAD per version.

        Args:
            name: The object name.
            chain: Its versions.
            action: What the error says cannot be done.
            holds: Whether a legal hold forbids it, too.

        Returns:
            Whether the current version is under a legal hold, which the next one has to carry on.

        Raises:
            AccessDeniedError: These credentials may not see locks.
        """
        hold = False
        for version, protection in self._protections(chain):
            if protection.retained or holds:
                raise protection.refusal(self._label(name), action)
            hold = hold or version.is_latest
        return hold

    def settle(
        self,
        name: str,
        before: list[ListedVersion],
        own: Own,
        action: str,
        *,
        holds: bool = False,
        trusted: bool = False,
    ) -> None:
        """Look at what a write has hidden; take it back where that is locked by now.

        A legal hold that was placed on the version before in the same instant is carried on.

        Args:
            name: The object name.
            before: The versions that were found free, before the write.
            own: What was written.
            action: What the error says cannot be done.
            holds: Whether a legal hold forbids it, too.
            trusted: Whether the server's condition excludes that a version came between.

        Raises:
            KeyLockedError: A hidden version is locked; what was written is gone again.
        """
        replaced = current_of(before)
        if trusted:
            suspects = [replaced] if replaced else []
        else:
            checked = {v.version_id for v in before if v != replaced} | {own.written.version_id}
            suspects = [version for version in self.versions(name) if version.version_id not in checked]
        hidden = self._protections(suspects, unless_written_by=own.write_id)
        locks = [lock for _, lock in hidden if lock.retained or holds]
        if locks:
            self._take_back(name, own)
            raise locks[0].refusal(self._label(name), action)
        if hidden and not own.holds and own.written.version_id is not None:
            self._client.put_legal_hold(self._bucket, name, version_id=own.written.version_id)

    def arrived(self, chain: list[ListedVersion], known: set[str], write_id: str) -> Written | None:
        """Return our own version, where a PUT arrived whose answer was lost, so that it was sent again."""
        current = current_of(chain)
        if current is None or current.version_id in known:
            return None
        info = self._head(current)
        if info is None or info.metadata.get(WRITE_ID) != write_id:
            return None
        return Written(info.etag, info.version_id)

    def _protections(
        self, versions: list[ListedVersion], *, unless_written_by: str | None = None
    ) -> list[tuple[ListedVersion, Protection]]:
        """Return what protects versions, of those that something does."""

        def look(version: ListedVersion) -> Protection | None:
            info = self._head(version)
            if info is None or (unless_written_by and info.metadata.get(WRITE_ID) == unless_written_by):
                return None
            return visible_protection(self._client, self._bucket, info, is_current=version.is_latest)

        asked = [version for version in versions if not version.is_delete_marker]
        found = map(look, asked) if len(asked) < 2 else concurrently(look, asked)
        return [(version, protection) for version, protection in zip(asked, found, strict=True) if protection]

    def _head(self, version: ListedVersion) -> ObjectInfo | None:
        try:
            return self._client.head_object(self._bucket, version.name, version_id=version.version_id)
        except KeyNotFoundError:  # deleted since it was listed
            return None

    def _take_back(self, name: str, own: Own) -> None:
        # Never without a version id: that would put a delete marker on top.
        version_id = own.written.version_id
        try:
            if version_id is not None and own.holds:
                self._client.put_legal_hold(self._bucket, name, version_id=version_id, on=False)
            if version_id is not None:
                self._client.delete_object(self._bucket, name, version_id=version_id)
                return
        except AccessDeniedError as exc:
            logger.debug("the server refused: %s", exc)
        logger.error(
            "%r was locked while it was written, and our version %s cannot be taken back: it stays on top",
            self._label(name),
            version_id,
        )


def visible_protection(
    client: S3Client, bucket: str, info: ObjectInfo, *, is_current: bool
) -> Protection | None:
    """Return what protects a version by its headers; None only where that is proven to mean "nothing".

    Raises:
        AccessDeniedError: These credentials may not see locks.
    """
    protection = protection_of(info, is_current=is_current)
    if protection is None:
        client.capabilities.require_visible_locks(bucket, info.name, info.version_id)
    return protection


def current_of(chain: list[ListedVersion]) -> ListedVersion | None:
    """Return what the key reads as, None for an absent one."""
    return next((version for version in chain if version.is_latest and not version.is_delete_marker), None)
