"""Call boto3, translate its errors, and count requests and bytes.

No other module imports boto3. Direct reads get the client's configuration from here.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from io import SEEK_END, BytesIO
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.httpsession import create_urllib3_context, get_cert_path
from botocore.loaders import Loader, create_loader
from botocore.session import Session as BotocoreSession
from botocore.utils import get_environ_proxies, parse_timestamp

from s3kv_flows.store._s3.bodies import BodyFile
from s3kv_flows.store._s3.config import S3Config, is_aws, server_of
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.transport.responses import moment
from s3kv_flows.store._s3.transport.translation import (
    NO_CODE,
    NOT_ALLOWED,
    OUTCOME_UNKNOWN,
    error_type,
    no_bucket,
)
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    CorruptValueError,
    EncodingError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

__all__ = ["AS_SENT", "MAX_CONNECTIONS", "Boto", "BotoStream", "drop_none"]

MAX_CONNECTIONS = 32
"""The number of connections that a client keeps open; further threads wait for one."""

AS_SENT = "AsSent"
"""The name in a response under which its body is kept, for the operations whose response boto3 cuts down to
what it knows: a lock that it does not know is one, too."""

_READ_AS_SENT = ("GetObjectRetention", "GetObjectLockConfiguration")

_EXPECT_BYTES = 32 << 20
"""Bodies of this size and more wait for ``100 Continue``, so that a rejected request does not send them.
Smaller ones are sent in less time than they would usually wait."""


class _Attempts(threading.local):
    """Whether a thread's current request has an attempt whose outcome is not known."""

    lost = False


class Boto:
    """A boto3 client.

    Args:
        config: Its configuration.
        counters: Counts requests and bytes.
        learn: Called with the headers of each response.

    Attributes:
        client: The client itself.
        server: The identity of its server; see :func:`s3kv_flows.store._s3.config.server_of`.
        reached: Buckets that have responded.
    """

    def __init__(
        self, config: S3Config, counters: Counters, learn: Callable[[Mapping[str, str]], None]
    ) -> None:
        self._config, self._counters, self._learn = config, counters, learn
        self._session, self.client = _boto_client(config)
        self._authorities = _authorities(config, self._session)
        self.server = server_of(self.client.meta.endpoint_url)
        self._attempts = _Attempts()
        self.reached: set[str] = set()
        events = self.client.meta.events
        events.register_last("before-call.s3", _expect_only_for_large_bodies)
        events.register("before-send.s3", self._count_request)
        events.register("response-received.s3", self._count_response)
        for operation in _READ_AS_SENT:
            events.register(f"before-parse.s3.{operation}", _keep_body)

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
        bucket = params["Bucket"]
        self._attempts.lost = False
        if self._config.encryption:
            params = {**params, **self._config.encryption.parameters(operation)}
        try:
            response = getattr(self.client, operation)(**params)
        except ClientError as exc:
            self._learn(_headers(exc.response))
            if not_modified and _status(exc) == 304:
                return exc.response
            if _code(exc) in none:
                self.reached.add(bucket)
                return {}
            raise self._translate(exc, operation, params) from exc
        except NoCredentialsError as exc:
            raise AccessDeniedError(
                f"no credentials for {self.server}: pass aws_access_key_id and "
                "aws_secret_access_key, or provide them by environment, profile or role"
            ) from exc
        except (BotoConnectionError, HTTPClientError) as exc:
            raise StoreUnavailableError(f"cannot reach {self.server}: {exc}") from exc
        except ParamValidationError as exc:
            raise EncodingError(f"{operation}: {exc}") from exc
        except BotoCoreError as exc:
            raise StoreUnavailableError(f"{operation} at {self.server} failed: {exc}") from exc
        self.reached.add(bucket)
        self._learn(_headers(response))
        return response

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
                raise StoreUnavailableError(f"{operation} at {self.server} never ends")

    def no_such_key(self, where: str, code: str, headers: Mapping[str, str]) -> KeyNotFoundError:
        """Return the error for a missing key, which may have a delete marker."""
        missing = KeyNotFoundError(f"{where} does not exist at {self.server}")
        missing.code = code
        missing.is_deleted = headers.get("x-amz-delete-marker") == "true"
        return missing

    # --- for direct reads --------------------------------------------------------------------

    @property
    def options(self) -> Any:
        """The client's configuration, including all defaults."""
        return self.client.meta.config

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        region: str | None = self.client.meta.region_name
        return "us-east-1" if region in (None, "aws-global") else str(region)

    def credentials(self) -> Any:
        """Return the current credentials, None if there are none."""
        credentials = self._session.get_credentials()
        return credentials.get_frozen_credentials() if credentials else None

    def base_url(self, bucket: str) -> str:
        """Return the URL of the object with the empty name."""
        params = {"Bucket": bucket, "Key": "x"}
        url: str = self.client.generate_presigned_url("get_object", params).split("?")[0]
        return url.removesuffix("x")

    def has_proxy(self, url: str) -> bool:
        """Tell whether requests to a URL go through a proxy."""
        return bool(self.options.proxies or get_environ_proxies(url))

    @property
    def verifies(self) -> bool:
        """Whether the certificates of servers are verified."""
        return bool(self._authorities)

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts the same certificate authorities as the client, and no others.

        Raises:
            OSError: Their file does not exist, or contains none.
        """
        if not self._authorities:
            raise OSError("no certificates are verified")
        context: ssl.SSLContext = create_urllib3_context()
        context.check_hostname = True  # botocore leaves this to urllib3
        context.hostname_checks_common_name = False  # as urllib3 does
        context.load_verify_locations(cafile=self._authorities)
        return context

    # --- how -----------------------------------------------------------------------------------

    def _translate(self, exc: ClientError, operation: str, params: Mapping[str, Any]) -> S3KVError:
        error, code = exc.response.get("Error", {}), _code(exc)
        bucket, name = params["Bucket"], params.get("Key")
        kind = error_type(code, _status(exc))
        where = f"{bucket}/{name}" if name else bucket
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
        message = error.get("Message") or "no message from the server"
        translated = kind(f"{operation} of {where} at {self.server}: {code}: {message}{hint}")
        translated.code = code
        if isinstance(translated, ConflictError):
            # A PUT whose response was lost is retried, and its condition fails because of its own success.
            translated.was_lost = self._attempts.lost
        return translated

    def _lacks_bucket(self, bucket: str, name: str | None, code: str) -> bool:
        """Tell a missing bucket from a missing key, for a response without an error code, as to a HEAD."""
        return (
            name is not None
            and code in NO_CODE
            and bucket not in self.reached
            and not self.bucket_exists(bucket)
        )

    def _count_request(self, request: Any, event_name: str, **_: Any) -> None:
        self._counters.add(f"requests.{event_name.rsplit('.', 1)[-1]}")
        headers = request.headers  # over HTTPS, botocore sends bodies in chunks
        size = headers.get("Content-Length") or headers.get("X-Amz-Decoded-Content-Length") or 0
        self._counters.add("bytes.sent", int(size))

    def _count_response(
        self, response_dict: Any, event_name: str, parsed_response: Any = None, **_: Any
    ) -> None:
        code = (parsed_response or {}).get("Error", {}).get("Code")
        if response_dict is None or code in OUTCOME_UNKNOWN:
            self._attempts.lost = True
        # The body of a GET is counted as it is read: it may not be read at all.
        if response_dict and not (event_name.endswith(".GetObject") and response_dict["status_code"] < 300):
            self._counters.add("bytes.received", len(response_dict.get("body") or b""))


class BotoStream:
    """The body of a response of boto3, with its errors translated."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readinto(self, view: memoryview) -> int:
        """Read bytes into a buffer; return how many, 0 at the end."""
        with self._translated():
            count: int = self._stream.readinto(view)
            return count

    def finish(self) -> None:
        """Verify the server's checksum, and return the connection to the pool."""
        with self._translated():
            self._stream.read()  # at the end

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FlexibleChecksumError as exc:
            raise CorruptValueError(str(exc)) from exc
        except (BotoCoreError, HTTPClientError) as exc:
            raise StoreUnavailableError(str(exc)) from exc


def _headers(response: Mapping[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


_DEFAULTS: Mapping[str, Any] = {
    "max_pool_connections": MAX_CONNECTIONS,
    "retries": {"mode": "standard", "total_max_attempts": 4},
    "connect_timeout": 10,
    "read_timeout": 60,
    "tcp_keepalive": True,
}
"""Options of ``botocore.config.Config``; those of :class:`S3Config` override them."""


def _boto_client(config: S3Config) -> tuple[Any, Any]:
    options = {**_DEFAULTS, **config.boto_config}

    def make(session: Any, style: str) -> Any:
        return session.client(
            "s3",
            endpoint_url=config.endpoint_url,
            verify=_verify(config),
            config=Config(**options | {"s3": {"addressing_style": style, **options.get("s3", {})}}),
        )

    try:
        base = BotocoreSession()
        parsers = base.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=_moment)
        session = boto3.session.Session(
            config.aws_access_key_id,
            config.aws_secret_access_key,
            config.aws_session_token,
            config.region_name,
            botocore_session=base,
            profile_name=config.profile_name,
        )
        base.register_component("data_loader", _data_loader(base.get_config_variable("data_path")))
        style = config.addressing_style
        # Most S3-compatible servers have no DNS name per bucket.
        by_path = style == "auto" and config.endpoint_url is not None and not is_aws(config.endpoint_url)
        client = make(session, "path" if by_path else style)
        if style == "auto" and not by_path and not is_aws(client.meta.endpoint_url):
            client = make(session, "path")  # the endpoint is from the environment, or from a profile
    except (BotoCoreError, TypeError) as exc:  # an unknown profile or option, a malformed region
        raise ValueError(str(exc)) from exc
    return session, client


def _verify(config: S3Config) -> bool | str | None:
    """Return the argument for boto3: with True, it would ignore the environment and the profile."""
    return None if config.verify is True else config.verify


def _authorities(config: S3Config, session: Any) -> str | None:
    """Return the CA bundle that the client trusts, None if it verifies no certificates.

    botocore trusts only the first of these: the argument, ``AWS_CA_BUNDLE``, ``ca_bundle`` of the profile,
    ``REQUESTS_CA_BUNDLE``, the bundle of certifi or its built-in one.
    """
    verify = _verify(config)
    if verify is None:
        verify = session._session.get_config_variable("ca_bundle")  # noqa: SLF001  # boto3 has no public name
    if verify is None:
        verify = os.environ.get("REQUESTS_CA_BUNDLE", True)
    return get_cert_path(verify) or None


@cache
def _data_loader(data_path: str | None) -> Loader:
    """Return a loader that caches botocore's descriptions of S3.

    By default each session has its own loader, so that each client would load them again, which takes most of
    the time to create one. They are read-only: the clients of one session share them as well.
    """
    return create_loader(data_path)


def _moment(value: Any) -> datetime:
    """Parse a time in a response: a listing has a thousand of them, and botocore takes 0.1 ms for each."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return moment(value)
    parsed: datetime = parse_timestamp(value)
    return parsed


def _expect_only_for_large_bodies(params: dict[str, Any], **_: Any) -> None:
    """Remove ``Expect: 100-continue`` from requests with small bodies, which saves a round trip each."""
    body = params.get("body")
    if isinstance(body, (BytesIO, BodyFile)):
        position = body.tell()
        size = body.seek(0, SEEK_END) - position  # getbuffer() would copy shared memory
        body.seek(position)
        if size < _EXPECT_BYTES:
            params["headers"].pop("Expect", None)


def _keep_body(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Add the body to the parsed response."""
    customized_response_dict[AS_SENT] = response_dict["body"]


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
