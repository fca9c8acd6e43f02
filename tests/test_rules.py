from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from s3kv_flows import CleanupRule


def test_an_empty_rule_is_refused_and_says_why() -> None:
    with pytest.raises(ValidationError, match="without older_than it would remove everything it matches"):
        CleanupRule("everything", tags={"stage": "raw"})


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"older_than": timedelta(seconds=-1)},
        {"tags": {"semi;colon": "x"}},
        {"unless_tags": {"k": "v" * 257}},
        {"older": timedelta(1)},
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
