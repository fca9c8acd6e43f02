"""Which edits of a project give a task another key, on a table of small projects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.keys.cases import Edit
from tests.keys.edits import EDITS

ROOT = Path(__file__).parent.parent.parent


def digests(
    edits: Sequence[Edit], directory: Path, *, edited: bool = False, how: str = "import", seed: int = 0
) -> dict[str, str]:
    """Digest the tasks of all projects in a new process."""
    cases = [
        (edit.name, str(edit.write(directory / f"p{number}", edited=edited)), edit.options)
        for number, edit in enumerate(edits)
    ]
    ran = subprocess.run(
        [os.environ.get("S3KV_TEST_PYTHON", sys.executable), "-B", "-m", "tests.keys.child"],
        input=json.dumps({"how": how, "cases": cases}),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, str] = json.loads(ran.stdout)
    return {name: digest for name, digest in found.items() if not digest.startswith("skipped")}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(EDITS, tmp_path_factory.mktemp("before"))


def test_edits_that_count_change_the_key_and_others_do_not(before: dict[str, str], tmp_path: Path) -> None:
    after = digests(EDITS, tmp_path, edited=True, seed=1)
    same = {name for name in before if before[name] == after[name]}
    stale = [edit.name for edit in EDITS if edit.changes and edit.name in same]
    needless = [edit.name for edit in EDITS if not edit.changes and edit.name in before and edit.name not in same]
    assert (stale, needless) == ([], [])
    assert sum(edit.changes for edit in EDITS) >= 60
    assert sum(not edit.changes for edit in EDITS) >= 40


def test_each_task_has_its_own_key(before: dict[str, str], tmp_path: Path) -> None:
    other = digests(EDITS, tmp_path, seed=2)
    assert other == before


@pytest.mark.parametrize("how", ["main", "loader"])
def test_a_script_and_a_deployment_have_the_key_of_an_import(
    before: dict[str, str], tmp_path: Path, how: str
) -> None:
    assert digests(EDITS, tmp_path, how=how, seed=3) == before
