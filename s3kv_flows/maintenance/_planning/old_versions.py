"""What rules take out of the history of a key that stays: old versions, and what marks its deletion.

Deleting a version that is not current never changes what the key reads as. A delete marker goes when nothing
is left beneath it that it could hide, and, like everything, not within the grace period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._planning.conditions import UNKNOWN, PlanContext, whole_seconds
from s3kv_flows.maintenance._rules import CleanupRule

__all__ = ["Pruning", "prune", "unsettled_versions"]


@dataclass(frozen=True)
class Pruning:
    """What goes of a key that stays.

    Attributes:
        versions: Old versions, and delete markers that hide nothing any more.
        reason: Why.
        rule: The name of the rule; None where it is only a delete marker that hides nothing.
    """

    versions: tuple[Version, ...]
    reason: str
    rule: str | None


def prune(entry: Entry, rules: Sequence[CleanupRule], context: PlanContext) -> Pruning | None:
    """Return what goes of a key that stays, None for nothing."""
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
    told = f"rule {by.name!r}: old versions, replaced up to {whole_seconds(oldest)} ago"
    return Pruning(tuple(going), told, by.name)


def unsettled_versions(entry: Entry, rules: Sequence[CleanupRule], context: PlanContext) -> list[Version]:
    """Return the old versions that have to be known better before :func:`prune` can decide about them."""
    found = []
    for version in entry.older:
        matches = [context.matches_version(entry.name, version, rule) for rule in rules]
        protection = context.version_protection(version)
        if (True in matches and protection == UNKNOWN) or (
            None in matches and True not in matches and protection in (None, UNKNOWN)
        ):
            found.append(version)
    return found
