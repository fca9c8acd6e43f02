"""boto3: the only module that imports it.

One call, with its outcome translated by one table, and its requests and bytes counted as they leave and
arrive; and what the direct reads have to know of the client's configuration.
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

__all__ = ["MAX_CONNECTIONS", "Boto", "BotoStream", "drop_none"]

MAX_CONNECTIONS = 32
"""Connections a client keeps open; more threads than that wait for one."""

_EXPECT_BYTES = 32 << 20
"""Bodies from this size on wait for the server's leave, so that a refusal spares them the way. Smaller ones
are on their way in less time than they would usually wait."""


class _Attempts(threading.local):
    """Of the request a thread is making: whether an attempt went out whose outcome is not known."""

    lost = False


class Boto:
    """A boto3 client.

    Args:
        config: Its configuration.
        counters: Where requests and bytes are counted.
        learn: Told the headers of each answer.

    Attributes:
        client: The client itself.
        server: The server it asks; see :func:`s3kv_flows.store._s3.config.server_of`.
        reached: Buckets that have answered.
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

    def call(
        self,
        operation: str,
        params: dict[str, Any],
        *,
        not_modified: bool = False,
        none: Collection[str] = (),
    ) -> Any:
        """Make a call; return the answer.

        Args:
            operation: The operation, by the name of the client's method.
            params: Its parameters; those of encryption are added.
            not_modified: Whether a 304 is an answer, and no error.
            none: The codes by which servers say that there is no such thing as is asked for, such as a
                retention of an object: then the answer is empty.
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
        """Tell whether the bucket exists and may be reached: one request."""
        try:
            self.call("head_bucket", {"Bucket": bucket})
        except KeyNotFoundError:
            return False
        return True

    def pages(self, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing, each through :meth:`call`, so that errors are translated."""
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
                raise StoreUnavailableError(f"{operation} at {self.server} does not come to its end")

    def no_such_key(self, where: str, code: str, headers: Mapping[str, str]) -> KeyNotFoundError:
        """Return the error of a missing key, which may be a deleted one."""
        missing = KeyNotFoundError(f"{where} does not exist at {self.server}")
        missing.code = code
        missing.is_deleted = headers.get("x-amz-delete-marker") == "true"
        return missing

    # --- for direct reads --------------------------------------------------------------------

    @property
    def options(self) -> Any:
        """The client's configuration, with all defaults."""
        return self.client.meta.config

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        region: str | None = self.client.meta.region_name
        return "us-east-1" if region in (None, "aws-global") else str(region)

    def credentials(self) -> Any:
        """Return the credentials of the moment, None where there are none."""
        found = self._session.get_credentials()
        return found.get_frozen_credentials() if found else None

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
        """Return what trusts the authorities that the client trusts, and no others.

        Raises:
            OSError: Their file is not there, or holds none.
        """
        if not self._authorities:
            raise OSError("no certificates are verified")
        context: ssl.SSLContext = create_urllib3_context()
        context.check_hostname = True  # which botocore leaves to its HTTP library
        context.hostname_checks_common_name = False  # as that does
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
            kind = StoreUnavailableError  # no key was asked about
        if kind is KeyNotFoundError:
            if self._lacks_bucket(bucket, name, code):
                return no_bucket(bucket, self.server)
            return self.no_such_key(where, code, _headers(exc.response))
        if code in ("NoSuchBucket", "InvalidBucketName"):
            return no_bucket(bucket, self.server)
        hint = ""
        if kind is AccessDeniedError and operation in ("get_object", "head_object"):
            hint = " (without s3:ListBucket, S3 answers so for a missing key, too)"
        message = error.get("Message") or "no further word from the server"
        translated = kind(f"{operation} of {where} at {self.server}: {code}: {message}{hint}")
        translated.code = code
        if isinstance(translated, ConflictError):
            # A PUT whose answer was lost is sent again, and meets its own success.
            translated.was_lost = self._attempts.lost
        return translated

    def _lacks_bucket(self, bucket: str, name: str | None, code: str) -> bool:
        """Tell a missing bucket from a missing key, which an answer without a code does not, as to a HEAD."""
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
        # The body of a GET is counted as it is read: it may be left on the server.
        if response_dict and not (event_name.endswith(".GetObject") and response_dict["status_code"] < 300):
            self._counters.add("bytes.received", len(response_dict.get("body") or b""))


class BotoStream:
    """The body of an answer of boto3, with its errors translated."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readinto(self, view: memoryview) -> int:
        """Read a part into its place."""
        with self._translated():
            count: int = self._stream.readinto(view)
            return count

    def finish(self) -> None:
        """Verify the server's checksum, and free the connection."""
        with self._translated():
            self._stream.read()  # at the end

    def close(self) -> None:
        """Give the connection up."""
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
"""Options of ``botocore.config.Config``; those of :class:`S3Config` come over them."""


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
            client = make(session, "path")  # the endpoint is one of the environment, or of a profile
    except (BotoCoreError, TypeError) as exc:  # an unknown profile or option, a malformed region
        raise ValueError(str(exc)) from exc
    return session, client


def _verify(config: S3Config) -> bool | str | None:
    """Return what boto3 is given: with True, it would not look at the environment and the profile."""
    return None if config.verify is True else config.verify


def _authorities(config: S3Config, session: Any) -> str | None:
    """Return the file of the authorities that the client trusts, None where it verifies nothing.

    botocore looks in this order: the argument, ``AWS_CA_BUNDLE``, ``ca_bundle`` of the profile,
    ``REQUESTS_CA_BUNDLE``, the bundle of certifi or its own. What it finds first is all it trusts.
    """
    found = _verify(config)
    if found is None:
        found = session._session.get_config_variable("ca_bundle")  # noqa: SLF001  # boto3 has no name for it
    if found is None:
        found = os.environ.get("REQUESTS_CA_BUNDLE", True)
    return get_cert_path(found) or None


@cache
def _data_loader(data_path: str | None) -> Loader:
    """Return what reads botocore's descriptions of S3, and keeps them.

    A session has a loader of its own otherwise, and a client per configuration reads them anew, which is
    most of what its making takes. They are only read: the clients of one session share them as well.
    """
    return create_loader(data_path)


def _moment(value: Any) -> datetime:
    """Return a time of an answer: a listing has a thousand of them, and botocore takes 0.1 ms for each."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return moment(value)
    found: datetime = parse_timestamp(value)
    return found


def _expect_only_for_large_bodies(params: dict[str, Any], **_: Any) -> None:
    """Take back the ``Expect: 100-continue`` of small bodies, which costs a round trip each."""
    body = params.get("body")
    if isinstance(body, (BytesIO, BodyFile)):
        here = body.tell()
        size = body.seek(0, SEEK_END) - here  # getbuffer() would copy what the body shares
        body.seek(here)
        if size < _EXPECT_BYTES:
            params["headers"].pop("Expect", None)


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


def _is_about_a_version(params: Mapping[str, Any], exc: ClientError) -> bool:
    """Tell whether a version was asked about, which may turn out to be a delete marker."""
    source = params.get("CopySource")
    version_id = params.get("VersionId") or (source.get("VersionId") if isinstance(source, dict) else None)
    return version_id is not None or _headers(exc.response).get("x-amz-delete-marker") == "true"


def _status(exc: ClientError) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def drop_none(**params: Any) -> dict[str, Any]:
    """Return the parameters of a call that are not None."""
    return {name: value for name, value in params.items() if value is not None}
