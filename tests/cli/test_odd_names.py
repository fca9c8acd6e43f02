"""Names that a terminal's markup would take for its own are shown as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from s3kv_flows import Retention
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.cli import app
from tests.support.lake import Lake

ODD = "[red]/[/x]/:key:/[bold]"


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        assert app(list(arguments), result_action="return_value") == 0
        return capsys.readouterr().out

    return run


def test_in_a_plan(lake: Lake, printed: Callable[..., str], tmp_path: Path) -> None:
    lake.block.values.add(ODD, 1)
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"- {{name: odd, prefix: 's3kv/{ODD}', older_than: 0s}}")
    told = printed("plan", lake.name, "--rules", str(rules), "--grace", "0s")
    assert told.count(f"s3kv/{ODD}") >= 1
    assert told.count(f"s3kv/{ODD.rpartition('/')[0]}/ ") == 1, "the group"


def test_in_an_audit(locked_lake: Lake, printed: Callable[..., str]) -> None:
    locked_lake.block.values.add(ODD, 1, retention=Retention(days=1))
    assert f" s3kv/{ODD}" in printed("audit", locked_lake.name)


def test_names_of_checkpoints_are_whole_for_other_programs(
    lake: Lake, printed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "train/5f2e9e43-17d8-4b5c-9a53-0f6f0a8c2b11"
    with Checkpoint(lake.block, name, keep_on_success=True) as checkpoint:
        checkpoint.save(1)
    assert f" {name} " in printed("checkpoints", "ls", lake.name)


def test_in_checkpoints(lake: Lake, printed: Callable[..., str]) -> None:
    with Checkpoint(lake.block, ODD, keep_on_success=True) as checkpoint:
        checkpoint.save(1, tags={"stage": ":key:"})
    assert f" {ODD} " in printed("checkpoints", "ls", lake.name)
    told = printed("checkpoints", "show", lake.name, ODD)
    assert ODD in told
    assert "stage=:key:" in told
