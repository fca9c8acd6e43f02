"""The sweep: removes what a plan names, if it is still what the plan saw.

On a versioned bucket the unit of removal is a key's whole chain. Deleting only its top would bring an
older value back, so the order is::

    tags, again          where tags decided: what was tagged otherwise since the plan stays
    a listing            what was changed, refreshed or deleted since the plan stays as it is
    older versions       in batches, by version id; what is locked is refused by S3 itself
    the current version  only where nothing older remains, and by its version id: a newer one stays;
                         on a bucket without versions, by its ETag where the server heeds that

The order within one batch of deletions is not to be relied on, so these are two batches. Stopped at
any point, the key reads as its current value, or as absent, and the next plan finds the rest.

Without versions, S3 deletes what a name stands for when the request arrives, and only an ETag keeps what was
written a moment before. Servers that heed it in single deletions alone are asked one by one. Some heed it
nowhere (Ceph 16), AWS takes it only from who may read the object, and where versioning was suspended, the
version called "null" is whatever was written last: there the listing, of a hundred keys and right before they
go, is all there is, and what overwrites a key within those milliseconds is lost. Nothing is tried twice
there. Of two such sweeps at once, each looks and deletes under a lease, without the other in between.
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
"""Batches that are being deleted while the next one is looked at."""
_UNCERTAIN = 100
"""Keys of a batch where only the listing before it tells what has changed."""
_NULL = "null"
"""The id of the version that the next PUT replaces, where versioning was suspended."""


def sweep(
    store: S3KV,
    plan: CleanupPlan,
    *,
    per_second: float | None = None,
    concurrency: int = SEARCHERS,
    lease_bucket: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> SweepReport:
    """Remove what a plan names. What a failing server did not do is in the report.

    Requests: one about versioning; one for the tags of each key, or of each old version, that tags decided;
    with Object Lock, one for each version of a chain of several; one LIST per 1,000 objects or versions of
    what is looked at again, and, where results go, of leases; one batch per 1,000 versions that are not
    current, and one per 1,000 keys. Without versions, one per key where the server heeds ETags in single
    deletions alone; where it does so nowhere, per 100 one LIST, one batch, and two for a lease, or four where
    that is there from before. What S3 refuses with Object Lock is asked about once more.

    Args:
        store: The values of the store that was planned for.
        plan: What to remove.
        per_second: Objects looked at or deleted in a second; None for no limit.
        concurrency: Requests at once.
        lease_bucket: Where leases are; None for the bucket of the store.
        progress: Called with the number of keys that were dealt with, after each batch.
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
    """Remove what a part of a plan names; see :func:`sweep`.

    Args:
        store: The values of the store.
        decisions: The part, by object name.
        protect_tag: The protect tag of the plan.
        pace: How fast to go.
        concurrency: Requests at once.
        lease_bucket: Where leases are; None for the bucket of the store.
        progress: Called with the number of keys that were dealt with, after each batch.
    """
    if not decisions:
        return SweepReport()
    checker = Rechecker(store, protect_tag, concurrency=concurrency, lease_bucket=lease_bucket)
    lease = SweepLease(store, lease_bucket)
    return _Sweep(store, checker, lease, pace, progress or (lambda _: None)).run(decisions)


class _Sweep:
    def __init__(
        self,
        store: S3KV,
        checker: Rechecker,
        lease: SweepLease,
        pace: Pace,
        progress: Callable[[int], object],
    ) -> None:
        self._store, self._client, self._bucket = store, store.client, store.bucket_name
        self._checker, self._lease, self._pace, self._progress = checker, lease, pace, progress
        self._report = SweepReport()

    def run(self, decisions: Sequence[Decision]) -> SweepReport:
        certain, uncertain, one_by_one = self._sorted(decisions)
        denied = self._run_certain(certain, one_by_one=one_by_one)
        self._run_uncertain(uncertain)
        self._run_uncertain(denied)
        return self._report

    def _sorted(self, decisions: Sequence[Decision]) -> tuple[list[Decision], list[Decision], bool]:
        """Return what a version id or an ETag names for certain, and what nothing does."""
        versioning = self._client.versioning(self._bucket)
        if versioning is not None:  # Object Lock may have been enabled since that was last asked
            self._client.has_object_lock(self._bucket, surely=True)
        if versioning == "Enabled":
            return self._of_versions(decisions), [], False
        if versioning == "Suspended":
            mine = self._of_versions(decisions)
            uncertain = [one for one in mine if any(v.version_id == _NULL for v in one.going)]
            # What is null now may be the current version when the deletion arrives, over an old value.
            pruned = {one.entry.name for one in uncertain if one.versions is not None}
            reason = "its null version may be replaced at any time, for versioning is suspended"
            self._report.protected |= dict.fromkeys(sorted(pruned), reason)
            self._progress(len(pruned))
            names = {one.entry.name for one in uncertain}
            certain = [one for one in mine if one.entry.name not in names]
            return certain, [one for one in uncertain if one.versions is None], False
        mine = self._changed(decisions, lambda one: one.entry.current.version_id is None)
        if not mine:
            return [], [], False
        heeded = self._client.capabilities.conditional_deletes(self._bucket, self._store.namespace.prefix)
        if heeded.batch or heeded.single:
            return mine, [], not heeded.batch
        return [], mine, False

    def _of_versions(self, decisions: Sequence[Decision]) -> list[Decision]:
        return self._changed(decisions, lambda one: one.entry.current.version_id is not None)

    def _changed(
        self, decisions: Sequence[Decision], is_of_this_bucket: Callable[[Decision], bool]
    ) -> list[Decision]:
        """Return what was planned for a bucket with the same kind of versions; the rest has changed."""
        others = [one.entry.name for one in decisions if not is_of_this_bucket(one)]
        self._report.changed += others
        self._progress(len(others))
        return [one for one in decisions if is_of_this_bucket(one)]

    def _run_certain(self, decisions: Sequence[Decision], *, one_by_one: bool) -> list[Decision]:
        """Delete while the next batch is looked at; return what may not be deleted with an ETag."""
        deleter = Deleter(self._client, self._bucket, self._pace, certain=True, one_by_one=one_by_one)
        under_way: deque[tuple[int, SweepReport, Future[list[Decision]]]] = deque()
        denied: list[Decision] = []

        def answer_questions(most: int) -> None:
            while len(under_way) > most:
                count, report, deleting = under_way.popleft()
                again = deleting.result()
                denied.extend(again)
                self._report.add(report)
                self._progress(count - len(again))

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="s3kv-sweep") as pool:
            for batch in batched(decisions, BATCH):
                self._pass(batch)
                same, report = self._checker.still_the_same(batch, self._report), SweepReport()
                under_way.append((len(batch), report, pool.submit(deleter.delete, same, report)))
                answer_questions(_AT_ONCE - 1)
            answer_questions(0)
        return denied

    def _run_uncertain(self, decisions: Sequence[Decision]) -> None:
        """Look at a few, delete them at once, and go on; another sweep waits for that."""
        deleter = Deleter(self._client, self._bucket, self._pace, certain=False)
        for batch in batched(decisions, _UNCERTAIN):
            self._pass(batch)
            with ExitStack() as stack:
                deleter.delete(self._looked_at(batch, stack), self._report)
            self._progress(len(batch))

    def _looked_at(self, batch: Sequence[Decision], stack: ExitStack) -> list[Decision]:
        """Take the lease; return what is still as the plan saw it, by a look under that lease alone."""
        try:
            kept = stack.enter_context(self._lease.held())
        except S3KVError as exc:
            self._report.failed |= {one.entry.name: str(exc) for one in batch}
            return []
        looked = self._checker.still_the_same(batch, self._report)
        try:
            if kept is not None:
                kept.require_unbroken()
        except LeaseNotHeldError as exc:
            self._report.failed |= {one.entry.name: str(exc) for one in looked}
            return []
        return looked

    def _pass(self, batch: Sequence[Decision]) -> None:
        self._pace.take(sum(len(decision.going) for decision in batch))
