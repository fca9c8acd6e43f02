"""The reads of a client: objects, tags, listings.

They are direct reads (:mod:`s3kv_flows.store._s3.transport.direct.reads`) where these are possible.
Otherwise, and after any unusual answer, boto3 makes the request (:mod:`s3kv_flows.store._s3.transport.boto`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, TypeVar

from s3kv_flows.store._s3.capabilities import Capabilities
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._s3.transport.boto import Boto, drop_none
from s3kv_flows.store._s3.transport.direct.answers import Answer
from s3kv_flows.store._s3.transport.direct.documents import Page, error_code, parse_page, parse_tags
from s3kv_flows.store._s3.transport.direct.reads import DirectReads
from s3kv_flows.store._s3.transport.hooks import OF_S3, require_described
from s3kv_flows.store._s3.transport.responses import date_of, object_info
from s3kv_flows.store._s3.transport.streams import (
    SMALL_BYTES,
    BodyStream,
    MemoryStream,
    OpenObject,
    is_sized,
    plain,
    read_whole,
    sent_length,
)
from s3kv_flows.store._s3.transport.translation import NO_TAGS, is_known
from s3kv_flows.store._s3.types import ListedObject, NotModified
from s3kv_flows.store.errors import KeyNotFoundError, StoreUnavailableError, UnsupportedByServerError

__all__ = ["Reads", "condition"]

_OK, _PARTIAL, _NOT_MODIFIED, _NO_SUCH_RANGE = 200, 206, 304, 416
_UNDERSTOOD = (_OK, _PARTIAL, _NOT_MODIFIED, 404, _NO_SUCH_RANGE)
"""The statuses of direct reads that boto3 need not tell apart."""

_NO_SUCH_KEY = ("NoSuchKey", "NoSuchVersion")
_HEADERS = {"IfNoneMatch": "If-None-Match", "IfMatch": "If-Match", "Range": "Range"}
_QUERY = {
    "Prefix": "prefix",
    "StartAfter": "start-after",
    "ContinuationToken": "continuation-token",
    "VersionId": "versionId",
}
"""Headers and parameters of a GET, by their names in boto3."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_STRONG_ETAG = re.compile(r'"?[^"/]+"?')


T = TypeVar("T")


class Reads:
    """The operations of a client that read; see :class:`s3kv_flows.store._s3.client.S3Client`."""

    config: S3Config
    capabilities: Capabilities
    _boto: Boto
    _reads: DirectReads

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
        """Open an object for reading; see :func:`s3kv_flows.store._objects.transfer.download`.

        Args:
            bucket: The bucket.
            name: The object name.
            version_id: A version; None for the current one.
            if_none_match: An ETag; if the object still has it, it is not sent.
            if_match: The ETag that the object must have.
            byte_range: The first byte, and the one after the last; None for all. If the object ends before
                the last one, less is sent.

        Returns:
            The object, or :class:`NotModified` if it still has the ETag of ``if_none_match``.

        Raises:
            KeyNotFoundError: No such object or version.
            ConflictError: Its ETag is not ``if_match``.
            StoreUnavailableError: ``if_match`` is no ETag that a condition can have.
            UnsupportedByServerError: With the code ``InvalidRange``: the object ends before the range.
        """
        if if_match is not None and not _is_strong(if_match):
            raise StoreUnavailableError(
                f"{name!r} broke off, and cannot be continued: the server sent no strong ETag, which would "
                "tell whether it is still the same object"
            )
        params = drop_none(
            Bucket=bucket,
            Key=name,
            VersionId=version_id,
            IfNoneMatch=if_none_match or None,
            IfMatch=if_match,
            Range=f"bytes={byte_range[0]}-{byte_range[1] - 1}" if byte_range else None,
        )
        with self._boto.limits.operation():
            return self._open_once(name, params)

    def _open_once(self, name: str, params: dict[str, Any]) -> OpenObject | NotModified:
        direct = self._get_directly(params)
        opened = direct if direct is not None else self._get(name, params)
        is_of_one = "IfMatch" in params or "VersionId" in params
        if isinstance(opened, NotModified) or opened.stop >= opened.info.size or is_of_one:
            return opened
        if _is_strong(opened.info.etag):
            return opened
        # The rest could not be requested of the same object; so all of it is requested at once.
        opened.leave()
        return self._get(name, {key: value for key, value in params.items() if key != "Range"})

    def list_objects(
        self, bucket: str, prefix: str, *, start_after: str | None = None
    ) -> Iterator[ListedObject]:
        """Yield the current objects under a prefix, by name: one request per 1,000.

        Args:
            bucket: The bucket.
            prefix: The prefix of their names.
            start_after: Yield only names after this one.
        """
        params, token = drop_none(Bucket=bucket, Prefix=prefix, StartAfter=start_after), None
        while True:
            with self._boto.limits.operation():
                page = self._list_directly(params) or self._list(params)
            yield from page.objects
            if page.is_last:
                return
            last, token = token, page.token
            if not token or token == last:
                raise self._boto.never_ends("list_objects_v2")
            params["ContinuationToken"] = token

    def get_tags(self, bucket: str, name: str, *, version_id: str | None = None) -> dict[str, str]:
        """Return the tags of an object."""
        params = drop_none(Bucket=bucket, Key=name, VersionId=version_id)
        response = self._boto.call("get_object_tagging", params, none=NO_TAGS)
        return {tag["Key"]: tag["Value"] for tag in response.get("TagSet", [])}

    def search_tags(self, bucket: str, name: str) -> dict[str, str] | None:
        """Return the tags of an object, None if it does not exist: :meth:`get_tags` as a direct read."""
        with self._boto.limits.operation():
            tags = self._search_directly(bucket, name)
            if tags is not None:
                return None if tags is False else tags
            with suppress(KeyNotFoundError):  # boto3 handles redirects, and tells other errors apart
                return self.get_tags(bucket, name)
            return None

    # --- how -----------------------------------------------------------------------------------

    def _get(self, name: str, params: dict[str, Any]) -> OpenObject | NotModified:
        response = self._boto.call("get_object", params, not_modified=True)
        metadata = response["ResponseMetadata"]
        if "Body" not in response:
            return NotModified(date_of(metadata["HTTPHeaders"], "last-modified"))
        stream: BodyStream = response["Body"]
        try:
            return self._open(name, metadata["HTTPHeaders"], stream)
        except BaseException:
            stream.close()
            raise

    def _open(self, name: str, headers: Mapping[str, str], stream: BodyStream) -> OpenObject:
        """Return the object of a response; its body is read now if only its end shows the size."""
        where = f"{name!r} at {self._boto.server}"
        content_range = _CONTENT_RANGE.fullmatch(headers.get("content-range") or "")
        sent = sent_length(headers)
        length: int | None = None
        if content_range is not None and "content-encoding" not in headers:
            length = int(content_range[2]) + 1 - int(content_range[1])
        elif not is_sized(headers):
            body = plain(headers, read_whole(stream, sent))
            stream, length = MemoryStream(body), len(body)
        start, size = (int(content_range[1]), int(content_range[3])) if content_range else (0, length)
        info = object_info(name, headers, size=size)
        stop = start + (info.size if length is None else length)
        return OpenObject(info, start, stop, content_range is not None, stream, where)

    def _get_directly(self, params: Mapping[str, Any]) -> OpenObject | NotModified | None:
        """Open an object by a direct read; return None if boto3 has to send the request."""
        if self.config.encryption and self.config.encryption.customer_key:
            return None
        bucket, name = params["Bucket"], params["Key"]

        def parse(answer: Answer) -> OpenObject | NotModified | None:
            if answer.status in (_OK, _PARTIAL):
                require_described(answer.headers)
                self._learn(bucket, answer)
                return self._open(name, answer.headers, _in_memory_if_small(answer))
            body = answer.read()
            self._learn(bucket, answer)
            if answer.status == _NOT_MODIFIED:
                return NotModified(date_of(answer.headers, "last-modified"))
            code = error_code(body)
            if answer.status == _NO_SUCH_RANGE:
                invalid = UnsupportedByServerError(f"{name!r} at {self._boto.server}: {code}")
                invalid.code = "InvalidRange"
                raise invalid
            if code not in _NO_SUCH_KEY:
                return None
            raise self._boto.no_such_key(f"{bucket}/{name}", code, answer.headers)

        return self._read("GetObject", params, parse)

    def _search_directly(self, bucket: str, name: str) -> dict[str, str] | Literal[False] | None:
        """Return tags by a direct read, False for a missing object; None if boto3 has to send the request."""

        def parse(answer: Answer) -> dict[str, str] | Literal[False] | None:
            body = answer.read()
            self.capabilities.learn_version(bucket, _version(answer.headers))
            if answer.status == _OK:
                # Ceph 16 sends nothing for a version without tags.
                return parse_tags(body) if body or OF_S3 not in answer.headers else {}
            code = error_code(body)
            if code in NO_TAGS:
                return {}
            return False if code in _NO_SUCH_KEY else None

        params = {"Bucket": bucket, "Key": name}
        return self._read("GetObjectTagging", params, parse, {"tagging": ""})

    def _list_directly(self, params: Mapping[str, Any]) -> Page | None:
        def parse(answer: Answer) -> Page | None:
            body = answer.read()
            if answer.status != _OK:
                return None
            self._learn(params["Bucket"], answer)
            return parse_page(body)

        return self._read("ListObjectsV2", params, parse, {"list-type": "2", "encoding-type": "url"})

    def _list(self, params: dict[str, Any]) -> Page:
        page = self._boto.call("list_objects_v2", params)
        objects = [
            ListedObject(item["Key"], item.get("ETag", ""), item.get("Size", 0), item["LastModified"])
            for item in page.get("Contents", ())
        ]
        return Page(objects, not page.get("IsTruncated"), page.get("NextContinuationToken"))

    def _read(
        self,
        operation: str,
        params: Mapping[str, Any],
        parse: Callable[[Answer], T],
        query: Mapping[str, str] | None = None,
    ) -> T | None:
        """Make a direct read; see :meth:`DirectReads.get`."""
        if not self.config.direct_reads:
            return None
        headers = {_HEADERS[key]: value for key, value in params.items() if key in _HEADERS}
        query = {_QUERY[key]: value for key, value in params.items() if key in _QUERY} | dict(query or {})

        def parse_unless_refused(answer: Answer) -> T | None:
            if answer.status in _UNDERSTOOD:
                return parse(answer)
            body = answer.read()
            if self._boto.is_patient or not is_known(error_code(body), answer.status):
                return None  # it is asked again
            raise self._boto.refusal(operation, params, answer.status, answer.headers, body)

        bucket, name = params["Bucket"], params.get("Key", "")
        return self._reads.get(operation, bucket, name, query, headers, parse=parse_unless_refused)

    def _learn(self, bucket: str, answer: Answer) -> None:
        self.capabilities.learn(answer.headers)
        if answer.status in (_OK, _PARTIAL):
            self._boto.reached.add(bucket)


def _in_memory_if_small(answer: Answer) -> BodyStream:
    """Read a small body at once, so that its request is repeated if it breaks off."""
    if answer.length is None or answer.length > SMALL_BYTES:
        return answer.stream
    return MemoryStream(read_whole(answer.stream, answer.length))


def _is_strong(etag: str) -> bool:
    """Tell whether an ETag is of these bytes alone, as a condition requires; compression weakens it."""
    return _STRONG_ETAG.fullmatch(etag) is not None


def condition(name: str, etag: str | None) -> str | None:
    """Return an ETag as a condition.

    Raises:
        UnsupportedByServerError: It is none, or a weak one.
    """
    if etag is not None and not _is_strong(etag):
        raise UnsupportedByServerError(
            f"{name!r} has the ETag {etag!r}, and a condition requires a strong one: the server, or a proxy "
            "before it, does not send any"
        )
    return etag


def _version(headers: Mapping[str, str]) -> str | None:
    """Return the version id of a response, None without versioning."""
    version_id = headers.get("x-amz-version-id")
    return None if version_id == "null" else version_id
