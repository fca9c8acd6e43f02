"""No field of a rule is left out by what carries rules out: it is honoured, or the rule is refused."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic.dataclasses import dataclass

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import Entry, PlanContext, Version, plan
from s3kv_flows.maintenance._lifecycle import compiler as lifecycle_rules
from s3kv_flows.maintenance._lifecycle.apply import CompiledLifecycle, compile_rules
from s3kv_flows.maintenance._planning import matching
from s3kv_flows.maintenance._planning.questions import questions
from s3kv_flows.maintenance._rules import unknown_fields

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CONTEXT = PlanContext(NOW, HOUR, None)

NARROWING: dict[str, Any] = {
    "prefix": "s3kv-results/other/",
    "tags": {"stage": "final"},
    "unless_tags": {"stage": "raw"},
    "older_than": 9 * DAY,
    "expired": True,
    "keep_last": 1,
    "group_by": "stage",
    "max_bytes": 10**6,
    "larger_than": 10**6,
    "noncurrent_after": 9 * DAY,
}
"""For each field, a value with which a rule does not remove what :func:`entry` returns."""


def entry() -> Entry:
    old = Version("v0", "", 10, NOW - 6 * DAY, tags={"stage": "raw"}, noncurrent_since=NOW - 5 * DAY)
    return Entry("s3kv-results/k", Version("v1", "", 10, NOW - 5 * DAY, tags={"stage": "raw"}), (old,))


def rule_with(field: str) -> CleanupRule:
    """Return a rule that would remove the entry, or its old version, but for this field."""
    others: dict[str, Any] = {"older_than": DAY}
    if field == "noncurrent_after":
        others = {}
    if field == "group_by":
        others = {"keep_last": 1}
    return CleanupRule(**{"name": "some"} | others | {field: NARROWING[field]})


def compiled(rule: CleanupRule) -> CompiledLifecycle:
    return compile_rules([rule], versioned=True, object_lock=False, protect_tag=None, housekeeping=False)


def removed(rule: CleanupRule) -> list[str | None]:
    made = plan([entry()], [rule], NOW, HOUR, protect_tag=None)
    return [version.version_id for one in made.removals for version in one.going]


def test_there_is_a_value_for_every_field() -> None:
    assert {"name", *NARROWING} == {field.name for field in fields(CleanupRule)}


def test_without_them_the_key_goes() -> None:
    assert removed(CleanupRule("some", older_than=DAY)) == ["v1", "v0"]
    assert removed(CleanupRule("some", noncurrent_after=DAY)) == ["v0"]


@pytest.mark.parametrize("field", NARROWING)
def test_a_plan_heeds_every_field(field: str) -> None:
    assert removed(rule_with(field)) == []


@pytest.mark.parametrize("field", ["prefix", "tags", "unless_tags", "older_than", "larger_than"])
def test_a_plan_heeds_every_field_of_a_rule_about_old_versions(field: str) -> None:
    assert removed(CleanupRule(**{"name": "some", "noncurrent_after": DAY, field: NARROWING[field]})) == []


@pytest.mark.parametrize("field", NARROWING)
def test_a_lifecycle_rule_heeds_every_field_or_there_is_none(field: str) -> None:
    made = compiled(rule_with(field))
    without = compiled(CleanupRule("some", older_than=DAY))
    assert made.rules != without.rules
    assert bool(made.rules) != bool(made.inexpressible)


# --- fields of a later version ----------------------------------------------------------------------


@dataclass(frozen=True)
class LaterRule(CleanupRule):
    """A rule as a later version of the package may have it."""

    not_read_since: str | None = None


@pytest.mark.parametrize("reason", ["older_than", "noncurrent_after"])
def test_a_field_that_is_not_known_is_refused_with_its_name(reason: str) -> None:
    given: dict[str, Any] = {reason: DAY, "not_read_since": "30d"}
    rule = LaterRule("later", **given)
    with pytest.raises(
        ValueError, match="rule 'later' gives not_read_since, which this cleanup does not support"
    ):
        removed(rule)
    with pytest.raises(ValueError, match="'later' gives not_read_since"):
        questions([entry()], [rule], CONTEXT)
    made = compiled(rule)
    assert made.rules == ()
    assert "not_read_since" in made.inexpressible["later"]


def test_a_field_that_is_not_known_and_not_given_changes_nothing() -> None:
    rule = LaterRule("later", older_than=DAY)
    assert removed(rule) == ["v1", "v0"]
    assert compiled(rule).rules


@pytest.mark.parametrize("field", NARROWING)
def test_whoever_does_not_know_a_field_refuses_it(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, names in (
        (matching, ("_OF_OBJECTS", "_OF_VERSIONS")),
        (lifecycle_rules, ("_EXPRESSED", "_REFUSED")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) - {field})
    rule = rule_with(field)
    with pytest.raises(ValueError, match=f"rule 'some' gives {field}, which this cleanup does not support"):
        removed(rule)
    made = compiled(rule)
    assert made.rules == ()
    assert f"({field})" in made.inexpressible["some"]


def test_a_rule_about_old_versions_is_never_taken_for_one_about_objects() -> None:
    with pytest.raises(ValueError, match="gives noncurrent_after"):
        CONTEXT.matches(entry(), CleanupRule("history", noncurrent_after=DAY))


def test_what_is_given_is_what_is_not_as_by_default() -> None:
    everything = frozenset(field.name for field in fields(CleanupRule))
    rule = CleanupRule("some", tags={}, older_than=timedelta(0), expired=False)
    assert unknown_fields(rule, frozenset()) == ["name", "older_than"]
    assert unknown_fields(rule, everything) == []
