"""s3kv plan, sweep and explain."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from s3kv_flows.cli import app
from s3kv_flows.store import Retention
from s3kv_flows.store.errors import KeyNotFoundError
from tests.support.lake import Lake

RULES = """
- {name: raw, tags: {stage: raw}, older_than: 0s}
- {name: history, noncurrent_after: 0s}
- {name: newest, prefix: s3kv/counted/, keep_last: 1}
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def rules(tmp_path: Path) -> list[str]:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    return ["--rules", str(file), "--grace", "0s"]


@pytest.fixture
def filled(locked_lake: Lake) -> Lake:
    values = locked_lake.block.values
    for number in range(3):
        values.add(f"raw/{number}", "x" * 1000 * number, tags={"stage": "raw"})
        values.add("often", number)
    values.add("final", 1, tags={"stage": "raw"}, retention=Retention(days=1))
    values.add("kept", 1, tags={"stage": "raw", "keep": ""})
    return locked_lake


def command(*arguments: str) -> object:
    return app(list(arguments), result_action="return_value")


def shown(text: str) -> str:
    return " ".join(text.split())


def test_a_plan_shows_what_would_go_why_and_how_much(
    filled: Lake, rules: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("plan", filled.name, *rules) == 0
    told = shown(capsys.readouterr().out)
    assert "3 objects to remove, 1 to prune, 3,008 bytes in 5 versions" in told
    for text in ("raw │ 3", "history │ 1", "s3kv/raw/", "GOVERNANCE retention", "carries the tag 'keep'"):
        assert text in told
    assert len(filled.block.values.list_keys()) == 6


def test_as_json_it_names_every_object(
    filled: Lake, rules: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("plan", filled.name, *rules, "--json", "--no-protect-tag") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["object"] for one in found["remove"]] == [
        "s3kv/kept.json",
        *(f"s3kv/raw/{n}.json" for n in range(3)),
    ]
    assert found["prune"] == [
        {"object": "s3kv/often.json", "bytes": 2, "versions": 2, "reason": found["prune"][0]["reason"]}
    ]
    assert [one["object"] for one in found["protected"]] == ["s3kv/final.json"]
    assert found["bytes"] == sum(one["bytes"] for one in [*found["remove"], *found["prune"]])


def test_a_sweep_wants_a_yes(
    filled: Lake, rules: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = filled.block.values
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert command("sweep", filled.name, *rules) == 1
    assert "no terminal to ask for confirmation: give --yes" in capsys.readouterr().err
    for answer, status, left in (("n", 1, 6), ("", 1, 6), ("yes", 0, 3)):
        monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
        assert command("sweep", filled.name, *rules) == status
        assert len(values.list_keys()) == left
    assert "Removed 3 objects, pruned 1; freed 3,008 bytes" in shown(capsys.readouterr().out)
    assert len(values.objects.versions("s3kv/often.json")) == 1
    assert command("sweep", filled.name, *rules, "--yes") == 0, "there is nothing to ask about"


def test_what_cannot_be_deleted_is_named_and_is_an_exit_status(
    filled: Lake, rules: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3kv_flows.store._s3.client import S3Client
    from s3kv_flows.store._s3.types import DeleteFailure

    def refuse(
        _: S3Client, __: str, objects: list[tuple[str, str | None, str | None]]
    ) -> list[DeleteFailure]:
        return [DeleteFailure(name, version, "AccessDenied", "not you") for name, version, _ in objects]

    monkeypatch.setattr(S3Client, "delete_objects", refuse)
    assert command("sweep", filled.name, *rules, "--yes") == 1
    assert "s3kv/raw/1.json: AccessDenied: not you" in shown(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("raw/1", ["s3kv/raw/1.json: would go: rule 'raw'", "rule 'raw' removes it"]),
        ("s3kv/final.json", ["stays: under GOVERNANCE retention until"]),
        ("often", ["stays: no rule matches", "2 of its versions would go: rule 'history'"]),
        ("kept", ["stays: carries the tag 'keep'", "tags: keep=, stage=raw"]),
    ],
)
def test_it_explains_a_key(
    filled: Lake, rules: list[str], capsys: pytest.CaptureFixture[str], key: str, texts: list[str]
) -> None:
    assert command("explain", filled.name, key, *rules) == 0
    told = capsys.readouterr().out
    assert all(text in told for text in texts), told


@pytest.mark.parametrize(
    ("grace", "why"),
    [
        ("30", "30 has no unit: write 30d for days, 30s for seconds"),
        ("30.0", "30 has no unit"),
        ("90m", "write 90min for minutes, 90mo for months"),
        ("-1d", "not be negative"),
    ],
)
def test_a_grace_period_without_a_unit_is_refused_before_anything_is_asked(
    rules: list[str], grace: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("plan", "sweep", "lifecycle diff", "lifecycle apply"):
        with pytest.raises(SystemExit) as stopped:
            command(*name.split(), "lake", *rules[:2], f"--grace={grace}")
        assert stopped.value.code != 0
        told = shown("".join(capsys.readouterr()).replace("│", ""))
        assert "--grace" in told
        assert why in told


def test_it_lists_no_more_than_the_key_where_no_rule_counts(filled: Lake, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("- {name: raw, older_than: 0s}")
    wire = filled.count(
        lambda: command("explain", filled.name, "raw/1", "--rules", str(file), "--grace", "0s")
    )
    lists = [path for path in wire.paths if "prefix=s3kv%2F" in path]
    assert len(lists) == 1


def test_a_key_that_is_not_there_is_said_so(filled: Lake, rules: list[str]) -> None:
    with pytest.raises(KeyNotFoundError, match=r"no object 's3kv/raw/9\.json'"):
        command("explain", filled.name, "raw/9", *rules)
