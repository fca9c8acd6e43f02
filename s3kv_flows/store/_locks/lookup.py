"""Look up locks, with or without permission to read the value.

HEAD returns retention and hold in one request, and requires s3:GetObject, the permission to read the value.
Without it, retention and hold are fetched with one request each.
"""

from __future__ import annotations

from s3kv_flows.store._locks.chains import visible_protection
from s3kv_flows.store._locks.retention import Protection, protection_of
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import ListedVersion, ObjectInfo
from s3kv_flows.store.errors import AccessDeniedError

__all__ = ["LockLookup"]


class LockLookup:
    """Looks up locks in one bucket.

    Args:
        client: The shared client.
        bucket: The bucket.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket
        self._may_read = True

    @property
    def may_read(self) -> bool:
        """Whether these credentials may read values; True until a request shows that they may not."""
        return self._may_read

    def head(self, name: str, version_id: str | None = None) -> ObjectInfo | None:
        """Return the headers of an object; None where these credentials may not read it.

        Raises:
            KeyNotFoundError: There is no such object or version.
        """
        if self._may_read:
            try:
                return self._client.head_object(self._bucket, name, version_id=version_id)
            except AccessDeniedError:
                self._may_read = False
        return None

    def protection(self, name: str, version_id: str | None, *, is_current: bool) -> Protection | None:
        """Return the protection of a version: one request, or two where these credentials may not read it.

        Raises:
            KeyNotFoundError: There is no such version.
            AccessDeniedError: These credentials may not see locks.
        """
        info = self.head(name, version_id)
        if info is not None:
            return visible_protection(self._client, self._bucket, info, is_current=is_current)
        return self._request_locks(name, version_id, is_current=is_current)

    def current(self, name: str) -> ListedVersion | None:
        """Return the current version of a key, from a listing; None where it is absent."""
        chain = self._client.list_versions_of(self._bucket, name)
        return chain[0] if chain and not chain[0].is_delete_marker else None

    def _request_locks(self, name: str, version_id: str | None, *, is_current: bool) -> Protection | None:
        found = self._client.get_retention(self._bucket, name, version_id=version_id)
        held = self._client.get_legal_hold(self._bucket, name, version_id=version_id)
        lock, now = found.lock, self._client.capabilities.now()
        info = ObjectInfo(
            name,
            etag="",
            size=0,
            last_modified=now,
            server_time=now,
            version_id=version_id,
            lock_mode=lock.mode if lock else None,
            retain_until=lock.until if lock else None,
            legal_hold=held,
            other_locks=found.other_locks,
        )
        return protection_of(info, is_current=is_current)
