"""What S3's operations take and give, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "DeleteFailure",
    "Fetched",
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
    """What one HEAD or GET says of an object, beside its body.

    Attributes:
        server_time: The server's clock when it answered: what ages are measured by.
        lock_mode: ``GOVERNANCE`` or ``COMPLIANCE`` where a retention is set, also a past one.
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


@dataclass(frozen=True)
class Fetched:
    """An object that was read.

    Attributes:
        info: What the headers say.
        body: A bytearray, or, of a large object, a writable memoryview of memory of its own; None where
            the caller did not want it.
    """

    info: ObjectInfo
    body: bytearray | memoryview | None


@dataclass(frozen=True)
class NotModified:
    """An object still has the ETag that was asked about, so it was not sent.

    Attributes:
        last_modified: As the answer says; None where it does not.
    """

    last_modified: datetime | None = None


@dataclass(frozen=True)
class Written:
    """What a PUT or a copy answered."""

    etag: str
    version_id: str | None


@dataclass(frozen=True)
class ObjectLock:
    """A retention, as S3 keeps it."""

    mode: str
    until: datetime


@dataclass(frozen=True)
class Part:
    """A part of a multipart upload, as it was answered."""

    number: int
    etag: str
    crc32: str | None


@dataclass(frozen=True)
class IncompleteUpload:
    """A multipart upload that was begun, and not completed."""

    name: str
    upload_id: str
    begun: datetime


@dataclass(frozen=True)
class LifecycleConfiguration:
    """The lifecycle rules of a bucket.

    Attributes:
        rules: The rules, as boto3 gives and takes them.
        transition_default_minimum_object_size: From which size on objects go to other storage classes where
            a rule does not say; None where the server does not tell.
    """

    rules: list[dict[str, Any]] = field(default_factory=list)
    transition_default_minimum_object_size: str | None = None


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing shows it."""

    name: str
    etag: str
    size: int
    last_modified: datetime


@dataclass(frozen=True)
class ListedVersion(ListedObject):
    """A version, or a delete marker, as a listing of versions shows it."""

    version_id: str
    is_latest: bool
    is_delete_marker: bool = False


@dataclass(frozen=True)
class DeleteFailure:
    """A key that one batch of deletions did not delete."""

    name: str
    version_id: str | None
    code: str
    message: str
