"""Request templates: what the full client would send for an operation.

They are taken from the full client by its public events, so that region, endpoint, addressing and headers are
its own: a call is made for an object named ``x``, and ended when its request is complete but not sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from s3kv_flows.store._s3.transport.direct.signing import Template
from s3kv_flows.store._s3.transport.time.limits import current_limit

__all__ = ["OPERATIONS", "Templates"]

OPERATIONS: Mapping[str, str] = {
    "GetObject": "get_object",
    "GetObjectTagging": "get_object_tagging",
    "ListObjectsV2": "list_objects_v2",
}
"""The operations of direct reads, with the methods of the client."""

_NAME = "x"
_PAUSE = 60.0
_PORTS = {"http": 80, "https": 443}
_SIGNATURES = ("v4", "s3v4")
_OF_THIS_REQUEST = ("x-amz-checksum-mode",)  # a range would come without the checksum of the object


class _Sent:
    """Stands for a response, after which the full client ends a call."""

    status_code = 200


class Templates:
    """The templates of a client.

    Args:
        client: The client of boto3.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[tuple[str, str], Template | None] = {}
        self._refused: dict[tuple[str, str], tuple[Template, float]] = {}
        self._this_thread = threading.local()
        # The last one of all, so that the template has what other hooks add, of whatever scope.
        client.meta.events.register_last("before-call", self._take)

    def of(self, operation: str, bucket: str) -> Template | None:
        """Return the template of an operation; None if only the full client can make its requests.

        Raises:
            Exception: Whatever the full client raises for the call.
        """
        place = operation, bucket
        if place not in self._known:
            found = self._new(operation, bucket)
            refused, at = self._refused.get(place, (None, 0.0))
            if found is not None and found.is_like(refused) and time.monotonic() - at < _PAUSE:
                return None  # until the full client has learnt the way
            self._known[place] = found
        return self._known[place]

    def refuse(self, operation: str, bucket: str) -> None:
        """Forget a template whose requests belong elsewhere; an equal one is used a minute later."""
        found = self._known.pop((operation, bucket), None)
        if found is not None:
            self._refused[operation, bucket] = found, time.monotonic()

    def _new(self, operation: str, bucket: str) -> Template | None:
        names = {"Bucket": bucket} if operation.startswith("List") else {"Bucket": bucket, "Key": _NAME}
        self._this_thread.request = {}
        limit = current_limit()
        attempts = limit.attempts if limit is not None else 0
        try:
            getattr(self._client, OPERATIONS[operation])(**names)
            return _template(self._this_thread.request, is_object="Key" in names)
        finally:
            del self._this_thread.request
            if limit is not None:
                limit.attempts = attempts  # nothing was sent: this was none

    def _take(self, params: dict[str, Any], **_: Any) -> tuple[_Sent, dict[str, Any]] | None:
        """Keep the request of this thread's call, if it is one for a template, and end the call."""
        request = getattr(self._this_thread, "request", None)
        if request is None:
            return None
        request.update(params)
        return _Sent(), {}


def _template(request: Mapping[str, Any], *, is_object: bool) -> Template | None:
    context = request.get("context", {})
    signing = context.get("signing") or {}
    if context.get("auth_type") not in _SIGNATURES or not signing.get("region"):
        return None
    url, _, _ = request["url"].partition("?")
    if is_object:
        if not url.endswith(f"/{_NAME}"):
            return None
        url = url.removesuffix(_NAME)
    headers = {
        name: value for name, value in request["headers"].items() if name.lower() not in _OF_THIS_REQUEST
    }
    headers["Host"] = _host(url)  # botocore would find it twice for each signature
    return Template(url, headers, context, signing.get("signing_name", "s3"), signing["region"])


def _host(url: str) -> str:
    """Return the header of a URL, as botocore signs it and every HTTP client sends it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return host.removesuffix(f":{_PORTS[parts.scheme]}")
