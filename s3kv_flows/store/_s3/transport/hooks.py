"""Event hooks of the full client: counts, refusals, time limits, retries."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from io import SEEK_END, BytesIO
from typing import Any

from s3kv_flows.store._s3.bodies import BodyFile
from s3kv_flows.store._s3.transport.connections import Connections
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.transport.failures import (
    NO_CONNECTION,
    TRANSIENT,
    broke_connection,
    raise_failure,
)
from s3kv_flows.store._s3.transport.time.breaker import Breaker
from s3kv_flows.store._s3.transport.time.limits import Limits, current_limit, note_connection
from s3kv_flows.store._s3.transport.time.retries import pause_after_accident, pause_before_retry
from s3kv_flows.store._s3.transport.translation import OUTCOME_UNKNOWN

__all__ = [
    "AS_SENT",
    "OF_S3",
    "Attempts",
    "BrokenHeadersError",
    "Hooks",
    "NotOfS3Error",
    "body_size",
    "require_described",
]

AS_SENT = "AsSent"
"""The name in a response under which its body is kept, for the operations whose response boto3 cuts down to
what it knows: a lock that it does not know is one, too."""

_READ_AS_SENT = ("GetObjectRetention", "GetObjectLockConfiguration")

_DOCUMENTS: Mapping[str, bytes] = {
    "CompleteMultipartUpload": b"CompleteMultipartUploadResult",
    "CopyObject": b"CopyObjectResult",
    "CreateMultipartUpload": b"InitiateMultipartUploadResult",
    "DeleteObjects": b"DeleteResult",
    "GetBucketVersioning": b"Versioning",
    "GetObjectLegalHold": b"LegalHold",
    "GetObjectLockConfiguration": b"ObjectLockConfiguration",
    "GetObjectRetention": b"Retention",
    "GetObjectTagging": b"Tagging",
    "ListMultipartUploads": b"ListMultipartUploadsResult",
    "ListObjectVersions": b"ListVersionsResult",
    "ListObjectsV2": b"ListBucketResult",
}
"""What a response contains on every known server, for operations where boto3 would take anything else, such
as the login page of a network, for "there is none", or for "it is done"."""

_WORDS: Mapping[bytes, tuple[bytes, ...]] = {
    b"IsLatest": (b"true", b"false"),
    b"IsTruncated": (b"true", b"false"),
    b"ObjectLockEnabled": (b"Enabled",),
    b"Status": (b"ON", b"OFF", b"Enabled", b"Suspended", b"Disabled"),
}
"""The words that elements of documents have: boto3 takes any other for "no"."""

_WORD = re.compile(rb"<(" + b"|".join(_WORDS) + rb")>([^<]*)<")

OF_S3 = "x-amz-request-id"
"""A header of S3, which no page of a network has."""

_ALL_OF_S3 = "x-amz"
"""How headers of S3 begin, also those of servers that have no :data:`OF_S3`."""

_ETAGGED = ("PutObject", "UploadPart")
"""Operations whose responses give an ETag."""

_DESCRIBED = ("GetObject", "HeadObject")
"""Operations whose responses describe an object."""

_SILENT = (
    "AbortMultipartUpload",
    "DeleteObject",
    "DeleteObjectTagging",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
)
"""Operations whose responses say nothing, but that it is done."""

_PAGE_BEGINS = 512
_PAGE = "text/html"

_NO_CONTENT = 204

_EXPECT_BYTES = 32 << 20
"""Bodies of this size and more wait for ``100 Continue``, so that a rejected request does not send them.
Smaller ones are sent in less time than they would usually wait."""


class NotOfS3Error(ValueError):
    """The response is a document of something else."""


class BrokenHeadersError(NotOfS3Error):
    """The connection broke within the headers: Python's HTTP client takes those that arrived for all."""


class Attempts(threading.local):
    """The attempts of a thread's current request.

    Attributes:
        lost: Whether the outcome of one is not known.
        is_foreign: Whether the last one was answered by something else than S3.
        began: When they began.
    """

    lost = False
    is_foreign = False
    began = 0.0


class Hooks:
    """The hooks of one client.

    Args:
        connections: The connections of the client.
        limits: Its time limits.
        breaker: Knows whether its server is down.
        counters: Counts requests and bytes.
        most_attempts: How many attempts a request has that the server has no time for.

    Attributes:
        attempts: The attempts of the current request of each thread.
    """

    def __init__(
        self,
        connections: Connections,
        limits: Limits,
        breaker: Breaker,
        counters: Counters,
        *,
        most_attempts: int,
    ) -> None:
        self._connections, self._limits, self._breaker = connections, limits, breaker
        self._counters, self._most_attempts = counters, most_attempts
        self.attempts = Attempts()
        self._signs = False  # whether the server sends headers of S3

    def register(self, events: Any, *, pays: bool) -> None:
        """Register the hooks with the events of the client.

        Args:
            events: The events.
            pays: Whether the owner of the credentials pays for the requests.
        """
        events.register_last("before-call.s3", _expect_only_for_large_bodies)
        if pays:
            events.register("before-call.s3", _pay)
        events.register_last("before-call.s3", self._limit_attempt)
        events.register_first("needs-retry.s3", self._may_retry)
        events.register("before-send.s3", self._count_request)
        events.register("response-received.s3", self._count_response)
        events.register("before-parse.s3", self._require_document)
        for operation in _READ_AS_SENT:
            events.register(f"before-parse.s3.{operation}", _keep_body)

    def _limit_attempt(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Lower the time limit of the first attempt to what is left."""
        if current_limit() is not None:
            params["context"]["read_timeout"] = self._limits.of_attempt(reads=_is_read(model.name))

    def _may_retry(
        self,
        response: tuple[Any, dict[str, Any]] | None,
        operation: Any,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        **_: Any,
    ) -> float | None:
        """Return when to try again; None leaves that to botocore.

        Raises:
            Exception: What the last attempt ended with, if there shall be no other.
        """
        limit = current_limit()
        if limit is None:  # not of this class
            return None
        if isinstance(caught_exception, NO_CONNECTION):
            self._breaker.did_not_connect(caught_exception)
        pause = pause_before_retry(response, attempts, self._most_attempts)
        if pause is None and (response is not None or isinstance(caught_exception, TRANSIENT)):
            pause = pause_after_accident(response, attempts, self._most_attempts, limit.left)
        if limit.is_over or self._breaker.is_open or (pause is not None and pause >= limit.left):
            raise_failure(response, caught_exception, operation.name)
            return None
        request_dict["context"]["read_timeout"] = self._limits.of_attempt(reads=_is_read(operation.name))
        return pause

    def _count_request(self, request: Any, event_name: str, **_: Any) -> None:
        self._counters.add(f"requests.{event_name.rsplit('.', 1)[-1]}")
        headers = request.headers  # over HTTPS, botocore sends bodies in chunks
        size = headers.get("Content-Length") or headers.get("X-Amz-Decoded-Content-Length") or 0
        self._counters.add("bytes.sent", int(size))

    def _require_document(self, response_dict: Mapping[str, Any], event_name: str, **_: Any) -> None:
        """Refuse what boto3 would take for an answer of S3.

        Raises:
            NotOfS3Error: It is the success of something else.
        """
        status, body = response_dict["status_code"], response_dict.get("body") or b""
        headers = {name.lower(): value for name, value in response_dict["headers"].items()}
        operation = event_name.rsplit(".", 1)[-1]
        self._signs |= is_of_s3(headers)
        if status >= 400:
            # Without a body, as to a HEAD, its headers have to show it.
            is_document = b"<Error" in body if body else self._may_be_of_s3(headers)
            self.attempts.is_foreign = status == 404 and not is_document
            return
        if status >= 300:
            return
        if operation in _ETAGGED:
            _require_etag(headers)
        elif operation in _DESCRIBED:
            require_described(headers)
        elif (
            operation not in _DOCUMENTS
            and status != _NO_CONTENT
            and not self._may_be_of_s3(headers, strictly=operation in _SILENT)
        ):
            raise NotOfS3Error("the response is not of S3: it has no header of it")
        if isinstance(body, bytes):  # of the others, an object is read later
            _require_document(operation, headers, body)

    def _may_be_of_s3(self, headers: Mapping[str, str], *, strictly: bool = False) -> bool:
        """Tell whether a response without a document may be of S3, by the headers that its server sends."""
        is_page = headers.get("content-type", "").startswith(_PAGE)
        return is_of_s3(headers) or not (strictly or self._signs or is_page)

    def _count_response(
        self,
        response_dict: Any,
        event_name: str,
        parsed_response: Any = None,
        exception: Exception | None = None,
        **_: Any,
    ) -> None:
        if response_dict is not None:
            self._breaker.heard()
        if broke_connection(exception):  # before the next attempt
            self._connections.broke(self.attempts.began)
        code = (parsed_response or {}).get("Error", {}).get("Code")
        if response_dict is None or code in OUTCOME_UNKNOWN:
            self.attempts.lost = True
        # The body of a GET is counted as it is read: it may not be read at all.
        if response_dict and not (event_name.endswith(".GetObject") and response_dict["status_code"] < 300):
            note_connection(None)
            self._counters.add("bytes.received", len(response_dict.get("body") or b""))


def body_size(body: object) -> int:
    """Return the size of what is left of the body of a request."""
    if isinstance(body, (BytesIO, BodyFile)):
        position = body.tell()
        size = body.seek(0, SEEK_END) - position  # getbuffer() would copy shared memory
        body.seek(position)
        return size
    return len(body) if isinstance(body, bytes) else 0


def _expect_only_for_large_bodies(params: dict[str, Any], **_: Any) -> None:
    """Remove ``Expect: 100-continue`` from requests with small bodies, which saves a round trip each."""
    body = params.get("body")
    if isinstance(body, (BytesIO, BodyFile)) and body_size(body) < _EXPECT_BYTES:
        params["headers"].pop("Expect", None)


def _keep_body(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Add the body to the parsed response."""
    customized_response_dict[AS_SENT] = response_dict["body"]


def _pay(params: dict[str, Any], **_: Any) -> None:
    """Say that the owner of the credentials pays, and not the owner of the bucket."""
    params["headers"]["x-amz-request-payer"] = "requester"


def _require_etag(headers: Mapping[str, str]) -> None:
    """Refuse the headers of a write that do not say what was written.

    Raises:
        BrokenHeadersError: The ETag is cut off, or missing.
    """
    etag = headers.get("etag")
    if not etag or (etag.startswith('"') and (len(etag) == 1 or not etag.endswith('"'))):
        raise BrokenHeadersError("the headers broke off, or are not of S3: they have no ETag")


def is_of_s3(headers: Mapping[str, str]) -> bool:
    """Tell whether one of the headers, by lower-case names, is one of S3."""
    return any(name.startswith(_ALL_OF_S3) for name in headers)


def require_described(headers: Mapping[str, str]) -> None:
    """Refuse headers, by lower-case names, that describe no object.

    Raises:
        NotOfS3Error: They have neither an ETag nor a date nor anything of S3.
    """
    if not ("etag" in headers or "last-modified" in headers or is_of_s3(headers)):
        raise NotOfS3Error("the response is not of S3: it describes no object")


def _require_document(operation: str, headers: Mapping[str, str], body: bytes) -> None:
    """Refuse a document of something else, or one with other words than S3 has.

    Raises:
        NotOfS3Error: It is one.
    """
    if not body and operation == "GetObjectTagging" and OF_S3 in headers:
        return  # of Ceph 16, for a version without tags
    if b"<Error" in body:  # the status of a copy comes before it is done
        return
    if _DOCUMENTS.get(operation, b"") not in body or b"<html" in body[:_PAGE_BEGINS].lower():
        raise NotOfS3Error(f"the response is not of S3: {body[:60]!r}")
    for name, word in _WORD.findall(body) if operation in _DOCUMENTS else ():
        if word not in _WORDS[name]:
            raise NotOfS3Error(f"the response is damaged: {name.decode()} is {word[:20]!r}")


def _is_read(operation: str) -> bool:
    return operation.startswith(("Get", "Head", "List"))
