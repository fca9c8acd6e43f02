from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.maintenance import CleanupRule, Entry, Version, plan
from s3kv_flows.maintenance.plan import may_be_removed
from s3kv_flows.store.locks import Protection

NOW = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RAW = CleanupRule("raw", tags={"stage": "raw"}, older_than=DAY)
LOCK = Protection("v1", "GOVERNANCE", NOW + DAY)


def version(age: timedelta = 2 * DAY, *, marker: bool = False, lock: Protection | None = None) -> Version:
    return Version("v1", "etag", 10, NOW - age, is_delete_marker=marker, protection=lock)


def entry(age: timedelta = 2 * DAY, **fields: object) -> Entry:
    values: dict[str, object] = {"name": "s3kv-results/k", "tags": {"stage": "raw"}, "current": version(age)}
    return Entry(**{**values, **fields})  # type: ignore[arg-type]


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
    tags = dict(one.tags or {})
    goes = (
        age >= grace
        and "keep" not in tags
        and not any(old.protection for old in one.older)
        and any(
            rule.older_than is not None
            and one.name.startswith(rule.prefix)
            and age >= rule.older_than
            and rule.tags.items() <= tags.items()
            and not (rule.unless_tags.items() & tags.items())
            for rule in rules
        )
    )
    assert len(plan([one], rules, NOW, grace).remove) == goes
    if goes:
        assert may_be_removed(one, rules, NOW, grace), "its tags and locks would have been asked for"
