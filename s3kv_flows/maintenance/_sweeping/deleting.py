"""Deletes chains of versions in batches, the older ones first; what S3 refuses stays and is reported."""

from __future__ import annotations

from collections.abc import Sequence

from s3kv_flows.maintenance._entries import Version
from s3kv_flows.maintenance._planning.plan import Decision
from s3kv_flows.maintenance._sweeping.pace import Pace
from s3kv_flows.maintenance._sweeping.report import SweepReport
from s3kv_flows.store._locks.lookup import LockLookup
from s3kv_flows.store._locks.retention import Protection
from s3kv_flows.store._objects.deletions import BATCH, delete_batch, delete_each
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import batched
from s3kv_flows.store._s3.transport.translation import error_type
from s3kv_flows.store._s3.types import DeleteFailure
from s3kv_flows.store.errors import AccessDeniedError, KeyNotFoundError, StoreUnavailableError

__all__ = ["Deleter"]

_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "NoSuchVersion", "404", "412")
_DENIED = ("AccessDenied", "403")
_ATTEMPTS = 6

Target = tuple[str, str | None, str | None]
"""Object name, version id or None, ETag or None."""


class Deleter:
    """Deletes in one bucket.

    Args:
        client: The shared client.
        bucket: The bucket.
        pace: What to slow down where the server is busy.
        certain: Whether a version id, or an ETag, keeps what was written since the last look. If not, nothing
            is asked a second time.
        one_by_one: Whether ETags are heeded in single deletions alone.
    """

    def __init__(
        self, client: S3Client, bucket: str, pace: Pace, *, certain: bool, one_by_one: bool = False
    ) -> None:
        self._client, self._bucket, self._pace = client, bucket, pace
        self._sight = LockLookup(client, bucket)
        self._certain, self._one_by_one = certain, one_by_one

    def delete(self, decisions: Sequence[Decision], report: SweepReport) -> list[Decision]:
        """Delete what up to 1,000 decisions name, and report it.

        Returns:
            What may not be deleted with an ETag: AWS takes one only from who may read the object. That is
            not reported.
        """
        beneath = [
            (one, version) for one in decisions for version in one.going if version is not one.entry.current
        ]
        stuck: set[str] = set()
        for chunk in batched(beneath, BATCH):
            failures = self._attempts([(one.entry.name, v.version_id, None) for one, v in chunk])
            stuck |= {failure.name for failure in failures}
            self._report(failures, decisions, report)
            self._count(chunk, failures, report)
        return self._finish([one for one in decisions if one.entry.name not in stuck], report)

    def _finish(self, bare: Sequence[Decision], report: SweepReport) -> list[Decision]:
        """Delete the current versions of what has nothing left beneath."""
        tops = [
            (one, one.entry.current)
            for one in bare
            if any(version is one.entry.current for version in one.going)
        ]
        failures = self._attempts([self._target(one, version) for one, version in tops]) if tops else []
        denied = {one.name for one in failures if one.code in _DENIED and one.version_id is None}
        if not self._certain or any(version.version_id for _, version in tops):
            denied = set()
        self._report([one for one in failures if one.name not in denied], bare, report)
        self._count(tops, failures, report)
        stuck = {failure.name for failure in failures}
        for one in bare:
            if one.entry.name not in stuck:
                (report.removed if one.versions is None else report.pruned).append(one.entry.name)
        return [one for one in bare if one.entry.name in denied]

    def _target(self, decision: Decision, version: Version) -> Target:
        etag = version.etag if self._certain and version.version_id is None else None
        return decision.entry.name, version.version_id, etag

    def _count(
        self,
        deleted: Sequence[tuple[Decision, Version]],
        failures: Sequence[DeleteFailure],
        report: SweepReport,
    ) -> None:
        """Count what is gone: of keys that something is left of, by a listing where no version is named."""
        stuck = {failure.name for failure in failures}
        left = {(failure.name, failure.version_id) for failure in failures}
        has_versions = any(version.version_id for _, version in deleted)
        if has_versions and not all(version_id for _, version_id in left):
            left = self._there(stuck)
        for decision, version in deleted:
            name = decision.entry.name
            if name not in stuck or (version.version_id and (name, version.version_id) not in left):
                report.deleted_versions += 1
                report.freed_bytes += version.size

    def _there(self, names: set[str]) -> set[tuple[str, str | None]]:
        listed = (self._client.list_versions_of(self._bucket, name) for name in names)
        return {(version.name, version.version_id) for chain in listed for version in chain}

    # --- one batch -----------------------------------------------------------------------------

    def _attempts(self, targets: list[Target]) -> list[DeleteFailure]:
        """Delete a batch, and again what a busy server did not come to; return what stays."""
        refused: list[DeleteFailure] = []
        last = _ATTEMPTS if self._certain else 1
        for attempt in range(1, last + 1):
            failures = self._one_attempt(targets)
            busy = {one.name for one in failures if _is_busy(one)}  # not every server names the version
            refused += [one for one in failures if one.name not in busy]
            targets = [one for one in targets if one[0] in busy]
            if not targets or attempt == last:
                return refused + [one for one in failures if one.name in busy]
            self._pace.slow_down(attempt - 1)
        return refused

    def _one_attempt(self, targets: list[Target]) -> list[DeleteFailure]:
        delete = delete_each if self._one_by_one else delete_batch
        try:
            return delete(self._client, self._bucket, targets)
        except StoreUnavailableError as exc:
            code = exc.code or "ServiceUnavailable"
            return [DeleteFailure(name, version_id, code, str(exc)) for name, version_id, _ in targets]

    # --- what stays ----------------------------------------------------------------------------

    def _report(
        self, failures: Sequence[DeleteFailure], decisions: Sequence[Decision], report: SweepReport
    ) -> None:
        current = {one.entry.name: one.entry.current.version_id for one in decisions} if failures else {}
        for failure in failures:
            if failure.code in _CHANGED:
                report.changed.append(failure.name)
            elif failure.code in _DENIED and (lock := self._lock_of(failure, current.get(failure.name))):
                report.protected[failure.name] = str(lock)
            else:
                report.failed[failure.name] = f"{failure.code}: {failure.message}"

    def _lock_of(self, failure: DeleteFailure, current: str | None) -> Protection | None:
        """Tell a version that is locked from one that these credentials may not delete."""
        if not self._client.has_object_lock(self._bucket):
            return None
        ids = [failure.version_id] if failure.version_id else self._ids(failure.name)
        for version_id in ids:
            is_current = version_id == current
            try:
                lock = self._sight.protection(failure.name, version_id, is_current=is_current)
            except (KeyNotFoundError, AccessDeniedError):
                continue
            if lock:
                return lock
        return None

    def _ids(self, name: str) -> list[str]:
        chain = self._client.list_versions_of(self._bucket, name)
        return [version.version_id for version in chain if not version.is_delete_marker]


def _is_busy(failure: DeleteFailure) -> bool:
    """Tell whether the server may do later what it did not do now."""
    return issubclass(error_type(failure.code, 0), StoreUnavailableError)
