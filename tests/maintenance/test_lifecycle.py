"""Cleanup rules as lifecycle rules: what is compiled, what is not, and how it is put into a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import Entry, Version, plan
from s3kv_flows.maintenance._lifecycle.apply import CompiledLifecycle, apply, compile_rules, diff, remove
from s3kv_flows.maintenance._lifecycle.diff import describe, meaning
from s3kv_flows.maintenance._lifecycle.ids import is_ours, rule_id, short_id
from s3kv_flows.store._durations import CalendarDuration
from s3kv_flows.store._layout.ttl import TTL_CLASSES
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.clients import new_client
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._s3.types import LifecycleConfiguration
from s3kv_flows.store.errors import UnsupportedByServerError

DAY, HOUR, NONE = timedelta(days=1), timedelta(hours=1), timedelta(0)
PREFIX = "s3kv/"
RAW = {"stage": "raw"}
OLD = CleanupRule("old", older_than=30 * DAY)
FOREIGN: dict[str, Any] = {
    "ID": "theirs",
    "Status": "Enabled",
    "Filter": {"Prefix": "logs/"},
    "Expiration": {"Days": 9},
}


def compiled(*rules: CleanupRule, **options: Any) -> CompiledLifecycle:
    defaults = {"versioned": False, "object_lock": False, "protect_tag": None, "housekeeping": False}
    return compile_rules(rules, **defaults | options)


def only(*rules: CleanupRule, **options: Any) -> dict[str, Any]:
    """Return the only lifecycle rule that is made."""
    made = compiled(*rules, **options)
    assert not made.inexpressible
    (rule,) = made.rules
    return rule


# --- what is compiled -------------------------------------------------------------------------------


@pytest.mark.parametrize(("months", "days"), [(1, 31), (2, 62), (12, 366), (13, 397), (24, 732)])
def test_of_months_and_years_s3_counts_the_longest(months: int, days: int) -> None:
    rule = CleanupRule("old", prefix="s3kv/", older_than=CalendarDuration(months))
    assert only(rule)["Expiration"] == {"Days": days}
    versions = CleanupRule("old", prefix="s3kv/", noncurrent_after=CalendarDuration(months))
    expiration = only(versions, versioned=True)["NoncurrentVersionExpiration"]
    assert expiration == {"NoncurrentDays": days}
    assert only(rule, grace="9y")["Expiration"] == {"Days": 9 * 366}


@pytest.mark.parametrize("grace", [30, "30", "1m"])
def test_a_grace_period_without_a_unit_is_refused(grace: Any) -> None:
    with pytest.raises(ValueError, match="write"):
        compiled(OLD, grace=grace)


def test_a_rule_becomes_one_for_each_namespace() -> None:
    assert compiled(OLD).rules == tuple(
        {
            "ID": f"s3kv:s3kv/:old [{kind}]",
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "Expiration": {"Days": 30},
        }
        for kind, prefix in (
            ("values", "s3kv/"),
            ("results", "s3kv-results/"),
            ("checkpoints", "s3kv-checkpoints/"),
        )
    )


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("s3kv/raw/", ["s3kv/raw/"]),
        ("s3kv-results/", ["s3kv-results/"]),
        ("s3kv-", ["s3kv-results/", "s3kv-checkpoints/"]),
        ("s3", ["s3kv/", "s3kv-results/", "s3kv-checkpoints/"]),
    ],
)
def test_the_longer_prefix_counts(prefix: str, expected: list[str]) -> None:
    made = compiled(CleanupRule("some", prefix=prefix, older_than=DAY))
    assert [rule["Filter"]["Prefix"] for rule in made.rules] == expected


def test_tags_and_sizes_become_one_filter() -> None:
    rule = CleanupRule(
        "big", prefix="s3kv-results/", tags={"b": "2", "a": "1"}, larger_than=0, older_than=DAY
    )
    assert only(rule)["Filter"] == {
        "And": {
            "Prefix": "s3kv-results/",
            "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}],
            "ObjectSizeGreaterThan": 0,
        }
    }


@pytest.mark.parametrize(
    ("older_than", "grace", "days"),
    [(NONE, HOUR, 1), (DAY, HOUR, 1), (DAY + HOUR, HOUR, 2), (DAY, 3 * DAY - HOUR, 3), (5 * DAY, 3 * DAY, 5)],
)
def test_days_are_rounded_up_and_not_less_than_the_grace_period(
    older_than: timedelta, grace: timedelta, days: int
) -> None:
    rule = CleanupRule("old", prefix="s3kv/", older_than=older_than)
    assert only(rule, grace=grace)["Expiration"] == {"Days": days}
    versions = CleanupRule("old", prefix="s3kv/", noncurrent_after=older_than)
    found = only(versions, grace=grace, versioned=True)
    assert found["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}


def test_expiry_is_one_rule_for_each_class_of_lifetimes() -> None:
    made = compiled(CleanupRule("expired", tags=RAW, expired=True, older_than=6 * DAY)).rules
    found = {
        (rule["Filter"]["And"]["Prefix"], rule["Filter"]["And"]["Tags"][1]["Value"]): rule["Expiration"][
            "Days"
        ]
        for rule in made
    }
    assert found == {
        (prefix, str(days)): max(days, 6) for prefix in ("s3kv/", "s3kv-results/") for days in TTL_CLASSES
    }
    assert all(rule["Filter"]["And"]["Tags"][0] == {"Key": "stage", "Value": "raw"} for rule in made)


@pytest.mark.parametrize(("value", "days"), [("7", 7), ("1", 1), ("3650", 3650)])
def test_a_rule_that_names_a_class_needs_that_alone(value: str, days: int) -> None:
    found = only(CleanupRule("expired", prefix="s3kv-results/", tags={"ttl_days": value}, expired=True))
    assert found["Filter"]["And"]["Tags"] == [{"Key": "ttl_days", "Value": value}]
    assert found["Expiration"] == {"Days": days}


def test_housekeeping_is_done_for_each_namespace() -> None:
    made = compiled(housekeeping=True, versioned=True, grace=2 * DAY).rules
    assert len(made) == 6
    uploads, markers = made[:2]
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert markers["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert {rule["Filter"]["Prefix"] for rule in made} == {"s3kv/", "s3kv-results/", "s3kv-checkpoints/"}
    assert len(compiled(housekeeping=True).rules) == 3, "no delete markers without versions"


# --- what is not ------------------------------------------------------------------------------------

LOCKING = {"versioned": True, "object_lock": True}


@pytest.mark.parametrize(
    ("fields", "options", "reason"),
    [
        ({"older_than": DAY}, {"protect_tag": "keep"}, "cannot spare objects with the tag 'keep'"),
        ({"noncurrent_after": DAY}, {"protect_tag": "k", **LOCKING}, "cannot spare objects with the tag 'k'"),
        ({"older_than": DAY, "unless_tags": RAW}, {}, "cannot exclude"),
        ({"keep_last": 3}, {}, "does not count objects"),
        ({"keep_last": 3, "group_by": "stage"}, {}, "does not count objects (keep_last); S3 does not group"),
        ({"max_bytes": 3}, {}, "budget of bytes"),
        ({"noncurrent_after": DAY, "older_than": DAY}, {"versioned": True}, "when a version was replaced"),
        ({"noncurrent_after": DAY}, {}, "has no versions"),
        ({"older_than": DAY}, LOCKING, "hide finalized outputs"),
        ({"expired": True}, LOCKING, "hide finalized outputs"),
        ({"older_than": DAY, "prefix": "other/"}, {}, "no object of the store"),
        ({"expired": True, "prefix": "s3kv-checkpoints/"}, {}, "with a time to live"),
        ({"expired": True, "tags": {"ttl_days": "soon"}}, {}, "'soon' is not a class of days"),
        ({"expired": True, "tags": {"ttl_days": "8"}}, {}, "'8' is not a class of days"),
        ({"expired": True, "tags": {str(n): "" for n in range(10)}}, {}, "more tags than the 10"),
    ],
)
def test_what_s3_cannot_express_is_left_out_and_says_why(
    fields: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    made = compiled(CleanupRule("some", **fields), **options)
    assert made.rules == ()
    assert reason in made.inexpressible["some"]


def test_old_versions_may_go_under_object_lock() -> None:
    versions = CleanupRule("versions", noncurrent_after=DAY)
    made = compiled(OLD, versions, **LOCKING)
    assert list(made.inexpressible) == ["old"]
    assert all("Expiration" not in rule for rule in made.rules)
    assert compiled(versions, versioned=False, object_lock=True).rules == made.rules


@pytest.mark.parametrize(
    ("rule", "options", "note"),
    [
        (CleanupRule("r", older_than=DAY + HOUR), {}, "'r': older_than of 1d1h counts as 2 days"),
        (CleanupRule("r", older_than=NONE), {}, "counts as 1 day"),
        (CleanupRule("r", older_than=CalendarDuration(1)), {}, "older_than of 1mo counts as 31 days"),
        (CleanupRule("r", older_than=CalendarDuration(18)), {}, "of 1y6mo counts as 552 days"),
        (CleanupRule("r", older_than=DAY), {}, "midnight (UTC)"),
        (CleanupRule("r", older_than=DAY), {}, "every object below 's3kv/'"),
        (CleanupRule("r", older_than=DAY), {}, "ignores leases"),
        (CleanupRule("r", expired=True), {}, "class of days"),
        (CleanupRule("r", older_than=DAY), {"versioned": True}, "hidden behind a delete marker"),
    ],
)
def test_what_differs_from_a_sweep_is_noted(rule: CleanupRule, options: dict[str, Any], note: str) -> None:
    assert note in "\n".join(compiled(rule, **options).notes)


def test_nothing_is_noted_where_nothing_is_compiled() -> None:
    assert compiled(OLD, protect_tag="keep").notes == ()


def test_more_rules_than_s3_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="need 1,064 lifecycle rules; S3 takes 1,000"):
        compiled(*(CleanupRule(str(number), expired=True) for number in range(28)))


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        compiled(OLD, OLD)


# --- no more than the rules say ---------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
NAMES = ("s3kv/raw/a.json", "s3kv/b.json", "s3kv-results/c", "s3kv-results/raw/d", "s3kv-checkpoints/e")
OTHERS = ("other/a", "s3kv-leases/b", "s3kv-resultsx/c", "s3kv")
TAGS = st.fixed_dictionaries(
    {},
    optional={
        "stage": st.sampled_from(["raw", "final"]),
        "kind": st.just("x"),
        "ttl_days": st.sampled_from(["1", "7", "30"]),
    },
)
SPANS = st.integers(0, 24 * 40).map(lambda hours: timedelta(hours=hours))
DURATIONS = SPANS | st.builds(CalendarDuration, st.integers(1, 3), SPANS)
SIZES = st.integers(0, 3)
RULES = st.builds(
    lambda reasons, others: reasons | others,
    st.one_of(
        st.fixed_dictionaries({"older_than": DURATIONS}, optional={"expired": st.booleans()}),
        st.fixed_dictionaries({"expired": st.just(True)}),
        st.fixed_dictionaries({"noncurrent_after": DURATIONS}),
        st.fixed_dictionaries({"keep_last": st.just(1)}),
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "prefix": st.sampled_from(["", "s3kv", "s3kv/raw/", "s3kv-results/", "other/"]),
            "tags": TAGS,
            "unless_tags": TAGS,
            "larger_than": SIZES,
        },
    ),
)
HISTORIES = st.lists(st.tuples(SPANS, SIZES, TAGS), min_size=1, max_size=3)


def make_entry(name: str, history: Sequence[tuple[timedelta, int, dict[str, str]]]) -> Entry:
    """Return a key with these versions: how long before the newer one each was written, size and tags."""
    chain: list[Version] = []
    moment, replaced = NOW, None
    for number, (before, size, tags) in enumerate(history):
        moment -= before
        chain.append(Version(str(number), "", size, moment, tags=tags, noncurrent_since=replaced))
        replaced = moment
    return Entry(name, chain[0], tuple(chain[1:]))


def s3_removes(rules: Sequence[dict[str, Any]], name: str, version: Version, at: datetime) -> bool:
    """Tell whether S3 would have removed, or hidden, a version by some moment: as its documentation says."""
    for rule in rules:
        where = rule["Filter"].get("And", rule["Filter"])
        tags = {tag["Key"]: tag["Value"] for tag in where.get("Tags", [])}
        since, days = version.last_modified, rule.get("Expiration", {}).get("Days")
        if version.noncurrent_since is not None:
            since = version.noncurrent_since
            days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        if (
            days is not None
            and name.startswith(where["Prefix"])
            and tags.items() <= (version.tags or {}).items()
            and version.size > where.get("ObjectSizeGreaterThan", -1)
        ):
            ends = since + timedelta(days=days)
            midnight = ends.replace(hour=0, minute=0, second=0) + (DAY if ends.hour else NONE)
            if at >= midnight:
                return True
    return False


def removed_by(rules: list[CleanupRule], entries: list[Entry], at: datetime, grace: timedelta) -> set[str]:
    """Return what a sweep would remove, of each key: ``name version``."""
    made = plan(entries, rules, at, grace, protect_tag=None)
    return {f"{one.entry.name} {version.version_id}" for one in made.removals for version in one.going}


def expired_by(
    rules: Sequence[dict[str, Any]], entries: Sequence[Entry], at: datetime
) -> Iterator[tuple[str, Version]]:
    for entry in entries:
        yield from ((entry.name, one) for one in entry.chain if s3_removes(rules, entry.name, one, at))


@given(
    fields=st.lists(RULES, max_size=3),
    histories=st.lists(HISTORIES, min_size=len(NAMES), max_size=len(NAMES)),
    grace=SPANS,
    versioned=st.booleans(),
)
def test_s3_removes_nothing_that_a_sweep_would_keep(
    fields: list[dict[str, Any]],
    histories: list[list[tuple[timedelta, int, dict[str, str]]]],
    grace: timedelta,
    versioned: bool,  # noqa: FBT001
) -> None:
    rules = [CleanupRule(str(number), **one) for number, one in enumerate(fields)]
    entries = [
        make_entry(name, history if versioned else history[:1])
        for name, history in zip(NAMES, histories, strict=True)
    ]
    made = compiled(*rules, versioned=versioned, grace=grace)
    swept = removed_by(rules, entries, NOW, grace)
    assert {f"{name} {one.version_id}" for name, one in expired_by(made.rules, entries, NOW)} <= swept
    outside = [make_entry(name, histories[0]) for name in OTHERS]
    assert not list(expired_by(made.rules, outside, NOW + 9999 * DAY))


@given(fields=RULES, histories=st.lists(HISTORIES, min_size=len(NAMES), max_size=len(NAMES)))
def test_what_s3_can_express_it_removes_as_a_sweep_does_in_the_end(
    fields: dict[str, Any], histories: list[list[tuple[timedelta, int, dict[str, str]]]]
) -> None:
    rule, later = CleanupRule("some", **fields), NOW + 9999 * DAY
    for _, _, tags in histories[NAMES.index("s3kv-checkpoints/e")]:
        tags.pop("ttl_days", None)  # checkpoints have no time to live
    entries = [make_entry(name, history) for name, history in zip(NAMES, histories, strict=True)]
    made = compiled(rule, versioned=True)
    if made.inexpressible:
        return
    found = set()
    for name, one in expired_by(made.rules, entries, later):
        # A sweep removes a key with its history, and so does S3, where a rule removes old versions, too.
        chain = next(entry.chain for entry in entries if entry.name == name)
        found |= {f"{name} {each.version_id}" for each in (chain if one is chain[0] else [one])}
    assert found == removed_by([rule], entries, later, HOUR)


# --- IDs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 300, "ü" * 200, "a/:b", "line\nbreak", "\u2028", "/:" * 99])
@pytest.mark.parametrize("prefix", ["s3kv/", "p" * 200 + "/", "ü" * 90 + "/"])
def test_ids_are_as_s3_takes_them_whatever_rules_and_stores_are_called(name: str, prefix: str) -> None:
    other = rule_id(prefix, name + "y", "results ttl_days=3650")
    identity = rule_id(prefix, name, "results ttl_days=3650")
    assert identity != other
    assert len(identity.encode()) <= 255
    assert identity.isprintable()
    assert is_ours(identity, prefix)
    assert not is_ours(identity, "s3/")
    assert short_id(identity, prefix).endswith("[results ttl_days=3650]")


def test_ids_begin_with_the_prefix_of_the_store() -> None:
    made = compiled(OLD, prefix="lake/", housekeeping=True).rules
    assert all(rule["ID"].startswith("s3kv:lake/:") for rule in made)
    assert len({rule["ID"] for rule in made}) == len(made)


@given(
    prefixes=st.lists(st.text("a:/", min_size=1).map("x{}/".format), min_size=2, max_size=2, unique=True),
    name=st.text("a:/ []", min_size=1),
)
def test_no_store_takes_a_rule_of_another_for_its_own(prefixes: list[str], name: str) -> None:
    mine, theirs = prefixes
    identity = rule_id(mine, name, "values")
    assert is_ours(identity, mine)
    assert not is_ours(identity, theirs)


# --- what would change ------------------------------------------------------------------------------


def test_a_diff_tells_what_is_new_gone_changed_and_of_others() -> None:
    before = compiled(OLD, CleanupRule("gone", prefix="s3kv/", older_than=DAY)).rules
    changed = CleanupRule("old", prefix="s3kv-results/", older_than=9 * DAY)
    wanted = compiled(
        changed, CleanupRule("same", prefix="s3kv/", older_than=DAY), CleanupRule("new", older_than=DAY)
    )
    same = next(rule for rule in wanted.rules if "same" in rule["ID"])
    found = diff(LifecycleConfiguration([FOREIGN, *before, same, {"Status": "Enabled"}]), wanted, PREFIX)
    assert [short_id(rule["ID"], PREFIX) for rule in found.add] == [
        f"new [{kind}]" for kind in ("values", "results", "checkpoints")
    ]
    assert [short_id(rule["ID"], PREFIX) for rule in found.remove] == [
        "old [values]",
        "old [checkpoints]",
        "gone [values]",
    ]
    ((old, new),) = found.change
    assert (old["Expiration"], new["Expiration"]) == ({"Days": 30}, {"Days": 9})
    assert found.unchanged == (same,)
    assert found.foreign == ("theirs", "")
    assert found.differs


TAG_A, TAG_B = {"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"Prefix": "p/"}, {"Filter": {"Prefix": "p/"}}),
        ({"Prefix": ""}, {"Filter": {}}),
        ({"Prefix": ""}, {"Filter": {"Prefix": ""}}),
        ({"Filter": {"Prefix": "p/"}}, {"Filter": {"And": {"Prefix": "p/"}}}),
        ({"Filter": {"Tag": TAG_A}}, {"Filter": {"And": {"Prefix": "", "Tags": [TAG_A]}}}),
        (
            {"Filter": {"Prefix": "p/", "Tag": TAG_A}},  # so Ceph has it
            {"Filter": {"And": {"Prefix": "p/", "Tags": [TAG_A]}}},
        ),
        (
            {"Filter": {"Prefix": "p/", "And": {"Tags": [TAG_B, TAG_A]}}},  # this, too
            {"Filter": {"And": {"Prefix": "p/", "Tags": [TAG_A, TAG_B]}}},
        ),
        (
            {"Filter": {}, "Expiration": {"Days": 3, "ExpiredObjectDeleteMarker": False}, "Transitions": []},
            {"Filter": {}, "Expiration": {"Days": 3}},
        ),
        (
            {"Filter": {"ObjectSizeGreaterThan": 0}},
            {"Filter": {"And": {"Prefix": "", "ObjectSizeGreaterThan": 0}}},
        ),
    ],
)
def test_the_same_in_other_words_is_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert meaning({"Status": "Enabled"} | one) == meaning({"Status": "Enabled"} | other)


@pytest.mark.parametrize(
    "change",
    [
        {"Status": "Disabled"},
        {"Filter": {"Prefix": "s3kv/x"}},
        {"Filter": {"And": {"Prefix": "s3kv/", "Tags": [TAG_A]}}},
        {"Filter": {"And": {"Prefix": "s3kv/", "ObjectSizeGreaterThan": 0}}},
        {"Expiration": {"Days": 31}},
        {"Expiration": {"Days": 30, "ExpiredObjectDeleteMarker": True}},
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
    ],
)
def test_what_means_something_else_is_a_change(change: dict[str, Any]) -> None:
    wanted = compiled(CleanupRule("old", prefix="s3kv/", older_than=30 * DAY))
    there = LifecycleConfiguration([wanted.rules[0] | change])
    assert diff(there, wanted, PREFIX).change == ((there.rules[0], wanted.rules[0]),)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            only(CleanupRule("r", prefix="s3kv/", tags=RAW, larger_than=2000, older_than=DAY)),
            "below 's3kv/' with stage=raw over 2,000 bytes: expire after 1 day",
        ),
        (
            only(CleanupRule("r", prefix="s3kv/", noncurrent_after=2 * DAY), versioned=True),
            "below 's3kv/': remove old versions after 2 days",
        ),
        (compiled(housekeeping=True).rules[0], "below 's3kv/': abort incomplete uploads after 1 day"),
        (
            compiled(housekeeping=True, versioned=True).rules[1],
            "below 's3kv/': remove delete markers that hide nothing",
        ),
        (FOREIGN | {"Status": "Disabled"}, "below 'logs/': expire after 9 days (disabled)"),
        (
            {"Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 3}]},
            "below '': Transitions [{'Days': 3}]",
        ),
    ],
)
def test_a_rule_is_told_in_a_line(rule: dict[str, Any], text: str) -> None:
    assert describe(rule) == text


# --- how it is put into a bucket --------------------------------------------------------------------


class Bucket:
    """A bucket of a server that shows the former rules for a while, or makes something else of rules."""

    server = "http://somewhere"

    def __init__(self, *rules: dict[str, Any], lag: int = 0, drops: str = "") -> None:
        self.shown = self.there = LifecycleConfiguration(list(rules), "varies_by_storage_class")
        self.lag, self.drops, self.pauses = lag, drops, 0
        self.log: list[str] = []
        self.puts: list[list[dict[str, Any]]] = []

    def get_lifecycle(self, _: str) -> LifecycleConfiguration:
        self.log.append("GET")
        return self.shown

    def put_lifecycle(self, _: str, configuration: LifecycleConfiguration) -> None:
        self.log.append("PUT")
        assert configuration.transition_default_minimum_object_size == "varies_by_storage_class"
        self.puts.append(configuration.rules)
        kept = [rule for rule in configuration.rules if not self.drops or self.drops not in rule["ID"]]
        self.there = LifecycleConfiguration(kept, "varies_by_storage_class")
        if not self.lag:
            self.shown = self.there

    def pause(self, _: float) -> None:
        self.pauses += 1
        if self.pauses == self.lag:
            self.shown, self.lag = self.there, 0

    def apply(self, *rules: CleanupRule) -> None:
        apply(cast("S3Client", self), "bucket", compiled(*rules), PREFIX, pause=self.pause)


def statuses(rules: list[dict[str, Any]]) -> list[str]:
    return [rule["Status"] for rule in rules]


def test_new_rules_are_enabled_after_they_were_read_back() -> None:
    bucket = Bucket(FOREIGN)
    bucket.apply(OLD)
    assert bucket.log == ["GET", "PUT", "GET", "PUT"]
    assert [rules[0] for rules in bucket.puts] == [FOREIGN, FOREIGN]
    assert [set(statuses(rules[1:])) for rules in bucket.puts] == [{"Disabled"}, {"Enabled"}]
    bucket.log.clear()
    bucket.apply(OLD)
    assert bucket.log == ["GET"]
    bucket.log.clear()
    remove(cast("S3Client", bucket), "bucket", PREFIX)
    assert bucket.log == ["GET", "PUT"]
    assert bucket.there.rules == [FOREIGN]


def test_a_change_disables_only_what_changes() -> None:
    bucket = Bucket()
    bucket.apply(OLD)
    bucket.apply(OLD, CleanupRule("new", prefix="s3kv/", older_than=DAY))
    assert statuses(bucket.puts[2]) == ["Enabled"] * 3 + ["Disabled"]


def test_an_apply_that_was_stopped_halfway_is_finished_by_the_next() -> None:
    bucket = Bucket(*(rule | {"Status": "Disabled"} for rule in compiled(OLD).rules))
    bucket.apply(OLD)
    assert set(statuses(bucket.there.rules)) == {"Enabled"}
    assert bucket.pauses == 0, "what is shown is what was there, and what was asked for"


def test_a_server_that_shows_the_former_rules_for_a_while_is_waited_for() -> None:
    bucket = Bucket(FOREIGN, lag=5)
    bucket.apply(OLD)
    assert bucket.log == ["GET", "PUT", *["GET"] * 6, "PUT"]
    assert set(statuses(bucket.there.rules)) == {"Enabled"}


def test_a_server_that_never_shows_the_new_rules_gets_the_former_back() -> None:
    bucket = Bucket(FOREIGN, lag=10**6)
    with pytest.raises(UnsupportedByServerError, match=r"old \[values\]' is missing"):
        bucket.apply(OLD)
    assert bucket.there.rules == [FOREIGN]


def test_where_a_rule_does_not_come_back_the_former_ones_do() -> None:
    former = list(compiled(OLD).rules)
    bucket = Bucket(FOREIGN, *former, drops="new")
    with pytest.raises(UnsupportedByServerError, match=r"rule 's3kv:s3kv/:new \[values\]' is missing"):
        bucket.apply(CleanupRule("old", older_than=DAY), CleanupRule("new", prefix="s3kv/", older_than=DAY))
    assert bucket.there.rules == [FOREIGN, *former]


def test_what_others_put_between_the_two_requests_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket()
    original = bucket.get_lifecycle

    def intruded(name: str) -> LifecycleConfiguration:
        if bucket.puts:
            bucket.shown.rules.append(FOREIGN)
        return original(name)

    monkeypatch.setattr(bucket, "get_lifecycle", intruded)
    bucket.apply(OLD)
    assert FOREIGN in bucket.there.rules


def test_from_which_size_on_objects_change_their_storage_class_is_read_and_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """moto takes it, and forgets it; Ceph does not know it."""
    client, kept = new_client(S3Config(endpoint_url="http://127.0.0.1:1")), "varies_by_storage_class"
    sent: list[dict[str, Any]] = []

    def call(operation: str, params: dict[str, Any], **_: object) -> dict[str, Any]:
        sent.append({operation: params})
        return {"Rules": [FOREIGN], "TransitionDefaultMinimumObjectSize": kept}

    monkeypatch.setattr(client._boto, "call", call)
    there = client.get_lifecycle("bucket")
    assert there == LifecycleConfiguration([FOREIGN], kept)
    client.put_lifecycle("bucket", there)
    params = sent[1]["put_bucket_lifecycle_configuration"]
    assert params["TransitionDefaultMinimumObjectSize"] == kept
    assert params["LifecycleConfiguration"] == {"Rules": [FOREIGN]}


def test_rules_of_the_oldest_form_are_put_in_the_form_of_the_others() -> None:
    oldest = {"ID": "oldest", "Status": "Enabled", "Prefix": "logs/", "Expiration": {"Days": 9}}
    bucket = Bucket(oldest)
    bucket.apply(OLD)
    assert bucket.there.rules[0] == {"ID": "oldest"} | FOREIGN | {"ID": "oldest"}
    untouched = Bucket(oldest)
    untouched.apply()
    assert untouched.log == ["GET"]


def test_more_rules_than_s3_takes_with_those_of_others_are_refused_before_anything_is_put() -> None:
    bucket = Bucket(*(FOREIGN | {"ID": str(number)} for number in range(998)))
    with pytest.raises(ValueError, match="998 foreign rules, bucket 'bucket' would have 1,001"):
        bucket.apply(OLD)
    assert bucket.log == ["GET"]
