"""Call boto3, translate its errors, and count requests and bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from botocore import xform_name
from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.parsers import ResponseParserError

from s3kv_flows.store._layout.printable import printable
from s3kv_flows.store._layout.secrets import hidden
from s3kv_flows.store._s3.bodies import BodyFile
from s3kv_flows.store._s3.config import S3Config, server_of
from s3kv_flows.store._s3.transport.boto_client import make_client
from s3kv_flows.store._s3.transport.connections import Connections
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.transport.direct.answers import RawStream
from s3kv_flows.store._s3.transport.direct.documents import error_code
from s3kv_flows.store._s3.transport.direct.private import session_of, watch_connections
from s3kv_flows.store._s3.transport.failures import FAILURES, TRANSIENT, broke_connection
from s3kv_flows.store._s3.transport.hooks import Hooks, NotOfS3Error, body_size
from s3kv_flows.store._s3.transport.time.breaker import Breaker, DownError
from s3kv_flows.store._s3.transport.time.limits import Limits, current_limit, note_connection
from s3kv_flows.store._s3.transport.time.retries import most_attempts
from s3kv_flows.store._s3.transport.translation import (
    NO_CODE,
    NOT_ALLOWED,
    OTHER_REGION,
    error_type,
    is_known,
    no_bucket,
)
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    CorruptValueError,
    EncodingError,
    InvalidTagError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

__all__ = ["Boto", "BotoStream", "drop_none"]

_SLOW: Mapping[str, int] = {"complete_multipart_upload": 5, "copy_object": 5, "upload_part_copy": 5}
"""How many times the usual limit these take: the server may have to copy terabytes."""

_LOCKED_TIMES = 5
"""The same for the PUT of a locked object: what was sent, and is not known to be there, stays for years."""

_TAG_KEY, _TAG_VALUE = 128, 256
_COUNTS_BYTES = " (Ceph counts bytes: 128 for the key of a tag, 256 for its value)"


class Boto:
    """A boto3 client.

    Args:
        config: Its configuration.
        counters: Counts requests and bytes.
        learn: Called with the headers of each response.

    Attributes:
        client: The client itself.
        connections: Its connections.
        limits: Its time limits.
        breaker: Knows whether its server is down.
        server: The identity of its server; see :func:`s3kv_flows.store._s3.config.server_of`.
        reached: Buckets that have responded.
    """

    def __init__(
        self, config: S3Config, counters: Counters, learn: Callable[[Mapping[str, str]], None]
    ) -> None:
        self._config, self._counters, self._learn = config, counters, learn
        self._session, self.client = make_client(config)
        self.connections = Connections(self.client.meta.config.max_pool_connections, self.client.close)
        self.server = server_of(self.client.meta.endpoint_url)
        self.limits = Limits(config.operation_timeout_seconds, config.boto_config.get("read_timeout"))
        self.breaker = Breaker(self.server)
        watch_connections(session_of(self.client), note_connection)
        self.reached: set[str] = set()
        self._most_attempts = most_attempts(config.boto_config.get("retries") or {})
        hooks = Hooks(
            self.connections, self.limits, self.breaker, counters, most_attempts=self._most_attempts
        )
        hooks.register(self.client.meta.events, pays=config.requester_pays)
        self._attempts = hooks.attempts

    def call(
        self,
        operation: str,
        params: dict[str, Any],
        *,
        not_modified: bool = False,
        none: Collection[str] = (),
    ) -> Any:
        """Call an operation; return the response.

        Args:
            operation: The operation, by the name of the client's method.
            params: Its parameters; those of encryption are added.
            not_modified: Whether to return a 304 as a response, instead of raising an error.
            none: The error codes for a missing configuration, such as the retention of an object, for which
                to return an empty response.
        """
        times = _SLOW.get(operation, _LOCKED_TIMES if "ObjectLockMode" in params else 1)
        with self.limits.operation(times=times, sends=body_size(params.get("Body"))):
            return self._call(operation, params, not_modified=not_modified, none=none)

    def _call(
        self, operation: str, params: dict[str, Any], *, not_modified: bool, none: Collection[str]
    ) -> Any:
        bucket = params["Bucket"]
        self._attempts.lost = False
        if self._config.encryption:
            params = {**params, **self._config.encryption.parameters(operation)}
        for is_last in (False, True):
            try:
                response = self._send(operation, params)
                break
            except ClientError as exc:
                self._learn(_headers(exc.response))
                if not_modified and _status(exc) == 304:
                    return exc.response
                if _code(exc) in none:
                    self.reached.add(bucket)
                    return {}
                if is_last or self._is_understood(exc):
                    raise self._translate(exc, operation, params) from exc
                self._attempts.lost |= _status(exc) >= 500
            except DownError:
                raise
            except FAILURES as exc:
                if is_last or not self._may_repeat(exc, operation):
                    raise self._failure(exc, operation) from _shown_cause(exc)
            _rewind(params)
        self.reached.add(bucket)
        self._learn(_headers(response))
        return response

    @property
    def is_patient(self) -> bool:
        """Whether requests that a server has no time for are repeated."""
        return self._most_attempts > 1

    @property
    def was_lost(self) -> bool:
        """Whether this thread's last request had an attempt whose outcome is not known."""
        return self._attempts.lost

    def refusal(
        self, operation: str, params: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes
    ) -> S3KVError:
        """Return the error for the response to a direct read, as :meth:`call` would raise it.

        Args:
            operation: The operation, as S3 names it.
            params: Its parameters.
            status: The HTTP status.
            headers: The headers, with lower-case names.
            body: The body.
        """
        error = {"Code": error_code(body) or str(status)}
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
        exc = ClientError({"Error": error, "ResponseMetadata": metadata}, operation)
        return self._translate(exc, xform_name(operation), params)

    def bucket_exists(self, bucket: str) -> bool:
        """Tell whether the bucket exists and can be accessed: one request."""
        try:
            self.call("head_bucket", {"Bucket": bucket})
        except KeyNotFoundError:
            return False
        return True

    def pages(self, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing, with :meth:`call`, which translates errors."""
        token: dict[str, Any] = {}
        while True:
            page = self.call(operation, {**params, **token})
            yield page
            if not page.get("IsTruncated"):
                return
            last, token = (
                token,
                drop_none(
                    ContinuationToken=page.get("NextContinuationToken"),
                    KeyMarker=page.get("NextKeyMarker"),
                    VersionIdMarker=page.get("NextVersionIdMarker"),
                    UploadIdMarker=page.get("NextUploadIdMarker"),
                ),
            )
            if not token or token == last:
                raise self.never_ends(operation)

    def never_ends(self, operation: str) -> StoreUnavailableError:
        """Return the error for a listing whose pages lead nowhere."""
        return StoreUnavailableError(f"{operation} at {self.server} never ends")

    def no_such_key(self, where: str, code: str, headers: Mapping[str, str]) -> KeyNotFoundError:
        """Return the error for a missing key, which may have a delete marker."""
        missing = KeyNotFoundError(f"{where} does not exist at {self.server}")
        missing.code = code
        missing.is_deleted = headers.get("x-amz-delete-marker") == "true"
        return missing

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        region: str | None = self.client.meta.region_name
        return "us-east-1" if region in (None, "aws-global") else str(region)

    def credentials(self) -> Any:
        """Return the current credentials, None if there are none."""
        credentials = self._session.get_credentials()
        return credentials.get_frozen_credentials() if credentials else None

    # --- how -----------------------------------------------------------------------------------

    def _send(self, operation: str, params: dict[str, Any]) -> Any:
        """Send the request in its turn, which ends with the body of the response."""
        turn, began = self.connections.take_turn(), time.monotonic()
        self._attempts.began, self._attempts.is_foreign = began, False
        is_open = False
        try:
            self.breaker.require_closed(current_limit())
            response = getattr(self.client, operation)(**params)
            if "Body" in response:
                on_break = partial(self.connections.broke, began)
                count = partial(self._counters.add, "bytes.received")
                limit = self.limits.of_slices()
                response["Body"] = BotoStream(response["Body"], turn, limit, on_break, count)
                is_open = True
        finally:
            if not is_open:
                turn.end()
        return response

    def _is_understood(self, exc: ClientError) -> bool:
        """Tell whether an error is known; others may be accidents on the way, and are asked once more."""
        return is_known(_code(exc), _status(exc)) and not self._attempts.is_foreign

    def _may_repeat(self, exc: Exception, operation: str) -> bool:
        """Tell whether to send a request once more that was answered with no document of S3."""
        if not isinstance(exc, (ResponseParserError, NotOfS3Error, LookupError)):
            return False
        # The outcome of a write is not known.
        self._attempts.lost |= not operation.startswith(("get_", "head_", "list_"))
        return True

    def _failure(self, exc: Exception, operation: str) -> S3KVError:
        """Return the error for a request without a response of S3."""
        limit = current_limit()
        if limit is not None and limit.is_over and broke_connection(exc):
            self.breaker.ran_out_of_time(limit.began)
            return StoreUnavailableError(
                f"{operation}: {self.server} did not answer within {limit.seconds:.3g} s: {exc}"
            )
        if isinstance(exc, NoCredentialsError):
            return AccessDeniedError(
                f"no credentials for {self.server}: pass aws_access_key_id and "
                "aws_secret_access_key, or provide them by environment, profile or role"
            )
        if isinstance(exc, TRANSIENT):
            return StoreUnavailableError(f"cannot reach {self.server}: {hidden(str(exc))}")
        if isinstance(exc, ParamValidationError):
            return EncodingError(f"{operation}: {hidden(str(exc))}")
        return StoreUnavailableError(f"{operation} at {self.server} failed: {hidden(str(exc))}")

    def _translate(self, exc: ClientError, operation: str, params: Mapping[str, Any]) -> S3KVError:
        error, code = exc.response.get("Error", {}), _code(exc)
        bucket, name = params["Bucket"], params.get("Key")
        kind = error_type(code, _status(exc))
        where = printable(f"{bucket}/{name}" if name else bucket)
        if exc.operation_name != self.client.meta.method_to_api_mapping[operation]:
            return self._no_credentials(exc, kind)
        if self._attempts.is_foreign:
            return StoreUnavailableError(
                f"{operation} of {where} at {self.server}: the response, {_status(exc)}, is not of S3"
            )
        if kind is KeyNotFoundError and code in NOT_ALLOWED and not _is_about_a_version(params, exc):
            kind = UnsupportedByServerError
        if kind is KeyNotFoundError and name is None and operation != "head_bucket":
            kind = StoreUnavailableError  # the request is not about a key
        if kind is KeyNotFoundError:
            if self._lacks_bucket(bucket, name, code):
                return no_bucket(bucket, self.server)
            return self.no_such_key(where, code, _headers(exc.response))
        if code in ("NoSuchBucket", "InvalidBucketName"):
            return no_bucket(bucket, self.server)
        hint = ""
        if kind is AccessDeniedError and operation in ("get_object", "head_object"):
            hint = " (without s3:ListBucket, S3 returns this for a missing key, too)"
        if code in OTHER_REGION:
            hint = f" (requests are signed for the region {self.region!r}: set region_name)"
        if code == "InvalidArgument" and _counts_bytes(params.get("Tagging")):
            kind, hint = InvalidTagError, _COUNTS_BYTES
        message = printable(error.get("Message") or "no message from the server")
        translated = kind(f"{operation} of {where} at {self.server}: {code}: {message}{hint}")
        translated.code = code
        if isinstance(translated, ConflictError):
            # A PUT whose response was lost is retried, and its condition fails because of its own success.
            translated.was_lost = self._attempts.lost
        return translated

    def _no_credentials(self, exc: ClientError, kind: type[S3KVError]) -> S3KVError:
        """Return the error for credentials that another service, such as STS, did not give."""
        kind = StoreUnavailableError if kind is StoreUnavailableError else AccessDeniedError
        failed = kind(f"no credentials for {self.server}: {exc}")
        failed.code = _code(exc)
        return failed

    def _lacks_bucket(self, bucket: str, name: str | None, code: str) -> bool:
        """Tell a missing bucket from a missing key, for a response without an error code, as to a HEAD."""
        return (
            name is not None
            and code in NO_CODE
            and bucket not in self.reached
            and not self.bucket_exists(bucket)
        )


class BotoStream(RawStream):
    """The body of a response of boto3, which verifies its checksum."""

    def finish(self) -> None:
        """Verify the server's checksum, and return the connection to the pool."""
        with self._translated():
            self._raw.read()  # at the end
        note_connection(None)
        self._turn.end()

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()
        self._turn.end()

    def _error(self, exc: Exception) -> S3KVError:
        if isinstance(exc, FlexibleChecksumError):
            return CorruptValueError(str(exc), reason="checksum")
        return super()._error(exc)


def _shown_cause(exc: Exception) -> Exception | None:
    """Return the cause of an error; None if its own message has a secret in it, such as a malformed token."""
    return exc if hidden(str(exc)) == str(exc) else None


def _counts_bytes(tagging: object) -> bool:
    """Return whether tags are longer in bytes than S3's limits, which are of characters."""
    pairs = parse_qsl(tagging, keep_blank_values=True) if isinstance(tagging, str) else []
    return any(len(key.encode()) > _TAG_KEY or len(value.encode()) > _TAG_VALUE for key, value in pairs)


def _headers(response: Mapping[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _rewind(params: Mapping[str, Any]) -> None:
    """Let a body be sent again from its beginning."""
    if isinstance(params.get("Body"), BodyFile):
        params["Body"].seek(0)


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


def _is_about_a_version(params: Mapping[str, Any], exc: ClientError) -> bool:
    """Tell whether the request was about a version, which may be a delete marker."""
    source = params.get("CopySource")
    version_id = params.get("VersionId") or (source.get("VersionId") if isinstance(source, dict) else None)
    return version_id is not None or _headers(exc.response).get("x-amz-delete-marker") == "true"


def _status(exc: ClientError) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def drop_none(**params: Any) -> dict[str, Any]:
    """Return the parameters of a call that are not None."""
    return {name: value for name, value in params.items() if value is not None}
