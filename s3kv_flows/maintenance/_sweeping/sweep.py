"""Sweep: delete what a plan names, if it is unchanged since.

On a versioned bucket a key is removed with its whole version history. Deleting only its current version would
bring an older value back, so the order is::

    tags, again          if tags decided: a key whose tags changed since the plan stays
    a listing            a key that was changed, refreshed or deleted since the plan stays as it is
    older versions       in batches, by version id; S3 itself refuses to delete locked ones
    the current version  only if no older one remains, and by its version id: a newer one stays;
                         on a bucket without versions, by its ETag if the server honours that

S3 does not promise an order within one batch of deletions, so these are two batches. If the sweep is stopped
at any point, the key reads as its current value, or as absent, and the next plan finds the rest.

Without versions, S3 deletes whatever a name stands for when the request arrives, and only an ETag spares a
value written a moment before. Servers that honour ETags in single deletions only get one request per key.
Some honour them nowhere (Ceph 16), AWS takes them only from callers who may read the object, and where
versioning was suspended, the version called "null" is whatever was written last. There the only check is the
listing, of a hundred keys and right before they are deleted: a value that is written within those
milliseconds is lost, and no deletion is retried. Two such sweeps exclude each other by a lease while they
list and delete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from s3kv_flows.maintenance._planning.plan import CleanupPlan, Decision
from s3kv_flows.maintenance._sweeping.deleting import Deleter
from s3kv_flows.maintenance._sweeping.lease import SweepLease
from s3kv_flows.maintenance._sweeping.pace import Pace
from s3kv_flows.maintenance._sweeping.recheck import Rechecker
from s3kv_flows.maintenance._sweeping.report import SweepReport
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._objects.deletions import BATCH
from s3kv_flows.store._s3.concurrency import SEARCHERS, batched
from s3kv_flows.store.errors import LeaseNotHeldError, S3KVError

__all__ = ["sweep", "sweep_decisions"]

_AT_ONCE = 4
"""Batches that are being deleted while the next one is rechecked."""
_UNCONDITIONAL = 100
"""Keys of a batch whose deletion carries no condition: only the listing before it shows changes."""
_NULL = "null"
"""The id of the version that the next PUT replaces while versioning is suspended."""


def sweep(
    store: S3KV,
    plan: CleanupPlan,
    *,
    per_second: float | None = None,
    concurrency: int = SEARCHERS,
    lease_bucket: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> SweepReport:
    """Delete what a plan names, and report what the server did not delete.

    Requests: one about versioning; one for the tags of each key, or of each old version, that tags decided;
    with Object Lock, one for each version of a history of several; one LIST per 1,000 objects or versions to
    recheck, and, if results are removed, of leases; one batch per 1,000 versions that are not current, and
    one per 1,000 keys. Without versions, one per key if the server honours ETags in single deletions only; if
    it honours them nowhere, per 100 one LIST, one batch, and two for a lease, or four if the lease exists as
    an object already. With Object Lock, one more for each deletion that S3 refuses.

    Args:
        store: The values of the store that the plan is about.
        plan: The plan.
        per_second: Objects rechecked or deleted per second; None for no limit.
        concurrency: Requests at once.
        lease_bucket: The bucket of the leases; None for the bucket of the store.
        progress: Called with the number of finished keys, after each batch.
    """
    protect_tag = plan.context.protect_tag if plan.context else "keep"
    return sweep_decisions(
        store,
        plan.removals,
        protect_tag,
        pace=Pace(per_second),
        concurrency=concurrency,
        lease_bucket=lease_bucket,
        progress=progress,
    )


def sweep_decisions(
    store: S3KV,
    decisions: Sequence[Decision],
    protect_tag: str | None,
    *,
    pace: Pace,
    concurrency: int = SEARCHERS,
    lease_bucket: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> SweepReport:
    """Delete what some decisions of a plan name; see :func:`sweep`.

    Args:
        store: The values of the store.
        decisions: The decisions, by object name.
        protect_tag: The protect tag of the plan.
        pace: The rate limit.
        concurrency: Requests at once.
        lease_bucket: The bucket of the leases; None for the bucket of the store.
        progress: Called with the number of finished keys, after each batch.
    """
    if not decisions:
        return SweepReport()
    rechecker = Rechecker(store, protect_tag, concurrency=concurrency, lease_bucket=lease_bucket)
    lease = SweepLease(store, lease_bucket)
    return _Sweep(store, rechecker, lease, pace, progress or (lambda _: None)).run(decisions)


class _Sweep:
    def __init__(
        self,
        store: S3KV,
        rechecker: Rechecker,
        lease: SweepLease,
        pace: Pace,
        progress: Callable[[int], object],
    ) -> None:
        self._store, self._client, self._bucket = store, store.client, store.bucket_name
        self._rechecker, self._lease, self._pace, self._progress = rechecker, lease, pace, progress
        self._report = SweepReport()

    def run(self, decisions: Sequence[Decision]) -> SweepReport:
        conditional, unconditional, one_by_one = self._partition(decisions)
        denied = self._run_conditional(conditional, one_by_one=one_by_one)
        self._run_unconditional(unconditional)
        self._run_unconditional(denied)
        return self._report

    def _partition(self, decisions: Sequence[Decision]) -> tuple[list[Decision], list[Decision], bool]:
        """Return the deletions with a version id or ETag, those without, and whether to make single ones."""
        versioning = self._client.versioning(self._bucket)
        if versioning is not None:  # Object Lock may have been enabled since the last request about it
            self._client.has_object_lock(self._bucket, surely=True)
        if versioning == "Enabled":
            return self._with_versions(decisions), [], False
        if versioning == "Suspended":
            planned = self._with_versions(decisions)
            unconditional = [one for one in planned if any(v.version_id == _NULL for v in one.going)]
            # The null version may be the current one when the deletion arrives, over an old value.
            pruned = {one.entry.name for one in unconditional if one.versions is not None}
            reason = "versioning is suspended, so its null version may be replaced at any time"
            self._report.protected |= dict.fromkeys(sorted(pruned), reason)
            self._progress(len(pruned))
            names = {one.entry.name for one in unconditional}
            conditional = [one for one in planned if one.entry.name not in names]
            return conditional, [one for one in unconditional if one.versions is None], False
        planned = self._require(decisions, lambda one: one.entry.current.version_id is None)
        if not planned:
            return [], [], False
        supported = self._client.capabilities.conditional_deletes(self._bucket, self._store.namespace.prefix)
        if supported.batch or supported.single:
            return planned, [], not supported.batch
        return [], planned, False

    def _with_versions(self, decisions: Sequence[Decision]) -> list[Decision]:
        return self._require(decisions, lambda one: one.entry.current.version_id is not None)

    def _require(
        self, decisions: Sequence[Decision], is_as_planned: Callable[[Decision], bool]
    ) -> list[Decision]:
        """Return the decisions that were planned under the same versioning; report the others as changed."""
        others = [one.entry.name for one in decisions if not is_as_planned(one)]
        self._report.changed += others
        self._progress(len(others))
        return [one for one in decisions if is_as_planned(one)]

    def _run_conditional(self, decisions: Sequence[Decision], *, one_by_one: bool) -> list[Decision]:
        """Delete while the next batch is rechecked; return the decisions denied because of the ETag."""
        deleter = Deleter(self._client, self._bucket, self._pace, certain=True, one_by_one=one_by_one)
        under_way: deque[tuple[int, SweepReport, Future[list[Decision]]]] = deque()
        denied: list[Decision] = []

        def wait_until(most: int) -> None:
            while len(under_way) > most:
                count, report, deleting = under_way.popleft()
                refused = deleting.result()
                denied.extend(refused)
                self._report.add(report)
                self._progress(count - len(refused))

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="s3kv-sweep") as pool:
            for batch in batched(decisions, BATCH):
                self._wait_for_pace(batch)
                unchanged, report = self._rechecker.recheck(batch, self._report), SweepReport()
                under_way.append((len(batch), report, pool.submit(deleter.delete, unchanged, report)))
                wait_until(_AT_ONCE - 1)
            wait_until(0)
        return denied

    def _run_unconditional(self, decisions: Sequence[Decision]) -> None:
        """Recheck and delete small batches, each under the lease."""
        deleter = Deleter(self._client, self._bucket, self._pace, certain=False)
        for batch in batched(decisions, _UNCONDITIONAL):
            self._wait_for_pace(batch)
            with ExitStack() as stack:
                deleter.delete(self._recheck_under_lease(batch, stack), self._report)
            self._progress(len(batch))

    def _recheck_under_lease(self, batch: Sequence[Decision], stack: ExitStack) -> list[Decision]:
        """Acquire the lease, and return the unchanged decisions, by a recheck within that lease."""
        try:
            lease = stack.enter_context(self._lease.held())
        except S3KVError as exc:
            self._report.failed |= {one.entry.name: str(exc) for one in batch}
            return []
        unchanged = self._rechecker.recheck(batch, self._report)
        try:
            if lease is not None:
                lease.require_unbroken()
        except LeaseNotHeldError as exc:
            self._report.failed |= {one.entry.name: str(exc) for one in unchanged}
            return []
        return unchanged

    def _wait_for_pace(self, batch: Sequence[Decision]) -> None:
        self._pace.take(sum(len(decision.going) for decision in batch))
