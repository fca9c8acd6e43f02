"""What a request may fail with, other than a refusal of S3."""

from __future__ import annotations

import http.client
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

__all__ = ["FAILURES", "NO_CONNECTION", "TRANSIENT", "broke_connection", "raise_failure"]

FAILURES: tuple[type[Exception], ...] = (
    BotoCoreError,
    ClientError,  # of a service that gives credentials
    ResponseParserError,
    HTTPError,
    http.client.HTTPException,
    OSError,
    LookupError,  # a document whose encoding Python does not know, or without what S3 always sends
    RecursionError,  # botocore asks for the region of a bucket, is sent elsewhere, asks, ...
    ValueError,  # malformed URLs, headers and documents
)
"""The errors of one request; those of S3 itself are in its responses."""

NO_CONNECTION: tuple[type[Exception], ...] = (
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
"""Nothing was sent."""

TRANSIENT: tuple[type[Exception], ...] = (BotoConnectionError, HTTPClientError)
"""Accidents on the way, after which botocore sends a request again."""


def broke_connection(exc: BaseException | None) -> bool:
    """Tell whether a connection broke or stayed silent, so that other idle ones may be dead, too."""
    kinds = (HTTPClientError, HTTPError, http.client.HTTPException, OSError)
    return isinstance(exc, kinds) and not isinstance(exc, NO_CONNECTION)


def raise_failure(
    response: tuple[Any, dict[str, Any]] | None, caught_exception: Exception | None, operation: str
) -> None:
    """Raise what an attempt failed with, as the client would do after the last one.

    False would end the attempts, too, but not in old versions of botocore: those of boto3 1.36 take it for a
    pause of no seconds, and try for ever.
    """
    if caught_exception is not None:
        raise caught_exception
    if response is not None and response[0].status_code >= 300:
        raise ClientError(response[1], operation)
