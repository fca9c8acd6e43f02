"""Select what one rule removes, with its counts and byte budgets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from s3kv_flows.maintenance._entries import Entry
from s3kv_flows.maintenance._planning.matching import UNKNOWN, PlanContext, whole_seconds
from s3kv_flows.maintenance._rules import CleanupRule

__all__ = ["Selection", "select", "undecided"]

_Candidate = tuple[Entry, bool | None, str | None]
"""An entry, whether the rule matches it, and what protects it."""


@dataclass
class Selection:
    """What one rule does with the keys it matches, by object name.

    Attributes:
        removed: Keys to remove, with the reason.
        exempt: Keys that match and stay because of the rule itself, with the reason.
        protected: Keys that match and are protected, with the protection.
    """

    removed: dict[str, str] = field(default_factory=dict)
    exempt: dict[str, str] = field(default_factory=dict)
    protected: dict[str, str] = field(default_factory=dict)


def select(entries: Iterable[Entry], rule: CleanupRule, context: PlanContext) -> Selection:
    """Return what a rule about objects does. A key that cannot be decided is treated as protected."""
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


def undecided(entries: Sequence[Entry], rule: CleanupRule, context: PlanContext) -> list[Entry]:
    """Return the entries that :func:`select` can only decide about after a lookup.

    Entries that stay by the listing alone are left out. For a byte budget that the listing can compute, only
    as many of the oldest as need to be removed; if tags decide what counts, all that might match, also the
    protected.
    """
    candidates: list[_Candidate] = [
        (entry, matches, context.protection(entry))
        for entry in entries
        if (matches := context.matches(entry, rule)) is not False
    ]
    might_go = [one for one in candidates if one[2] in (None, UNKNOWN)]
    if rule.keep_last is not None and len(might_go) <= rule.keep_last:
        return []
    if rule.max_bytes is not None:
        excess = sum(entry.size for entry, _, _ in candidates) - rule.max_bytes
        if excess <= 0:
            return []
        if not rule.asks_for_tags and rule.keep_last is None:
            known_to_stay = sum(
                one[2] not in (None, UNKNOWN) and context.is_past_grace(one[0]) for one in candidates
            )
            might_go = _oldest_of(might_go, excess, known_to_stay)
        else:
            unmatched = [one for one in candidates if one[1] is None and one[2] not in (None, UNKNOWN)]
            might_go = might_go + unmatched
    wants_group = rule.group_by is not None
    return [
        entry
        for entry, matches, protection in might_go
        if matches is None or protection == UNKNOWN or (wants_group and entry.current.tags is None)
    ]


def _oldest_of(might_go: list[_Candidate], excess: int, known_to_stay: int) -> list[_Candidate]:
    """Return as many of the oldest as need to be removed, plus one for each that lookups found to stay.

    Keys with a lasting protection are always the oldest. So the number of rounds grows with the logarithm of
    their number.
    """
    oldest_first = sorted(might_go, key=lambda one: _by_age(one[0]))
    needed = 0
    while needed < len(oldest_first) and excess > 0:
        excess -= oldest_first[needed][0].size
        needed += 1
    if all(protection != UNKNOWN for _, _, protection in oldest_first[:needed]):
        return []
    return oldest_first[: needed + known_to_stay]


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
    parts = [f"{whole_seconds(context.now - entry.current.last_modified)} old"]
    parts += [f"{key}={value}" for key, value in rule.tags.items()]
    if rule.expired:
        parts.append("expired")
    if rule.keep_last is not None:
        parts.append(f"beyond the {rule.keep_last} newest")
    return f"rule {rule.name!r}: {', '.join(parts)}"
