"""The plan of a cleanup, as a pure function: entries + rules + now -> what goes, what stays, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._planning.conditions import UNKNOWN, PlanContext
from s3kv_flows.maintenance._planning.old_versions import prune
from s3kv_flows.maintenance._planning.selection import Selection, select
from s3kv_flows.maintenance._rules import CleanupRule
from s3kv_flows.store._durations import DurationLike, length_before

__all__ = ["GIB_MONTH_DOLLARS", "CleanupPlan", "Decision", "plan"]

GIB_MONTH_DOLLARS = 0.023
"""What a GiB costs a month: S3 Standard in us-east-1, up to 50 TB, in November 2026."""

_SETTLED_BY_LISTING = "stays, whatever its tags and locks may be"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen to a key, and why.

    Attributes:
        rule: The name of the rule that removes; None for what stays, and for a lone delete marker.
        protected: Whether it stays although a rule matches.
        versions: What goes of a key that stays; None for its whole chain.
        by_tags: Whether tags decided: a sweep reads them again.
    """

    entry: Entry
    reason: str
    rule: str | None = None
    protected: bool = False
    versions: tuple[Version, ...] | None = None
    by_tags: bool = False

    @property
    def going(self) -> tuple[Version, ...]:
        """The versions that go, where this is a removal."""
        return self.entry.chain if self.versions is None else self.versions

    @property
    def bytes(self) -> int:
        """Bytes that removal frees."""
        return sum(version.size for version in self.going)


@dataclass(frozen=True)
class CleanupPlan:
    """What a sweep will do, and what it will leave alone.

    Attributes:
        remove: Keys that go, with all their versions.
        prune: Keys that stay, or are deleted already, and lose old versions or a delete marker.
        keep: Keys that stay, also those that lose old versions.
        rules: The rules.
        context: The moment, the grace period and the protect tag.
        selections: What each rule about objects selects by itself, by its name.
    """

    remove: Sequence[Decision] = field(default_factory=list)
    prune: Sequence[Decision] = field(default_factory=list)
    keep: Sequence[Decision] = field(default_factory=list)
    rules: Sequence[CleanupRule] = ()
    context: PlanContext | None = None
    selections: Mapping[str, Selection] = field(default_factory=dict, repr=False, compare=False)

    @property
    def removals(self) -> list[Decision]:
        """All that a sweep deletes something of, by object name."""
        return sorted([*self.remove, *self.prune], key=lambda decision: decision.entry.name)

    @property
    def bytes_to_free(self) -> int:
        """Bytes of all versions that go."""
        return sum(decision.bytes for decision in (*self.remove, *self.prune))

    @property
    def versions_to_delete(self) -> int:
        """How many versions go, with delete markers."""
        return sum(len(decision.going) for decision in (*self.remove, *self.prune))

    @property
    def bytes_to_keep(self) -> int:
        """Bytes of all versions of all that is there, less what goes."""
        return sum(decision.entry.size for decision in self.keep) - sum(one.bytes for one in self.prune)

    @property
    def protected(self) -> list[Decision]:
        """What a rule matches, and does not remove because it is protected."""
        return [decision for decision in self.keep if decision.protected]

    def dollars_per_month(self, gib_month: float = GIB_MONTH_DOLLARS) -> float:
        """Return what the bytes that go cost a month; deletions themselves are free.

        Args:
            gib_month: The price of a GiB for a month.
        """
        return self.bytes_to_free / 2**30 * gib_month


def plan(
    entries: Iterable[Entry],
    rules: Sequence[CleanupRule],
    now: datetime,
    grace: DurationLike,
    *,
    protect_tag: str | None = "keep",
) -> CleanupPlan:
    """Decide, for each key, whether it goes, and why. What cannot be told stays.

    Args:
        entries: The keys, with tags and locks where
            :func:`~s3kv_flows.maintenance._planning.questions.questions` says that they matter.
        rules: One that removes is enough; each is reckoned by itself.
        now: The server's time.
        grace: What is younger is not touched.
        protect_tag: What carries this tag, with any value, is not touched; None for no such tag.

    Raises:
        ValueError: The grace period has no unit, or a rule a field that is not understood here.
    """
    context, there = PlanContext(now, length_before(grace, now), protect_tag), list(entries)
    about_objects = [rule for rule in rules if not rule.of_versions]
    about_versions = [rule for rule in rules if rule.of_versions]
    chosen = [(rule, select(there, rule, context)) for rule in about_objects]
    remove: list[Decision] = []
    pruned: list[Decision] = []
    keep: list[Decision] = []
    for entry in there:
        decision = _removal(entry, chosen, context)
        if decision is not None:
            remove.append(decision)
            continue
        keep.append(_kept(entry, chosen))
        if pruning := prune(entry, about_versions, context):
            by_tags = protect_tag is not None or any(rule.asks_for_tags for rule in about_versions)
            pruned.append(
                Decision(entry, pruning.reason, pruning.rule, versions=pruning.versions, by_tags=by_tags)
            )
    by_name = {rule.name: selection for rule, selection in chosen}
    return CleanupPlan(remove, pruned, keep, tuple(rules), context, by_name)


def _removal(
    entry: Entry, chosen: list[tuple[CleanupRule, Selection]], context: PlanContext
) -> Decision | None:
    for rule, selection in chosen:
        reason = selection.removed.get(entry.name)
        if reason is not None:
            by_tags = context.protect_tag is not None or rule.asks_for_tags
            return Decision(entry, reason, rule.name, by_tags=by_tags)
    return None


def _kept(entry: Entry, chosen: list[tuple[CleanupRule, Selection]]) -> Decision:
    if entry.current.is_delete_marker:
        return Decision(entry, "deleted already: a delete marker is on top")
    found = [selection.protected[entry.name] for _, selection in chosen if entry.name in selection.protected]
    if protection := next((text for text in found if text != UNKNOWN), None):
        return Decision(entry, protection, protected=True)
    for rule, selection in chosen:
        if exempt := selection.exempt.get(entry.name):
            return Decision(entry, f"rule {rule.name!r}: {exempt}")
    return Decision(entry, _SETTLED_BY_LISTING if found else "no rule matches")
