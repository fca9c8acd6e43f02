"""Report on a cleanup: summary, table rows, groups, Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.filesize import decimal

from s3kv_flows.maintenance import CleanupPlan, Decision, SweepReport
from s3kv_flows.store._layout.markdown import code
from s3kv_flows.store._layout.printable import printable

__all__ = ["ROWS", "Group", "by_origin", "by_reason", "by_rule", "markdown_page", "summary", "table_rows"]

ROWS = 1000
"""The most rows of a table artifact: more than a person reads."""


class Group(NamedTuple):
    """Decisions that have a property in common."""

    key: str
    objects: int
    size: int


_GROUPS = 12
_BAR = 24


def summary(plan: CleanupPlan) -> str:
    """Return the totals of a plan, in one line."""
    pruned = f", {len(plan.prune):,} to prune" if plan.prune else ""
    return (
        f"{len(plan.remove):,} objects to remove{pruned}, {plan.bytes_to_free:,} bytes in "
        f"{plan.versions_to_delete:,} versions, ${plan.dollars_per_month():,.2f} a month; "
        f"{len(plan.protected):,} protected, {len(plan.keep) - len(plan.protected):,} to keep"
    )


def table_rows(plan: CleanupPlan) -> list[dict[str, str | int]]:
    """Return rows of a plan: objects to remove or prune, the largest first, then protected ones."""
    going = sorted([*plan.remove, *plan.prune], key=lambda one: one.bytes, reverse=True)
    return [_row(one, "remove" if one.versions is None else "prune") for one in going[:ROWS]] + [
        _row(one, "keep") for one in plan.protected[: max(0, ROWS - len(going))]
    ]


def markdown_page(bucket: str, plan: CleanupPlan, swept: SweepReport | None) -> str:
    """Return a page on a cleanup, in Markdown: totals, reasons, and the biggest groups.

    Args:
        bucket: The bucket.
        plan: The plan.
        swept: The report of the sweep; None for a dry run.
    """
    going = [*plan.remove, *plan.prune]
    lines = [
        f"# Cleanup of {code(bucket)}" + (" (dry run)" if swept is None else ""),
        "",
        *_table(
            ("", "objects", "bytes", "dollars a month"),
            [
                (
                    "to remove",
                    len(plan.remove),
                    decimal(_bytes(plan.remove)),
                    f"{plan.dollars_per_month():.2f}",
                ),
                ("to prune of old versions", len(plan.prune), decimal(_bytes(plan.prune)), ""),
                ("protected", len(plan.protected), decimal(_bytes(plan.protected)), ""),
                ("to keep, including these", len(plan.keep), decimal(plan.bytes_to_keep), ""),
            ],
        ),
        *_section("Why", ("rule", "objects", "bytes"), by_rule(going)),
        *_chart(going),
        *_section("Protected", ("reason", "objects", "bytes"), by_reason(plan.protected)),
    ]
    if swept is not None:
        lines += _outcome(swept)
    return "\n".join(lines) + "\n"


def by_rule(decisions: Iterable[Decision]) -> list[Group]:
    """Group decisions by the rule that made them, the most bytes first."""
    return _by(decisions, lambda one: one.rule or one.reason)


def by_reason(decisions: Iterable[Decision]) -> list[Group]:
    """Group decisions by their reason, the most bytes first."""
    return _by(decisions, lambda one: one.reason)


def by_origin(decisions: Iterable[Decision]) -> list[Group]:
    """Group decisions by the flow and task of the objects, or their folder, the most bytes first."""
    return _by(decisions, _origin)


def _outcome(swept: SweepReport) -> list[str]:
    counts = f"{len(swept.removed):,} objects removed, {len(swept.pruned):,} pruned"
    freed = f"{decimal(swept.freed_bytes)} freed, in {swept.deleted_versions:,} versions"
    lines = ["", "## Done", "", f"{counts}: {freed}."]
    if swept.changed:
        lines += ["", f"{len(swept.changed):,} stay because they changed since the plan."]
    if swept.protected:
        lines += ["", f"{len(swept.protected):,} stay because they were protected since the plan."]
    if swept.failed:
        lines += ["", f"**{len(swept.failed):,} could not be deleted:**", ""]
        failed = list(swept.failed.items())[:_GROUPS]
        lines += [f"- {code(name)}: {code(reason)}" for name, reason in failed]
    return lines


def _chart(going: Sequence[Decision]) -> list[str]:
    groups = by_origin(going)[:_GROUPS]
    if not groups:
        return []
    largest = groups[0].size or 1
    drawn = [
        (
            code(one.key),
            "█" * max(1, round(_BAR * one.size / largest)),
            decimal(one.size),
            f"{one.objects:,}",
        )
        for one in groups
    ]
    return ["", "## The biggest groups", "", *_table(("group", "", "bytes", "objects"), drawn)]


def _origin(decision: Decision) -> str:
    """Return the flow and task of an object, by its tags, or else its folder."""
    tags = decision.entry.tags or {}
    known = [tags[key] for key in ("flow", "task") if key in tags]
    return " / ".join(known) if known else decision.entry.name.rpartition("/")[0] + "/"


def _by(decisions: Iterable[Decision], of: Callable[[Decision], str]) -> list[Group]:
    """Group decisions by a property, the most bytes first."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for one in decisions:
        counts[of(one)] += 1
        sizes[of(one)] += one.bytes
    return [Group(key, counts[key], size) for key, size in sizes.most_common()]


def _section(title: str, header: tuple[str, ...], found: list[Group]) -> list[str]:
    if not found:
        return []
    cells = [(code(one.key), f"{one.objects:,}", decimal(one.size)) for one in found[:_GROUPS]]
    return ["", f"## {title}", "", *_table(header, cells)]


def _table(header: tuple[str, ...], cells: Sequence[tuple[object, ...]]) -> list[str]:
    lines = [header, tuple("---" for _ in header), *cells]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def _row(decision: Decision, what: str) -> dict[str, str | int]:
    return {
        "object": printable(decision.entry.name),
        "bytes": decision.bytes,
        "decision": what,
        "reason": printable(decision.reason),
    }


def _bytes(decisions: Iterable[Decision]) -> int:
    return sum(decision.bytes for decision in decisions)
