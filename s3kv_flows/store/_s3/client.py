"""The S3 client: one method per operation, with typed results.

What reads objects is in :mod:`s3kv_flows.store._s3.reads`, what is about buckets in
:mod:`s3kv_flows.store._s3.buckets`. All stores with the same
configuration share a client (:mod:`s3kv_flows.store._s3.clients`), with its connections and the known
capabilities of buckets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from s3kv_flows.store._s3.bodies import Body, for_botocore
from s3kv_flows.store._s3.buckets import Buckets
from s3kv_flows.store._s3.capabilities import Capabilities, Prober
from s3kv_flows.store._s3.config import S3Config, is_aws
from s3kv_flows.store._s3.reads import Reads, condition
from s3kv_flows.store._s3.transport.boto import Boto, drop_none
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.transport.direct.reads import DirectReads
from s3kv_flows.store._s3.transport.hooks import AS_SENT
from s3kv_flows.store._s3.transport.responses import held_retention, listed_versions, object_info
from s3kv_flows.store._s3.transport.translation import NO_LOCK, NO_TAGS
from s3kv_flows.store._s3.types import (
    DeleteFailure,
    HeldRetention,
    IncompleteUpload,
    ListedVersion,
    ObjectInfo,
    ObjectLock,
    Part,
    Written,
)
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["S3Client"]


class S3Client(Buckets, Reads):
    """One boto3 client, with typed results, counted requests and translated errors.

    Use :func:`~s3kv_flows.store._s3.clients.shared_client` to get one. Methods make one request each unless
    stated otherwise, and raise the errors that :data:`ERROR_TYPES` lists.

    Args:
        config: How to connect to the server.
        prober: Creates the prober of this client.
    """

    def __init__(self, config: S3Config, prober: Callable[[S3Client], Prober]) -> None:
        self.config = config
        self.counters = Counters()
        self._boto = Boto(config, self.counters, lambda headers: self.capabilities.learn(headers))
        self._reads = DirectReads(
            self._boto.client,
            self._boto.credentials,
            self._boto.connections,
            self._boto.limits,
            self._boto.breaker,
            self.counters,
        )
        self.capabilities = Capabilities(prober(self), is_aws=is_aws(self._boto.client.meta.endpoint_url))

    @property
    def boto3_client(self) -> Any:
        """The client of boto3: what it does is neither translated nor guarded."""
        return self._boto.client

    @property
    def access_key_id(self) -> str | None:
        """The access key id of the requests; None without credentials."""
        credentials = self._boto.credentials()
        return None if credentials is None else str(credentials.access_key)

    # --- objects -------------------------------------------------------------------------------

    def head_object(self, bucket: str, name: str, *, version_id: str | None = None) -> ObjectInfo:
        """Return the headers of an object: lock, version, tag count, size, metadata.

        Raises:
            KeyNotFoundError: No such object or version.
        """
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id)
        response = self._boto.call("head_object", params)
        return object_info(name, response["ResponseMetadata"]["HTTPHeaders"])

    def put_object(
        self,
        bucket: str,
        name: str,
        body: Body,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        tagging: str | None = None,
        lock: ObjectLock | None = None,
        legal_hold: bool = False,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> Written:
        """Write an object with its metadata, tags and lock in one request.

        Raises:
            ConflictError: ``if_none_match`` and the object exists, or ``if_match`` and its ETag differs.
        """
        params = drop_none(
            Bucket=bucket,
            Key=name,
            Body=for_botocore(body),
            ContentType=content_type,
            Metadata=dict(metadata or {}),
            **_tags_and_lock(tagging or None, lock, legal_hold=legal_hold),
            IfNoneMatch="*" if if_none_match else None,
            IfMatch=condition(name, if_match),
        )
        response = self._boto.call("put_object", params)
        self.capabilities.learn_from_put(bucket, response.get("VersionId"))
        return Written(response.get("ETag", ""), response.get("VersionId"))

    def copy_object(
        self,
        bucket: str,
        source: str,
        target: str,
        *,
        source_version: str | None = None,
        source_etag: str | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        tagging: str | None = None,
        lock: ObjectLock | None = None,
        legal_hold: bool = False,
    ) -> Written:
        """Copy an object on the server, with its tags. S3 copies no locks; Ceph 16 does.

        Args:
            bucket: The bucket of both.
            source: The name to copy from.
            target: The name to copy to.
            source_version: The version to copy; None for the current one.
            source_etag: Copy only if the source has this ETag.
            metadata: New metadata instead of the source's, together with ``content_type``.
            content_type: New content type.
            tagging: New tags instead of the source's; not every server honours it.
            lock: The retention of the copy; not every server honours it.
            legal_hold: Whether to place a legal hold on the copy; not every server honours it.

        Raises:
            KeyNotFoundError: No such source.
            ConflictError: The source has another ETag.
        """
        params = drop_none(
            Bucket=bucket,
            Key=target,
            CopySource=drop_none(Bucket=bucket, Key=source, VersionId=source_version),
            CopySourceIfMatch=condition(source, source_etag),
            Metadata=None if metadata is None else dict(metadata),
            MetadataDirective=None if metadata is None else "REPLACE",
            ContentType=content_type,
            TaggingDirective=None if tagging is None else "REPLACE",
            **_tags_and_lock(tagging, lock, legal_hold=legal_hold),
        )
        response = self._boto.call("copy_object", params)
        return Written(response.get("CopyObjectResult", {}).get("ETag", ""), response.get("VersionId"))

    def delete_object(
        self,
        bucket: str,
        name: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        bypass_governance: bool = False,
    ) -> str | None:
        """Delete an object or a version.

        Returns:
            The version id of the delete marker, if the bucket is versioned and ``version_id`` is None.

        Raises:
            ConflictError: The ETag is not ``if_match``; not every server honours it.
        """
        params = drop_none(
            Bucket=bucket,
            Key=name,
            VersionId=version_id,
            IfMatch=condition(name, if_match),
            BypassGovernanceRetention=bypass_governance or None,
        )
        response = self._boto.call("delete_object", params)
        return response.get("VersionId") if version_id is None else None

    def delete_objects(
        self, bucket: str, objects: Sequence[tuple[str, str | None, str | None]]
    ) -> list[DeleteFailure]:
        """Delete up to 1,000 objects in one request.

        Args:
            bucket: The bucket.
            objects: Name, version id or None, ETag or None of each. Not every server honours the ETag.

        Returns:
            The objects that the server did not delete; missing ones count as deleted.
        """
        listed = [drop_none(Key=name, VersionId=version, ETag=etag) for name, version, etag in objects]
        response = self._boto.call(
            "delete_objects", {"Bucket": bucket, "Delete": {"Objects": listed, "Quiet": True}}
        )
        return [
            DeleteFailure(
                error.get("Key", ""), error.get("VersionId"), error.get("Code", ""), error.get("Message", "")
            )
            for error in response.get("Errors", [])
        ]

    # --- lists ---------------------------------------------------------------------------------

    def list_versions(
        self, bucket: str, prefix: str, *, start_after: str | None = None
    ) -> Iterator[ListedVersion]:
        """Yield versions and delete markers under a prefix: one request per 1,000.

        They are ordered by name, so that the versions of one key follow each other, the current one first.

        Args:
            bucket: The bucket.
            prefix: The prefix of their names.
            start_after: Yield only names after this one.
        """
        marker = start_after if self.capabilities.declared.lists_versions_after_any_name else None
        params = drop_none(Bucket=bucket, Prefix=prefix, KeyMarker=marker)
        for page in self._boto.pages("list_object_versions", **params):
            for version in sorted(listed_versions(page), key=lambda version: version.name):
                if start_after is None or version.name > start_after:
                    yield version

    def list_versions_of(self, bucket: str, name: str) -> list[ListedVersion]:
        """Return versions and delete markers of exactly this object: one request, unless over 1,000."""
        chain: list[ListedVersion] = []
        for page in self._boto.pages("list_object_versions", Bucket=bucket, Prefix=name):
            versions = listed_versions(page)
            chain += [version for version in versions if version.name == name]
            # Names ascend, so this one comes before all others that begin with it.
            if any(version.name != name for version in versions):
                break
        return chain

    # --- tags and locks ------------------------------------------------------------------------

    def put_tags(
        self, bucket: str, name: str, tags: Mapping[str, str], *, version_id: str | None = None
    ) -> None:
        """Replace the whole tag set of an object."""
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id)
        if not tags and not self.capabilities.declared.takes_empty_tag_set:
            self._boto.call("delete_object_tagging", params, none=NO_TAGS)
            return
        tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
        self._boto.call("put_object_tagging", {**params, "Tagging": {"TagSet": tag_set}})

    def get_retention(self, bucket: str, name: str, *, version_id: str | None = None) -> HeldRetention:
        """Return the retention of a version; HEAD returns it, too, with permission.

        Raises:
            AccessDeniedError: The credentials lack the permission to read it.
        """
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id)
        response = self._boto.call("get_object_retention", params, none=NO_LOCK)
        return held_retention(response[AS_SENT]) if AS_SENT in response else HeldRetention()

    def get_legal_hold(self, bucket: str, name: str, *, version_id: str | None = None) -> bool:
        """Tell whether a version is under a legal hold, as :meth:`get_retention` does."""
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id)
        hold = self._boto.call("get_object_legal_hold", params, none=NO_LOCK).get("LegalHold", {})
        return bool(hold.get("Status") == "ON")

    def put_retention(
        self,
        bucket: str,
        name: str,
        lock: ObjectLock | None,
        *,
        version_id: str | None = None,
        bypass_governance: bool = False,
    ) -> None:
        """Put a version under retention; with None, remove it, which requires ``bypass_governance``."""
        retention = {"Mode": lock.mode, "RetainUntilDate": lock.until} if lock else {}
        params = drop_none(
            Bucket=bucket,
            Key=name,
            VersionId=version_id,
            Retention=retention,
            BypassGovernanceRetention=bypass_governance or None,
        )
        self._boto.call("put_object_retention", params)

    def put_legal_hold(
        self, bucket: str, name: str, *, version_id: str | None = None, on: bool = True
    ) -> None:
        """Put a version under a legal hold, or release it."""
        hold = {"Status": "ON" if on else "OFF"}
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id, LegalHold=hold)
        self._boto.call("put_object_legal_hold", params)

    # --- multipart uploads -------------------------------------------------------------------

    def create_multipart_upload(
        self,
        bucket: str,
        name: str,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        tagging: str | None = None,
        lock: ObjectLock | None = None,
        legal_hold: bool = False,
    ) -> str:
        """Create a multipart upload; return its id. Not every server honours its tags and locks."""
        params = drop_none(
            Bucket=bucket,
            Key=name,
            ContentType=content_type,
            Metadata=dict(metadata or {}),
            **_tags_and_lock(tagging or None, lock, legal_hold=legal_hold),
        )
        upload_id: str = self._boto.call("create_multipart_upload", params)["UploadId"]
        return upload_id

    def upload_part(self, bucket: str, name: str, upload_id: str, number: int, body: Body) -> Part:
        """Upload one part; numbers begin at 1."""
        params = {"Bucket": bucket, "Key": name, "UploadId": upload_id, "PartNumber": number}
        response = self._boto.call("upload_part", {**params, "Body": for_botocore(body)})
        return Part(number, response["ETag"], response.get("ChecksumCRC32"))

    def abort_multipart_upload(self, bucket: str, name: str, upload_id: str) -> None:
        """Abort an upload, and free the storage of its parts."""
        try:
            self._boto.call("abort_multipart_upload", {"Bucket": bucket, "Key": name, "UploadId": upload_id})
        except KeyNotFoundError:
            if not self._boto.was_lost:  # an attempt whose answer was lost has aborted it
                raise

    def complete_multipart_upload(
        self,
        bucket: str,
        name: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> Written:
        """Complete an upload: make its parts one object. Not every server honours the conditions.

        Raises:
            ConflictError: ``if_none_match`` and the object exists, or ``if_match`` and its ETag differs.
            KeyNotFoundError: There is no such upload (any more).
        """
        listed = [
            drop_none(PartNumber=part.number, ETag=part.etag, ChecksumCRC32=part.crc32) for part in parts
        ]
        params = drop_none(
            Bucket=bucket,
            Key=name,
            UploadId=upload_id,
            MultipartUpload={"Parts": listed},
            IfNoneMatch="*" if if_none_match else None,
            IfMatch=condition(name, if_match),
        )
        response = self._boto.call("complete_multipart_upload", params)
        version_id = response.get("VersionId")
        # Ceph returns neither ETag nor version id, and moto returns a version id without versioning.
        etag = response.get("ETag", "").strip('"') or _etag_of_parts(parts)
        written = Written(f'"{etag}"', None if version_id == "null" else version_id)
        self.capabilities.learn_from_put(bucket, written.version_id)
        return written

    def list_multipart_uploads(self, bucket: str, prefix: str) -> Iterator[IncompleteUpload]:
        """Yield the incomplete multipart uploads under a prefix: one request per 1,000."""
        for page in self._boto.pages("list_multipart_uploads", Bucket=bucket, Prefix=prefix):
            for item in page.get("Uploads", ()):
                yield IncompleteUpload(item["Key"], item["UploadId"], item["Initiated"])


def _etag_of_parts(parts: Sequence[Part]) -> str:
    """Return the ETag of a multipart upload: no server documents how to compute it, and all agree."""
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _tags_and_lock(tagging: str | None, lock: ObjectLock | None, *, legal_hold: bool) -> dict[str, Any]:
    """Return boto3's parameters that PUTs, multipart uploads and copies share; None values are dropped."""
    return {
        "Tagging": tagging,
        "ObjectLockMode": lock.mode if lock else None,
        "ObjectLockRetainUntilDate": lock.until if lock else None,
        "ObjectLockLegalHoldStatus": "ON" if legal_hold else None,
    }
