"""Commands about cleanups: what would go, why, and away with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from s3kv_flows.cli._cleanup_options import CleanupOptions
from s3kv_flows.cli._console import is_confirmed
from s3kv_flows.cli._stores import saved_store

if TYPE_CHECKING:
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.maintenance import CleanupPlan, Decision
from rich.bar import Bar
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from s3kv_flows.flows._report import by_kin, by_reason, by_rule, told
from s3kv_flows.maintenance import CleanupPlan

__all__ = ["COMMANDS", "show"]

Flag = Annotated[bool, Parameter(negative="")]


def plan(
    store: str,
    *,
    options: CleanupOptions,
    json: Flag = False,
) -> int:
    """Show what a cleanup would remove, why, and how much that is; remove nothing.

    Parameters
    ----------
    store
        The name of a saved store.
    json
        Print JSON: every object that would go, or is protected, with the reason.
    """
    made = _plan(saved_store(store), options)
    if json:
        _print_json(made)
        return 0
    _show(made, store)
    return 0


def sweep(
    store: str,
    *,
    options: CleanupOptions,
    yes: Flag = False,
    per_second: float | None = None,
) -> int:
    """Show what a cleanup would remove, ask, and remove it. Exit status 1 if anything could not be deleted.

    Parameters
    ----------
    store
        The name of a saved store.
    yes
        Do not ask; without it, nothing is removed where there is nobody to ask.
    per_second
        Objects looked at or deleted in a second, at most.
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

    from s3kv_flows import maintenance

    block, console = saved_store(store), Console()
    made = _plan(block, options)
    _show(made, store)
    if not made.removals:
        return 0
    if not yes and not is_confirmed(f"Remove {made.versions_to_delete:,} versions of {store!r}? [y/N] "):
        console.print("Nothing was removed.")
        return 1
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("sweeping", total=len(made.removals))
        report = maintenance.sweep(
            block.values,
            made,
            per_second=per_second,
            lease_bucket=block.lease_bucket_name,
            progress=lambda count: bar.advance(task, count),
        )
    console.print(
        f"Removed {len(report.removed):,} objects, pruned {len(report.pruned):,}; freed "
        f"{report.freed_bytes:,} bytes. {len(report.changed):,} changed meanwhile, "
        f"{len(report.protected):,} protected."
    )
    for name, reason in report.failed.items():
        console.print(Text.assemble((name, "bold red"), f": {reason}"))
    return 1 if report.failed else 0


def explain(
    store: str,
    key: str,
    *,
    options: CleanupOptions,
) -> int:
    """Say why a key is still there, or why a cleanup would remove it, rule by rule.

    Parameters
    ----------
    store
        The name of a saved store.
    key
        An object name, as s3kv plan shows it, or the key of a value.
    """
    from s3kv_flows.maintenance import explain as explanation_of
    from s3kv_flows.store.errors import KeyNotFoundError

    block = saved_store(store)
    kv, own = block.locate(key)
    name = kv.namespace.name_of(own)
    made = _plan(block, options, only=name)
    try:
        print(explanation_of(made, name))  # noqa: T201
    except KeyError as exc:
        raise KeyNotFoundError(f"there is no object {name!r} in bucket {block.bucket_name!r}") from exc
    return 0


COMMANDS = (plan, sweep, explain)


def _plan(block: S3KVStore, options: CleanupOptions, *, only: str | None = None) -> CleanupPlan:
    from s3kv_flows import maintenance
    from s3kv_flows.maintenance._inventory.survey import leases_of

    rules, grace, spared = maintenance.read_rules(options.rules), options.grace, options.spared
    values = block.values
    now, leases = values.server_time(), leases_of(values, block.lease_bucket_name)
    entries = maintenance.survey(values, rules, now, grace, protect_tag=spared, leases=leases, only=only)
    return maintenance.plan(entries, rules, now, grace, protect_tag=spared)


def _show(made: CleanupPlan, store: str) -> None:
    from rich.console import Console

    from s3kv_flows.cli._cleanup import show

    show(made, store, Console())


def _print_json(made: CleanupPlan) -> None:
    import json

    def told(decisions: Iterable[Decision]) -> list[dict[str, object]]:
        return [
            {"object": one.entry.name, "bytes": one.bytes, "versions": len(one.going), "reason": one.reason}
            for one in decisions
        ]

    found = {
        "bytes": made.bytes_to_free,
        "versions": made.versions_to_delete,
        "dollars_per_month": round(made.dollars_per_month(), 6),
        "remove": told(made.remove),
        "prune": told(made.prune),
        "protected": told(made.protected),
        "keep": len(made.keep),
    }
    print(json.dumps(found, indent=2))  # noqa: T201


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
