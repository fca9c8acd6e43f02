"""What a cleanup shows of itself: rows of a table, and a page in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.filesize import decimal

from s3kv_flows.maintenance import CleanupPlan, Decision, SweepReport

__all__ = ["ROWS", "Group", "by_kin", "by_reason", "by_rule", "page", "rows", "told"]

ROWS = 1000
"""Rows of a table: more than a person reads."""


class Group(NamedTuple):
    """Decisions that have a property in common."""

    key: str
    objects: int
    size: int


_GROUPS = 12
_BAR = 24


def told(plan: CleanupPlan) -> str:
    """Return what a plan comes to, in a line."""
    pruned = f", {len(plan.prune):,} to prune" if plan.prune else ""
    return (
        f"{len(plan.remove):,} objects to remove{pruned}, {plan.bytes_to_free:,} bytes in "
        f"{plan.versions_to_delete:,} versions, ${plan.dollars_per_month():,.2f} a month; "
        f"{len(plan.protected):,} protected, {len(plan.keep) - len(plan.protected):,} to keep"
    )


def rows(plan: CleanupPlan) -> list[dict[str, str | int]]:
    """Return the rows of a plan: what goes, the largest first, and what is protected."""
    going = sorted([*plan.remove, *plan.prune], key=lambda one: one.bytes, reverse=True)
    return [_row(one, "remove" if one.versions is None else "prune") for one in going[:ROWS]] + [
        _row(one, "keep") for one in plan.protected[: max(0, ROWS - len(going))]
    ]


def page(bucket: str, plan: CleanupPlan, swept: SweepReport | None) -> str:
    """Return the page of a cleanup, in Markdown: what, why, how much, and the biggest groups.

    Args:
        bucket: The bucket.
        plan: The plan.
        swept: What the sweep did; None of a dry run.
    """
    going = [*plan.remove, *plan.prune]
    lines = [
        f"# Cleanup of `{bucket}`" + (" (dry run)" if swept is None else ""),
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
                ("to keep, with these", len(plan.keep), decimal(plan.bytes_to_keep), ""),
            ],
        ),
        *_section("Why", ("rule", "objects", "bytes"), by_rule(going)),
        *_chart(going),
        *_section("What protects", ("reason", "objects", "bytes"), by_reason(plan.protected)),
    ]
    if swept is not None:
        lines += _outcome(swept)
    return "\n".join(lines) + "\n"


def by_rule(decisions: Iterable[Decision]) -> list[Group]:
    """Return decisions by the rule that made them, the most bytes first."""
    return _by(decisions, lambda one: one.rule or one.reason)


def by_reason(decisions: Iterable[Decision]) -> list[Group]:
    """Return decisions by what they say, the most bytes first."""
    return _by(decisions, lambda one: one.reason)


def by_kin(decisions: Iterable[Decision]) -> list[Group]:
    """Return decisions by what people know the objects by, the most bytes first."""
    return _by(decisions, _kin)


def _outcome(swept: SweepReport) -> list[str]:
    done = f"{len(swept.removed):,} objects removed, {len(swept.pruned):,} pruned"
    freed = f"{decimal(swept.freed_bytes)} freed, in {swept.deleted_versions:,} versions"
    lines = ["", "## Done", "", f"{done}: {freed}."]
    if swept.changed:
        lines += ["", f"{len(swept.changed):,} stay because they changed since the plan."]
    if swept.protected:
        lines += ["", f"{len(swept.protected):,} stay because they were protected since the plan."]
    if swept.failed:
        lines += ["", f"**{len(swept.failed):,} could not be deleted:**", ""]
        lines += [f"- `{name}`: {reason}" for name, reason in list(swept.failed.items())[:_GROUPS]]
    return lines


def _chart(going: Sequence[Decision]) -> list[str]:
    groups = by_kin(going)[:_GROUPS]
    if not groups:
        return []
    largest = groups[0].size or 1
    drawn = [
        (
            f"`{one.key}`",
            "█" * max(1, round(_BAR * one.size / largest)),
            decimal(one.size),
            f"{one.objects:,}",
        )
        for one in groups
    ]
    return ["", "## The biggest groups", "", *_table(("group", "", "bytes", "objects"), drawn)]


def _kin(decision: Decision) -> str:
    """Return what people know an object by: its flow and task, or else its folder."""
    tags = decision.entry.tags or {}
    known = [tags[key] for key in ("flow", "task") if key in tags]
    return " / ".join(known) if known else decision.entry.name.rpartition("/")[0] + "/"


def _by(decisions: Iterable[Decision], of: Callable[[Decision], str]) -> list[Group]:
    """Return decisions by a property of them, the most bytes first."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for one in decisions:
        counts[of(one)] += 1
        sizes[of(one)] += one.bytes
    return [Group(key, counts[key], size) for key, size in sizes.most_common()]


def _section(title: str, header: tuple[str, ...], found: list[Group]) -> list[str]:
    if not found:
        return []
    cells = [(one.key, f"{one.objects:,}", decimal(one.size)) for one in found[:_GROUPS]]
    return ["", f"## {title}", "", *_table(header, cells)]


def _table(header: tuple[str, ...], cells: Sequence[tuple[object, ...]]) -> list[str]:
    lines = [header, tuple("---" for _ in header), *cells]
    return [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def _row(decision: Decision, what: str) -> dict[str, str | int]:
    return {
        "object": decision.entry.name,
        "bytes": decision.bytes,
        "decision": what,
        "reason": decision.reason,
    }


def _bytes(decisions: Iterable[Decision]) -> int:
    return sum(decision.bytes for decision in decisions)
