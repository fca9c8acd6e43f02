"""Runs the digests of many small projects in another process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.keys.code.cases import Edit

ROOT = Path(__file__).parents[3]


def digests(
    edits: Sequence[Edit],
    directory: Path,
    *,
    edited: bool = False,
    how: str = "import",
    seed: int = 0,
    optimize: int = 0,
) -> dict[str, str]:
    """Digest the tasks of all projects in a new process, of the interpreter that S3KV_TEST_PYTHON names."""
    cases = []
    for number, edit in enumerate(edits):
        project = edit.write(directory / f"p{number}", edited=edited)
        if how == "old":
            edit.write(directory / f"p{number}-edited", edited=True)
        if how == "zip":
            shutil.make_archive(str(project), "zip", project)
            shutil.rmtree(project)
        cases.append((edit.name, str(project), edit.options))
    ran = subprocess.run(
        [os.environ.get("S3KV_TEST_PYTHON", sys.executable), "-B", "-m", "tests.keys.code.child"],
        input=json.dumps({"how": how, "cases": cases}),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "PYTHONPATH": str(ROOT),
            "PYTHONOPTIMIZE": str(optimize or ""),
        },
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, str] = json.loads(ran.stdout)
    return {name: digest for name, digest in found.items() if not digest.startswith("skipped")}


def verdict(
    edits: Sequence[Edit], before: dict[str, str], after: dict[str, str]
) -> tuple[list[str], list[str]]:
    """Return which edits that count went unnoticed, and which that do not made another key."""
    same = {name for name in before if before[name] == after[name]}
    stale = [edit.name for edit in edits if edit.changes and edit.name in same]
    needless = [edit.name for edit in edits if not edit.changes and edit.name in before.keys() - same]
    return stale, needless
