"""Cleanup: rules -> plan -> sweep. Knows the store, not Prefect."""

from s3kv_flows.maintenance.plan import CleanupPlan, Decision, Entry, Version, plan
from s3kv_flows.maintenance.rules import CleanupRule
from s3kv_flows.maintenance.survey import survey
from s3kv_flows.maintenance.sweep import SweepReport, sweep
from s3kv_flows.maintenance.unfinished import find_unfinished, give_up

__all__ = [
    "CleanupPlan",
    "CleanupRule",
    "Decision",
    "Entry",
    "SweepReport",
    "Version",
    "find_unfinished",
    "give_up",
    "plan",
    "survey",
    "sweep",
]
