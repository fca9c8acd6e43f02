"""Parameters and results of S3 operations, as dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "DeleteFailure",
    "Fetched",
    "HeldRetention",
    "IncompleteUpload",
    "LifecycleConfiguration",
    "ListedObject",
    "ListedVersion",
    "NotModified",
    "ObjectInfo",
    "ObjectLock",
    "Part",
    "Written",
]


@dataclass(frozen=True)
class ObjectInfo:
    """The headers of an object, from one HEAD or GET.

    Attributes:
        server_time: The server's clock when it responded; ages are relative to it.
        lock_mode: ``GOVERNANCE`` or ``COMPLIANCE`` if a retention is set, including one that has ended.
        other_locks: Locks beside the retention with a date and the legal hold: event holds, and whatever this
            package does not know. Each in words.
        is_dated: Whether the response had a Last-Modified; else ``last_modified`` is the server's clock, and
            nothing may depend on it.
    """

    name: str
    etag: str
    size: int
    last_modified: datetime
    server_time: datetime
    version_id: str | None = None
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tag_count: int = 0
    lock_mode: str | None = None
    retain_until: datetime | None = None
    legal_hold: bool = False
    other_locks: tuple[str, ...] = ()
    is_dated: bool = True


@dataclass(frozen=True)
class Fetched:
    """An object that was read.

    Attributes:
        info: The headers.
        body: A bytearray, or, for a large object, a writable memoryview of separate memory; None if the
            caller did not request it.
    """

    info: ObjectInfo
    body: bytearray | memoryview | None


@dataclass(frozen=True)
class NotModified:
    """The object still has the ETag of ``if_none_match``, so it was not sent.

    Attributes:
        last_modified: As in the response; None if it has none.
    """

    last_modified: datetime | None = None


@dataclass(frozen=True)
class Written:
    """The result of a PUT or a copy."""

    etag: str
    version_id: str | None


@dataclass(frozen=True)
class ObjectLock:
    """A retention, as S3 stores it."""

    mode: str
    until: datetime


@dataclass(frozen=True)
class HeldRetention:
    """The retention of a version, as S3 returns it.

    Attributes:
        lock: The retention with a date, None for none.
        other_locks: See :class:`ObjectInfo`.
    """

    lock: ObjectLock | None = None
    other_locks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """An uploaded part of a multipart upload."""

    number: int
    etag: str
    crc32: str | None


@dataclass(frozen=True)
class IncompleteUpload:
    """A multipart upload that was created, and not completed."""

    name: str
    upload_id: str
    begun: datetime


@dataclass(frozen=True)
class LifecycleConfiguration:
    """The lifecycle rules of a bucket.

    Attributes:
        rules: The rules, in boto3's format.
        transition_default_minimum_object_size: The minimum size of objects that transition to other storage
            classes, for rules without one; None if the server does not report it.
    """

    rules: list[dict[str, Any]] = field(default_factory=list)
    transition_default_minimum_object_size: str | None = None


@dataclass(frozen=True)
class ListedObject:
    """An object in a listing."""

    name: str
    etag: str
    size: int
    last_modified: datetime


@dataclass(frozen=True)
class ListedVersion(ListedObject):
    """A version, or a delete marker, in a listing of versions."""

    version_id: str
    is_latest: bool
    is_delete_marker: bool = False


@dataclass(frozen=True)
class DeleteFailure:
    """An object that a batch of deletions did not delete."""

    name: str
    version_id: str | None
    code: str
    message: str
