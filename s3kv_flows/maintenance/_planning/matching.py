"""Evaluate the conditions of rules and the protection of keys, three-valued.

Answers are True, False, and None if the facts looked up so far do not decide; a survey then looks up more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.maintenance._rules import CleanupRule, unknown_fields
from s3kv_flows.store._durations import CalendarDuration, format_duration, length_before
from s3kv_flows.store._layout.ttl import TTL_TAG, least_ttl, ttl_of_tags

__all__ = ["UNKNOWN", "PlanContext", "is_expired"]

UNKNOWN = "what protects it is not known"
"""The reason given for keys that may be protected, and therefore stay."""

_OF_ALL = frozenset({"name", "prefix", "tags", "unless_tags", "larger_than", "older_than"})
_OF_OBJECTS = _OF_ALL | {"expired", "keep_last", "group_by", "max_bytes"}
"""The fields of a rule about objects that are supported, here or by
:func:`~s3kv_flows.maintenance._planning.selection.select`."""
_OF_VERSIONS = _OF_ALL | {"noncurrent_after"}
"""The fields of a rule about old versions that are supported here."""


@dataclass(frozen=True)
class PlanContext:
    """The time, the grace period and the protect tag that all rules of a plan share.

    Attributes:
        now: The server's time.
        grace: Younger objects stay.
        protect_tag: Objects with this tag stay, whatever its value; None for no such tag.

    Raises:
        ValueError: The grace period has no unit, or is negative.
    """

    now: datetime
    grace: timedelta
    protect_tag: str | None = "keep"

    def __post_init__(self) -> None:
        object.__setattr__(self, "grace", length_before(self.grace, self.now))

    # --- keys ----------------------------------------------------------------------------------

    def matches(self, entry: Entry, rule: CleanupRule) -> bool | None:
        """Return whether a key matches a rule about objects; None if its tags or its time to live decide.

        Raises:
            ValueError: The rule has a field that is not supported here: ignoring it would remove more than
                the rule says.
        """
        _require_known(rule, _OF_OBJECTS)
        current = entry.current
        if current.is_delete_marker or not self._listing_matches(entry.name, current, rule):
            return False
        answers = [_tags_match(current.tags, rule)]
        if rule.expired:
            answers.append(is_expired(entry, self.now))
        return _all(answers)

    def protection(self, entry: Entry) -> str | None:
        """Return what protects a key, None for nothing, or :data:`UNKNOWN` until it is looked up."""
        current = entry.current
        if self.now - current.last_modified < self.grace:
            return f"younger than the grace period of {format_duration(self.grace)}"
        if lock := next((version.protection for version in entry.chain if version.protection), None):
            return str(lock)
        if self.protect_tag is not None and self.protect_tag in (current.tags or ()):
            return f"carries the tag {self.protect_tag!r}"
        if entry.leased:
            return "a run holds its lease, and is computing it anew"
        tags_missing = self.protect_tag is not None and current.tags is None
        if tags_missing or entry.leased is None or not all(version.locks_known for version in entry.chain):
            return UNKNOWN
        return None

    def is_past_grace(self, entry: Entry) -> bool:
        """Return whether a key is older than the grace period, so that it may be looked up."""
        return self.now - entry.current.last_modified >= self.grace

    # --- old versions --------------------------------------------------------------------------

    def matches_version(self, name: str, version: Version, rule: CleanupRule) -> bool | None:
        """Return whether an old version matches a rule about versions; None if its tags decide.

        Raises:
            ValueError: See :meth:`matches`.
        """
        _require_known(rule, _OF_VERSIONS)
        since = version.noncurrent_since
        if since is None or not self._is_past(rule.noncurrent_after, since):
            return False
        if not self._listing_matches(name, version, rule):
            return False
        return _tags_match({} if version.is_delete_marker else version.tags, rule)

    def version_protection(self, version: Version) -> str | None:
        """Return what protects an old version by itself; None or :data:`UNKNOWN` as :meth:`protection`."""
        since = version.noncurrent_since
        if since is not None and self.now - since < self.grace:
            return f"replaced within the grace period of {format_duration(self.grace)}"
        if version.is_delete_marker:
            return None
        if version.protection:
            return str(version.protection)
        if self.protect_tag is not None and self.protect_tag in (version.tags or ()):
            return f"carries the tag {self.protect_tag!r}"
        if not version.locks_known or (self.protect_tag is not None and version.tags is None):
            return UNKNOWN
        return None

    # --- in words ------------------------------------------------------------------------------

    def mismatches(self, entry: Entry, rule: CleanupRule) -> list[str]:
        """Return why a rule does not match a key; an empty list if it does."""
        current, age = entry.current, self.now - entry.current.last_modified
        older_than = format_duration(rule.older_than or timedelta(0))
        checks = [
            (not entry.name.startswith(rule.prefix), f"its name does not begin with {rule.prefix!r}"),
            (
                rule.older_than is not None and not self._is_past(rule.older_than, current.last_modified),
                f"it is {whole_seconds(age)} old, and the rule asks for {older_than}",
            ),
            (
                rule.larger_than is not None and current.size <= rule.larger_than,
                f"it has {current.size:,} bytes, and the rule asks for more than {rule.larger_than or 0:,}",
            ),
        ]
        if current.tags is None and rule.matches_by_tags:
            checks.append((not any(fails for fails, _ in checks), "its tags are not known"))
        elif current.tags is not None:
            checks += _tag_checks(current.tags, rule)
            if rule.expired:
                checks.append((is_expired(entry, self.now) is not True, _why_not_expired(entry, age)))
        return [text for fails, text in checks if fails]

    def _listing_matches(self, name: str, version: Version, rule: CleanupRule) -> bool:
        return (
            name.startswith(rule.prefix)
            and (rule.older_than is None or self._is_past(rule.older_than, version.last_modified))
            and (rule.larger_than is None or version.size > rule.larger_than)
        )

    def _is_past(self, duration: timedelta | CalendarDuration | None, since: datetime) -> bool:
        """Return whether a duration has passed since a moment; False for None."""
        if duration is None:
            return False
        fixed = duration if isinstance(duration, timedelta) else length_before(duration, self.now)
        return self.now - since >= fixed


def _require_known(rule: CleanupRule, known: frozenset[str]) -> None:
    if unknown := unknown_fields(rule, known):
        raise ValueError(
            f"rule {rule.name!r} gives {' and '.join(unknown)}, which this cleanup does not support: "
            "ignoring it would remove more than the rule says"
        )


def is_expired(entry: Entry, now: datetime) -> bool | None:
    """Return whether a key is past its time to live; None if its tags or the exact time decide.

    The class in its tag decides, except for the days between two classes, in which the exact time decides;
    if that is not recorded, or may not be read, the class does.
    """
    if entry.current.tags is None:
        return None
    ttl, age = ttl_of_tags(entry.current.tags), now - entry.current.last_modified
    if ttl is None or age < least_ttl(ttl):
        return False
    if age >= ttl:
        return True
    if not entry.ttl_known:
        return None
    return entry.ttl is not None and age >= entry.ttl


def whole_seconds(span: timedelta) -> timedelta:
    """Return a time without fractions of a second, for messages."""
    return timedelta(seconds=int(span.total_seconds()))


def _tags_match(tags: Mapping[str, str] | None, rule: CleanupRule) -> bool | None:
    if not rule.tags and not rule.unless_tags:
        return True
    if tags is None:
        return None
    return all(tags.get(key) == value for key, value in rule.tags.items()) and not any(
        tags.get(key) == value for key, value in rule.unless_tags.items()
    )


def _tag_checks(tags: Mapping[str, str], rule: CleanupRule) -> list[tuple[bool, str]]:
    wanted = [
        (tags.get(key) != value, f"its tag {key!r} is {tags.get(key)!r}, and the rule asks for {value!r}")
        for key, value in rule.tags.items()
    ]
    spared = [
        (tags.get(key) == value, f"its tag {key!r} is {value!r}, which the rule spares")
        for key, value in rule.unless_tags.items()
    ]
    return wanted + spared


def _why_not_expired(entry: Entry, age: timedelta) -> str:
    ttl = entry.ttl or ttl_of_tags(entry.current.tags or {})
    if ttl is None:
        return f"it has no time to live (no tag {TTL_TAG!r})"
    return f"it is {whole_seconds(age)} old, and lives for {ttl}"


def _all(answers: Iterable[bool | None]) -> bool | None:
    given = list(answers)
    if False in given:
        return False
    return None if None in given else True
