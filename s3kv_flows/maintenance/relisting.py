"""A second look at the chains of keys, right before they go: by listings, not one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from s3kv_flows.maintenance.entries import Entry, Version
from s3kv_flows.maintenance.listing import chain_of, just_before, namespaces
from s3kv_flows.store._layout.keys import Namespace
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import ListedObject

__all__ = ["unchanged"]

_PAGE = 1000


def unchanged(client: S3Client, bucket: str, values: Namespace, entries: Sequence[Entry]) -> list[bool]:
    """Tell, of each entry, whether its chain of versions is what it was.

    Requests: one LIST per 1,000 objects or versions between the first and the last of a namespace; where
    more than that lie between two of the entries, one begins anew at the second.

    Args:
        client: The shared client.
        bucket: The bucket.
        values: The namespace of the values of the store.
        entries: The entries, by name.
    """
    again = {space.prefix: _Again(client, bucket, space.prefix) for space in namespaces(values)}
    return [again[_prefix_of(entry, again)].is_unchanged(entry) for entry in entries]


def _prefix_of(entry: Entry, prefixes: dict[str, _Again]) -> str:
    return next(prefix for prefix in prefixes if entry.name.startswith(prefix))


class _Again:
    """A listing of one namespace, read along with names that ascend."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._listing: Iterator[tuple[ListedObject, ...]] | None = None
        self._next: tuple[ListedObject, ...] | None = None

    def is_unchanged(self, entry: Entry) -> bool:
        may_jump = self._listing is not None
        if not may_jump:
            self._begin_at(entry)
        skipped = 0
        while self._next is not None and self._next[0].name < entry.name:
            skipped += len(self._next)
            if may_jump and skipped > _PAGE:
                self._begin_at(entry)
                may_jump = False
            else:
                self._advance()
        if self._next is None or self._next[0].name != entry.name:
            return False
        return _is_same(entry, self._next)

    def _begin_at(self, entry: Entry) -> None:
        before = just_before(entry.name)
        if entry.current.version_id is None:
            objects = self._client.list_objects(self._bucket, self._prefix, start_after=before)
            self._listing = ((listed,) for listed in objects)
        else:
            versions = self._client.list_versions(self._bucket, self._prefix, start_after=before)
            self._listing = (tuple(chain) for _, chain in groupby(versions, key=lambda one: one.name))
        self._advance()

    def _advance(self) -> None:
        self._next = next(self._listing, None) if self._listing is not None else None


def _is_same(entry: Entry, listed: Sequence[ListedObject]) -> bool:
    now = chain_of(listed, locks_known=True)
    return _seen(now[0]) == _seen(entry.current) and {*map(_seen, now)} == {*map(_seen, entry.chain)}


def _seen(version: Version) -> tuple[str | None, str, datetime]:
    """Return what tells a version: not its place, which servers tell by the second."""
    return version.version_id, version.etag, version.last_modified
