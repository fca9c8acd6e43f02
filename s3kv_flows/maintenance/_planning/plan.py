"""Plan a cleanup: a pure function of entries, rules and the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._planning.matching import UNKNOWN, PlanContext
from s3kv_flows.maintenance._planning.old_versions import prune
from s3kv_flows.maintenance._planning.selection import Selection, select
from s3kv_flows.maintenance._rules import CleanupRule
from s3kv_flows.store._durations import DurationLike, length_before

__all__ = ["GIB_MONTH_DOLLARS", "CleanupPlan", "Decision", "plan"]

GIB_MONTH_DOLLARS = 0.023
"""The price of a GiB per month: S3 Standard in us-east-1, up to 50 TB, in November 2026."""

_KEPT_BY_LISTING = "stays, whatever its tags and locks may be"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a plan does with a key, and why.

    Attributes:
        rule: The name of the rule that removes it; None for a key that stays, and for a lone delete marker.
        protected: Whether it stays although a rule matches.
        versions: The versions to remove of a key that stays; None for its whole version history.
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
        """The versions to remove, if this is a removal."""
        return self.entry.chain if self.versions is None else self.versions

    @property
    def bytes(self) -> int:
        """Bytes that the removal frees."""
        return sum(version.size for version in self.going)


@dataclass(frozen=True)
class CleanupPlan:
    """What a sweep will remove, and what it will keep.

    Attributes:
        remove: Keys to remove with all their versions.
        prune: Keys that stay, or are deleted already, and lose old versions or a delete marker.
        keep: Keys that stay, also those that lose old versions.
        rules: The rules.
        context: The server's time, the grace period and the protect tag.
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
        """The keys of which a sweep deletes any version, by object name."""
        return sorted([*self.remove, *self.prune], key=lambda decision: decision.entry.name)

    @property
    def bytes_to_free(self) -> int:
        """Bytes of all versions to delete."""
        return sum(decision.bytes for decision in (*self.remove, *self.prune))

    @property
    def versions_to_delete(self) -> int:
        """How many versions to delete, including delete markers."""
        return sum(len(decision.going) for decision in (*self.remove, *self.prune))

    @property
    def bytes_to_keep(self) -> int:
        """Bytes of all versions that stay."""
        return sum(decision.entry.size for decision in self.keep) - sum(one.bytes for one in self.prune)

    @property
    def protected(self) -> list[Decision]:
        """Keys that a rule matches, and that stay because they are protected."""
        return [decision for decision in self.keep if decision.protected]

    def dollars_per_month(self, gib_month: float = GIB_MONTH_DOLLARS) -> float:
        """Return what the bytes to free cost a month; deletions themselves are free.

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
    """Decide for each key whether to remove it, and why. A key that cannot be decided stays.

    Args:
        entries: The keys, with tags and locks where
            :func:`~s3kv_flows.maintenance._planning.questions.questions` asks for them.
        rules: One that removes a key is enough; each is evaluated by itself.
        now: The server's time.
        grace: Younger objects stay.
        protect_tag: Objects with this tag stay, whatever its value; None for no such tag.

    Raises:
        ValueError: The grace period has no unit, or a rule has a field that is not supported.
    """
    context, entries = PlanContext(now, length_before(grace, now), protect_tag), list(entries)
    about_objects = [rule for rule in rules if not rule.of_versions]
    about_versions = [rule for rule in rules if rule.of_versions]
    chosen = [(rule, select(entries, rule, context)) for rule in about_objects]
    remove: list[Decision] = []
    pruned: list[Decision] = []
    keep: list[Decision] = []
    for entry in entries:
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
        return Decision(entry, "deleted already: its current version is a delete marker")
    found = [selection.protected[entry.name] for _, selection in chosen if entry.name in selection.protected]
    if protection := next((text for text in found if text != UNKNOWN), None):
        return Decision(entry, protection, protected=True)
    for rule, selection in chosen:
        if exempt := selection.exempt.get(entry.name):
            return Decision(entry, f"rule {rule.name!r}: {exempt}")
    return Decision(entry, _KEPT_BY_LISTING if found else "no rule matches")
