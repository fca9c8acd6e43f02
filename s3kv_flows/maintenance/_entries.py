"""Model a key with its version history, as plans see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from s3kv_flows.store._locks.retention import Protection

__all__ = ["Entry", "Version"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key, or the object itself in a bucket without versions.

    Attributes:
        protection: The lock of the version; None for no lock, or if ``locks_known`` is False.
        locks_known: Whether the lock was looked up; if not, the version may be locked.
        tags: The tags; None if they were not looked up.
        noncurrent_since: When it was replaced, or hidden by a delete marker; None for the current one.
    """

    version_id: str | None
    etag: str
    size: int
    last_modified: datetime
    is_delete_marker: bool = False
    protection: Protection | None = None
    locks_known: bool = True
    tags: Mapping[str, str] | None = None
    noncurrent_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with all its versions.

    Attributes:
        name: The object name.
        current: The version that the key reads as; a delete marker if the key was deleted.
        older: The older versions, the newest first; deleting only the current one would bring them back.
        ttl: The exact time to live that is recorded with a result; None if there is none.
        ttl_known: Whether ``ttl`` was looked up.
        leased: Whether a run holds the lease of the key; None if that was not looked up.
    """

    name: str
    current: Version
    older: tuple[Version, ...] = ()
    ttl: timedelta | None = None
    ttl_known: bool = False
    leased: bool | None = False

    @property
    def chain(self) -> tuple[Version, ...]:
        """All versions, the newest first."""
        return (self.current, *self.older)

    @property
    def size(self) -> int:
        """Bytes of all versions, which removal frees."""
        return (
            self.current.size + sum(version.size for version in self.older)
            if self.older
            else self.current.size
        )

    @property
    def tags(self) -> Mapping[str, str] | None:
        """The tags of the current version; None if they were not looked up."""
        return self.current.tags
