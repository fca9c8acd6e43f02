"""What there is, as data: the keys of a store, each with its chain of versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from s3kv_flows.store._locks.retention import Protection

__all__ = ["Entry", "Version"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key. On a bucket without versions, the object itself.

    Attributes:
        protection: The lock that it is under.
        locks_known: Whether that was asked for; otherwise it may be locked.
        tags: Its tags; None where nobody asked.
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
        current: What the key reads as; a delete marker where it was deleted.
        older: The versions beneath, the newest first; they would come back if only the current one were
            deleted.
        ttl: The exact time to live that is recorded with a result; None where there is none.
        ttl_known: Whether that was asked for.
        leased: Whether a run holds the lease of the key; None where nobody asked.
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
        """Bytes of all versions: what removal frees."""
        return (
            self.current.size + sum(version.size for version in self.older)
            if self.older
            else self.current.size
        )

    @property
    def tags(self) -> Mapping[str, str] | None:
        """The tags of the current version; None where nobody asked."""
        return self.current.tags
