"""Chains: all versions of one key, and whether any of them is locked.

S3 locks versions, not keys. What this project forbids concerns the key, so it looks at the whole
chain: a locked version may lie under a newer one, or under a delete marker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from s3kv_flows.store._layout.marks import WRITE_ID
from s3kv_flows.store._locks.retention import Protection, protection_of
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.types import ListedVersion, ObjectInfo, Written
from s3kv_flows.store.errors import KeyNotFoundError, S3KVError

__all__ = [
    "ChainGuard",
    "InspectedVersion",
    "OwnWrite",
    "current_of",
    "inspect_versions",
    "visible_protection",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnWrite:
    """What a writer has just written.

    Attributes:
        written: Its version, or its delete marker.
        write_id: The write id it carries.
        holds: Whether it carries a legal hold: the one of the version before, or its own.
        retained: Whether it was born under retention.
    """

    written: Written
    write_id: str | None = None
    holds: bool = False
    retained: bool = False


@dataclass(frozen=True)
class InspectedVersion:
    """A version or delete marker, and what its headers say.

    Attributes:
        info: None for a delete marker, and for what was deleted since it was listed.
        protection: What protects it.
    """

    listed: ListedVersion
    info: ObjectInfo | None
    protection: Protection | None


class ChainGuard:
    """Keeps writers from hiding what is locked.

    Args:
        client: The shared client.
        bucket: A bucket with Object Lock.
        display_name: What messages call an object.
    """

    def __init__(self, client: S3Client, bucket: str, display_name: Callable[[str], str] = str) -> None:
        self._client = client
        self._bucket = bucket
        self._display_name = display_name

    def versions(self, name: str) -> list[ListedVersion]:
        """Return all versions and delete markers of exactly this object, the current one first."""
        return self._client.list_versions_of(self._bucket, name)

    def require_free(
        self,
        name: str,
        chain: list[ListedVersion],
        action: str,
        *,
        retained: bool = True,
        holds: bool = False,
    ) -> bool:
        """Raise KeyLockedError where a version of a key is locked: one HEAD per version.

        Args:
            name: The object name.
            chain: Its versions.
            action: What the error says cannot be done.
            retained: Whether a retention forbids it.
            holds: Whether a legal hold forbids it, too.

        Returns:
            Whether the current version is under a legal hold, which the next one has to carry on.

        Raises:
            AccessDeniedError: These credentials may not see locks.
        """
        hold = False
        for version, protection in self._protections(chain):
            if (protection.retained and retained) or holds:
                raise protection.refusal(self._display_name(name), action)
            hold = hold or (version.is_latest and protection.legal_hold)
        return hold

    def verify_after(
        self,
        name: str,
        before: list[ListedVersion],
        own: OwnWrite,
        action: str,
        *,
        holds: bool = False,
    ) -> Written:
        """Look at what a write has hidden; take it back where that is locked by now.

        Only what lies beneath counts: of two writers, the later one has hidden the other. A legal hold
        that was placed on the version before in the same instant is carried on.

        Args:
            name: The object name.
            before: The versions that were found free, before the write.
            own: What was written.
            action: What the error says cannot be done.
            holds: Whether a legal hold forbids it, too.

        Returns:
            What was written, with its version id also where the server (Ceph, of a copy) did not tell it.

        Raises:
            KeyLockedError: A hidden version is locked; what was written is gone again.
            S3KVError: It could not be looked at; what was written is gone again.
        """
        try:
            now = self.versions(name)
            own = _identified(own, before, now)
            hidden = self._hidden(before, own, now)
        except S3KVError:
            self._take_back(name, before, own)
            raise
        locks = [lock for lock in hidden if lock.retained or holds]
        if locks:
            taken_back = self._take_back(name, before, own)
            refusal = locks[0].refusal(self._display_name(name), action)
            refusal.left_behind = None if taken_back else own.written.version_id
            raise refusal
        if hidden and not own.holds and own.written.version_id is not None:
            self._client.put_legal_hold(self._bucket, name, version_id=own.written.version_id)
        return own.written

    def arrived(self, chain: list[ListedVersion], known: set[str], write_id: str) -> Written | None:
        """Return our own version, where a PUT arrived whose answer was lost, so that it was sent again.

        Others may have written since: all versions that are new are looked at, one HEAD each.
        """
        for version in chain:
            if version.version_id not in known and not version.is_delete_marker:
                info = self._head(version)
                if info is not None and _written_by(info) == write_id:
                    return Written(info.etag, version.version_id)
        return None

    def _hidden(
        self, before: list[ListedVersion], own: OwnWrite, now: list[ListedVersion]
    ) -> list[Protection]:
        """Return what protects the versions that a write has hidden."""
        mine = next((i for i, version in enumerate(now) if version.version_id == own.written.version_id), -1)
        beneath = now[mine + 1 :]
        if mine >= 0 and now[mine].is_delete_marker:
            # Versions and markers are listed apart: within one moment, which is above is not told.
            beneath += [v for v in now[:mine] if v.last_modified == now[mine].last_modified]
        replaced = current_of(before)
        checked = {version.version_id for version in before if version != replaced}
        suspects = [version for version in beneath if version.version_id not in checked]
        return [lock for _, lock in self._protections(suspects, unless_written_by=own.write_id)]

    def _protections(
        self, versions: list[ListedVersion], *, unless_written_by: str | None = None
    ) -> list[tuple[ListedVersion, Protection]]:
        """Return what protects versions, of those that something does."""
        looked = inspect_versions(self._client, self._bucket, [v for v in versions if not v.is_delete_marker])
        return [
            (seen.listed, seen.protection)
            for seen in looked
            if seen.protection is not None
            and not (unless_written_by and _written_by(seen.info) == unless_written_by)
        ]

    def _head(self, version: ListedVersion) -> ObjectInfo | None:
        try:
            return self._client.head_object(self._bucket, version.name, version_id=version.version_id)
        except KeyNotFoundError:  # deleted since it was listed
            return None

    def _take_back(self, name: str, before: list[ListedVersion], own: OwnWrite) -> bool:
        """Delete what was just written, with what a repeated request has left; log what cannot be."""
        travelled = self._client.capabilities.locks_travel
        try:
            own = _identified(own, before, now := self.versions(name))
            left = {own.written.version_id, *self._repeated(before, own, now)} - {None}
            for version_id in left:
                is_value = any(v.version_id == version_id and not v.is_delete_marker for v in now)
                if is_value and (own.holds or travelled):
                    self._client.put_legal_hold(self._bucket, name, version_id=version_id, on=False)
                # Its own retention is a second old and was refused: lifting it is no breach.
                self._client.delete_object(
                    self._bucket, name, version_id=version_id, bypass_governance=own.retained or travelled
                )
            if left:  # never without a version id: that would put a delete marker on top
                return True
        except S3KVError as exc:
            logger.debug("the server refused: %s", exc)
        logger.error(
            "%r was locked while it was written, and our version %s cannot be taken back: it stays on top",
            self._display_name(name),
            own.written.version_id,
        )
        return False

    def _repeated(
        self, before: list[ListedVersion], own: OwnWrite, now: list[ListedVersion]
    ) -> list[str | None]:
        """Return the new versions with our write id, or the new delete markers where we made one."""
        known = {version.version_id for version in before}
        new = [version for version in now if version.version_id not in known]
        if own.write_id is None:
            markers = {version.version_id for version in new if version.is_delete_marker}
            return list(markers) if own.written.version_id in markers else []
        heads = ((version, self._head(version)) for version in new if not version.is_delete_marker)
        return [version.version_id for version, info in heads if _written_by(info) == own.write_id]


def _identified(own: OwnWrite, before: list[ListedVersion], now: list[ListedVersion]) -> OwnWrite:
    """Find out which version is our own, where the server did not say: the new one of the same content."""
    if own.written.version_id is not None:
        return own
    known = {version.version_id for version in before}
    etag = own.written.etag.strip('"')
    mine = [v.version_id for v in now if v.version_id not in known and v.etag.strip('"') == etag]
    return replace(own, written=Written(own.written.etag, mine[-1])) if mine else own


def inspect_versions(client: S3Client, bucket: str, chain: Sequence[ListedVersion]) -> list[InspectedVersion]:
    """Return what the headers say of all versions of a key: one HEAD for each that is no delete marker.

    Raises:
        AccessDeniedError: These credentials may not see locks.
    """

    def look(version: ListedVersion) -> InspectedVersion:
        if version.is_delete_marker:
            return InspectedVersion(version, None, None)
        try:
            info = client.head_object(bucket, version.name, version_id=version.version_id)
        except KeyNotFoundError:
            return InspectedVersion(version, None, None)
        return InspectedVersion(
            version, info, visible_protection(client, bucket, info, is_current=version.is_latest)
        )

    return list(map(look, chain) if len(chain) < 2 else map_concurrently(look, chain))


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


def _written_by(info: ObjectInfo | None) -> str | None:
    return None if info is None else info.metadata.get(WRITE_ID)


def current_of(chain: list[ListedVersion]) -> ListedVersion | None:
    """Return what the key reads as, None for an absent one."""
    return next((version for version in chain if version.is_latest and not version.is_delete_marker), None)
