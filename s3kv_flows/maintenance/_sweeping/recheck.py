"""Recheck, right before a deletion, that keys are as planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._inventory.listing import chain_of, just_before, namespaces
from s3kv_flows.maintenance._inventory.lookups import read_tags
from s3kv_flows.maintenance._inventory.survey import leases_of
from s3kv_flows.maintenance._planning.plan import Decision
from s3kv_flows.maintenance._sweeping.report import SweepReport
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._layout.keys import Namespace
from s3kv_flows.store._leases.observer import LeaseObserver
from s3kv_flows.store._locks.lookup import LockLookup
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.types import ListedObject
from s3kv_flows.store.errors import KeyNotFoundError, StoreUnavailableError

__all__ = ["Rechecker", "unchanged"]

_CHANGED = "changed since the plan"


class Rechecker:
    """Compares keys with the plan, right before they are deleted.

    Args:
        store: The values of the store.
        protect_tag: The protect tag of the plan.
        concurrency: Requests at once.
        lease_bucket: Where leases are; None for the bucket of the store.
    """

    def __init__(
        self,
        store: S3KV,
        protect_tag: str | None,
        *,
        concurrency: int,
        lease_bucket: str | None = None,
    ) -> None:
        self._store, self._lease_bucket = store, lease_bucket
        self._client, self._bucket = store.client, store.bucket_name
        self._protect_tag, self._concurrency = protect_tag, concurrency
        self._results = store.namespace.results
        self._locks = LockLookup(self._client, self._bucket)

    def recheck(self, batch: Sequence[Decision], report: SweepReport) -> list[Decision]:
        """Return the decisions whose keys are as the plan saw them, and report the others.

        Tags are requested first, and the listing last: the deletion has conditions for later changes.
        """
        try:
            leases = self._leases(batch)
            obstacles = list(
                map_concurrently(lambda one: self._obstacle(one, leases), batch, workers=self._concurrency)
            )
            free = [one for one, obstacle in zip(batch, obstacles, strict=True) if obstacle is None]
            entries = [decision.entry for decision in free]
            listed = unchanged(self._client, self._bucket, self._store.namespace, entries)
        except StoreUnavailableError as exc:
            report.failed |= {decision.entry.name: str(exc) for decision in batch}
            return []
        for decision, obstacle in zip(batch, obstacles, strict=True):
            if obstacle == _CHANGED:
                report.changed.append(decision.entry.name)
            elif obstacle is not None:
                report.protected[decision.entry.name] = obstacle
        pairs = list(zip(free, listed, strict=True))
        report.changed += [decision.entry.name for decision, is_same in pairs if not is_same]
        return [decision for decision, is_same in pairs if is_same]

    def _leases(self, batch: Sequence[Decision]) -> LeaseObserver | None:
        """Return the leases of the store, if results are about to be deleted: one LIST per 1,000."""
        if any(one.versions is None and self._results.key_of(one.entry.name) for one in batch):
            return leases_of(self._store, self._lease_bucket)
        return None

    def _obstacle(self, decision: Decision, leases: LeaseObserver | None) -> str | None:
        """Return why a key must stay: ``_CHANGED``, or its protection; None if it need not."""
        try:
            found = self._obstacle_in_tags(decision) if decision.by_tags else None
            if found is None and decision.versions is None:
                found = self._obstacle_in_locks(decision.entry) or self._obstacle_in_leases(
                    decision.entry, leases
                )
        except KeyNotFoundError:
            return _CHANGED
        return found

    def _obstacle_in_tags(self, decision: Decision) -> str | None:
        entry = decision.entry
        about = [entry.current] if decision.versions is None else decision.versions
        for version in about:
            if version.is_delete_marker:
                continue
            tags = self._tags_of(entry, version)
            if tags is None:
                return _CHANGED
            if self._protect_tag is not None and self._protect_tag in tags:
                return f"carries the tag {self._protect_tag!r}"
            if version.tags is not None and tags != dict(version.tags):
                return _CHANGED
        return None

    def _tags_of(self, entry: Entry, version: Version) -> dict[str, str] | None:
        """Return the tags of a version, None if it is deleted; the listing afterwards shows a changed key."""
        if version is entry.current:
            return self._client.search_tags(self._bucket, entry.name)
        return read_tags(self._client, self._bucket, entry.name, version)

    def _obstacle_in_locks(self, entry: Entry) -> str | None:
        """Return the lock of any version: S3 would refuse to delete that one, and delete the others."""
        if not entry.older or not self._client.has_object_lock(self._bucket):
            return None
        for version in entry.chain:
            if version.is_delete_marker:
                continue
            is_current = version is entry.current
            if lock := self._locks.protection(entry.name, version.version_id, is_current=is_current):
                return str(lock)
        return None

    def _obstacle_in_leases(self, entry: Entry, leases: LeaseObserver | None) -> str | None:
        key = self._results.key_of(entry.name)
        if leases is not None and key is not None and leases.is_held(key):
            return "a run holds its lease, and is computing it anew"
        return None


_PAGE = 1000


def unchanged(client: S3Client, bucket: str, values: Namespace, entries: Sequence[Entry]) -> list[bool]:
    """Return, for each entry, whether its version history is unchanged.

    Requests: one LIST per 1,000 objects or versions between the first and the last entry of a namespace; if
    more than that lie between two of the entries, the listing restarts at the second.

    Args:
        client: The shared client.
        bucket: The bucket.
        values: The namespace of the values of the store.
        entries: The entries, by name.
    """
    relistings = {space.prefix: _Relisting(client, bucket, space.prefix) for space in namespaces(values)}
    return [relistings[_prefix_of(entry, relistings)].is_unchanged(entry) for entry in entries]


def _prefix_of(entry: Entry, prefixes: dict[str, _Relisting]) -> str:
    return next(prefix for prefix in prefixes if entry.name.startswith(prefix))


class _Relisting:
    """A listing of one namespace, read in step with entries in ascending order."""

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
    same_current = _identity(now[0]) == _identity(entry.current)
    return same_current and {*map(_identity, now)} == {*map(_identity, entry.chain)}


def _identity(version: Version) -> tuple[str | None, str, datetime]:
    """Return what identifies a version: not its position, which servers order by the second."""
    return version.version_id, version.etag, version.last_modified
