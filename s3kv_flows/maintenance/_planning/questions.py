"""Find which lookups a plan needs, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3kv_flows.maintenance._entries import Entry
from s3kv_flows.maintenance._planning.matching import PlanContext, is_expired
from s3kv_flows.maintenance._planning.old_versions import undecided_versions
from s3kv_flows.maintenance._planning.selection import undecided
from s3kv_flows.maintenance._rules import CleanupRule

__all__ = ["Question", "questions"]


@dataclass(frozen=True, slots=True)
class Question:
    """What to look up about a key.

    Attributes:
        entry: The key, with what is known of it.
        whole: Whether the key itself might be removed; otherwise only old versions might.
        tags: Whether tags may matter.
        ttl: Whether the exact time to live matters.
        versions: The ids of the old versions that might be removed by themselves.
    """

    entry: Entry
    whole: bool
    tags: bool
    ttl: bool = False
    versions: frozenset[str | None] = frozenset()


def questions(entries: Sequence[Entry], rules: Sequence[CleanupRule], context: PlanContext) -> list[Question]:
    """Return what :func:`~s3kv_flows.maintenance._planning.plan.plan` needs to know, and does not know yet.

    Answers may raise further questions: repeat until none are left. There are no more questions about a key
    that one rule removes in any case.
    """
    about_objects = [rule for rule in rules if not rule.of_versions]
    about_versions = [rule for rule in rules if rule.of_versions]
    tags = context.protect_tag is not None or any(rule.asks_for_tags for rule in rules)
    expires = any(rule.expired for rule in about_objects)
    undecided_keys: set[str] = set()
    for rule in about_objects:
        for entry in undecided(entries, rule, context):
            undecided_keys.add(entry.name)
    found = []
    for entry in entries:
        whole = entry.name in undecided_keys
        ids: frozenset[str | None] = frozenset()
        if about_versions and entry.older and not whole:
            ids = frozenset(one.version_id for one in undecided_versions(entry, about_versions, context))
        if not whole and not ids:
            continue
        if _is_removed_anyway(entry, about_objects, context):
            continue
        ttl = whole and expires and entry.current.tags is not None and is_expired(entry, context.now) is None
        found.append(Question(entry, whole, tags, ttl, ids))
    return found


def _is_removed_anyway(entry: Entry, rules: Sequence[CleanupRule], context: PlanContext) -> bool:
    """Return whether a rule that counts nothing removes the key, by what is known."""
    return context.protection(entry) is None and any(
        not rule.counts and context.matches(entry, rule) for rule in rules
    )
