"""Sign requests from templates with SigV4, as botocore does.

botocore takes half of the processor time of a small read to sign it. Of a template's requests, all but the
name, the query, the time and some headers are known before: the rest of the canonical request and the signing
key are kept. Whenever the key changes (new credentials, a new day), one request is signed by botocore, too;
where the two differ, botocore signs all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import SIGNED_HEADERS_BLACKLIST, S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, HeadersDict

__all__ = ["Template"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_UNSIGNED = frozenset(SIGNED_HEADERS_BLACKLIST)

_SAMPLE = "a b/ä~+%'\"", {"versionId": "v+1/=", "tagging": ""}, {"Range": "bytes=0-1", "If-Match": '"x  y"'}
"""A request with all that requests differ in: its name, query and headers."""


class _Get(AWSRequest):  # type: ignore[misc]  # botocore has no types
    """A GET, which has no body: botocore would make the whole request to find that out."""

    body = b""


@dataclass(frozen=True)
class _Key:
    """A signing key, and what is signed with it.

    Attributes:
        credentials: The frozen credentials that it is derived from.
        day: The day that it is for.
        key: The key; None where botocore has to sign.
        content_hash: The value of ``X-Amz-Content-SHA256``.
    """

    credentials: Any
    day: str
    key: bytes | None
    content_hash: str = ""


class Template:
    """A request for the object with the empty name, or for the bucket, from which others are made.

    Args:
        url: Its URL, without a query.
        headers: Headers that all requests have.
        context: What botocore knows of the request; its signature depends on it.
        service: The service in the signature.
        region: The region in the signature.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], context: Mapping[str, Any], service: str, region: str
    ) -> None:
        self.url, self.region = url, region
        self._headers, self._context, self._service = headers, context, service
        self._path = urlsplit(url).path
        self._signed = _canonical(headers)
        self._key: _Key | None = None

    def is_like(self, other: Template | None) -> bool:
        """Tell whether a request from the other template would go to the same place."""
        return other is not None and (self.url, self.region) == (other.url, other.region)

    def request(
        self, credentials: Any, name: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Any:
        """Return a signed GET, ready to be sent.

        Args:
            credentials: Frozen credentials.
            name: The object name; empty for a request to the bucket.
            query: The parameters.
            headers: Further headers.
        """
        timestamp = time.strftime(_TIMESTAMP, time.gmtime())
        known = self._key
        if known is None or known.day != timestamp[:8] or known.credentials != credentials:
            known = self._key = self._new_key(credentials)  # one assignment: threads share it
        if known.key is None or known.day != timestamp[:8]:
            signed = self._signed_by_botocore(credentials, name, query, headers)
            return _with_context(signed.prepare(), signed.context)
        path, pairs = quote(name, safe="/~"), _pairs(query)
        url = self.url + path
        made = HeadersDict()
        for header, value in self._signed_headers(known, timestamp, path, pairs, headers):
            made[header] = value
        request = AWSPreparedRequest("GET", f"{url}?{pairs}" if pairs else url, made, None, True)
        return _with_context(request, {**self._context, "timestamp": timestamp})

    def _signed_headers(
        self, known: _Key, timestamp: str, path: str, pairs: str, headers: Mapping[str, str]
    ) -> list[tuple[str, str]]:
        """Return all headers of a request, its signature among them."""
        credentials = known.credentials
        own = {"X-Amz-Date": timestamp, "X-Amz-Content-SHA256": known.content_hash}
        if credentials.token:
            own["X-Amz-Security-Token"] = credentials.token
        own.update(headers)
        signed = {**self._signed, **_canonical(own)}
        names = sorted(signed)
        lines = "\n".join([f"{name}:{signed[name]}" for name in names])
        joined = ";".join(names)
        canonical = f"GET\n{self._path}{path}\n{pairs}\n{lines}\n\n{joined}\n{known.content_hash}"
        scope = f"{timestamp[:8]}/{self.region}/{self._service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = _mac(known.key or b"", f"{_ALGORITHM}\n{timestamp}\n{scope}\n{digest}").hex()
        authorization = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={joined}, "
            f"Signature={signature}"
        )
        return [*self._headers.items(), *own.items(), ("Authorization", authorization)]

    def _new_key(self, credentials: Any) -> _Key:
        """Return the key for credentials, after a sample of its signatures was compared with botocore's."""
        theirs = self._signed_by_botocore(credentials, *_SAMPLE)
        timestamp, day = theirs.context["timestamp"], theirs.context["timestamp"][:8]
        key = f"AWS4{credentials.secret_key}".encode()
        for part in (day, self.region, self._service, "aws4_request"):
            key = _mac(key, part)
        known = _Key(credentials, day, key, theirs.headers.get("X-Amz-Content-SHA256", ""))
        name, query, headers = _SAMPLE
        ours = self._signed_headers(known, timestamp, quote(name, safe="/~"), _pairs(query), headers)
        if {header.lower(): value for header, value in ours} == {
            header.lower(): value for header, value in theirs.headers.items()
        }:
            return known
        return _Key(credentials, day, None)

    def _signed_by_botocore(
        self, credentials: Any, name: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Any:
        pairs = _pairs(query)
        url = f"{self.url}{quote(name, safe='/~')}"
        headers = {**self._headers, **headers}
        request = _Get("GET", f"{url}?{pairs}" if pairs else url, headers, stream_output=True)
        request.context.update(self._context)
        S3SigV4Auth(credentials, self._service, self.region).add_auth(request)
        return request


def _with_context(request: Any, context: dict[str, Any]) -> Any:
    """Return a prepared request with its context, which those of older versions do not have."""
    request.context = context
    return request


def _pairs(query: Mapping[str, str]) -> str:
    """Return parameters, percent-encoded and in the order of the signature."""
    if len(query) == 1:
        ((key, value),) = query.items()
        return f"{key}={quote(value, safe='~')}"
    return "&".join(f"{key}={quote(value, safe='~')}" for key, value in sorted(query.items()))


def _canonical(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are signed, as they are in the signature."""
    named = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    return {name: value for name, value in named.items() if name not in _UNSIGNED}


def _mac(key: bytes, message: str) -> bytes:
    # hmac.digest() lets other threads run, and waits until they let this one.
    return hmac.new(key, message.encode(), "sha256").digest()
