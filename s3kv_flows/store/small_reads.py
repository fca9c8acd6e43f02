"""Small reads: the one question that a tag search asks per key, without the weight of the full client.

A listing shows no tags, so a search asks once per key. Of that, botocore makes 3 ms of work for one core
(endpoint rules, events, models, measured on Python 3.11), which limits a search to 300 keys a second in
whatever number of threads. Here the same signed GET is sent by urllib3, which botocore sends with, too:
a third of the work. All that is not plain success is left to the full client, which knows proxies,
redirects to other regions, retries and errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import urllib3

__all__ = ["Endpoint", "SmallReads", "parse_tags"]

logger = logging.getLogger(__name__)

_ONCE = urllib3.Retry(total=0, redirect=False, raise_on_status=False)
_FOUND, _MISSING = 200, 404
_LEFT_TO_THE_FULL_CLIENT = range(500, 600)  # it tries again; other answers will not get better


@dataclass(frozen=True)
class Endpoint:
    """Where the objects of a bucket are, and how a request to them is made.

    Attributes:
        base_url: URL of the object with the empty name.
        sign: Returns the headers of a signed GET of a URL.
    """

    base_url: str
    sign: Callable[[str], Mapping[str, str]]


class SmallReads:
    """Signed GETs of small answers about the objects of one bucket.

    Args:
        endpoint: The bucket.
        connections: The connections, which the buckets of a server share.
    """

    def __init__(self, endpoint: Endpoint, connections: urllib3.PoolManager) -> None:
        self._endpoint = endpoint
        self._usable = True
        parts = urlsplit(endpoint.base_url)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._pool = connections.connection_from_url(self._origin)

    def get(self, name: str, query: str) -> tuple[bool, bytes, str | None] | None:
        """Ask about an object.

        Returns:
            Whether there is such an object, the answer, and the version id if it names one; None where
            the full client has to ask.
        """
        if not self._usable:
            return None
        target = f"{self._path}{quote(name, safe='/~')}?{query}"
        try:
            response = self._pool.urlopen(
                "GET",
                target,
                headers=self._endpoint.sign(self._origin + target),
                retries=_ONCE,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            logger.debug("the full client asks about %r: %s", name, exc)
            self._usable = not isinstance(exc, urllib3.exceptions.SSLError)
            return None
        if response.status in (_FOUND, _MISSING):
            version_id = response.headers.get("x-amz-version-id")
            return response.status == _FOUND, response.data, None if version_id == "null" else version_id
        logger.debug("the full client asks about %r: %s", name, response.status)
        self._usable = response.status in _LEFT_TO_THE_FULL_CLIENT
        return None


def parse_tags(body: bytes) -> dict[str, str]:
    """Return the tags of an answer to GetObjectTagging."""
    root = ET.fromstring(body)  # noqa: S314  # expat has limits against bombs; botocore parses so, too
    found = {}
    for tag in root.iter():
        if tag.tag.rpartition("}")[2] == "Tag":
            pair = {child.tag.rpartition("}")[2]: child.text or "" for child in tag}
            found[pair["Key"]] = pair["Value"]
    return found
