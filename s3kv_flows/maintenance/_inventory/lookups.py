"""Look up tags, locks, lifetimes and leases that a plan needs.

Tags are requested first: if they decide, there is no further request.
"""

from __future__ import annotations

from dataclasses import replace

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._planning.questions import Question
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._layout.ttl import TTL_TAG, recorded_ttl
from s3kv_flows.store._leases.observer import LeaseObserver
from s3kv_flows.store._locks.chains import visible_protection
from s3kv_flows.store._locks.lookup import LockLookup
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["Lookups", "read_tags"]


class Lookups:
    """Answers the questions of a plan with requests to the server.

    Args:
        store: The values of the store.
        leases: Its leases; None if no question is about leases.
    """

    def __init__(self, store: S3KV, leases: LeaseObserver | None = None) -> None:
        self._client, self._bucket = store.client, store.bucket_name
        self._results = store.namespace.results
        self._leases = leases
        self._locks = LockLookup(store.client, store.bucket_name)

    def answer(self, question: Question) -> Entry | None:
        """Return the key with the facts looked up so far; None if it has been deleted meanwhile.

        One request for tags. After that one for a lock, for each version of a key that might be removed (two
        for callers who may not read values); one for the exact time to live, if the class does not decide,
        which is the same request for the current version; and one for a lease, if there is one.
        """
        try:
            entry = question.entry
            if question.whole:
                entry = self._look_up_key(entry, question)
            return self._look_up_old_versions(entry, question) if question.versions else entry
        except KeyNotFoundError:
            return None

    def _look_up_key(self, entry: Entry, question: Question) -> Entry:
        if question.tags and entry.current.tags is None:
            tags = self._client.search_tags(self._bucket, entry.name)
            if tags is None:
                raise KeyNotFoundError(f"{entry.name!r} does not exist any more")
            if TTL_TAG not in tags:  # no time to live to look up
                entry = replace(entry, ttl_known=True)
            return replace(entry, current=replace(entry.current, tags=tags))
        if entry.leased is None:
            key = self._results.key_of(entry.name)
            entry = replace(entry, leased=self._leases is not None and self._leases.is_held(key or ""))
        if question.ttl or not entry.current.locks_known:
            entry = self._with_head(entry, wants_ttl=question.ttl)
        older = tuple(self._with_lock(entry.name, version) for version in entry.older)
        return replace(entry, older=older)

    def _with_head(self, entry: Entry, *, wants_ttl: bool) -> Entry:
        """Return the key with the exact time to live and the lock of its current version, by one HEAD."""
        current = entry.current
        info = self._locks.head(entry.name, current.version_id)
        if wants_ttl:
            ttl = recorded_ttl(info.metadata) if info else None
            entry = replace(entry, ttl=ttl, ttl_known=True)
        if current.locks_known:
            return entry
        if info is None:
            return replace(entry, current=self._with_lock(entry.name, current, is_current=True))
        lock = visible_protection(self._client, self._bucket, info, is_current=True)
        return replace(entry, current=replace(current, protection=lock, locks_known=True))

    def _look_up_old_versions(self, entry: Entry, question: Question) -> Entry:
        def look_up(version: Version) -> Version:
            if version.version_id not in question.versions or version.is_delete_marker:
                return version
            if question.tags and version.tags is None:
                return replace(version, tags=read_tags(self._client, self._bucket, entry.name, version))
            return self._with_lock(entry.name, version)

        return replace(entry, older=tuple(map(look_up, entry.older)))

    def _with_lock(self, name: str, version: Version, *, is_current: bool = False) -> Version:
        if version.locks_known:
            return version
        lock = self._locks.protection(name, version.version_id, is_current=is_current)
        return replace(version, protection=lock, locks_known=True)


def read_tags(client: S3Client, bucket: str, name: str, version: Version) -> dict[str, str]:
    """Return the tags of one version, in one request."""
    return client.get_tags(bucket, name, version_id=version.version_id)
