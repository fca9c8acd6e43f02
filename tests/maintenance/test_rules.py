from __future__ import annotations

import copy
import json
import pickle
import re
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import parse_rules, read_rules


def test_an_empty_rule_is_refused_and_says_why() -> None:
    with pytest.raises(
        ValueError, match=r"^rule 'everything': it is empty: .*noncurrent_after it would remove everything it"
    ):
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
    with pytest.raises(ValueError, match=rf"^rule 'nightly': {field}: .*{why}"):
        CleanupRule(**rule | {field: bare})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=why):
        TypeAdapter(CleanupRule).validate_json(json.dumps(rule | {field: bare}))
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump([rule | {field: bare}]))
    with pytest.raises(ValueError, match=rf"rules.yaml: rule 1 'nightly': {field}: .*{why}"):
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
        ({"keep_last": 0}, "write a whole number from 1 on, not 0"),
        ({"max_bytes": -1}, "write a size such as '500 GB', not -1"),
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
        ("- {name: a}", "rule 1 'a': it is empty: without"),
        ("- {name: a, older_than: soon}", "rule 1 'a': older_than: 'soon' is not a duration"),
        ("{", "line 1, column 2: neither YAML nor JSON"),
        ("5", "this is 5, not a list of rules: begin each rule with '- name: '"),
        ("rules.yaml", "this is 'rules.yaml', not a list"),
        ("name: a\nexpired: true", "this is one rule, not a list"),
        ("a: {expired: true}", "this is a mapping, not a list"),
        ("rules: {name: a}", "this is one rule, not a list"),
        ("base: 1\nrules: []", "beside 'rules' stands 'base': a file has rules and nothing else"),
        ("rules: []\nrules: []", "'rules' stands there twice"),
        ("", r"there are no rules in it: write a list of them, or \[\] for none"),
        ("# none yet", "there are no rules in it"),
        ("rules:", "there are no rules in it"),
        ("- 5", "rule 1: write a mapping with its fields, .*, not 5"),
        ("-", "rule 1: .*, not null"),
        ("- {expired: true}", "rule 1: it has no name: give it one"),
        ("- {name: '', expired: true}", "rule 1: name: it is empty"),
        ("- {nam: a, expired: true}", "rule 1: no field 'nam': name?"),
        ("- {name: a, prefx: b, expired: true}", "rule 1 'a': no field 'prefx': prefix?"),
        ("- {name: a, Older-Than: 3d}", "rule 1 'a': no field 'Older-Than': older_than?"),
        (
            "- {name: a, on: 3d}",
            "rule 1 'a': no field 'on': the fields are name, prefix, .* and noncurrent_after",
        ),
        ("- {name: a, max_bytes: lots}", "rule 1 'a': max_bytes: write a size such as '500 GB', not 'lots'"),
        ("- {name: a, max_bytes: 1 XB}", "rule 1 'a': max_bytes: write a size such as '500 GB', not '1 XB'"),
        ("- {name: a, max_bytes: yes}", "rule 1 'a': max_bytes: write a size such as '500 GB', not true"),
        ("- {name: a, max_bytes: .inf}", "rule 1 'a': max_bytes: write a size such as '500 GB', not inf"),
        ("- {name: a, keep_last: yes}", "rule 1 'a': keep_last: write a whole number from 1 on, not true"),
        ("- {name: a, keep_last: few}", "rule 1 'a': keep_last: write a whole number from 1 on, not 'few'"),
        ("- {name: a, keep_last: 010}", "rule 1 'a': keep_last: 010 is read as 8: write that"),
        ("- {name: a, older_than: 1:30}", r"rule 1 'a': older_than: .* \(1:30 is read as 90\)"),
        (
            "- {name: a, older_than: 2024-01-01}",
            "older_than: write how long ago, .*, not the date 2024-01-01",
        ),
        ("- {name: a, older_than: [30d]}", "rule 1 'a': older_than: .* not list"),
        ("- {name: a, older_than: 2024-13-01}", "line 1: 2024-13-01 is no date and no number"),
        ("- {name: a, expired: soon}", "rule 1 'a': expired: write true or false, not 'soon'"),
        (
            "- {name: a, expired: true, tags: raw}",
            "tags: write names and values, such as {stage: raw}, not 'raw'",
        ),
        ("- {name: a, expired: true, tags: [raw]}", "tags: write names and values, .*, not a list"),
        (
            "- {name: a, expired: true, tags: {s: no}}",
            "tags: s: no is read as false, not text: put it into quotes",
        ),
        (
            "- {name: a, expired: true, tags: {s: 010}}",
            "tags: s: 010 is read as 8, not text: put it into quotes",
        ),
        ("- {name: a, expired: true, tags: {s: 7}}", "tags: s: 7 is not text: put it into quotes"),
        (
            "- {name: a, expired: true, tags: {s: 2024-01-01}}",
            "tags: s: .* the date 2024-01-01, not text: put it",
        ),
        ("- {name: a, expired: true, tags: {s: }}", 'tags: s: write text, not null \\("" where it is empty'),
        (
            "- {name: a, expired: true, tags: {on: x}}",
            "tags: on is read as true, not text: put it into quotes",
        ),
        ("- {name: a, expired: true, tags: {s: {}}}", "tags: s: write text, not a mapping"),
        ('- {name: a, expired: true, tags: {"x\\ny": 5}}', "tags: x y: 5 is not text: put it into quotes"),
        ("- {name: off, expired: true}", "rule 1: name: off is read as false, not text: put it into quotes"),
        ('[{"name": "a", "expired": true, "tags": {"s": 7}}]', "tags: s: 7 is not text: put it into quotes"),
        (
            "- name: a\n  expired: true\n  keep_last: 3\n  keep_last: 5",
            "rule 1 'a': 'keep_last' stands there twice",
        ),
        ('[{"name": "a", "keep_last": 3, "keep_last": 5}]', "rule 1 'a': 'keep_last' stands there twice"),
        ("- {name: a, expired: true, tags: {s: x, s: y}}", "rule 1 'a': tags: 's' stands there twice"),
        ("- {name: a, expired: true}\n- {name: a, keep_last: 1}", "rules 1 and 2 are called 'a'"),
        ("- name: a\n\texpired: true", "line 2, column 1: .*there is a tab: indent with spaces"),
        ("- name: a\n---\n- name: b", "line 2, column 1: there are two documents"),
        ("- name: !!python/object:x a", "line 1, column 9: .*could not determine a constructor"),
        ("- name: \a", r"line 1: a control character \(0x07\)"),
        ("- name: *a", "line 1, column 9: .*undefined alias 'a'"),
        ("- {<<: 5, name: a}", "line 1: '<<' merges mappings, such as .*, not 5"),
        ("- &a {name: a, tags: *a}", "rule 1 'a': tags: tags: write text, not a mapping"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_rules_says_where_and_why(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(ValueError, match=why) as caught:
        read_rules(tmp_path / "rules.yaml")
    assert re.fullmatch(rf".*rules\.yaml: .*{why}.*", str(caught.value)), "in one line"


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        """
        - {name: raw, prefx: s3kv/, older_than: 30}
        - {name: budget, max_bytes: lots, tags: {stage: no, stage: "yes"}}
        - {name: raw, expired: true}
        """
    )
    with pytest.raises(ValueError, match="prefx") as caught:
        read_rules(tmp_path / "rules.yaml")
    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == [
        "rules.yaml: rule 1 'raw': no field 'prefx': prefix?",
        "rules.yaml: rule 1 'raw': older_than: 30 has no unit: write 30d for days, 30s for seconds",
        "rules.yaml: rule 2 'budget': tags: 'stage' stands there twice: leave one",
        "rules.yaml: rule 2 'budget': tags: stage: no is read as false, not text: put it into quotes",
        "rules.yaml: rule 2 'budget': max_bytes: write a size such as '500 GB', not 'lots'",
        "rules.yaml: rules 1 and 3 are called 'raw': give each its own name",
    ]


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^rules cannot be read from '.*none.yaml': No such file or directory$"
    ):
        read_rules(tmp_path / "none.yaml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", ["- {name: größe, expired: true}", '[{"name": "größe", "expired": true}]'])
def test_files_of_windows_editors_are_read(tmp_path: Path, encoding: str, text: str) -> None:
    (tmp_path / "rules.yaml").write_bytes(text.encode(encoding))
    assert read_rules(tmp_path / "rules.yaml") == [CleanupRule("größe", expired=True)]


def test_another_encoding_is_said_so_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_bytes("# Regeln\n- {name: größe, expired: true}".encode("latin-1"))
    with pytest.raises(ValueError, match=r"rules.yaml: line 2: this is not UTF-8: save the file in UTF-8$"):
        read_rules(tmp_path / "rules.yaml")


def test_json_is_read_as_json() -> None:
    text = '[\n\t{"name": "\\ud83d\\ude00", "expired": true}\n]'
    assert parse_rules(text) == [CleanupRule("😀", expired=True)], "tabs, and two escapes for one character"
    assert parse_rules("[{name: a, expired: yes},]") == [CleanupRule("a", expired=True)], "YAML in brackets"


def test_anchors_and_merge_keys_do_what_they_do_everywhere() -> None:
    text = """
    - &raw {name: raw, prefix: s3kv/raw/, tags: &t {stage: raw}, older_than: 30d}
    - {<<: *raw, name: draft, older_than: 7d}
    - {<<: [{prefix: s3kv/x/}, *raw], name: both}
    - {name: budget, tags: *t, max_bytes: 10 GB}
    """
    raw = CleanupRule("raw", prefix="s3kv/raw/", tags={"stage": "raw"}, older_than=timedelta(30))
    assert parse_rules(text) == [
        raw,
        replace(raw, name="draft", older_than=timedelta(7)),
        replace(raw, name="both", prefix="s3kv/x/"),
        CleanupRule("budget", tags={"stage": "raw"}, max_bytes=10**10),
    ]


def test_a_list_of_no_rules_is_one() -> None:
    assert parse_rules("[]") == parse_rules("rules: []") == []


@pytest.mark.parametrize(
    ("arguments", "named", "why"),
    [
        ((), {"name": "a", "older_then": "3d"}, "rule 'a': no field 'older_then': older_than?"),
        (("a", "b", ["c"]), {}, "rule 'a': tags: write names and values, .*, not a list"),
        (("a",), {"name": "b"}, "rule 'a': name: it is given twice"),
        ((), {"expired": True}, "rule: it has no name: give it one"),
        (("a", "", {}, {}, None, True, *[None] * 5, 5), {}, "rule 'a': a rule has 11 fields, and more"),
    ],
)
def test_arguments_in_python_are_told_as_fields_are(
    arguments: tuple[Any, ...], named: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=f"^{why}") as caught:
        CleanupRule(*arguments, **named)
    assert not isinstance(caught.value, ValidationError)


def test_deployments_are_told_in_the_same_words() -> None:
    rules = [
        {"name": "raw", "older_than": "30d"},
        {"name": "b", "max_byte": "1 GB", "tags": {"stage": False}},
    ]
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[CleanupRule]).validate_python(rules)
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [
        ((1,), "rule 'b': no field 'max_byte': max_bytes?"),
        ((1, "tags", "stage"), "rule 'b': write text, not false: put it into quotes"),
    ]
    assert "https://" not in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("field", [one.name for one in fields(CleanupRule)])
@given(value=ANYTHING)
def test_every_field_says_in_plain_words_what_it_does_not_take(field: str, value: object) -> None:
    try:
        TypeAdapter(CleanupRule).validate_python({"name": "n", "expired": True, field: value})
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            assert error["type"] == "cleanup_rule"
            assert not re.search("Input|should|unable|Value error|pydantic", error["msg"])
            assert "\n" not in error["msg"]


def test_the_schema_takes_sizes_as_people_write_them() -> None:
    schema = TypeAdapter(CleanupRule).json_schema()
    for name in ("max_bytes", "larger_than"):
        assert [form["type"] for form in schema["properties"][name]["anyOf"]] == ["integer", "string", "null"]


def test_a_rule_shows_what_was_given() -> None:
    assert str(READ[1]) == "budget (keep_last=3, group_by='flow', max_bytes=10000000000)"
    assert str(READ[0]).endswith("older_than=30d)")
    assert str(CleanupRule("n", older_than=timedelta(hours=36))) == "n (older_than=1d12h)"
    months = TypeAdapter(CleanupRule).validate_python({"name": "n", "older_than": "P1Y6MT1H"})
    assert str(months) == "n (older_than=1y6mo1h)"
