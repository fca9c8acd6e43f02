"""The plan of a cleanup, as a pure function: entries + rules + now -> what goes, what stays, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from s3kv_flows.maintenance.rules import CleanupRule
from s3kv_flows.store.locks import Protection

__all__ = ["CleanupPlan", "Decision", "Entry", "Version", "may_be_removed", "plan"]


@dataclass(frozen=True)
class Version:
    """One version of a key. On a bucket without versions, the object itself."""

    version_id: str | None
    etag: str
    size: int
    last_modified: datetime
    is_delete_marker: bool = False
    protection: Protection | None = None


@dataclass(frozen=True)
class Entry:
    """A key with all its versions, which are removed together or not at all.

    Attributes:
        name: The object name.
        current: What the key reads as.
        older: The versions beneath, which would come back if only the current one were deleted.
        tags: Of the current version; None where nobody asked.
    """

    name: str
    current: Version
    older: tuple[Version, ...] = ()
    tags: Mapping[str, str] | None = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all versions: what removal frees."""
        return sum(version.size for version in (self.current, *self.older))

    @property
    def protection(self) -> Protection | None:
        """What protects the key: a lock on any of its versions."""
        return next((v.protection for v in (self.current, *self.older) if v.protection), None)


@dataclass(frozen=True)
class Decision:
    """What is to happen to an entry, and why.

    Attributes:
        rule: The name of the rule that removes it; None for what stays.
        protected: Whether it stays although a rule would have removed it.
    """

    entry: Entry
    reason: str
    rule: str | None = None
    protected: bool = False


@dataclass(frozen=True)
class CleanupPlan:
    """What a sweep will do, and what it will leave alone."""

    remove: Sequence[Decision] = field(default_factory=list)
    keep: Sequence[Decision] = field(default_factory=list)

    @property
    def bytes_to_free(self) -> int:
        """Bytes of all versions of all that goes."""
        return sum(decision.entry.size for decision in self.remove)

    @property
    def protected(self) -> list[Decision]:
        """What a rule would have removed, were it not protected."""
        return [decision for decision in self.keep if decision.protected]


def plan(
    entries: Iterable[Entry],
    rules: Sequence[CleanupRule],
    now: datetime,
    grace: timedelta,
    *,
    protect_tag: str | None = "keep",
) -> CleanupPlan:
    """Decide, for each entry, whether it goes, and why.

    Args:
        entries: The keys, with tags and locks where :func:`may_be_removed` says that they matter.
        rules: One that removes is enough.
        now: The server's time.
        grace: What is younger is not touched.
        protect_tag: What carries this tag, with any value, is not touched; None for no such tag.
    """
    remove: list[Decision] = []
    keep: list[Decision] = []
    for entry in entries:
        decision = _decide(entry, rules, now, grace, protect_tag)
        (keep if decision.rule is None else remove).append(decision)
    return CleanupPlan(remove, keep)


def may_be_removed(entry: Entry, rules: Sequence[CleanupRule], now: datetime, grace: timedelta) -> bool:
    """Tell, by what a listing shows, whether a rule might remove the entry."""
    return (
        not entry.current.is_delete_marker
        and now - entry.current.last_modified >= grace
        and any(_matches_listing(entry, rule, now) for rule in rules)
    )


def _decide(
    entry: Entry, rules: Sequence[CleanupRule], now: datetime, grace: timedelta, protect_tag: str | None
) -> Decision:
    if entry.current.is_delete_marker:
        return Decision(entry, "deleted already: a delete marker is on top")
    rule = next((rule for rule in rules if _matches(entry, rule, now)), None)
    if rule is None:
        return Decision(entry, "no rule matches")
    age = now - entry.current.last_modified
    if age < grace:
        return Decision(entry, f"younger than the grace period of {grace}", protected=True)
    if entry.protection:
        return Decision(entry, str(entry.protection), protected=True)
    if entry.tags is None and (protect_tag is not None or rule.asks_for_tags):
        return Decision(entry, "its tags are not known", protected=True)
    if protect_tag is not None and protect_tag in (entry.tags or {}):
        return Decision(entry, f"carries the tag {protect_tag!r}", protected=True)
    return Decision(entry, _reason(rule, age), rule=rule.name)


def _matches(entry: Entry, rule: CleanupRule, now: datetime) -> bool:
    tags = entry.tags or {}
    return (
        _matches_listing(entry, rule, now)
        and all(tags.get(key) == value for key, value in rule.tags.items())
        and not any(tags.get(key) == value for key, value in rule.unless_tags.items())
    )


def _matches_listing(entry: Entry, rule: CleanupRule, now: datetime) -> bool:
    return (
        entry.name.startswith(rule.prefix)
        and rule.older_than is not None
        and now - entry.current.last_modified >= rule.older_than
    )


def _reason(rule: CleanupRule, age: timedelta) -> str:
    tagged = "".join(f", {key}={value}" for key, value in rule.tags.items())
    return f"rule {rule.name!r}: {timedelta(seconds=int(age.total_seconds()))} old{tagged}"
