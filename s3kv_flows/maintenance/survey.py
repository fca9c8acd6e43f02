"""What there is: the entries of a store, with tags and locks where a plan depends on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from s3kv_flows.maintenance.plan import Entry, Version, may_be_removed
from s3kv_flows.maintenance.rules import CleanupRule
from s3kv_flows.store.bulk import concurrently
from s3kv_flows.store.chains import visible_protection
from s3kv_flows.store.errors import KeyNotFoundError
from s3kv_flows.store.kv import S3KV
from s3kv_flows.store.s3 import S3Client
from s3kv_flows.store.s3_types import ListedVersion

__all__ = ["read_tags", "survey"]


def survey(
    store: S3KV,
    rules: Sequence[CleanupRule],
    now: datetime,
    grace: timedelta,
    *,
    protect_tag: str | None = "keep",
) -> list[Entry]:
    """Return the values and results of a store, as a plan wants them.

    Requests: one LIST per 1,000 objects or versions, and for each entry that the listing would let a
    rule remove: one for its tags, where a rule or the protect tag asks for them; with Object Lock, one
    per version for its lock.

    Args:
        store: The values of the store; its results lie beside them.
        rules: What is to be decided.
        now: The moment of the plan, by the server's clock.
        grace: What is younger is not looked at further.
        protect_tag: The tag that :func:`~s3kv_flows.maintenance.plan.plan` will look for.
    """
    client, bucket = store.client, store.bucket_name
    looker = _Looker(
        client=client,
        bucket=bucket,
        locks=client.has_object_lock(bucket),
        tags=protect_tag is not None or any(rule.asks_for_tags for rule in rules),
    )
    versioned = client.is_versioned(bucket)

    def completed(entry: Entry) -> Entry | None:
        return looker.look(entry) if may_be_removed(entry, rules, now, grace) else entry

    namespaces = (store.namespace, store.namespace.sibling("results"))
    listed = (
        entry
        for space in namespaces
        for entry in _listed(client, bucket, space.prefix, versioned)
        if space.key_of(entry.name) is not None  # below the prefix may lie what is not ours
    )
    return [entry for entry in concurrently(completed, listed) if entry is not None]


def read_tags(client: S3Client, bucket: str, entry: Entry) -> dict[str, str]:
    """Return the tags of the current version of an entry: one request."""
    return client.get_tags(bucket, entry.name, version_id=entry.current.version_id)


def _listed(client: S3Client, bucket: str, prefix: str, versioned: bool) -> Iterator[Entry]:  # noqa: FBT001  # private
    if not versioned:
        for listed in client.list_objects(bucket, prefix):
            version = Version(None, listed.etag, listed.size, listed.last_modified)
            yield Entry(listed.name, version, tags=None)
        return
    by_name = groupby(client.list_versions(bucket, prefix), key=lambda version: version.name)
    for name, versions in by_name:
        current, *older = sorted(versions, key=_newest_first, reverse=True)
        yield Entry(name, _version(current), tuple(map(_version, older)), tags=None)


def _newest_first(listed: ListedVersion) -> tuple[bool, float]:
    return listed.is_latest, listed.last_modified.timestamp()


def _version(listed: ListedVersion) -> Version:
    return Version(listed.version_id, listed.etag, listed.size, listed.last_modified, listed.is_delete_marker)


@dataclass(frozen=True)
class _Looker:
    """Asks for what a listing does not show."""

    client: S3Client
    bucket: str
    locks: bool
    tags: bool

    def look(self, entry: Entry) -> Entry | None:
        """Return the entry with its tags and locks; None where it has been deleted meanwhile."""
        try:
            if self.locks:
                entry = replace(
                    entry,
                    current=self._with_lock(entry.name, entry.current, is_current=True),
                    older=tuple(self._with_lock(entry.name, v, is_current=False) for v in entry.older),
                )
            return replace(entry, tags=read_tags(self.client, self.bucket, entry)) if self.tags else entry
        except KeyNotFoundError:
            return None

    def _with_lock(self, name: str, version: Version, *, is_current: bool) -> Version:
        if version.is_delete_marker:
            return version
        info = self.client.head_object(self.bucket, name, version_id=version.version_id)
        protection = visible_protection(self.client, self.bucket, info, is_current=is_current)
        return replace(version, protection=protection)
