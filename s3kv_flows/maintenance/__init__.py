"""Plan and sweep a store by cleanup rules; independent of Prefect."""

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._inventory.survey import survey
from s3kv_flows.maintenance._planning.explanation import explain
from s3kv_flows.maintenance._planning.matching import PlanContext
from s3kv_flows.maintenance._planning.plan import CleanupPlan, Decision, plan
from s3kv_flows.maintenance._rules import CleanupRule, parse_rules, read_rules
from s3kv_flows.maintenance._sweeping.report import SweepReport
from s3kv_flows.maintenance._sweeping.sweep import sweep
from s3kv_flows.maintenance._sweeping.uploads import abort_incomplete, find_incomplete

__all__ = [
    "CleanupPlan",
    "CleanupRule",
    "Decision",
    "Entry",
    "PlanContext",
    "SweepReport",
    "Version",
    "abort_incomplete",
    "explain",
    "find_incomplete",
    "parse_rules",
    "plan",
    "read_rules",
    "survey",
    "sweep",
]
