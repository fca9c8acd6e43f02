"""Search listed objects by their tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import SEARCHERS, map_concurrently
from s3kv_flows.store._s3.types import ListedObject

__all__ = ["tagged"]


def tagged(
    client: S3Client, bucket: str, listed: Iterable[ListedObject], tags: Mapping[str, str]
) -> Iterator[ListedObject]:
    """Yield the listed objects that carry all these tags: one request each, many at a time."""

    def match(one: ListedObject) -> ListedObject | None:
        carried = client.search_tags(bucket, one.name)  # None: deleted since it was listed
        return one if carried is not None and tags.items() <= carried.items() else None

    for one in map_concurrently(match, listed, workers=SEARCHERS):
        if one is not None:
            yield one
