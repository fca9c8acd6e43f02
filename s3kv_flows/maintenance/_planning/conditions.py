"""Whether a rule matches, and what protects: by what is known, which may not be enough to tell.

Three answers are possible: yes, no, and None for "not by what is known", which is what a survey goes on to
ask about.
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
"""Said of what may be protected, and is therefore left alone."""

_OF_ALL = frozenset({"name", "prefix", "tags", "unless_tags", "larger_than", "older_than"})
_OF_OBJECTS = _OF_ALL | {"expired", "keep_last", "group_by", "max_bytes"}
"""The fields of a rule about objects that are understood, here or by
:func:`~s3kv_flows.maintenance._planning.selection.select`."""
_OF_VERSIONS = _OF_ALL | {"noncurrent_after"}
"""The fields of a rule about old versions that are understood here."""


@dataclass(frozen=True)
class PlanContext:
    """What holds for all rules of a plan.

    Attributes:
        now: The server's time.
        grace: What is younger is not touched.
        protect_tag: What carries this tag, with any value, is not touched; None for no such tag.

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
        """Tell whether a key is in the matching set of a rule.

        Raises:
            ValueError: The rule has a field that is not understood here: to leave it out would be to remove
                more than the rule says.
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
        """Return what protects a key, None for nothing, and :data:`UNKNOWN` where it cannot be told."""
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

    def is_asked(self, entry: Entry) -> bool:
        """Tell whether a key was asked about, and not only listed."""
        return self.now - entry.current.last_modified >= self.grace

    # --- old versions --------------------------------------------------------------------------

    def matches_version(self, name: str, version: Version, rule: CleanupRule) -> bool | None:
        """Tell whether an old version is in the matching set of a rule about versions.

        Raises:
            ValueError: As of :meth:`matches`.
        """
        _require_known(rule, _OF_VERSIONS)
        since = version.noncurrent_since
        if since is None or not self._is_past(rule.noncurrent_after, since):
            return False
        if not self._listing_matches(name, version, rule):
            return False
        return _tags_match({} if version.is_delete_marker else version.tags, rule)

    def version_protection(self, version: Version) -> str | None:
        """Return what protects an old version by itself, as :meth:`protection` does."""
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

    def obstacles(self, entry: Entry, rule: CleanupRule) -> list[str]:
        """Return why a rule does not match a key; nothing where it does."""
        current, age = entry.current, self.now - entry.current.last_modified
        older_than = format_duration(rule.older_than or timedelta(0))
        said = [
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
            said.append((not any(no for no, _ in said), "its tags are not known"))
        elif current.tags is not None:
            said += _unlike(current.tags, rule)
            if rule.expired:
                said.append((is_expired(entry, self.now) is not True, _unexpired(entry, age)))
        return [text for no, text in said if no]

    def _listing_matches(self, name: str, version: Version, rule: CleanupRule) -> bool:
        return (
            name.startswith(rule.prefix)
            and (rule.older_than is None or self._is_past(rule.older_than, version.last_modified))
            and (rule.larger_than is None or version.size > rule.larger_than)
        )

    def _is_past(self, duration: timedelta | CalendarDuration | None, since: datetime) -> bool:
        """Tell whether a duration has gone by since a moment; None never does."""
        if duration is None:
            return False
        fixed = duration if isinstance(duration, timedelta) else length_before(duration, self.now)
        return self.now - since >= fixed


def _require_known(rule: CleanupRule, known: frozenset[str]) -> None:
    if unknown := unknown_fields(rule, known):
        raise ValueError(
            f"rule {rule.name!r} gives {' and '.join(unknown)}, which is not known here: without it, "
            "the rule would remove more than it says"
        )


def is_expired(entry: Entry, now: datetime) -> bool | None:
    """Tell whether a key is past its time to live.

    Its tag tells, but for the days between two classes, in which the exact time decides; where that is not
    recorded, or may not be read, the class does.
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
    """Return a time as people read it."""
    return timedelta(seconds=int(span.total_seconds()))


def _tags_match(tags: Mapping[str, str] | None, rule: CleanupRule) -> bool | None:
    if not rule.tags and not rule.unless_tags:
        return True
    if tags is None:
        return None
    return all(tags.get(key) == value for key, value in rule.tags.items()) and not any(
        tags.get(key) == value for key, value in rule.unless_tags.items()
    )


def _unlike(tags: Mapping[str, str], rule: CleanupRule) -> list[tuple[bool, str]]:
    wanted = [
        (tags.get(key) != value, f"its tag {key!r} is {tags.get(key)!r}, and the rule asks for {value!r}")
        for key, value in rule.tags.items()
    ]
    spared = [
        (tags.get(key) == value, f"its tag {key!r} is {value!r}, which the rule spares")
        for key, value in rule.unless_tags.items()
    ]
    return wanted + spared


def _unexpired(entry: Entry, age: timedelta) -> str:
    ttl = entry.ttl or ttl_of_tags(entry.current.tags or {})
    if ttl is None:
        return f"it has no time to live (no tag {TTL_TAG!r})"
    return f"it is {whole_seconds(age)} old, and lives for {ttl}"


def _all(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    if False in found:
        return False
    return None if None in found else True
