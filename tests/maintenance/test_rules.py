from __future__ import annotations

import copy
import json
import pickle
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
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


BARE = [30, 30.0, "30", "30.0", " 30 ", True]


@pytest.mark.parametrize("field", ["older_than", "noncurrent_after"])
@pytest.mark.parametrize("bare", BARE)
def test_a_number_without_a_unit_is_refused_in_python_json_and_yaml(
    field: str, bare: object, tmp_path: Path
) -> None:
    rule = {"name": "nightly", "keep_last": 10} if field == "older_than" else {"name": "nightly"}
    why = "write 30d for days, 30s for seconds"
    with pytest.raises(ValidationError, match=why):
        CleanupRule(**rule | {field: bare})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=why):
        TypeAdapter(CleanupRule).validate_json(json.dumps(rule | {field: bare}))
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump([rule | {field: bare}]))
    with pytest.raises(ValueError, match=rf"rules.yaml: 0\.{field}.*{why}"):
        read_rules(tmp_path / "rules.yaml")


def test_a_minute_that_may_be_a_month_is_refused() -> None:
    with pytest.raises(ValidationError, match="write 1min for minutes, 1mo for months"):
        TypeAdapter(CleanupRule).validate_python({"name": "n", "older_than": "1m"})


@pytest.mark.parametrize("older_than", ["30d", "1d12h", "1mo", "1y6mo12h", "P1Y2M3DT4H", 0, timedelta(1)])
def test_a_rule_is_the_same_after_json_and_pickle(older_than: object) -> None:
    rules = TypeAdapter(list[CleanupRule])
    read = rules.validate_python([{"name": "n", "older_than": older_than, "larger_than": "1 MB"}])
    assert rules.validate_json(rules.dump_json(read)) == read
    assert rules.validate_python(rules.dump_python(read)) == read
    assert pickle.loads(pickle.dumps(read)) == read
    assert copy.deepcopy(read) == read


def test_a_rule_reads_as_deployments_write_it() -> None:
    rule = TypeAdapter(CleanupRule).validate_json(
        '{"name": "raw", "older_than": "P30D", "tags": {"stage": "raw"}}'
    )
    assert rule == CleanupRule("raw", tags={"stage": "raw"}, older_than=timedelta(days=30))


def test_the_form_in_prefects_ui_explains_every_field() -> None:
    schema = TypeAdapter(CleanupRule).json_schema()
    assert all(field.get("description") for field in schema["properties"].values())
    for name in ("older_than", "noncurrent_after"):
        text, nothing = schema["properties"][name]["anyOf"]
        assert (text["type"], nothing["type"]) == ("string", "null")
        assert "format" not in text, "30d is no ISO 8601, and a server may check the format"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"group_by": "flow", "older_than": "1d"}, "group_by is for what keep_last counts"),
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
        ("{", "neither YAML nor JSON"),
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
    assert str(READ[0]).endswith("older_than=30d)")
    assert str(CleanupRule("n", older_than=timedelta(hours=36))) == "n (older_than=1d12h)"
    months = TypeAdapter(CleanupRule).validate_python({"name": "n", "older_than": "P1Y6MT1H"})
    assert str(months) == "n (older_than=1y6mo1h)"
