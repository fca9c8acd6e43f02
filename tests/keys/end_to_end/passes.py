"""Runs the tasks of small projects in processes: as they were, and edited."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.keys.code.cases import Edit
from tests.keys.end_to_end.arguments import ARGUMENTS
from tests.keys.end_to_end.shapes import HOWS

ROOT = Path(__file__).parents[3]
# A module that Prefect gave a name of its own pickles its classes by that name, which is no other's.
_LOADED = (("import", "main"), ("main", "notebook"), ("notebook", "import"), ("loader", "loader"))
"""How a project is loaded, and how it is loaded the last time."""


@dataclass(frozen=True)
class Call:
    """What became of one call of a project's task.

    Attributes:
        state: ``computed`` or ``hit``; ``failed: ...`` or ``skipped: ...``.
        value: The text of its value.
        uncached: Of a hit, the text of what the function itself gives, in the same process.
        said: What Prefect logged about the run, from warnings on.
    """

    state: str
    value: str = ""
    uncached: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def is_wrong(self) -> bool:
        """Whether it is a hit of what the function would not give."""
        return self.state == "hit" and self.value != self.uncached


def run_child(module: str, wanted: dict[str, Any], api: str, *, seed: int) -> Any:
    ran = subprocess.run(
        [sys.executable, "-B", "-m", module],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            "PREFECT_API_URL": api,
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PYTHONHASHSEED": str(seed),
            "PYTHONPATH": str(ROOT),
        },
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def calls(
    edits: Sequence[Edit],
    directory: Path,
    store: str,
    api: str,
    *,
    edited: bool = False,
    seed: int = 0,
    turn: int = 0,
    plain: bool = False,
) -> dict[str, Call]:
    """Call the tasks of all projects in a new process.

    Args:
        edits: The projects.
        directory: Where to write them.
        store: The name of the block.
        api: The URL of Prefect's API.
        edited: Whether to edit them.
        seed: For the order of sets.
        turn: 1 to load them in other ways than before.
        plain: Whether to write all files as ``ast.unparse`` does: no comments, other lines.
    """
    cases = []
    for number, edit in enumerate(edits):
        project = edit.write(directory / f"p{number}", edited=edited)
        for file in project.rglob("*.pth"):
            file.write_text(file.read_text().replace("{here}", str(project)))
        if plain:
            for file in project.rglob("*.py"):
                file.write_text(ast.unparse(ast.parse(file.read_text())))
        how = HOWS.get(edit.name) or _LOADED[number % len(_LOADED)][turn]
        cases.append((edit.name, str(project), how, ARGUMENTS.get(edit.name, "(3,)"), edit.options))
    found = run_child("tests.keys.end_to_end.child", {"store": store, "cases": cases}, api, seed=seed)
    return {name: Call(**call) for name, call in found.items()}


@dataclass
class Verdict:
    """What three passes showed: on the projects as they were, edited, and as they were again."""

    stale: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Computed again though nothing was edited."""
    left_out: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    """Rightly computed after an edit that counts."""
    found: list[str] = field(default_factory=list)
    """Rightly not computed after an edit that does not."""

    @property
    def wrong(self) -> list[str]:
        return [*self.stale, *self.needless, *self.lost]

    def line(self) -> str:
        right = f"{len(self.missed)} rightly computed, {len(self.found)} rightly not"
        wrong = f"{len(self.stale)} stale, {len(self.needless)} needless, {len(self.lost)} lost"
        return "; ".join([right, wrong, f"{len(self.left_out)} left out", *self.wrong])


def judge(
    edits: Sequence[Edit], before: dict[str, Call], after: dict[str, Call], again: dict[str, Call]
) -> Verdict:
    verdict = Verdict()
    for edit in edits:
        first, second, third = (one[edit.name] for one in (before, after, again))
        broken = [one.state for one in (first, second, third) if one.state not in {"computed", "hit"}]
        if broken or first.state != "computed":
            verdict.left_out[edit.name] = " ".join(broken) or "computed before"
        elif second.is_wrong or third.is_wrong or (edit.changes and second.state == "hit"):
            verdict.stale.append(edit.name)
        elif third.state != "hit":
            verdict.lost.append(edit.name)
        elif edit.changes:
            verdict.missed.append(edit.name)
        elif second.state == "hit":
            verdict.found.append(edit.name)
        else:
            verdict.needless.append(edit.name)
    return verdict
