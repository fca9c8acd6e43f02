"""Delete version histories in batches, the older versions first.

Versions that S3 refuses to delete stay, and are reported.
"""

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
    """Deletes keys and versions of one bucket.

    Args:
        client: The shared client.
        bucket: The bucket.
        pace: Slowed down when the server is busy.
        certain: Whether a version id or an ETag spares what was written since the recheck. If not, no
            deletion is retried.
        one_by_one: Whether the server honours ETags in single deletions only.
    """

    def __init__(
        self, client: S3Client, bucket: str, pace: Pace, *, certain: bool, one_by_one: bool = False
    ) -> None:
        self._client, self._bucket, self._pace = client, bucket, pace
        self._locks = LockLookup(client, bucket)
        self._certain, self._one_by_one = certain, one_by_one

    def delete(self, decisions: Sequence[Decision], report: SweepReport) -> list[Decision]:
        """Delete what up to 1,000 decisions name, and report it.

        Returns:
            Decisions that may not be carried out with an ETag: AWS takes one only from callers who may read
            the object. These are not reported.
        """
        older = [
            (one, version) for one in decisions for version in one.going if version is not one.entry.current
        ]
        undeleted: set[str] = set()
        for chunk in batched(older, BATCH):
            failures = self._delete_with_retries([(one.entry.name, v.version_id, None) for one, v in chunk])
            undeleted |= {failure.name for failure in failures}
            self._report(failures, decisions, report)
            self._count(chunk, failures, report)
        return self._delete_current([one for one in decisions if one.entry.name not in undeleted], report)

    def _delete_current(self, remaining: Sequence[Decision], report: SweepReport) -> list[Decision]:
        """Delete the current versions of keys that have no older version left."""
        current = [
            (one, one.entry.current)
            for one in remaining
            if any(version is one.entry.current for version in one.going)
        ]
        failures = (
            self._delete_with_retries([self._target(one, version) for one, version in current])
            if current
            else []
        )
        denied = {one.name for one in failures if one.code in _DENIED and one.version_id is None}
        if not self._certain or any(version.version_id for _, version in current):
            denied = set()
        self._report([one for one in failures if one.name not in denied], remaining, report)
        self._count(current, failures, report)
        undeleted = {failure.name for failure in failures}
        for one in remaining:
            if one.entry.name not in undeleted:
                (report.removed if one.versions is None else report.pruned).append(one.entry.name)
        return [one for one in remaining if one.entry.name in denied]

    def _target(self, decision: Decision, version: Version) -> Target:
        etag = version.etag if self._certain and version.version_id is None else None
        return decision.entry.name, version.version_id, etag

    def _count(
        self,
        deleted: Sequence[tuple[Decision, Version]],
        failures: Sequence[DeleteFailure],
        report: SweepReport,
    ) -> None:
        """Count deleted versions and their bytes; list a key again if a failure names no version of it."""
        undeleted = {failure.name for failure in failures}
        left = {(failure.name, failure.version_id) for failure in failures}
        has_versions = any(version.version_id for _, version in deleted)
        if has_versions and not all(version_id for _, version_id in left):
            left = self._list_versions(undeleted)
        for decision, version in deleted:
            name = decision.entry.name
            if name not in undeleted or (version.version_id and (name, version.version_id) not in left):
                report.deleted_versions += 1
                report.freed_bytes += version.size

    def _list_versions(self, names: set[str]) -> set[tuple[str, str | None]]:
        listed = (self._client.list_versions_of(self._bucket, name) for name in names)
        return {(version.name, version.version_id) for chain in listed for version in chain}

    # --- one batch -----------------------------------------------------------------------------

    def _delete_with_retries(self, targets: list[Target]) -> list[DeleteFailure]:
        """Delete a batch, retrying what a busy server did not delete; return what stays."""
        refused: list[DeleteFailure] = []
        last = _ATTEMPTS if self._certain else 1
        for attempt in range(1, last + 1):
            failures = self._try_once(targets)
            busy = {one.name for one in failures if _is_busy(one)}  # not every server names the version
            refused += [one for one in failures if one.name not in busy]
            targets = [one for one in targets if one[0] in busy]
            if not targets or attempt == last:
                return refused + [one for one in failures if one.name in busy]
            self._pace.slow_down(attempt - 1)
        return refused

    def _try_once(self, targets: list[Target]) -> list[DeleteFailure]:
        delete = delete_each if self._one_by_one else delete_batch
        try:
            return delete(self._client, self._bucket, targets)
        except StoreUnavailableError as exc:
            code = exc.code or "ServiceUnavailable"
            return [DeleteFailure(name, version_id, code, str(exc)) for name, version_id, _ in targets]

    # --- failures ------------------------------------------------------------------------------

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
        """Return the lock of a version; None if it is these credentials that may not delete it."""
        if not self._client.has_object_lock(self._bucket):
            return None
        ids = [failure.version_id] if failure.version_id else self._ids(failure.name)
        for version_id in ids:
            is_current = version_id == current
            try:
                lock = self._locks.protection(failure.name, version_id, is_current=is_current)
            except (KeyNotFoundError, AccessDeniedError):
                continue
            if lock:
                return lock
        return None

    def _ids(self, name: str) -> list[str]:
        chain = self._client.list_versions_of(self._bucket, name)
        return [version.version_id for version in chain if not version.is_delete_marker]


def _is_busy(failure: DeleteFailure) -> bool:
    """Return whether a retry may succeed."""
    return issubclass(error_type(failure.code, 0), StoreUnavailableError)
