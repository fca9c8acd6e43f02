"""What has to be asked before a plan can decide: as little as will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3kv_flows.maintenance._entries import Entry
from s3kv_flows.maintenance._planning.conditions import PlanContext, is_expired
from s3kv_flows.maintenance._planning.old_versions import unsettled_versions
from s3kv_flows.maintenance._planning.selection import unsettled
from s3kv_flows.maintenance._rules import CleanupRule

__all__ = ["Question", "questions"]


@dataclass(frozen=True, slots=True)
class Question:
    """What to find out about a key.

    Attributes:
        entry: The key, as it is known.
        whole: Whether the key itself might go; otherwise it is about old versions alone.
        tags: Whether tags may matter.
        ttl: Whether the exact time to live does.
        versions: The ids of the old versions that might go by themselves.
    """

    entry: Entry
    whole: bool
    tags: bool
    ttl: bool = False
    versions: frozenset[str | None] = frozenset()


def questions(entries: Sequence[Entry], rules: Sequence[CleanupRule], context: PlanContext) -> list[Question]:
    """Return what :func:`~s3kv_flows.maintenance._planning.plan.plan` has to know, and does not, yet.

    Answers may raise further questions: ask until there are none. A key that one rule removes for sure is
    asked about no more.
    """
    about_objects = [rule for rule in rules if not rule.of_versions]
    about_versions = [rule for rule in rules if rule.of_versions]
    tags = context.protect_tag is not None or any(rule.asks_for_tags for rule in rules)
    expires = any(rule.expired for rule in about_objects)
    open_ones: dict[str, Entry] = {}
    for rule in about_objects:
        for entry in unsettled(entries, rule, context):
            open_ones.setdefault(entry.name, entry)
    found = []
    for entry in entries:
        whole = entry.name in open_ones
        ids: frozenset[str | None] = frozenset()
        if about_versions and entry.older and not whole:  # of what goes whole, nothing else matters
            ids = frozenset(one.version_id for one in unsettled_versions(entry, about_versions, context))
        if not whole and not ids:
            continue
        if _goes_surely(entry, about_objects, context):
            continue
        ttl = whole and expires and entry.current.tags is not None and is_expired(entry, context.now) is None
        found.append(Question(entry, whole, tags, ttl, ids))
    return found


def _goes_surely(entry: Entry, rules: Sequence[CleanupRule], context: PlanContext) -> bool:
    """Tell whether a rule that counts nothing removes the key, by what is known."""
    return context.protection(entry) is None and any(
        not rule.counts and context.matches(entry, rule) for rule in rules
    )
