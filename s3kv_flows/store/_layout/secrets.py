"""Hide secrets in logs and messages; refuse URLs that contain a password.

At DEBUG, botocore logs requests with all their headers: session tokens, and the customer key of SSE-C. It has
no hook for what it logs but a filter on its loggers. Nothing here keeps a secret: secrets are known by the
names that stand before them.

What stays: access key ids and signatures, with which nobody can sign; and the MD5 of a customer key, which S3
itself shows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

__all__ = ["SecretHolder", "SecretRecord", "hidden", "hide_in_logs", "split_url", "without_password"]

_MASK = "**********"

_NAMED = re.compile(
    r"""
    (?P<name>
        x-amz-security-token
        | x-amz-(?:copy-source-)?server-side-encryption-customer-key
        | (?:CopySource)?SSECustomerKey
        | proxy-authorization
        | aws_session_token | aws_secret_access_key | SecretAccessKey | SessionToken
    )
    (?P<between> ["']? \s* [:=,] \s* | </?>? | > | %3D)
    (?: b? (?P<quote>["']) (?:\\.|(?!(?P=quote)).)* (?P=quote)
      | (?: Basic\s+ )? [^\s"',;&<>(){}]+ )
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_QUOTED_BACK = re.compile(
    # S3 quotes a wrong token, and the request as it was to be signed, also as bytes in hexadecimal.
    r"<(?P<tag>Token-\d+|CanonicalRequestBytes)>[^<]*</(?P=tag)>"
    r"|(?P<header>Invalid header value) b?(['\"]).*?\3",
    re.DOTALL,
)
_SIGNING_KEY = re.compile(r"(?P<name>s3kv-sk1:[^:\s]+:)[A-Za-z0-9_-]+")
_PASSWORD = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/?#'\"<>@]+@", re.IGNORECASE)

_LOGGERS = ("boto3", "botocore", "s3kv_flows", "s3transfer", "urllib3")


class SecretHolder:
    """An object whose pickle may contain secrets, and then must not be written to S3."""

    __slots__ = ()

    def has_secrets(self) -> bool:
        """Tell whether it contains any."""
        return True

    def pickled_as(self) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        """Return what finds an equal object wherever a pickle is loaded, and its arguments, without secrets.

        None where there is no such way.
        """
        return None


class _Unshown:
    """Has no form in JSON: neither has what contains it."""

    __slots__ = ()


@dataclass(frozen=True)
class SecretRecord(SecretHolder):
    """Data that may contain secrets: not for JSON, in which Prefect keeps the parameters of flow runs.

    Whatever makes JSON of any object takes its attributes. Here it fails, and Prefect keeps a name instead.
    """

    _unshown: _Unshown = field(default=_Unshown(), init=False, repr=False, compare=False)


def hidden(text: str) -> str:
    """Return a text with a mask for each secret that the text names."""
    text = _NAMED.sub(lambda found: f"{found['name']}{found['between']}{_MASK}", text)
    text = _SIGNING_KEY.sub(rf"\g<name>{_MASK}", text)
    text = _QUOTED_BACK.sub(lambda found: f"{found['header'] or found['tag']} {_MASK}", text)
    return _PASSWORD.sub(rf"\g<scheme>{_MASK}@", text)


def hide_in_logs() -> None:
    """Hide secrets in what boto3, botocore and urllib3 log, by a filter on the loggers that they have by now.

    A filter is about the lines of one logger, and not of those below it. To add it again does nothing.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS]:
        logging.getLogger(name).addFilter(_hide)


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL, or raise a ValueError without it: it may have a password in it."""
    parts = None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # which may be none
    except ValueError:
        parts = None
    if parts is None:  # raised outside of the handler, whose error shows the URL
        raise ValueError(
            f"endpoint_url {without_password(url)!r} is not a URL such as 'https://s3.example.com'"
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            f"endpoint_url {without_password(url)!r} has a user or a password in it, which S3 does not know, "
            "and which receipts, messages and logs would show: give credentials as such"
        )
    return parts


def without_password(url: str) -> str:
    """Return a URL with a mask for its user and password."""
    return _PASSWORD.sub(rf"\g<scheme>{_MASK}@", url)


def _hide(record: logging.LogRecord) -> bool:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):  # which logging reports where it writes the line
        return True
    if (masked := hidden(text)) != text:
        record.msg, record.args = masked, ()
    if record.exc_info and not record.exc_text:
        text = logging.Formatter().formatException(record.exc_info)
        if (masked := hidden(text)) != text:
            record.exc_text, record.exc_info = masked, None
    return True
