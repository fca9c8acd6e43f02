"""``s3kv plan``, ``sweep`` and ``explain``: cleanups from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.bar import Bar
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Table

from s3kv_flows.cli._cleanup_options import CleanupOptions
from s3kv_flows.cli._console import is_confirmed
from s3kv_flows.cli._saved_stores import saved_store
from s3kv_flows.cli._terminal import as_lines, cell, print_json

if TYPE_CHECKING:
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.flows._report import Group
    from s3kv_flows.maintenance import CleanupPlan, Decision

__all__ = ["COMMANDS"]

Flag = Annotated[bool, Parameter(negative="")]


def plan(
    store: str,
    *,
    options: CleanupOptions,
    json: Flag = False,
) -> int:
    """Show what a cleanup would remove, why, and how much it would free. Nothing is removed.

    Parameters
    ----------
    store
        The name of a saved store.
    json
        Print JSON: every object that would be removed, or is protected, with the reason.
    """
    made = _make_plan(saved_store(store), options)
    if json:
        _print_json(made)
    else:
        _print_tables(made, store, Console())
    return 0


def sweep(
    store: str,
    *,
    options: CleanupOptions,
    yes: Flag = False,
    per_second: float | None = None,
) -> int:
    """Show what a cleanup would remove, ask for confirmation, and remove it.

    Exit status 1 if anything could not be deleted, or if it is not confirmed.

    Parameters
    ----------
    store
        The name of a saved store.
    yes
        Do not ask for confirmation. Without a terminal to ask on, it is needed.
    per_second
        The most objects to recheck or delete per second.
    """
    from s3kv_flows import maintenance

    block, console = saved_store(store), Console()
    made = _make_plan(block, options)
    _print_tables(made, store, console)
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
        console.print(cell(name, "bold red").append_text(cell(f": {reason}")))
    return 1 if report.failed else 0


def explain(
    store: str,
    key: str,
    *,
    options: CleanupOptions,
) -> int:
    """Explain, rule by rule, why a cleanup keeps or removes a key.

    Parameters
    ----------
    store
        The name of a saved store.
    key
        An object name, as s3kv plan shows it, or the key of a value.
    """
    from s3kv_flows.maintenance import explain as explain_key
    from s3kv_flows.store.errors import KeyNotFoundError

    block = saved_store(store)
    kv, kv_key = block.locate(key)
    name = kv.namespace.name_of(kv_key)
    made = _make_plan(block, options, only=name)
    try:
        print(as_lines(explain_key(made, name)))  # noqa: T201
    except KeyError as exc:
        raise KeyNotFoundError(f"there is no object {name!r} in bucket {block.bucket_name!r}") from exc
    return 0


COMMANDS = (plan, sweep, explain)


def _make_plan(block: S3KVStore, options: CleanupOptions, *, only: str | None = None) -> CleanupPlan:
    from s3kv_flows import maintenance
    from s3kv_flows.maintenance._inventory.survey import leases_of

    rules, grace, spared = maintenance.read_rules(options.rules), options.grace, options.spared
    values = block.values
    now, leases = values.server_time(), leases_of(values, block.lease_bucket_name)
    entries = maintenance.survey(values, rules, now, grace, protect_tag=spared, leases=leases, only=only)
    return maintenance.plan(entries, rules, now, grace, protect_tag=spared)


# --- a plan as JSON -----------------------------------------------------------------------------------


def _print_json(plan: CleanupPlan) -> None:
    data = {
        "bytes": plan.bytes_to_free,
        "versions": plan.versions_to_delete,
        "dollars_per_month": round(plan.dollars_per_month(), 6),
        "remove": _as_data(plan.remove),
        "prune": _as_data(plan.prune),
        "protected": _as_data(plan.protected),
        "keep": len(plan.keep),
    }
    print_json(data)


def _as_data(decisions: Iterable[Decision]) -> list[dict[str, object]]:
    return [
        {"object": one.entry.name, "bytes": one.bytes, "versions": len(one.going), "reason": one.reason}
        for one in decisions
    ]


# --- a plan as tables ---------------------------------------------------------------------------------

_ROWS = 12
"""The most rows of a table."""


def _print_tables(plan: CleanupPlan, store: str, console: Console) -> None:
    """Print a plan: by rule, by group, the largest objects, and the protected ones."""
    from s3kv_flows.flows._report import by_origin, by_reason, by_rule, summary

    if plan.removals:
        console.print(_by_rule(by_rule(plan.removals), store))
        console.print(_biggest_groups(by_origin(plan.removals)[:_ROWS]))
        console.print(_largest_objects(plan))
    if plan.protected:
        console.print(_protected(by_reason(plan.protected)[:_ROWS]))
    console.print(f"{summary(plan)}.")


def _by_rule(groups: list[Group], store: str) -> Table:
    table = _table(f"to remove from {store}", "rule", "objects", "bytes")
    for group in groups:
        table.add_row(cell(group.key), f"{group.objects:,}", decimal(group.size))
    return table


def _biggest_groups(groups: list[Group]) -> Table:
    table = _table("the biggest groups", "group", "objects", "bytes")
    table.add_column("", min_width=24)
    largest = groups[0].size or 1
    for group in groups:
        bar = Bar(largest, 0, group.size, width=24)
        table.add_row(cell(group.key), f"{group.objects:,}", decimal(group.size), bar)
    return table


def _largest_objects(plan: CleanupPlan) -> Table:
    decisions = sorted(plan.removals, key=lambda one: one.bytes, reverse=True)
    count = f", of {len(decisions):,}" if len(decisions) > _ROWS else ""
    table = _table(f"the largest{count}", "object", "bytes")
    table.add_column("why", overflow="fold")
    for one in decisions[:_ROWS]:
        table.add_row(cell(one.entry.name), decimal(one.bytes), cell(one.reason))
    return table


def _protected(groups: list[Group]) -> Table:
    table = _table("protected, though a rule matches", "reason", "objects", "bytes")
    for group in groups:
        table.add_row(cell(group.key), f"{group.objects:,}", decimal(group.size))
    return table


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=cell(title), title_justify="left")
    table.add_column(first, overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table
