"""What S3KV tells of keys."""

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
    """A key, without its value.

    Attributes:
        etag: Changes with the value; what ``mode`` of :meth:`S3KV.add` takes.
        size: Of the value as it is stored, in bytes.
        last_modified: When it was written, by the server's clock.
        version_id: None where the bucket has no versions.
        codec: What encoded the value; None where that is not recorded, as by ``s3kv`` 0.1.5.
        metadata: What was given to :meth:`S3KV.add`.
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
        """Return what a HEAD tells."""
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
    """What a bulk deletion did.

    Attributes:
        deleted: The keys that are gone.
        protected: The keys that stay because they are locked, each with the refusal.
        failed: The keys that stay for another reason, each with that: overwritten since, no permission.
    """

    deleted: list[str]
    protected: dict[str, KeyLockedError]
    failed: dict[str, S3KVError]
