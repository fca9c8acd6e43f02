"""Tag sets of objects: S3's limits, checked before any request, and search.

The limits are those of the S3 user guide, "Categorizing your objects using tags".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import SEARCHERS, map_concurrently
from s3kv_flows.store._s3.types import ListedObject

__all__ = ["tagged"]


def tagged(
    client: S3Client, bucket: str, listed: Iterable[ListedObject], tags: Mapping[str, str]
) -> Iterator[ListedObject]:
    """Yield those of listed objects that carry all these tags: one request each, many at a time."""

    def look(one: ListedObject) -> ListedObject | None:
        found = client.search_tags(bucket, one.name)  # None: deleted since it was listed
        return one if found is not None and tags.items() <= found.items() else None

    for one in map_concurrently(look, listed, workers=SEARCHERS):
        if one is not None:
            yield one
