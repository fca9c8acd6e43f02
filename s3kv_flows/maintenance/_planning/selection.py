"""What one rule takes out of all entries: its matching set, less what counts and budgets leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from s3kv_flows.maintenance._entries import Entry
from s3kv_flows.maintenance._planning.conditions import UNKNOWN, PlanContext, whole_seconds
from s3kv_flows.maintenance._rules import CleanupRule

__all__ = ["Selection", "select", "unsettled"]

_Judged = tuple[Entry, bool | None, str | None]
"""An entry, whether the rule matches, and what protects it."""


@dataclass
class Selection:
    """What a rule does with the entries. Names are object names.

    Attributes:
        removed: What goes, with the reason.
        exempt: What matches and stays, because of the rule itself, with the reason.
        protected: What matches, and what protects it.
    """

    removed: dict[str, str] = field(default_factory=dict)
    exempt: dict[str, str] = field(default_factory=dict)
    protected: dict[str, str] = field(default_factory=dict)


def select(entries: Iterable[Entry], rule: CleanupRule, context: PlanContext) -> Selection:
    """Return what a rule about objects does. What cannot be told is treated as protected."""
    chosen, free, total = Selection(), [], 0
    for entry in entries:
        matches = context.matches(entry, rule)
        if matches is False:
            continue
        protection = context.protection(entry) if matches else UNKNOWN
        total += entry.size if matches else 0
        if protection:
            chosen.protected[entry.name] = protection
        else:
            free.append(entry)
    if rule.keep_last is not None:
        free = _beyond_the_newest(free, rule, chosen)
    if rule.max_bytes is not None:
        _remove_until_it_fits(free, total, rule, chosen, context)
    else:
        for entry in free:
            chosen.removed[entry.name] = _reason(entry, rule, context)
    return chosen


def unsettled(entries: Sequence[Entry], rule: CleanupRule, context: PlanContext) -> list[Entry]:
    """Return the entries that have to be known better before :func:`select` can decide about them.

    Nothing for what the listing decides to keep. Of a budget that a listing can reckon, only as many of
    the oldest as have to go; where tags decide what counts, all that might match, also the protected.
    """
    possible: list[_Judged] = [
        (entry, matches, context.protection(entry))
        for entry in entries
        if (matches := context.matches(entry, rule)) is not False
    ]
    might_go = [one for one in possible if one[2] in (None, UNKNOWN)]
    if rule.keep_last is not None and len(might_go) <= rule.keep_last:
        return []
    if rule.max_bytes is not None:
        excess = sum(entry.size for entry, _, _ in possible) - rule.max_bytes
        if excess <= 0:
            return []
        if not rule.asks_for_tags and rule.keep_last is None:
            met = sum(judged[2] not in (None, UNKNOWN) and context.is_asked(judged[0]) for judged in possible)
            might_go = _oldest_of(might_go, excess, met)
        else:
            unmatched = [one for one in possible if one[1] is None and one[2] not in (None, UNKNOWN)]
            might_go = might_go + unmatched
    wants_group = rule.group_by is not None
    return [
        entry
        for entry, matches, protection in might_go
        if matches is None or protection == UNKNOWN or (wants_group and entry.current.tags is None)
    ]


def _oldest_of(might_go: list[_Judged], excess: int, met: int) -> list[_Judged]:
    """Return as many of the oldest as have to go; if asking has shown some to stay, as many more again.

    What is protected for good is always the oldest. So the number of rounds grows with the logarithm of how
    much that is.
    """
    oldest_first = sorted(might_go, key=lambda one: _by_age(one[0]))
    needed = 0
    while needed < len(oldest_first) and excess > 0:
        excess -= oldest_first[needed][0].size
        needed += 1
    if all(protection != UNKNOWN for _, _, protection in oldest_first[:needed]):
        return []
    return oldest_first[: needed + met]


def _beyond_the_newest(free: list[Entry], rule: CleanupRule, chosen: Selection) -> list[Entry]:
    groups: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in free:
        groups[(entry.current.tags or {}).get(rule.group_by) if rule.group_by else None].append(entry)
    beyond = []
    for value, members in groups.items():
        members.sort(key=lambda entry: (-entry.current.last_modified.timestamp(), entry.name))
        of = f" with {rule.group_by}={value}" if value is not None else ""
        of = of or (f" without a tag {rule.group_by!r}" if rule.group_by else "")
        for entry in members[: rule.keep_last]:
            chosen.exempt[entry.name] = f"among the {rule.keep_last} newest{of}"
        beyond += members[rule.keep_last :]
    return beyond


def _remove_until_it_fits(
    free: list[Entry], total: int, rule: CleanupRule, chosen: Selection, context: PlanContext
) -> None:
    budget = rule.max_bytes or 0
    over = total
    for entry in sorted(free, key=_by_age):
        if over > budget:
            chosen.removed[entry.name] = (
                f"{_reason(entry, rule, context)}; {total:,} bytes match, of {budget:,}"
            )
            over -= entry.size
        else:
            chosen.exempt[entry.name] = f"fits into {budget:,} bytes"


def _by_age(entry: Entry) -> tuple[float, str]:
    return entry.current.last_modified.timestamp(), entry.name


def _reason(entry: Entry, rule: CleanupRule, context: PlanContext) -> str:
    told = [f"{whole_seconds(context.now - entry.current.last_modified)} old"]
    told += [f"{key}={value}" for key, value in rule.tags.items()]
    if rule.expired:
        told.append("expired")
    if rule.keep_last is not None:
        told.append(f"beyond the {rule.keep_last} newest")
    return f"rule {rule.name!r}: {', '.join(told)}"
