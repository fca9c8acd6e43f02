"""Prune the version history of keys that stay.

Deleting a version that is not current never changes what the key reads as. A delete marker is removed when no
older version is left that it could hide, and, like everything, not within the grace period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._planning.matching import UNKNOWN, PlanContext, whole_seconds
from s3kv_flows.maintenance._rules import CleanupRule

__all__ = ["Pruning", "prune", "undecided_versions"]


@dataclass(frozen=True)
class Pruning:
    """The versions to remove of a key that stays.

    Attributes:
        versions: Old versions, and delete markers that hide nothing any more.
        reason: Why.
        rule: The name of the rule; None for a mere delete marker that hides nothing.
    """

    versions: tuple[Version, ...]
    reason: str
    rule: str | None


def prune(entry: Entry, rules: Sequence[CleanupRule], context: PlanContext) -> Pruning | None:
    """Return what to remove of a key that stays; None for nothing."""
    going: list[Version] = []
    left: list[Version] = []
    by = None
    for version in entry.older:
        rule = next((rule for rule in rules if context.matches_version(entry.name, version, rule)), None)
        if rule is not None and context.version_protection(version) is None:
            going.append(version)
            by = by or rule
        else:
            left.append(version)
    hides_nothing = entry.current.is_delete_marker and all(version.is_delete_marker for version in left)
    if hides_nothing and context.now - entry.current.last_modified >= context.grace:
        going = list(entry.chain)
    if not going:
        return None
    if by is None:
        return Pruning(tuple(going), "a delete marker that hides nothing", None)
    oldest = max(context.now - (version.noncurrent_since or context.now) for version in going)
    reason = f"rule {by.name!r}: old versions, replaced up to {whole_seconds(oldest)} ago"
    return Pruning(tuple(going), reason, by.name)


def undecided_versions(entry: Entry, rules: Sequence[CleanupRule], context: PlanContext) -> list[Version]:
    """Return the old versions that :func:`prune` can only decide about after a lookup."""
    found = []
    for version in entry.older:
        matches = [context.matches_version(entry.name, version, rule) for rule in rules]
        protection = context.version_protection(version)
        if (True in matches and protection == UNKNOWN) or (
            None in matches and True not in matches and protection in (None, UNKNOWN)
        ):
            found.append(version)
    return found
