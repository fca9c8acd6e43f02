"""Plans and sweeps of a store, as the tests of them make them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import CleanupPlan, SweepReport, plan, survey, sweep
from s3kv_flows.store import S3KV
from s3kv_flows.store._leases.backend import backend_of
from s3kv_flows.store._leases.leases import Leases
from tests.support.signing import TEST_KEY

SWEEP_LEASE = "s3kv-leases/.s3kv-sweep"
"""The object of the lease of sweeps: a server without conditional deletions keeps it, as released."""

NOW = timedelta(0)
RAW = {"stage": "raw"}
RULES = [CleanupRule("raw", tags=RAW, older_than=NOW)]
ALL = [CleanupRule("all", older_than=NOW)]


def planned(store: S3KV, rules: list[CleanupRule] = RULES, **options: Any) -> CleanupPlan:
    now = store.server_time() + timedelta(seconds=1)
    return plan(survey(store, rules, now, NOW, **options), rules, now, NOW, **options)


def swept(store: S3KV, rules: list[CleanupRule] = RULES, **options: Any) -> SweepReport:
    return sweep(store, planned(store, rules, **options))


def names(store: S3KV) -> list[str]:
    """Return the names of all that is there, also beneath delete markers; but for the lease of sweeps."""
    listed = {version.name for version in store.client.list_versions(store.bucket_name, "")}
    return sorted(listed - {SWEEP_LEASE})


def results_of(store: S3KV) -> S3KV:
    """Return the results beside the values of a store."""
    return S3KV(
        store.config.endpoint_url,
        store.bucket_name,
        enable_local_cache=False,
        prefix="s3kv-results/",
        suffix="",
        codec="cloudpickle",
        signing_key=TEST_KEY,
    )


def leases_of(store: S3KV) -> Leases:
    """Return the leases beside the values of a store."""
    return Leases(
        backend_of(store.client, store.bucket_name, "s3kv-leases/"),
        lambda: int(store.client.capabilities.now().timestamp() * 1000),
        seconds=3600,
    )
