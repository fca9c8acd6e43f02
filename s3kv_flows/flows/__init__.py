"""Flows to schedule: cleanup, eviction of local copies, audits of locks."""

from s3kv_flows.flows._audit import audit_locks
from s3kv_flows.flows._maintain import MaintenanceReport, age_caches, maintain_store

__all__ = ["MaintenanceReport", "age_caches", "audit_locks", "maintain_store"]

for _flow in (age_caches, audit_locks, maintain_store):
    # Deployments name a flow by its module: that is this one, not the private one behind it.
    _flow.__module__ = __name__
