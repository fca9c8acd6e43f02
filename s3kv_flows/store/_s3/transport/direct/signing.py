"""Requests from templates, signed by botocore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from s3kv_flows.store._s3.transport.direct.templates import Template

__all__ = ["signed"]


class _Get(AWSRequest):  # type: ignore[misc]  # botocore has no types
    """A GET, which has no body: botocore would make the whole request to find that out."""

    body = b""


def signed(
    template: Template, credentials: Any, name: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> Any:
    """Return a signed GET, ready to be sent.

    Args:
        template: Its template.
        credentials: Frozen credentials.
        name: The object name; empty for a request to the bucket.
        query: The parameters.
        headers: Further headers.
    """
    pairs = "&".join(f"{key}={quote(value, safe='~')}" for key, value in sorted(query.items()))
    url = f"{template.url}{quote(name, safe='/~')}"
    request = _Get(
        "GET", f"{url}?{pairs}" if pairs else url, {**template.headers, **headers}, stream_output=True
    )
    request.context.update(template.context)
    S3SigV4Auth(credentials, template.service, template.region).add_auth(request)
    return request.prepare()
