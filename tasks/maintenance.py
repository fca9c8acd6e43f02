"""Tasks of a cleanup: plan, sweep, and ageing of the local cache."""

from __future__ import annotations

from datetime import timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from s3kv_flows import maintenance
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.maintenance import CleanupPlan, CleanupRule, SweepReport, survey

__all__ = ["age_local_cache", "plan_cleanup", "sweep"]


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


@task(cache_policy=NO_CACHE)
def age_local_cache(store: str | S3KVStore, max_days: float = 7) -> int:
    """Forget local copies that were not used for this many days; return how many.

    It ages the cache of the machine, and of the user, that it runs on.

    Args:
        store: The name of a saved store, or a saved store.
        max_days: Days since a copy was last used.
    """
    return S3KVStore.of(store).local_cache.clear_older_than(max_days * 86400)
