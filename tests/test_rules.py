from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import read_rules


def test_an_empty_rule_is_refused_and_says_why() -> None:
    with pytest.raises(ValidationError, match="noncurrent_after it would remove everything it matches"):
        CleanupRule("everything", tags={"stage": "raw"})


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"older_than": timedelta(seconds=-1)},
        {"tags": {"semi;colon": "x"}},
        {"unless_tags": {"k": "v" * 257}},
        {"older": timedelta(1)},
        {"older_than": True},
        {"max_bytes": True},
        {"older_than": "999999999999d"},
    ],
)
def test_a_malformed_rule_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(CleanupRule).validate_python({"name": "n", "older_than": timedelta(1)} | fields)


def test_a_rule_reads_as_deployments_write_it() -> None:
    rule = TypeAdapter(CleanupRule).validate_json(
        '{"name": "raw", "older_than": "P30D", "tags": {"stage": "raw"}}'
    )
    assert rule == CleanupRule("raw", tags={"stage": "raw"}, older_than=timedelta(days=30))


def test_the_form_in_prefects_ui_explains_every_field() -> None:
    schema = TypeAdapter(CleanupRule).json_schema()
    assert all(field.get("description") for field in schema["properties"].values())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"group_by": "flow", "older_than": "1d"}, "group_by says of what keep_last counts"),
        ({"noncurrent_after": "1d", "keep_last": 3}, "make two rules"),
        ({"noncurrent_after": "1d", "max_bytes": 0}, "make two rules"),
        ({"noncurrent_after": "1d", "expired": True}, "make two rules"),
        ({"keep_last": 0}, "greater than or equal to 1"),
        ({"max_bytes": -1}, "greater than or equal to 0"),
        ({"keep_last": 1, "group_by": "semi;colon"}, "semi;colon"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(fields: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        TypeAdapter(CleanupRule).validate_python({"name": "n"} | fields)


@pytest.mark.parametrize(
    "fields",
    [{"older_than": 0}, {"expired": True}, {"keep_last": 1}, {"max_bytes": 0}, {"noncurrent_after": 0}],
)
def test_one_reason_to_remove_is_enough(fields: dict[str, object]) -> None:
    rule = TypeAdapter(CleanupRule).validate_python({"name": "n"} | fields)
    assert str(rule).count("=") == 1


RULES = """
- name: raw
  prefix: s3kv-results/
  tags: {stage: raw}
  older_than: 30d
- name: budget
  max_bytes: 10 GB
  keep_last: 3
  group_by: flow
- {name: history, noncurrent_after: 1.5h, larger_than: 1 KiB}
"""
READ = [
    CleanupRule("raw", prefix="s3kv-results/", tags={"stage": "raw"}, older_than=timedelta(days=30)),
    CleanupRule("budget", max_bytes=10**10, keep_last=3, group_by="flow"),
    CleanupRule("history", noncurrent_after=timedelta(minutes=90), larger_than=1024),
]


def test_rules_are_read_from_yaml_and_json(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    assert read_rules(tmp_path / "rules.yaml") == READ
    as_json = TypeAdapter(list[CleanupRule]).dump_json(READ).decode()
    (tmp_path / "rules.json").write_text(f'{{"rules": {as_json}}}')
    assert read_rules(tmp_path / "rules.json") == READ


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- {name: a}", r"rules.yaml: 0: .*rule 'a' is empty"),
        ("- {name: a, older_than: soon}", r"0\.older_than"),
        ("{", "no YAML and no JSON"),
        ("5", "should be a valid list"),
        ("- {name: a, expired: true}\n- {name: a, keep_last: 1}", "two rules are called 'a'"),
    ],
)
def test_a_file_that_is_no_rules_says_where_and_why(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(ValueError, match=why):
        read_rules(tmp_path / "rules.yaml")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_rules(tmp_path / "none.yaml")


def test_a_rule_shows_what_was_given() -> None:
    assert str(READ[1]) == "budget (keep_last=3, group_by='flow', max_bytes=10000000000)"
    assert str(READ[0]).endswith("older_than=30 days, 0:00:00)")
