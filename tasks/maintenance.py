"""Tasks of a cleanup: plan, sweep, and ageing of the local cache."""

from __future__ import annotations

from datetime import timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from s3kv_flows import maintenance
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.maintenance import CleanupPlan, CleanupRule, SweepReport, survey
from s3kv_flows.store.errors import AccessDeniedError, UnsupportedByServerError
from s3kv_flows.store.lease_sweep import LeaseSweep

__all__ = ["age_local_cache", "give_up_uploads", "plan_cleanup", "sweep", "sweep_leases"]


@task(cache_policy=NO_CACHE, persist_result=False)
def plan_cleanup(
    store: str | S3KVStore,
    rules: list[CleanupRule],
    grace: timedelta = timedelta(hours=1),
    protect_tag: str | None = "keep",
) -> CleanupPlan:
    """Decide what a cleanup would remove; remove nothing.

    Args:
        store: The name of a saved store, or a saved store.
        rules: One that removes is enough.
        grace: What is younger is not touched.
        protect_tag: What carries this tag, with any value, is not touched.
    """
    values = S3KVStore.of(store).values
    now = values.server_time()
    entries = survey(values, rules, now, grace, protect_tag=protect_tag)
    return maintenance.plan(entries, rules, now, grace, protect_tag=protect_tag)


@task(cache_policy=NO_CACHE, persist_result=False)
def sweep(
    store: str | S3KVStore,
    plan: CleanupPlan,
    rules: list[CleanupRule],
    protect_tag: str | None = "keep",
) -> SweepReport:
    """Remove what a plan names, if it is still what the plan saw.

    Args:
        store: The name of a saved store, or a saved store.
        plan: What to remove; wrap it in ``prefect.utilities.annotations.quote``, it may be long.
        rules: The rules of the plan.
        protect_tag: The protect tag of the plan.
    """
    report = maintenance.sweep(S3KVStore.of(store).values, plan, rules, protect_tag=protect_tag)
    logger = get_run_logger()
    for name, reason in report.failed.items():
        logger.error("%s was not removed: %s", name, reason)
    return report


@task(cache_policy=NO_CACHE, persist_result=False)
def give_up_uploads(
    store: str | S3KVStore,
    grace: timedelta = timedelta(hours=1),
    dry_run: bool = False,  # noqa: FBT001, FBT002  # a parameter of a task
) -> list[str]:
    """Free the parts of multipart uploads that a killed writer left; return the names of their objects.

    Args:
        store: The name of a saved store, or a saved store.
        grace: How long an upload may take.
        dry_run: Return the names, and free nothing.
    """
    values = S3KVStore.of(store).values
    try:
        uploads = maintenance.find_unfinished(values, values.server_time(), grace)
    except (AccessDeniedError, UnsupportedByServerError) as exc:
        get_run_logger().warning("Unfinished uploads were not looked for: %s", exc)
        return []
    return [upload.name for upload in uploads] if dry_run else maintenance.give_up(values, uploads)


@task(cache_policy=NO_CACHE, persist_result=False)
def sweep_leases(
    store: str | S3KVStore,
    grace: timedelta = timedelta(hours=1),
    dry_run: bool = False,  # noqa: FBT001, FBT002  # a parameter of a task
) -> list[str]:
    """Remove the leases of runs that died, or whose server keeps what was given back; return their names.

    Args:
        store: The name of a saved store, or a saved store.
        grace: For how long they have to have ended; ten minutes at least.
        dry_run: Return the names, and remove nothing.
    """
    block = S3KVStore.of(store)
    client, prefix = block.results.client, block.lease_namespace.prefix
    bucket = block.lease_bucket_name or block.bucket_name
    if not any(True for _ in client.list_objects(bucket, prefix)):
        return []
    try:
        sweeping = LeaseSweep(block.lease_register)
        return sweeping.run(prefix, block.values.server_time(), grace, dry_run=dry_run)
    except UnsupportedByServerError as exc:
        get_run_logger().warning("Leases were not swept: %s", exc)
        return []


@task(cache_policy=NO_CACHE)
def age_local_cache(store: str | S3KVStore, max_days: float = 7) -> int:
    """Forget local copies that were not used for this many days; return how many.

    It ages the cache of the machine, and of the user, that it runs on.

    Args:
        store: The name of a saved store, or a saved store.
        max_days: Days since a copy was last used.
    """
    return S3KVStore.of(store).local_cache.clear_older_than(max_days * 86400)
