"""Plans, held against a brute force over all objects: on a real server, with real answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import CleanupPlan, Entry, PlanContext, plan
from s3kv_flows.maintenance._inventory.listing import list_part, parts
from s3kv_flows.maintenance._inventory.lookups import Lookups
from s3kv_flows.maintenance._inventory.survey import answer_questions, leases_of
from s3kv_flows.maintenance._planning.explanation import explain
from s3kv_flows.maintenance._planning.questions import Question
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.concurrency import map_concurrently
from tests.support.cleanup_data import Key, expected, fill

OBJECTS = int(os.environ.get("S3KV_TEST_OBJECTS", "500"))


class Filled:
    """A store with objects of all kinds: what was written, what listings show, and all that can be asked."""

    def __init__(self, store: S3KV, count: int) -> None:
        self.keys: dict[str, Key] = fill(store, count)
        leases = leases_of(store)
        versioned = store.client.is_versioned(store.bucket_name)
        listed = (list_part(store, part, leases, versioned=versioned) for part in parts(store.namespace, 3))
        self.listed = [entry for part in listed for entry in part]
        self.looker = Lookups(store, leases)
        self.known = {entry.name: entry for entry in map_concurrently(self._all_of, self.listed)}
        written = sorted(one.written for key in self.keys.values() for one in key.versions)
        self.first, self.last = written[0], written[-1]

    def _all_of(self, entry: Entry) -> Entry:
        """Ask for everything there is to know of a key: for tags, then for the rest."""
        ids = frozenset(version.version_id for version in entry.older)
        for ttl in (False, True):
            whole = not entry.current.is_delete_marker
            answer = self.looker.answer(Question(entry, whole, True, ttl, ids))
            assert answer is not None
            entry = answer
        return entry

    def plan(self, rules: list[CleanupRule], context: PlanContext) -> tuple[CleanupPlan, set[str]]:
        """Return the plan, and the names that were asked about."""
        asked: set[str] = set()

        def ask(questions: list[Question]) -> list[Entry | None]:
            asked.update(question.entry.name for question in questions)
            return [self._answer(question) for question in questions]

        entries = answer_questions(self.listed, rules, context, ask)
        made = plan(entries, rules, context.now, context.grace, protect_tag=context.protect_tag)
        return made, asked

    def _answer(self, question: Question) -> Entry:
        """Return what the server said, as the looker says it: tags first."""
        entry, known = question.entry, self.known[question.entry.name]
        if question.whole and question.tags and entry.current.tags is None:
            return replace(entry, current=replace(entry.current, tags=known.current.tags))
        older = known.older if question.tags else tuple(replace(v, tags=None) for v in known.older)
        current = known.current if question.tags else replace(known.current, tags=None)
        return replace(known, current=current, older=older)


STAGES = st.dictionaries(
    st.sampled_from(["stage", "flow"]), st.sampled_from(["raw", "final", "a", "b"]), max_size=1
)
SECONDS = st.floats(0, 400).map(lambda seconds: timedelta(seconds=seconds))
NARROWING = {
    "prefix": st.sampled_from(["", "s3kv/", "s3kv-results/", "s3kv-results/a", "s3kv/x", "elsewhere/"]),
    "tags": STAGES,
    "unless_tags": STAGES,
    "older_than": st.none() | SECONDS,
    "larger_than": st.none() | st.integers(0, 200),
}


@st.composite
def rules_of(draw: st.DrawFn, number: int) -> CleanupRule:
    fields: dict[str, Any] = {name: draw(values) for name, values in NARROWING.items()}
    kind = draw(st.sampled_from(["age", "expired", "count", "budget", "both", "versions"]))
    if kind == "age":
        fields["older_than"] = draw(SECONDS)
    elif kind == "expired":
        fields["expired"] = True
    elif kind == "versions":
        fields["noncurrent_after"] = draw(SECONDS)
    if kind in ("count", "both"):
        fields["keep_last"] = draw(st.integers(1, 400))
        fields["group_by"] = draw(st.sampled_from([None, "stage", "flow", "none"]))
    if kind in ("budget", "both"):
        fields["max_bytes"] = draw(st.integers(0, 2_000_000))
    return CleanupRule(f"rule {number}", **fields)


@st.composite
def sets_of_rules(draw: st.DrawFn) -> list[CleanupRule]:
    return [draw(rules_of(number)) for number in range(draw(st.integers(1, 3)))]


def assert_as_by_brute_force(
    filled: Filled, rules: list[CleanupRule], at: float, grace: timedelta, protect: str | None
) -> None:
    now: datetime = filled.last + timedelta(seconds=at)
    made, asked = filled.plan(rules, PlanContext(now, grace, protect))
    going = {(one.entry.name, version.version_id) for one in made.removals for version in one.going}
    assert going == expected(filled.keys, rules, now, grace, protect)
    sizes = {name: {one.version_id: one.size for one in key.versions} for name, key in filled.keys.items()}
    assert made.bytes_to_free == sum(sizes[name][version_id] for name, version_id in going)
    assert len(made.remove) + len(made.keep) == len(filled.keys)
    assert made.bytes_to_free + made.bytes_to_keep == sum(key.size for key in filled.keys.values())
    # Nothing that is too young, or the wrong thing by its name or size, was asked about.
    for name in asked:
        top = filled.keys[name].versions[0]
        assert any(
            name.startswith(rule.prefix)
            and (
                rule.noncurrent_after is not None or rule.max_bytes is not None or now - top.written >= grace
            )
            for rule in rules
        )
    for name in list(filled.keys)[:3]:
        assert name in explain(made, name)


@pytest.mark.parametrize(
    ("object_lock", "count", "rule_sets"),
    [
        (False, 100, 100),
        (True, 100, 100),
        pytest.param(False, OBJECTS, 200, marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param(True, OBJECTS, 200, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_a_plan_is_what_a_brute_force_over_all_objects_says(
    make_store: Callable[..., S3KV],
    request: pytest.FixtureRequest,
    object_lock: bool,  # noqa: FBT001
    count: int,
    rule_sets: int,
) -> None:
    if object_lock and count > 5000 and request.config.getoption("server") == "moto":
        pytest.skip("moto copies the whole bucket for each page of versions, and keeps the copies")
    filled = Filled(make_store(object_lock=object_lock), count)

    @settings(
        max_examples=rule_sets,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(sets_of_rules(), st.floats(0, 300), SECONDS, st.sampled_from(["keep", "keep", "flow", None]))
    def compare(rules: list[CleanupRule], at: float, grace: timedelta, protect: str | None) -> None:
        assert_as_by_brute_force(filled, rules, at, grace, protect)

    compare()
