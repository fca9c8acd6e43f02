"""Return types of the methods of :class:`S3KV`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from s3kv_flows.store._locks.retention import Protection, protection_of
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store._values.values import codec_of, user_metadata
from s3kv_flows.store.errors import KeyLockedError, S3KVError

__all__ = ["DeletedKeys", "KeyInfo"]


@dataclass(frozen=True)
class KeyInfo:
    """A key and its metadata, without its value.

    Attributes:
        key: The key.
        etag: The ETag, which changes with the value; ``mode`` of :meth:`S3KV.add` takes it.
        size: The size of the stored value, in bytes.
        last_modified: When it was written, by the server's clock.
        version_id: The version id; None where the bucket has no versions.
        codec: The name of the codec that wrote the value; None where none is recorded, as by ``s3kv`` 0.1.5.
        metadata: The user metadata, as passed to :meth:`S3KV.add`.
        protection: The retention and legal hold in force; None for none, or for callers without
            s3:GetObjectRetention and s3:GetObjectLegalHold.
    """

    key: str
    etag: str
    size: int
    last_modified: datetime
    version_id: str | None
    codec: str | None
    metadata: Mapping[str, str]
    protection: Protection | None

    @classmethod
    def of(cls, key: str, info: ObjectInfo) -> KeyInfo:
        """Return the information that a HEAD gives about a key."""
        return cls(
            key=key,
            etag=info.etag,
            size=info.size,
            last_modified=info.last_modified,
            version_id=info.version_id,
            codec=codec_of(info.metadata),
            metadata=user_metadata(info.metadata),
            protection=protection_of(info),
        )


@dataclass(frozen=True)
class DeletedKeys:
    """The outcome of a bulk deletion.

    Attributes:
        deleted: The keys that were deleted.
        protected: The keys that stay because they are locked, each with its error.
        failed: The keys that stay for another reason, each with its error: overwritten since, no permission.
    """

    deleted: list[str]
    protected: dict[str, KeyLockedError]
    failed: dict[str, S3KVError]
