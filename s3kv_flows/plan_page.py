"""What `s3kv plan` prints."""

from __future__ import annotations

from rich.bar import Bar
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from s3kv_flows.flows._report import by_kin, by_reason, by_rule, told
from s3kv_flows.maintenance import CleanupPlan

__all__ = ["show"]

_SHOWN = 12


def show(plan: CleanupPlan, store: str, console: Console) -> None:
    """Print a plan: by rule, the biggest groups, the largest objects, and what is protected."""
    if plan.removals:
        console.print(_rules(plan, store))
        console.print(_groups(plan))
        console.print(_largest(plan))
    if plan.protected:
        table = _table("protected, though a rule matches", "reason", "objects", "bytes")
        for group in by_reason(plan.protected)[:_SHOWN]:
            table.add_row(Text(group.key), f"{group.objects:,}", decimal(group.size))
        console.print(table)
    console.print(f"{told(plan)}.")


def _rules(plan: CleanupPlan, store: str) -> Table:
    table = _table(f"what would go of {store}", "rule", "objects", "bytes")
    for group in by_rule(plan.removals):
        table.add_row(Text(group.key), f"{group.objects:,}", decimal(group.size))
    return table


def _groups(plan: CleanupPlan) -> Table:
    groups = by_kin(plan.removals)[:_SHOWN]
    table = _table("the biggest groups", "group", "objects", "bytes")
    table.add_column("", min_width=24)
    largest = groups[0].size or 1
    for group in groups:
        bar = Bar(largest, 0, group.size, width=24)
        table.add_row(Text(group.key), f"{group.objects:,}", decimal(group.size), bar)
    return table


def _largest(plan: CleanupPlan) -> Table:
    decisions = sorted(plan.removals, key=lambda one: one.bytes, reverse=True)
    count = f", of {len(decisions):,}" if len(decisions) > _SHOWN else ""
    table = _table(f"the largest{count}", "object", "bytes")
    table.add_column("why", overflow="fold")
    for one in decisions[:_SHOWN]:
        table.add_row(Text(one.entry.name), decimal(one.bytes), Text(one.reason))
    return table


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table
