"""What `s3kv audit` prints."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from s3kv_flows.store._outputs.audit import PROBLEMS, AuditRow, LockAudit

__all__ = ["show"]


def show(found: LockAudit, console: Console) -> None:
    """Print an audit: its rows, problems first, and what they come to."""
    table = Table(title=f"locks of bucket {found.bucket}", title_justify="left")
    for column, justify in (("state", "left"), ("object", "left"), ("until", "left"), ("days", "right")):
        wraps = column == "object"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=not wraps)  # type: ignore[arg-type]  # rich's literal
    table.add_column("mode", no_wrap=True)
    table.add_column("hold", no_wrap=True)
    for row in found.rows:
        table.add_row(*_cells(row))
    if found.rows:
        console.print(table)
    counts = Counter(row.state for row in found.rows)
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing is locked"
    console.print(f"{found.audited_at:%Y-%m-%d %H:%M} UTC, {found.versions:,} versions: {told}.")
    if {"hidden", "shadowed"} & set(counts):
        console.print("[bold]s3kv repair STORE OBJECT[/] brings back what is hidden or shadowed.")


def _cells(row: AuditRow) -> tuple[str | Text, ...]:
    style = "bold red" if row.state in PROBLEMS else "yellow" if row.state == "expiring" else ""
    return (
        Text(row.state, style),
        Text(row.object),
        f"{row.retain_until:%Y-%m-%d}" if row.retain_until else "",
        "" if row.days_left is None else f"{row.days_left:.1f}",
        row.mode or "",
        "held" if row.legal_hold else "",
    )
