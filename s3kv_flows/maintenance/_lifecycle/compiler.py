"""Compile cleanup rules to lifecycle rules, as far as S3 allows.

A compiled rule expires what the cleanup rule would remove, or less, and not sooner. A rule that S3 cannot
express is left to the sweep, with the reason, and so is a rule with a field that is not supported here. S3
counts in days: everything is rounded up to them, a month to 31 and a year to 366.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from s3kv_flows.maintenance._inventory.listing import namespaces
from s3kv_flows.maintenance._lifecycle.ids import rule_id
from s3kv_flows.maintenance._rules import CleanupRule, unknown_fields
from s3kv_flows.store._durations import (
    CalendarDuration,
    DurationLike,
    format_duration,
    longest,
    parse_duration,
)
from s3kv_flows.store._layout.keys import Namespace
from s3kv_flows.store._layout.tags import MAX_TAGS
from s3kv_flows.store._layout.ttl import TTL_CLASSES, TTL_TAG, ttl_of_tags

__all__ = ["MAX_RULES", "CompiledLifecycle", "compile_rules"]

MAX_RULES = 1000
"""The most lifecycle rules that S3 takes per bucket."""

_DAY = timedelta(days=1)
_KINDS = ("values", "results", "checkpoints")
_WITHOUT_TTL = "checkpoints"
"""The kind of objects that carry no time to live."""

_EXPRESSED = frozenset({"name", "prefix", "tags", "larger_than", "older_than", "expired", "noncurrent_after"})
_REFUSED = frozenset({"unless_tags", "keep_last", "group_by", "max_bytes"})
"""The fields that S3 cannot express; each has its reason in ``obstacles``."""


@dataclass(frozen=True)
class CompiledLifecycle:
    """The lifecycle rules for S3, and what remains for the sweep.

    Attributes:
        rules: Lifecycle rules, as boto3 takes them.
        inexpressible: Why S3 cannot carry out a rule, by its name: only a sweep can.
        notes: How the lifecycle rules differ from a sweep.
    """

    rules: tuple[dict[str, Any], ...] = ()
    inexpressible: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def compile_rules(
    rules: Sequence[CleanupRule],
    *,
    prefix: str = "s3kv/",
    versioned: bool,
    object_lock: bool,
    protect_tag: str | None = "keep",
    grace: DurationLike = timedelta(hours=1),
    housekeeping: bool = True,
) -> CompiledLifecycle:
    """Return the lifecycle rules for those cleanup rules that S3 can express.

    Args:
        rules: The cleanup rules.
        prefix: The prefix of the names of values; results and checkpoints lie beside them.
        versioned: Whether the bucket has versions, also if versioning is suspended.
        object_lock: Whether it has Object Lock: no current version expires then, since a delete marker would
            hide a finalized output.
        protect_tag: The tag that spares an object from all rules. S3 does not support it: with a tag, no rule
            is expressible; None says that no object carries such a tag.
        grace: Younger objects stay.
        housekeeping: Whether to add rules for what a sweep always does: abort incomplete uploads, and remove
            delete markers that hide nothing.

    Raises:
        ValueError: Two rules have the same name, they take more than 1,000 lifecycle rules, or the grace
            period has no unit.
    """
    if len({rule.name for rule in rules}) < len(rules):
        raise ValueError("two rules have the same name")
    least = longest(parse_duration(grace))
    compiler = _Compiler(Namespace(prefix), versioned or object_lock, object_lock, protect_tag, least)
    made: list[dict[str, Any]] = []
    inexpressible: dict[str, str] = {}
    for rule in rules:
        if reasons := list(compiler.obstacles(rule)):
            inexpressible[rule.name] = "; ".join(reasons)
        else:
            made += compiler.compile(rule)
    expressed = [rule for rule in rules if rule.name not in inexpressible]
    if housekeeping:
        made += compiler.housekeeping()
    if len(made) > MAX_RULES:
        raise ValueError(f"these rules need {len(made):,} lifecycle rules; S3 takes {MAX_RULES:,} per bucket")
    return CompiledLifecycle(tuple(made), inexpressible, tuple(compiler.notes(expressed)))


@dataclass(frozen=True)
class _Compiler:
    values: Namespace
    versioned: bool
    object_lock: bool
    protect_tag: str | None
    grace: timedelta

    def obstacles(self, rule: CleanupRule) -> Iterator[str]:
        """Yield why S3 cannot carry out a rule; nothing if it can."""
        if self.protect_tag is not None:
            yield (
                f"S3 cannot spare objects with the tag {self.protect_tag!r}: if there are none, give "
                "no protect tag"
            )
        for name in unknown_fields(rule, _EXPRESSED | _REFUSED):
            yield f"a field that is not supported in lifecycle rules ({name})"
        if rule.unless_tags:
            yield "S3 cannot exclude objects with a tag (unless_tags)"
        if rule.keep_last is not None:
            yield "S3 does not count objects (keep_last)"
        if rule.group_by is not None:
            yield "S3 does not group objects by a tag (group_by)"
        if rule.max_bytes is not None:
            yield "S3 does not support a budget of bytes (max_bytes)"
        if rule.of_versions:
            yield from self._obstacles_of_versions(rule)
        elif self.object_lock:
            yield "in a bucket with Object Lock, S3 would hide finalized outputs behind delete markers"
        yield from self._obstacles_of_matching(rule)

    def _obstacles_of_versions(self, rule: CleanupRule) -> Iterator[str]:
        if rule.older_than is not None:
            yield "S3 counts from when a version was replaced, not from when it was written (older_than)"
        if not self.versioned:
            yield "the bucket has no versions, so there are no old ones (noncurrent_after)"

    def _obstacles_of_matching(self, rule: CleanupRule) -> Iterator[str]:
        if not list(self._prefixes(rule)):
            what = "with a time to live" if rule.expired else "of the store"
            yield f"no object {what} has a name that begins with {rule.prefix!r}"
        if not rule.expired:
            return
        if TTL_TAG in rule.tags and ttl_of_tags(rule.tags) is None:
            yield f"{rule.tags[TTL_TAG]!r} is not a class of days ({TTL_TAG})"
        if len({*rule.tags, TTL_TAG}) > MAX_TAGS:
            yield f"with {TTL_TAG}, the rule asks for more tags than the {MAX_TAGS} an object can have"

    # --- rules ---------------------------------------------------------------------------------

    def compile(self, rule: CleanupRule) -> Iterator[dict[str, Any]]:
        """Yield the lifecycle rules for a rule: one per namespace, and per class of lifetimes."""
        for kind, prefix in self._prefixes(rule):
            if rule.noncurrent_after is not None:
                days = self._days(rule.noncurrent_after)
                action = {"NoncurrentVersionExpiration": {"NoncurrentDays": days}}
                yield self._rule(rule.name, kind, _filter(prefix, rule.tags, rule.larger_than), action)
                continue
            older_than = rule.older_than or timedelta(0)
            if not rule.expired:
                action = {"Expiration": {"Days": self._days(older_than)}}
                yield self._rule(rule.name, kind, _filter(prefix, rule.tags, rule.larger_than), action)
                continue
            for ttl in _classes(rule):
                tags = {**rule.tags, TTL_TAG: ttl}
                ends = ttl_of_tags(tags) or timedelta(0)
                action = {"Expiration": {"Days": self._days(ends, older_than)}}
                where = _filter(prefix, tags, rule.larger_than)
                yield self._rule(rule.name, f"{kind} {TTL_TAG}={ttl}", where, action)

    def housekeeping(self) -> Iterator[dict[str, Any]]:
        """Yield rules for what a sweep always does; S3 takes no tags and no sizes with them."""
        for kind, space in zip(_KINDS, namespaces(self.values), strict=True):
            where = {"Prefix": space.prefix}
            abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": self._days()}}
            yield self._rule("", f"unfinished uploads of {kind}", where, abort)
            if self.versioned:
                lone_markers = {"Expiration": {"ExpiredObjectDeleteMarker": True}}
                yield self._rule("", f"lone delete markers of {kind}", where, lone_markers)

    def _rule(
        self, name: str, part: str, where: dict[str, Any], action: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        identity = rule_id(self.values.prefix, name, part)
        return {"ID": identity, "Status": "Enabled", "Filter": where, **action}

    def _prefixes(self, rule: CleanupRule) -> Iterator[tuple[str, str]]:
        """Yield kind and prefix of the objects that a rule can match."""
        for kind, space in zip(_KINDS, namespaces(self.values), strict=True):
            shorter, longer = sorted((rule.prefix, space.prefix), key=len)
            if longer.startswith(shorter) and not (rule.expired and kind == _WITHOUT_TTL):
                yield kind, longer

    def _days(self, *spans: timedelta | CalendarDuration) -> int:
        return max(1, *(-(-longest(span) // _DAY) for span in (self.grace, *spans)))

    # --- in words ------------------------------------------------------------------------------

    def notes(self, rules: Sequence[CleanupRule]) -> Iterator[str]:
        """Yield how the lifecycle rules for these rules differ from a sweep."""
        for rule in rules:
            for name in ("older_than", "noncurrent_after"):
                span = getattr(rule, name)
                if span is not None and (days := self._days(span)) * _DAY != span:
                    shown = format_duration(span)
                    yield f"rule {rule.name!r}: {name} of {shown} counts as {days} day{'s' * (days != 1)}"
        if rules:
            yield "S3 acts at the following midnight (UTC), or later"
        if any(kind == "values" for rule in rules for kind, _ in self._prefixes(rule)):
            yield (
                f"S3 cannot match the suffix {self.values.suffix!r} of values: the rules apply to every "
                f"object below {self.values.prefix!r}"
            )
        if any(rule.expired for rule in rules):
            yield "a result expires by its class of days, not by its exact time to live"
        expiring = [rule for rule in rules if not rule.of_versions]
        if expiring:
            yield "S3 ignores leases: a result also expires while a run computes it again"
        if expiring and self.versioned:
            yield (
                "the bucket has versions: an expired object is hidden behind a delete marker, and its bytes "
                "are freed by a rule with noncurrent_after, or by the sweep"
            )


def _classes(rule: CleanupRule) -> list[str]:
    """Return the values of the tag that an expired object may carry."""
    return [rule.tags[TTL_TAG]] if TTL_TAG in rule.tags else [str(days) for days in TTL_CLASSES]


def _filter(prefix: str, tags: Mapping[str, str], larger_than: int | None) -> dict[str, Any]:
    if not tags and larger_than is None:
        return {"Prefix": prefix}
    conditions: dict[str, Any] = {"Prefix": prefix}
    if tags:
        conditions["Tags"] = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    if larger_than is not None:
        conditions["ObjectSizeGreaterThan"] = larger_than
    return {"And": conditions}
