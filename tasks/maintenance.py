"""Tasks of a cleanup: plan, sweep, abort uploads, evict local copies."""

from __future__ import annotations

from datetime import timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows import maintenance
from s3kv_flows._prefect import run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.maintenance import CleanupPlan, CleanupRule, SweepReport, survey
from s3kv_flows.maintenance._inventory.survey import leases_of
from s3kv_flows.store._durations import DurationLike, length_before
from s3kv_flows.store._leases.sweep import LeaseSweep
from s3kv_flows.store.errors import AccessDeniedError, UnsupportedByServerError

__all__ = ["abort_incomplete_uploads", "age_local_cache", "plan_cleanup", "sweep", "sweep_leases"]


@task(cache_policy=NO_CACHE, persist_result=False)
def plan_cleanup(
    store: str | S3KVStore,
    rules: list[CleanupRule],
    grace: DurationLike = timedelta(hours=1),
    protect_tag: str | None = "keep",
) -> CleanupPlan:
    """Plan what a cleanup would remove; remove nothing.

    Args:
        store: The name of a saved store, or a saved store.
        rules: The rules; one that removes an object is enough.
        grace: Younger objects stay: a timedelta, or text with a unit, such as ``90min``.
        protect_tag: Objects with this tag stay, whatever its value; None for no such tag.

    Raises:
        ValueError: The grace period has no unit.
    """
    block = S3KVStore.of(store)
    values, now = block.values, block.values.server_time()
    leases = leases_of(values, block.lease_bucket_name)
    entries = survey(values, rules, now, grace, protect_tag=protect_tag, leases=leases)
    return maintenance.plan(entries, rules, now, grace, protect_tag=protect_tag)


@task(cache_policy=NO_CACHE, persist_result=False)
def sweep(store: str | S3KVStore, plan: CleanupPlan, per_second: float | None = None) -> SweepReport:
    """Delete what a plan names, if it is unchanged since.

    Args:
        store: The name of a saved store, or a saved store.
        plan: The plan; wrap it in ``prefect.utilities.annotations.quote``, since it may be long.
        per_second: Objects rechecked or deleted per second; None for no limit.
    """
    block = S3KVStore.of(store)
    report = maintenance.sweep(
        block.values, plan, per_second=per_second, lease_bucket=block.lease_bucket_name
    )
    logger = run_logger()
    for name, reason in report.failed.items():
        logger.error("%s was not deleted: %s", name, reason)
    return report


@task(cache_policy=NO_CACHE, persist_result=False)
def abort_incomplete_uploads(
    store: str | S3KVStore,
    grace: DurationLike = timedelta(hours=1),
    dry_run: bool = False,  # noqa: FBT001, FBT002  # a parameter of a task
) -> list[str]:
    """Abort multipart uploads that killed writers left; return the names of their objects.

    Args:
        store: The name of a saved store, or a saved store.
        grace: How long an upload may take.
        dry_run: Return the names, and abort nothing.

    Raises:
        ValueError: The grace period has no unit.
    """
    values = S3KVStore.of(store).values
    try:
        uploads = maintenance.find_incomplete(values, values.server_time(), grace)
    except (AccessDeniedError, UnsupportedByServerError) as exc:
        run_logger().warning("Incomplete uploads were not listed: %s", exc)
        return []
    if dry_run:
        return [upload.name for upload in uploads]
    try:
        return maintenance.abort_incomplete(values, uploads)
    except AccessDeniedError as exc:
        run_logger().warning("Incomplete uploads were not aborted: %s", exc)
        return []


@task(cache_policy=NO_CACHE, persist_result=False)
def sweep_leases(
    store: str | S3KVStore,
    grace: DurationLike = timedelta(hours=1),
    dry_run: bool = False,  # noqa: FBT001, FBT002  # a parameter of a task
) -> list[str]:
    """Remove leases that have ended but still exist as objects; return their names.

    These are leases of runs that died, or released ones on a server without conditional deletions.

    Args:
        store: The name of a saved store, or a saved store.
        grace: The time since they ended; ten minutes at least.
        dry_run: Return the names, and remove nothing.

    Raises:
        ValueError: The grace period has no unit.
    """
    block = S3KVStore.of(store)
    now, prefix = block.values.server_time(), block.lease_namespace.prefix
    least = length_before(grace, now)
    leases = leases_of(block.values, block.lease_bucket_name)
    if dry_run or not leases:
        return leases.ended(now, least)
    try:
        return LeaseSweep(block.lease_backend).run(prefix, now, least)
    except UnsupportedByServerError as exc:
        run_logger().warning("Leases were not removed: %s", exc)
        return []


@task(cache_policy=NO_CACHE)
def age_local_cache(store: str | S3KVStore, max_days: float = 7) -> int:
    """Delete local copies that were not used for this many days; return how many.

    This is about the cache of the machine and the user that run the task.

    Args:
        store: The name of a saved store, or a saved store.
        max_days: Days since a copy was last used.
    """
    return S3KVStore.of(store).local_cache.clear_older_than(max_days * 86400)
