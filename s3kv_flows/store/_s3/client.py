"""S3 itself: operations, not values.

One method per S3 operation, with typed results. The calls are boto3's
(:mod:`s3kv_flows.store._s3.transport.boto`), but for reads, which go past it where they can. A client is
shared by all that use the same configuration (:mod:`s3kv_flows.store._s3.clients`), and with it connections
and what was learned about a bucket.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from s3kv_flows.store._s3.bodies import Body, for_botocore
from s3kv_flows.store._s3.buckets import Buckets
from s3kv_flows.store._s3.capabilities import Capabilities, Prober
from s3kv_flows.store._s3.config import S3Config, is_aws
from s3kv_flows.store._s3.transport.boto import Boto, BotoStream, drop_none
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.transport.direct import DirectAnswer, DirectPaths, error_code, parse_tags
from s3kv_flows.store._s3.transport.responses import date_of, listed_versions, object_info
from s3kv_flows.store._s3.transport.streams import BodyStream, OpenObject
from s3kv_flows.store._s3.transport.translation import NO_LOCK, NO_TAGS
from s3kv_flows.store._s3.types import (
    DeleteFailure,
    IncompleteUpload,
    ListedObject,
    ListedVersion,
    NotModified,
    ObjectInfo,
    ObjectLock,
    Part,
    Written,
)
from s3kv_flows.store.errors import (
    KeyNotFoundError,
    UnsupportedByServerError,
)

__all__ = ["S3Client"]

_OK, _PARTIAL, _NOT_MODIFIED, _NO_SUCH_RANGE = 200, 206, 304, 416
_NO_SUCH_KEY = ("NoSuchKey", "NoSuchVersion")
_CONDITIONS = {"IfNoneMatch": "If-None-Match", "IfMatch": "If-Match", "Range": "Range"}
"""Headers of a GET that need no signature, by their names in boto3."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class S3Client(Buckets):
    """One boto3 client, with typed results, counted requests and translated errors.

    Use :func:`~s3kv_flows.store._s3.clients.shared_client` to get one. Methods are one request each unless
    they say otherwise, and raise the errors that :data:`ERROR_TYPES` lists.

    Args:
        config: How to reach the server.
        prober: Makes what finds out by experiment what the server can do.
    """

    def __init__(self, config: S3Config, prober: Callable[[S3Client], Prober]) -> None:
        self.config = config
        self.counters = Counters()
        self._boto = Boto(config, self.counters, lambda headers: self.capabilities.learn(headers))
        self._paths = DirectPaths(config, self._boto)
        self.capabilities = Capabilities(prober(self), is_aws=is_aws(self._boto.client.meta.endpoint_url))

    @property
    def access_key_id(self) -> str | None:
        """Whose requests these are, as S3 knows them; None where there are no credentials."""
        found = self._boto.credentials()
        return None if found is None else str(found.access_key)

    # --- objects -------------------------------------------------------------------------------

    def open_object(
        self,
        bucket: str,
        name: str,
        *,
        version_id: str | None = None,
        if_none_match: str | None = None,
        if_match: str | None = None,
        byte_range: tuple[int, int] | None = None,
    ) -> OpenObject | NotModified:
        """Begin to read an object; see :func:`s3kv_flows.store._objects.transfer.download`.

        Args:
            bucket: The bucket.
            name: The object name.
            version_id: A version; None for the current one.
            if_none_match: An ETag; an object that still has it is not sent.
            if_match: The ETag it must still have.
            byte_range: The first byte, and the one after the last; None for all. Where the object ends
                before the last one, less is sent.

        Returns:
            The object, or that it still has the ETag of ``if_none_match``.

        Raises:
            KeyNotFoundError: No such object or version.
            ConflictError: It has another ETag than ``if_match``.
            UnsupportedByServerError: With the code ``InvalidRange``: it has not as many bytes.
        """
        params = drop_none(
            Bucket=bucket,
            Key=name,
            VersionId=version_id,
            IfNoneMatch=if_none_match,
            IfMatch=if_match,
            Range=f"bytes={byte_range[0]}-{byte_range[1] - 1}" if byte_range else None,
        )
        answer = self._ask_directly(bucket, name, params)
        if answer is not None:
            return self._open(name, answer.headers, answer, answer.status)
        response = self._boto.call("get_object", params, not_modified=True)
        metadata = response["ResponseMetadata"]
        stream = BotoStream(response["Body"]) if "Body" in response else None
        return self._open(name, metadata["HTTPHeaders"], stream, metadata["HTTPStatusCode"])

    def head_object(self, bucket: str, name: str, *, version_id: str | None = None) -> ObjectInfo:
        """Return what the headers say of an object: lock, version, tag count, size, metadata.

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
        """Write an object, complete with metadata, tags and lock, in one request.

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
            IfMatch=if_match,
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
            source_etag: Copy only what still has this ETag.
            metadata: New metadata instead of the source's, together with ``content_type``.
            content_type: New content type.
            tagging: New tags instead of the source's; not every server heeds it.
            lock: The retention of the copy; not every server heeds it.
            legal_hold: Whether the copy is to be held; not every server heeds it.

        Raises:
            KeyNotFoundError: No such source.
            ConflictError: The source has another ETag.
        """
        params = drop_none(
            Bucket=bucket,
            Key=target,
            CopySource=drop_none(Bucket=bucket, Key=source, VersionId=source_version),
            CopySourceIfMatch=source_etag,
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
            The version id of the delete marker, where the bucket is versioned and none was given.

        Raises:
            ConflictError: The object has another ETag than ``if_match``; not every server heeds it.
        """
        params = drop_none(
            Bucket=bucket,
            Key=name,
            VersionId=version_id,
            IfMatch=if_match,
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
            objects: Name, version id or None, ETag or None of each. Not every server heeds the ETag.

        Returns:
            The objects that the server refused to delete; absent ones count as deleted.
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

    def list_objects(
        self, bucket: str, prefix: str, *, start_after: str | None = None
    ) -> Iterator[ListedObject]:
        """Yield the current objects under a prefix, by name: one request per 1,000.

        Args:
            bucket: The bucket.
            prefix: What their names begin with.
            start_after: Only those whose names come after this.
        """
        params = drop_none(Bucket=bucket, Prefix=prefix, StartAfter=start_after)
        for page in self._boto.pages("list_objects_v2", **params):
            for item in page.get("Contents", ()):
                yield ListedObject(item["Key"], item["ETag"], item["Size"], item["LastModified"])

    def list_versions(
        self, bucket: str, prefix: str, *, start_after: str | None = None
    ) -> Iterator[ListedVersion]:
        """Yield versions and delete markers under a prefix: one request per 1,000.

        They come by name, so that all of one key stand together, the current one first.

        Args:
            bucket: The bucket.
            prefix: What their names begin with.
            start_after: Only those whose names come after this.
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
            found = listed_versions(page)
            chain += [version for version in found if version.name == name]
            # Names ascend, and of those that begin with this one it is the first.
            if any(version.name != name for version in found):
                break
        return chain

    # --- tags and locks ------------------------------------------------------------------------

    def get_tags(self, bucket: str, name: str, *, version_id: str | None = None) -> dict[str, str]:
        """Return the tags of an object."""
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id)
        response = self._boto.call("get_object_tagging", params, none=NO_TAGS)
        return {tag["Key"]: tag["Value"] for tag in response.get("TagSet", [])}

    def search_tags(self, bucket: str, name: str) -> dict[str, str] | None:
        """Return the tags of an object, None where it is gone: as :meth:`get_tags`, with less work."""
        reads = self._paths.to(bucket)
        answer = reads.get(name, {"tagging": ""}) if reads else None
        if answer is not None:
            self.capabilities.learn_version(bucket, _version(answer.headers))
            body = self._count_direct("GetObjectTagging", answer)
            if answer.status == _OK:
                return parse_tags(body)
            if error_code(body) in _NO_SUCH_KEY:
                return None
        with suppress(KeyNotFoundError):  # the full client knows the way, or what else is missing
            return self.get_tags(bucket, name)
        return None

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

    def get_retention(self, bucket: str, name: str, *, version_id: str | None = None) -> ObjectLock | None:
        """Return the retention of a version, which HEAD shows as well to who may read it; None for none.

        Raises:
            AccessDeniedError: These credentials may not see it.
        """
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id)
        found = self._boto.call("get_object_retention", params, none=NO_LOCK).get("Retention", {})
        return ObjectLock(found["Mode"], found["RetainUntilDate"]) if found.get("Mode") else None

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
        """Put a version under retention; with None, remove it, which wants ``bypass_governance``."""
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
        """Begin an upload in parts; return its id. Not every server heeds tags and locks given here."""
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
        """Give an upload up; its parts are freed."""
        self._boto.call("abort_multipart_upload", {"Bucket": bucket, "Key": name, "UploadId": upload_id})

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
        """Make the parts one object. Not every server heeds the conditions.

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
            IfMatch=if_match,
        )
        response = self._boto.call("complete_multipart_upload", params)
        version_id = response.get("VersionId")
        # Ceph tells neither ETag nor version, and moto names a version where there are none.
        etag = response.get("ETag", "").strip('"') or _etag_of_parts(parts)
        written = Written(f'"{etag}"', None if version_id == "null" else version_id)
        self.capabilities.learn_from_put(bucket, written.version_id)
        return written

    def list_multipart_uploads(self, bucket: str, prefix: str) -> Iterator[IncompleteUpload]:
        """Yield the uploads under a prefix that were begun and not completed: one request per 1,000."""
        for page in self._boto.pages("list_multipart_uploads", Bucket=bucket, Prefix=prefix):
            for item in page.get("Uploads", ()):
                yield IncompleteUpload(item["Key"], item["UploadId"], item["Initiated"])

    # --- how -----------------------------------------------------------------------------------

    def _open(
        self, name: str, headers: Mapping[str, str], stream: BodyStream | None, status: int
    ) -> OpenObject | NotModified:
        if stream is None or status == _NOT_MODIFIED:
            return NotModified(date_of(headers, "last-modified"))
        info = object_info(name, headers)
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range") or "")
        start, size = (int(found[1]), int(found[2])) if found else (0, info.size)
        where = f"{name!r} at {self.server}"
        stop, is_range = start + info.size, found is not None
        return OpenObject(replace(info, size=size), start, stop, is_range, stream, self.counters, where)

    def _ask_directly(self, bucket: str, name: str, params: Mapping[str, Any]) -> DirectAnswer | None:
        """Send a GET past botocore; return the answer, None where the full client has to ask."""
        reads = self._paths.to(bucket)
        if not reads or (self.config.encryption and self.config.encryption.customer_key):
            return None
        query = {"versionId": params["VersionId"]} if "VersionId" in params else {}
        conditions = {header: params[key] for key, header in _CONDITIONS.items() if key in params}
        answer = reads.get(name, query, conditions)
        if answer is None:
            return None
        headers = answer.headers
        self.capabilities.learn(headers)
        if answer.status in (_OK, _PARTIAL):
            self.counters.add("requests.GetObject")
            self._boto.reached.add(bucket)
            return answer
        body = self._count_direct("GetObject", answer)
        if answer.status == _NOT_MODIFIED:
            return answer
        code = error_code(body)
        if answer.status == _NO_SUCH_RANGE:
            refusal = UnsupportedByServerError(f"{name!r} at {self.server}: {code}")
            refusal.code = "InvalidRange"
            raise refusal
        if code not in _NO_SUCH_KEY:
            return None
        raise self._boto.no_such_key(f"{bucket}/{name}", code, headers)

    def _count_direct(self, operation: str, answer: DirectAnswer) -> bytes:
        """Count a direct read, and return its small body."""
        body = answer.read()
        self.counters.add(f"requests.{operation}")
        self.counters.add("bytes.received", len(body))
        return body


def _version(headers: Mapping[str, str]) -> str | None:
    """Return the version id of an answer, None where there are no versions."""
    version_id = headers.get("x-amz-version-id")
    return None if version_id == "null" else version_id


def _etag_of_parts(parts: Sequence[Part]) -> str:
    """Return the ETag that servers give to an upload in parts: nobody documents it, and all do it so."""
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _tags_and_lock(tagging: str | None, lock: ObjectLock | None, *, legal_hold: bool) -> dict[str, Any]:
    """Return what a PUT, an upload in parts and a copy take alike, by boto3's names; None is left out."""
    return {
        "Tagging": tagging,
        "ObjectLockMode": lock.mode if lock else None,
        "ObjectLockRetainUntilDate": lock.until if lock else None,
        "ObjectLockLegalHoldStatus": "ON" if legal_hold else None,
    }
