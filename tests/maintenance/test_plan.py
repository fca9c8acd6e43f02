from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from s3kv_flows.maintenance import CleanupRule, Entry, PlanContext, Version, explain, plan
from s3kv_flows.maintenance._inventory.survey import answer_questions
from s3kv_flows.maintenance._planning.questions import Question, questions
from s3kv_flows.store._durations import length_before
from s3kv_flows.store._locks.retention import Protection

NOW = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RAW = CleanupRule("raw", tags={"stage": "raw"}, older_than=DAY)
RAW_TAGS = {"stage": "raw"}
LOCK = Protection("v1", "GOVERNANCE", NOW + DAY)


def version(
    age: timedelta = 2 * DAY,
    *,
    marker: bool = False,
    lock: Protection | None = None,
    tags: Mapping[str, str] | None = RAW_TAGS,
) -> Version:
    return Version("v1", "etag", 10, NOW - age, is_delete_marker=marker, protection=lock, tags=tags)


def entry(
    age: timedelta = 2 * DAY,
    name: str = "s3kv-results/k",
    tags: Mapping[str, str] | None = RAW_TAGS,
    current: Version | None = None,
    older: tuple[Version, ...] = (),
) -> Entry:
    return Entry(name, current or version(age, tags=tags), older)


def reason(one: Entry, *rules: CleanupRule, grace: timedelta = HOUR) -> str:
    made = plan([one], rules or (RAW,), NOW, grace)
    (decision,) = [*made.remove, *made.keep]
    return ("goes: " if made.remove else "stays: ") + decision.reason


def test_what_matches_goes_and_the_reason_says_by_which_rule() -> None:
    assert reason(entry()) == "goes: rule 'raw': 2 days, 0:00:00 old, stage=raw"


def test_a_rule_matches_at_its_very_age() -> None:
    assert reason(entry(DAY)).startswith("goes")
    assert reason(entry(DAY - timedelta(seconds=1))) == "stays: no rule matches"


def test_the_grace_period_ends_at_its_very_age() -> None:
    everything = CleanupRule("all", older_than=timedelta(0))
    assert reason(entry(HOUR), everything).startswith("goes")
    assert reason(entry(HOUR - timedelta(seconds=1)), everything).startswith("stays: younger than the grace")


MARCH_31 = datetime(2026, 3, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("older_than", ["1mo", "P1M"])
def test_a_month_is_that_of_the_calendar_back_from_the_plan(older_than: str) -> None:
    rule = TypeAdapter(CleanupRule).validate_python({"name": "r", "older_than": older_than})
    history = TypeAdapter(CleanupRule).validate_python({"name": "r", "noncurrent_after": older_than})
    limit = datetime(2026, 2, 28, 12, tzinfo=timezone.utc)
    for late, goes in ((timedelta(0), True), (timedelta(seconds=1), False)):
        written = Entry("s3kv/k", Version("v1", "e", 10, limit + late, tags={}))
        made = plan([written], [rule], MARCH_31, HOUR)
        assert bool(made.remove) is goes
        assert ("asks for 1mo" in explain(made, "s3kv/k")) is not goes
        old = Version("v0", "e", 10, limit - 99 * DAY, tags={}, noncurrent_since=limit + late)
        replaced = Entry("s3kv/k", Version("v1", "e", 10, limit + late, tags={}), (old,))
        assert bool(plan([replaced], [history], MARCH_31, HOUR).prune) is goes


def test_the_grace_period_may_be_a_month_too() -> None:
    rule = CleanupRule("all", older_than=timedelta(0))
    young = Entry("s3kv/k", Version("v1", "e", 10, MARCH_31 - 30 * DAY, tags={}))
    old = Entry("s3kv/k", Version("v1", "e", 10, MARCH_31 - 31 * DAY, tags={}))
    assert not plan([young], [rule], MARCH_31, "1mo").remove
    assert plan([old], [rule], MARCH_31, "1mo").remove


@pytest.mark.parametrize("grace", [30, "30", "1m", True, -HOUR])
def test_a_grace_period_without_a_unit_is_refused(grace: Any) -> None:
    with pytest.raises(ValueError, match=r"write|not be negative"):
        plan([entry()], [RAW], NOW, grace)
    with pytest.raises(ValueError, match=r"write|not be negative"):
        PlanContext(NOW, grace)


def test_conditions_within_a_rule_are_all_needed() -> None:
    assert (
        reason(entry(name="other/k"), CleanupRule("r", prefix="s3kv", older_than=DAY))
        == "stays: no rule matches"
    )
    assert reason(entry(tags={"stage": "final"})) == "stays: no rule matches"
    unless = CleanupRule("r", unless_tags={"stage": "raw"}, older_than=DAY)
    assert reason(entry(), unless) == "stays: no rule matches"


def test_of_several_rules_one_that_removes_is_enough() -> None:
    assert reason(entry(), CleanupRule("no", prefix="x", older_than=DAY), RAW).startswith("goes: rule 'raw'")


def test_the_protected_stay_and_the_plan_says_what_protects_them() -> None:
    assert "GOVERNANCE retention until 2026-05-05" in reason(entry(current=version(lock=LOCK)))
    assert "GOVERNANCE retention" in reason(entry(older=(version(lock=LOCK),)))
    assert reason(entry(tags={"stage": "raw", "keep": ""})) == "stays: carries the tag 'keep'"
    made = plan([entry(current=version(lock=LOCK))], [RAW], NOW, HOUR)
    assert len(made.protected) == 1


def test_the_protect_tag_can_be_another_or_none() -> None:
    kept = entry(tags={"stage": "raw", "keep": "1"})
    assert len(plan([kept], [RAW], NOW, HOUR, protect_tag="hold").remove) == 1
    assert len(plan([kept], [RAW], NOW, HOUR, protect_tag=None).remove) == 1


def test_what_is_deleted_already_is_left_alone() -> None:
    assert reason(entry(current=version(marker=True))).startswith("stays: deleted already")


def test_the_bytes_of_all_versions_are_counted() -> None:
    assert plan([entry(older=(version(), version()))], [RAW], NOW, HOUR).bytes_to_free == 30


ages = st.timedeltas(timedelta(0), 5 * DAY)
tag_sets = st.dictionaries(st.sampled_from(["stage", "keep", "flow"]), st.sampled_from(["raw", "final"]))
rule_lists = st.lists(
    st.builds(
        CleanupRule,
        name=st.just("r"),
        prefix=st.sampled_from(["", "s3kv/", "s3kv-results/"]),
        tags=tag_sets,
        unless_tags=tag_sets,
        older_than=ages,
    ),
    min_size=1,
    max_size=3,
)
entries = st.builds(
    entry,
    ages,
    name=st.sampled_from(["s3kv/k", "s3kv-results/k"]),
    tags=tag_sets,
    older=st.lists(st.builds(version, lock=st.none() | st.just(LOCK)), max_size=2).map(tuple),
)


@given(entries, rule_lists, ages)
def test_a_plan_is_what_the_rules_say_word_for_word(
    one: Entry, rules: list[CleanupRule], grace: timedelta
) -> None:
    age = NOW - one.current.last_modified
    tags = dict(one.current.tags or {})
    goes = (
        age >= grace
        and "keep" not in tags
        and not any(old.protection for old in one.older)
        and any(
            rule.older_than is not None
            and one.name.startswith(rule.prefix)
            and age >= length_before(rule.older_than, NOW)
            and rule.tags.items() <= tags.items()
            and not (rule.unless_tags.items() & tags.items())
            for rule in rules
        )
    )
    assert len(plan([one], rules, NOW, grace).remove) == goes
    if goes:
        unseen = replace(one, current=replace(one.current, tags=None))
        assert questions([unseen], rules, PlanContext(NOW, grace)), "its tags would have been asked for"


# --- counts, budgets, expiry, old versions ---------------------------------------------------------


def aged(name: str, days: float, size: int = 10, **tags: str) -> Entry:
    return Entry(name, Version("v", "e", size, NOW - days * DAY, tags=tags))


def going(entries: list[Entry], *rules: CleanupRule, protect_tag: str | None = "keep") -> list[str]:
    made = plan(entries, rules, NOW, HOUR, protect_tag=protect_tag)
    return sorted(decision.entry.name for decision in made.remove)


def test_the_newest_of_each_group_stay_and_what_has_no_tag_is_a_group() -> None:
    there = [aged(f"a{n}", n + 1, flow="a") for n in range(3)]
    there += [aged(f"b{n}", n + 1, flow="b") for n in range(2)]
    there += [aged(f"none{n}", n + 1) for n in range(3)]
    assert going(there, CleanupRule("r", keep_last=2, group_by="flow")) == ["a2", "none2"]
    assert going(there, CleanupRule("r", keep_last=7)) == ["none2"]


def test_of_equally_old_ones_the_name_decides() -> None:
    there = [aged(name, 1) for name in ("c", "a", "b")]
    assert going(there, CleanupRule("r", keep_last=1)) == ["b", "c"]
    assert going(there, CleanupRule("r", max_bytes=10)) == ["a", "b"]


def test_the_protected_are_not_counted_among_the_newest() -> None:
    there = [aged("kept", 1, keep=""), aged("young", 0), aged("a", 2), aged("b", 3)]
    assert going(there, CleanupRule("r", keep_last=1)) == ["b"]


def test_of_a_budget_only_as_many_go_as_needed_the_oldest_first() -> None:
    there = [aged(name, days, size) for name, days, size in (("new", 1, 50), ("mid", 2, 30), ("old", 3, 10))]
    assert going(there, CleanupRule("r", max_bytes=90)) == []
    assert going(there, CleanupRule("r", max_bytes=89)) == ["old"]
    assert going(there, CleanupRule("r", max_bytes=79)) == ["mid", "old"]
    assert going(there, CleanupRule("r", max_bytes=0)) == ["mid", "new", "old"]


def test_the_protected_take_their_part_of_a_budget() -> None:
    there = [aged("kept", 9, 100, keep=""), aged("young", 0, 100), aged("a", 2), aged("b", 3)]
    assert going(there, CleanupRule("r", max_bytes=200)) == ["a", "b"]
    assert going(there, CleanupRule("r", max_bytes=210)) == ["b"]


def test_what_is_counted_is_exempt_before_the_budget_takes_from_the_rest() -> None:
    there = [aged(f"k{days}", days) for days in (1, 2, 3, 4)]
    assert going(there, CleanupRule("r", keep_last=2, max_bytes=30)) == ["k4"]
    assert going(there, CleanupRule("r", keep_last=2, max_bytes=0)) == ["k3", "k4"]


def test_a_result_is_past_its_time_by_the_second_where_that_is_known_and_else_by_its_class() -> None:
    rule = CleanupRule("r", expired=True)
    assert going([aged("k", 7.5, ttl_days="7"), aged("l", 6.5, ttl_days="7"), aged("m", 30)], rule) == ["k"]
    exact = replace(aged("k", 6.5, ttl_days="7"), ttl=6 * DAY, ttl_known=True)
    assert going([exact], rule) == ["k"]
    assert going([replace(exact, ttl=6.6 * DAY)], rule) == []
    assert going([aged("k", 30, ttl_days="soon")], rule) == [], "whoever wrote that"


def chained(*ages: float, marker: bool = False, locked: int = -1, **tags: str) -> Entry:
    """Return a key with versions of these ages in days, the newest first."""
    versions = [
        Version(f"v{n}", "e", 10, NOW - days * DAY, tags=tags, protection=LOCK if n == locked else None)
        for n, days in enumerate(ages)
    ]
    if marker:
        versions[0] = replace(versions[0], is_delete_marker=True, size=0, tags=None)
    older = [replace(v, noncurrent_since=versions[n].last_modified) for n, v in enumerate(versions[1:])]
    return Entry("k", versions[0], tuple(older))


def pruned(one: Entry, *rules: CleanupRule) -> list[str | None]:
    made = plan([one], rules, NOW, HOUR)
    return [version.version_id for decision in made.prune for version in decision.going]


def test_old_versions_go_so_long_after_they_were_replaced() -> None:
    week = CleanupRule("r", noncurrent_after=7 * DAY)
    assert pruned(chained(1, 7, 20, 30), week) == ["v2", "v3"]
    assert pruned(chained(1, 7, 20, 30, locked=2), week) == ["v3"], "a lock is of a version"
    assert pruned(chained(8, 9, keep="x"), week) == []
    made = plan([chained(1, 7, 20)], [week], NOW, HOUR)
    assert (len(made.remove), len(made.keep), made.bytes_to_free, made.bytes_to_keep) == (0, 1, 10, 20)


def test_a_delete_marker_goes_when_it_hides_nothing_any_more() -> None:
    assert pruned(chained(8, 9, 10, marker=True)) == [], "what it hides would come back"
    assert pruned(chained(8, 9, 10, marker=True), CleanupRule("r", noncurrent_after=7 * DAY)) == [
        "v0",
        "v1",
        "v2",
    ]
    assert pruned(chained(8, 9, 10, marker=True, locked=1), CleanupRule("r", noncurrent_after=DAY)) == ["v2"]
    assert pruned(chained(8, marker=True)) == ["v0"]
    assert pruned(chained(0, marker=True)) == [], "within the grace period"


def test_a_key_that_goes_is_not_pruned_as_well() -> None:
    made = plan(
        [chained(3, 9)], [CleanupRule("a", older_than=DAY), CleanupRule("b", noncurrent_after=DAY)], NOW, HOUR
    )
    assert (len(made.remove), len(made.prune), made.versions_to_delete) == (1, 0, 2)


def test_what_a_run_holds_the_lease_of_stays() -> None:
    assert "holds its lease" in reason(replace(entry(), leased=True))
    made = plan([replace(entry(), leased=None)], [RAW], NOW, HOUR)
    assert made.remove == [], "nobody asked"
    assert made.protected == []


def test_a_plan_tells_what_it_comes_to() -> None:
    made = plan(
        [aged("a", 9, 2**30), aged("b", 9, 2**30, keep="")], [CleanupRule("r", older_than=DAY)], NOW, HOUR
    )
    assert made.bytes_to_free == 2**30
    assert round(made.dollars_per_month(), 4) == 0.023
    assert made.dollars_per_month(gib_month=1) == 1


EXPLAINED = {
    "young": (
        aged("young", 0),
        ["stays", "younger than the grace", "it is 0:00:00 old, and the rule asks for"],
    ),
    "final": (aged("final", 9, stage="final"), ["stays: no rule matches", "its tag 'stage' is 'final'"]),
    "small": (aged("small", 9, 1, stage="raw"), ["it has 1 bytes, and the rule asks for more than 5"]),
    "raw": (aged("raw", 9, stage="raw"), ["raw: would go: rule 'all': 9 days", "rule 'all' removes it"]),
    "kept": (
        aged("kept", 9, stage="raw", keep=""),
        ["stays: carries the tag 'keep'", "tags: keep=, stage=raw"],
    ),
    "unasked": (Entry("unasked", Version("v", "e", 9, NOW)), ["tags: not looked up"]),
}


def test_it_explains_each_key_rule_by_rule() -> None:
    rules = [
        CleanupRule("all", older_than=DAY, tags={"stage": "raw"}, larger_than=5),
        CleanupRule("count", prefix="r", keep_last=5),
        CleanupRule("old", noncurrent_after=DAY),
        CleanupRule("time", expired=True),
    ]
    made = plan([one for one, _ in EXPLAINED.values()], rules, NOW, HOUR)
    for name, (_, texts) in EXPLAINED.items():
        told = explain(made, name)
        assert all(text in told for text in texts), told
        assert all(f"rule {rule.name!r}" in told for rule in rules)
    assert "rule 'count' matches it, but keeps it: among the 5 newest" in explain(made, "raw")
    with pytest.raises(KeyError, match="'elsewhere' is not in the plan"):
        explain(made, "elsewhere")


def test_what_is_protected_for_good_does_not_make_a_budget_ask_round_after_round() -> None:
    """It is always the oldest, so that a budget meets it first."""
    there = {f"{n:05}": aged(f"{n:05}", 5000 - n, 1) for n in range(4000)}
    listed = [replace(one, current=replace(one.current, tags=None)) for one in there.values()]
    context, rules = PlanContext(NOW, HOUR), [CleanupRule("budget", max_bytes=3999)]
    rounds = []

    def ask(asked: list[Question]) -> list[Entry]:
        rounds.append(len(asked))
        kept = {"keep": ""}
        return [
            replace(
                one.entry, current=replace(one.entry.current, tags=kept if one.entry.name < "01000" else {})
            )
            for one in asked
        ]

    made = plan(answer_questions(listed, rules, context, ask), rules, NOW, HOUR)
    assert [one.entry.name for one in made.remove] == ["01000"]
    assert rounds[:4] == [1, 2, 4, 8]
    assert len(rounds) <= 12
    assert sum(rounds) < 2500
