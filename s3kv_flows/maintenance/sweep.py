"""The sweep: removes what a plan names, if it is still what the plan saw.

On a versioned bucket the unit of removal is a key's whole chain. Deleting only its top would bring an
older value back, so the order is::

    HEAD of the key      changed, locked or re-tagged since the plan: it stays as it is
    older versions       in batches, by version id; what is locked is refused by S3 itself
    the current version  only where nothing older remains, and by its version id: a newer one stays

The order within one batch of deletions is not to be relied on, so these are two batches. Stopped at
any point, the key reads as its current value, or as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from s3kv_flows.maintenance.plan import CleanupPlan, Decision, Entry
from s3kv_flows.maintenance.rules import CleanupRule
from s3kv_flows.maintenance.survey import read_tags
from s3kv_flows.store.bulk import batched, concurrently
from s3kv_flows.store.deletions import BATCH
from s3kv_flows.store.errors import KeyNotFoundError
from s3kv_flows.store.kv import S3KV
from s3kv_flows.store.locks import Protection, protection_of
from s3kv_flows.store.s3_types import DeleteFailure

__all__ = ["SweepReport", "sweep"]

_CHANGED = "changed since the plan"


@dataclass
class SweepReport:
    """What a sweep did. Names are object names.

    Attributes:
        removed: What is gone.
        freed_bytes: Bytes of all versions that are gone.
        changed: What stays because it is not what the plan saw.
        protected: What stays because it is locked, or tagged to be kept, since; with the reason.
        failed: What the server did not delete for another reason, with that.
    """

    removed: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    changed: list[str] = field(default_factory=list)
    protected: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def sweep(
    store: S3KV,
    plan: CleanupPlan,
    rules: Sequence[CleanupRule],
    *,
    protect_tag: str | None = "keep",
    progress: Callable[[int], None] | None = None,
) -> SweepReport:
    """Remove what a plan names.

    Requests: per entry one HEAD, and one for its tags where tags decided; and one or two per 1,000.

    Args:
        store: The values of the store that was planned for.
        plan: What to remove.
        rules: The rules of the plan: their tags are read again.
        protect_tag: The protect tag of the plan.
        progress: Called with the number of entries that were dealt with, after each batch.
    """
    sweeper = _Sweeper(store, {rule.name: rule for rule in rules}, protect_tag)
    for batch in batched(plan.remove, BATCH):
        sweeper.sweep(batch)
        if progress:
            progress(len(batch))
    return sweeper.report


class _Sweeper:
    def __init__(self, store: S3KV, rules: dict[str, CleanupRule], protect_tag: str | None) -> None:
        self.report = SweepReport()
        self._client, self._bucket = store.client, store.bucket_name
        self._rules, self._protect_tag = rules, protect_tag
        self._locks = self._client.has_object_lock(self._bucket)

    def sweep(self, batch: list[Decision]) -> None:
        same = []
        for decision, obstacle in zip(batch, concurrently(self._obstacle, batch), strict=True):
            if obstacle is None:
                same.append(decision.entry)
            elif obstacle is _CHANGED:
                self.report.changed.append(decision.entry.name)
            else:
                self.report.protected[decision.entry.name] = obstacle
        bare = self._remove_older(same)
        # An ETag is a condition where there are no versions; a version id is one by itself.
        failures = self._delete(
            (e.name, e.current.version_id, None if e.current.version_id else e.current.etag) for e in bare
        )
        for entry in bare:
            if entry.name not in failures:
                self.report.removed.append(entry.name)
                self.report.freed_bytes += entry.current.size

    def _obstacle(self, decision: Decision) -> str | None:
        """Return why an entry has to stay now: ``_CHANGED``, or what protects it; None if nothing does."""
        entry, seen = decision.entry, decision.entry.current
        try:
            info = self._client.head_object(self._bucket, entry.name)
            if (info.etag, _second(info.last_modified)) != (seen.etag, _second(seen.last_modified)):
                return _CHANGED
            # An object from before versioning is listed as "null"; Ceph's HEAD then shows no id.
            if seen.version_id is not None and (info.version_id or "null") != seen.version_id:
                return _CHANGED
            if protection := protection_of(info):
                return str(protection)
            return self._obstacle_in_tags(decision)
        except KeyNotFoundError:
            return _CHANGED

    def _obstacle_in_tags(self, decision: Decision) -> str | None:
        rule = self._rules[decision.rule or ""]
        if self._protect_tag is None and not rule.asks_for_tags:
            return None
        tags = read_tags(self._client, self._bucket, decision.entry)
        if self._protect_tag is not None and self._protect_tag in tags:
            return f"carries the tag {self._protect_tag!r}"
        return None if tags == dict(decision.entry.tags or {}) else _CHANGED

    def _remove_older(self, entries: list[Entry]) -> list[Entry]:
        """Delete the versions beneath the current ones; return the entries that have none left."""
        failures: set[str] = set()
        older = [(entry, version) for entry in entries for version in entry.older]
        for chunk in batched(older, BATCH):
            failed = self._delete((entry.name, version.version_id, None) for entry, version in chunk)
            failures |= failed
            self.report.freed_bytes += sum(v.size for e, v in chunk if e.name not in failed)
        return [entry for entry in entries if entry.name not in failures]

    def _delete(self, objects: Iterable[tuple[str, str | None, str | None]]) -> set[str]:
        listed = list(objects)
        failures = self._client.delete_objects(self._bucket, listed) if listed else []
        for failure in failures:
            self._report_failure(failure)
        return {failure.name for failure in failures}

    def _report_failure(self, failure: DeleteFailure) -> None:
        if failure.code in ("PreconditionFailed", "ConditionalRequestConflict"):
            self.report.changed.append(failure.name)
        elif failure.code == "AccessDenied" and (lock := self._lock_of(failure)):
            self.report.protected[failure.name] = str(lock)
        else:
            self.report.failed[failure.name] = f"{failure.code}: {failure.message}"

    def _lock_of(self, failure: DeleteFailure) -> Protection | None:
        """Tell a version that is locked from one that these credentials may not delete."""
        if not self._locks:
            return None
        try:
            info = self._client.head_object(self._bucket, failure.name, version_id=failure.version_id)
        except KeyNotFoundError:
            return None
        return protection_of(info, is_current=False)


def _second(moment: datetime) -> datetime:
    """Return the second: what headers show of a moment that a listing shows in full."""
    return moment.replace(microsecond=0)
