"""Cleanup: rules -> plan -> sweep. Knows the store, not Prefect."""

from s3kv_flows.maintenance.conditions import Terms
from s3kv_flows.maintenance.entries import Entry, Version
from s3kv_flows.maintenance.explanation import explain
from s3kv_flows.maintenance.plan import CleanupPlan, Decision, plan
from s3kv_flows.maintenance.report import SweepReport
from s3kv_flows.maintenance.rule_files import parse_rules, read_rules
from s3kv_flows.maintenance.rules import CleanupRule
from s3kv_flows.maintenance.survey import survey
from s3kv_flows.maintenance.sweep import sweep
from s3kv_flows.maintenance.unfinished import find_unfinished, give_up

__all__ = [
    "CleanupPlan",
    "CleanupRule",
    "Decision",
    "Entry",
    "SweepReport",
    "Terms",
    "Version",
    "explain",
    "find_unfinished",
    "give_up",
    "parse_rules",
    "plan",
    "read_rules",
    "survey",
    "sweep",
]
