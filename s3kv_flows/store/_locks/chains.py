"""The version history (chain) of a key, and the locks in it.

S3 locks versions, not keys. This package protects keys, so it checks the whole chain: a locked version may
lie under a newer one, or under a delete marker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from s3kv_flows.store._layout.marks import WRITE_ID
from s3kv_flows.store._layout.printable import loggable
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

logger = loggable(__name__)


@dataclass(frozen=True)
class OwnWrite:
    """A version or delete marker that this writer has just written.

    Attributes:
        written: The version, or the delete marker.
        write_id: The write id in its metadata.
        held: Whether it is under a legal hold: that of the version before, or one of its own.
        retained: Whether it was written under retention.
    """

    written: Written
    write_id: str | None = None
    held: bool = False
    retained: bool = False


@dataclass(frozen=True)
class InspectedVersion:
    """A version or delete marker with its headers.

    Attributes:
        listed: The version as it was listed.
        info: Its headers; None for a delete marker, and for a version that was deleted since it was listed.
        protection: Its retention and legal hold in force, or None.
    """

    listed: ListedVersion
    info: ObjectInfo | None
    protection: Protection | None


class ChainGuard:
    """Keeps writers from hiding locked versions.

    Args:
        client: The shared client.
        bucket: A bucket with Object Lock.
        display_name: Returns the name of an object in messages.
    """

    def __init__(self, client: S3Client, bucket: str, display_name: Callable[[str], str] = str) -> None:
        self._client = client
        self._bucket = bucket
        self._display_name = display_name

    def versions(self, name: str) -> list[ListedVersion]:
        """Return all versions and delete markers of exactly this object, the current one first."""
        return self._client.list_versions_of(self._bucket, name)

    def require_unlocked(
        self,
        name: str,
        chain: list[ListedVersion],
        action: str,
        *,
        refuse_retained: bool = True,
        refuse_held: bool = False,
    ) -> bool:
        """Raise KeyLockedError where a version of a key is locked: one HEAD per version.

        Args:
            name: The object name.
            chain: Its versions.
            action: The action that the error says is refused.
            refuse_retained: Whether a retention forbids the action.
            refuse_held: Whether a legal hold forbids it, too.

        Returns:
            Whether the current version is under a legal hold, which the next version must get, too.

        Raises:
            AccessDeniedError: These credentials may not see locks.
        """
        hold = False
        for version, protection in self._protections(chain):
            if (protection.retained and refuse_retained) or refuse_held:
                raise protection.refusal(self._display_name(name), action)
            hold = hold or (version.is_latest and protection.legal_hold)
        return hold

    def verify_after(
        self,
        name: str,
        before: list[ListedVersion],
        write: OwnWrite,
        action: str,
        *,
        refuse_held: bool = False,
    ) -> Written:
        """Check the versions that a write has hidden; take the write back where one of them is locked.

        Only versions beneath the write count: of two writers, the later one has hidden the other. A legal
        hold that was placed at the same instant on the version before is put on the new one, too.

        Args:
            name: The object name.
            before: The versions that were found unlocked, before the write.
            write: The version or delete marker that was written.
            action: The action that the error says is refused.
            refuse_held: Whether a legal hold forbids the action, too.

        Returns:
            The write, with its version id even where the server (Ceph, for a copy) did not return it.

        Raises:
            KeyLockedError: A hidden version is locked; the write was taken back.
            S3KVError: The versions could not be checked; the write was taken back.
        """
        try:
            after = self.versions(name)
            write = _with_version_id(write, before, after)
            hidden = self._hidden_protections(before, write, after)
        except S3KVError:
            self.take_back(name, before, write)
            raise
        locks = [lock for lock in hidden if lock.retained or refuse_held]
        if locks:
            taken_back = self.take_back(name, before, write)
            refusal = locks[0].refusal(self._display_name(name), action)
            refusal.left_behind = None if taken_back else write.written.version_id
            raise refusal
        if hidden and not write.held and write.written.version_id is not None:
            self._client.put_legal_hold(self._bucket, name, version_id=write.written.version_id)
        return write.written

    def find_resent(self, chain: list[ListedVersion], known: set[str], write_id: str) -> Written | None:
        """Return the version of a PUT that succeeded, and was sent again because its response was lost.

        Others may have written since: one HEAD for each new version, until ours is found.
        """
        for version in chain:
            if version.version_id not in known and not version.is_delete_marker:
                info = self._head(version)
                if info is not None and _write_id_of(info) == write_id:
                    return Written(info.etag, version.version_id)
        return None

    def _hidden_protections(
        self, before: list[ListedVersion], write: OwnWrite, after: list[ListedVersion]
    ) -> list[Protection]:
        """Return the protections of the versions that a write has hidden."""
        ours = next(
            (i for i, version in enumerate(after) if version.version_id == write.written.version_id), -1
        )
        beneath = after[ours + 1 :]
        if ours >= 0 and after[ours].is_delete_marker:
            # Versions and markers are listed apart: of equal dates, a listing does not show which is above.
            beneath += [v for v in after[:ours] if v.last_modified == after[ours].last_modified]
        # Also beneath a delete marker: whoever found this version current may be about to lock it, and then
        # deletes the marker.
        replaced = next((version for version in before if not version.is_delete_marker), None)
        checked = {version.version_id for version in before if version != replaced}
        unchecked = [version for version in beneath if version.version_id not in checked]
        return [lock for _, lock in self._protections(unchecked, except_write_id=write.write_id)]

    def _protections(
        self, versions: list[ListedVersion], *, except_write_id: str | None = None
    ) -> list[tuple[ListedVersion, Protection]]:
        """Return the locked ones of some versions, each with its protection."""
        values = [version for version in versions if not version.is_delete_marker]
        return [
            (version.listed, version.protection)
            for version in inspect_versions(self._client, self._bucket, values)
            if version.protection is not None
            and not (except_write_id and _write_id_of(version.info) == except_write_id)
        ]

    def _head(self, version: ListedVersion) -> ObjectInfo | None:
        try:
            return self._client.head_object(self._bucket, version.name, version_id=version.version_id)
        except KeyNotFoundError:  # deleted since it was listed
            return None

    def take_back(self, name: str, before: list[ListedVersion], write: OwnWrite) -> bool:
        """Delete a write, with all versions of it that a resent request has left; log a failure.

        Args:
            name: The object name.
            before: The versions before the write.
            write: The version or delete marker that was written.

        Returns:
            Whether it was deleted.
        """
        copied_lock = self._client.capabilities.locks_travel
        try:
            write = _with_version_id(write, before, after := self.versions(name))
            version_ids = {write.written.version_id, *self._resent_versions(before, write, after)} - {None}
            for version_id in version_ids:
                is_value = any(v.version_id == version_id and not v.is_delete_marker for v in after)
                if is_value and (write.held or copied_lock):
                    self._client.put_legal_hold(self._bucket, name, version_id=version_id, on=False)
                # Its own retention is a second old, and the write was refused: lifting it breaks no promise.
                self._client.delete_object(
                    self._bucket, name, version_id=version_id, bypass_governance=write.retained or copied_lock
                )
            if version_ids:  # never without a version id: that would put a delete marker on top
                return True
        except S3KVError as exc:
            logger.debug("the server refused: %s", exc)
        logger.error(
            "%r was to be left as it was, and our version %s cannot be deleted: it stays on top",
            self._display_name(name),
            write.written.version_id,
        )
        return False

    def _resent_versions(
        self, before: list[ListedVersion], write: OwnWrite, after: list[ListedVersion]
    ) -> list[str | None]:
        """Return the new versions with our write id, or the new delete markers where we wrote one."""
        known = {version.version_id for version in before}
        new = [version for version in after if version.version_id not in known]
        if write.write_id is None:
            markers = {version.version_id for version in new if version.is_delete_marker}
            return list(markers) if write.written.version_id in markers else []
        heads = ((version, self._head(version)) for version in new if not version.is_delete_marker)
        return [version.version_id for version, info in heads if _write_id_of(info) == write.write_id]


def _with_version_id(write: OwnWrite, before: list[ListedVersion], after: list[ListedVersion]) -> OwnWrite:
    """Add the version id where the server did not return it: that of the new version with the same ETag."""
    if write.written.version_id is not None:
        return write
    known = {version.version_id for version in before}
    etag = write.written.etag.strip('"')
    ours = [v.version_id for v in after if v.version_id not in known and v.etag.strip('"') == etag]
    return replace(write, written=Written(write.written.etag, ours[-1])) if ours else write


def inspect_versions(client: S3Client, bucket: str, chain: Sequence[ListedVersion]) -> list[InspectedVersion]:
    """Return all versions of a key with their headers: one HEAD for each that is not a delete marker.

    Raises:
        AccessDeniedError: These credentials may not see locks.
    """

    def inspect(version: ListedVersion) -> InspectedVersion:
        if version.is_delete_marker:
            return InspectedVersion(version, None, None)
        try:
            info = client.head_object(bucket, version.name, version_id=version.version_id)
        except KeyNotFoundError:
            return InspectedVersion(version, None, None)
        return InspectedVersion(
            version, info, visible_protection(client, bucket, info, is_current=version.is_latest)
        )

    return list(map(inspect, chain) if len(chain) < 2 else map_concurrently(inspect, chain))


def visible_protection(
    client: S3Client, bucket: str, info: ObjectInfo, *, is_current: bool
) -> Protection | None:
    """Return the protection of a version by its headers; None only where these credentials can see locks.

    Raises:
        AccessDeniedError: These credentials may not see locks.
    """
    protection = protection_of(info, is_current=is_current)
    if protection is None:
        client.capabilities.require_visible_locks(bucket, info.name, info.version_id)
    return protection


def _write_id_of(info: ObjectInfo | None) -> str | None:
    return None if info is None else info.metadata.get(WRITE_ID)


def current_of(chain: list[ListedVersion]) -> ListedVersion | None:
    """Return the current version of a key, or None where it is absent."""
    return next((version for version in chain if version.is_latest and not version.is_delete_marker), None)
