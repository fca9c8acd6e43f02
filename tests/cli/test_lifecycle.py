from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows.cli import app
from s3kv_flows.store._s3.types import LifecycleConfiguration
from tests.contracts.helpers import outside
from tests.support.lake import Lake

RULES = """
- {name: raw, tags: {stage: raw}, older_than: 36h}
- {name: newest, keep_last: 3, prefix: s3kv/}
"""


def command(*arguments: str) -> object:
    return app(["lifecycle", *arguments], result_action="return_value")


def there(lake: Lake) -> list[dict[str, Any]]:
    return lake.block.values.client.get_lifecycle(lake.block.bucket_name).rules


@pytest.fixture
def rules(tmp_path: Path) -> str:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    return str(file)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_diff_shows_what_apply_then_does(
    lake: Lake, rules: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = (lake.name, "--rules", rules, "--no-protect-tag")
    assert command("diff", *arguments) == 0
    lines = printed(capsys)
    assert lines[0] == "+ raw [values]: below 's3kv/' with stage=raw: expire after 2 days"
    assert lines[3] == "+ [unfinished uploads of values]: below 's3kv/': abort incomplete uploads after 1 day"
    assert "only by a sweep: newest: S3 does not count objects (keep_last)" in lines
    assert "note: rule 'raw': older_than of 1d12h counts as 2 days" in lines
    assert there(lake) == [], "nothing was put"

    assert command("apply", *arguments) == 0
    assert printed(capsys) == lines
    assert len(there(lake)) == 6
    assert command("apply", *arguments) == 0
    assert [line[0] for line in printed(capsys)[:6]] == ["="] * 6

    other = tmp_path / "other.yaml"
    other.write_text("[{name: raw, tags: {stage: raw}, older_than: 7d, prefix: s3kv/}]")
    assert command("diff", lake.name, "--rules", str(other), "--no-protect-tag", "--grace", "3d") == 0
    lines = printed(capsys)
    assert lines[:2] == [
        "- raw [results]: below 's3kv-results/' with stage=raw: expire after 2 days",
        "- raw [checkpoints]: below 's3kv-checkpoints/' with stage=raw: expire after 2 days",
    ]
    assert lines[2] == (
        "~ raw [values]: below 's3kv/' with stage=raw: expire after 2 days -> "
        "below 's3kv/' with stage=raw: expire after 7 days"
    )
    assert lines[3].endswith("after 1 day -> below 's3kv/': abort incomplete uploads after 3 days")


def test_nothing_is_for_s3_while_a_tag_protects(
    lake: Lake, rules: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("apply", lake.name, "--rules", rules) == 0
    lines = printed(capsys)
    assert "only by a sweep: raw: S3 cannot spare objects with the tag 'keep': " in "\n".join(lines)
    assert [line for line in lines if line.startswith("+")] == [
        line for line in lines if "unfinished uploads" in line
    ]
    assert not [rule for rule in there(lake) if "Expiration" in rule]
    command("diff", lake.name, "--rules", rules, "--protect-tag", "mine")
    assert "objects with the tag 'mine'" in capsys.readouterr().out


def test_a_bucket_with_object_lock_keeps_what_is_current(
    locked_lake: Lake, rules: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("apply", locked_lake.name, "--rules", rules, "--no-protect-tag") == 0
    assert "only by a sweep: raw: in a bucket with Object Lock, S3 would hide" in capsys.readouterr().out
    assert not [rule for rule in there(locked_lake) if "Days" in rule.get("Expiration", {})]
    assert len(there(locked_lake)) == 6


def test_what_is_in_the_bucket_is_shown_with_what_is_of_others(
    lake: Lake, rules: str, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Date": datetime(2040, 1, 1, tzinfo=timezone.utc)},
    }
    outside(lake.block.values).put_bucket_lifecycle_configuration(
        Bucket=lake.block.bucket_name, LifecycleConfiguration={"Rules": [theirs]}
    )
    command("apply", lake.name, "--rules", rules, "--no-protect-tag")
    assert "foreign, unchanged: theirs" in printed(capsys)
    assert command("show", lake.name) == 0
    lines = printed(capsys)
    assert lines[0] == f"bucket {lake.block.bucket_name}: 6 rules of this store, 1 foreign"
    assert "  own      raw [results]: below 's3kv-results/' with stage=raw: expire after 2 days" in lines
    assert lines[-1].startswith("  foreign  theirs: below 'logs/': Expiration {'Date': ")
    assert command("show", lake.name, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (len(found["own"]), [rule["ID"] for rule in found["foreign"]]) == (6, ["theirs"])
    assert found["foreign"][0]["Expiration"]["Date"] == "2040-01-01 00:00:00+00:00"


def test_a_diff_as_json_has_all_there_is(lake: Lake, rules: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (lake.name, "--rules", rules, "--no-protect-tag")
    command("apply", *arguments)
    (raw,) = (rule for rule in there(lake) if "raw [values]" in rule["ID"])
    changed = [raw | {"Expiration": {"Days": 9}}]
    lake.block.values.client.put_lifecycle(lake.block.bucket_name, LifecycleConfiguration(changed))
    capsys.readouterr()
    assert command("diff", *arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["add"]) == 5
    assert found["change"][0]["from"]["Expiration"] == {"Days": 9}
    assert found["change"][0]["to"]["Expiration"] == {"Days": 2}
    assert found["remove"] == found["unchanged"] == found["foreign"] == []
    assert list(found["inexpressible"]) == ["newest"]
    assert any("midnight" in note for note in found["notes"])


def test_a_file_that_holds_no_rules_is_refused_before_the_bucket_is_asked(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("[{name: everything}]")
    with pytest.raises(ValueError, match="is empty"):
        command("apply", lake.name, "--rules", str(file), "--no-protect-tag")
    assert there(lake) == []
