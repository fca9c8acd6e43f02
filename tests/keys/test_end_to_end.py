"""Edits of small projects, whose tasks run in several processes through Prefect."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.keys.code.cases import Edit
from tests.keys.code.test_edits import BARE, EDITS
from tests.keys.end_to_end import pipeline
from tests.keys.end_to_end.arguments import LEFT_OUT
from tests.keys.end_to_end.blind import BLIND, SETTINGS_AND_FIELDS
from tests.keys.end_to_end.hidden import HIDDEN
from tests.keys.end_to_end.holes import HOLES
from tests.keys.end_to_end.loading import cells_of
from tests.keys.end_to_end.passes import Verdict, calls, judge, run_child
from tests.keys.end_to_end.shapes import SHAPES
from tests.support.lake import Lake

CALLED = [edit for edit in EDITS if edit.name not in LEFT_OUT]
HITS = [edit for edit in BARE if edit in CALLED and not edit.changes]
MISSES = [edit for edit in BARE if edit in CALLED and edit.changes]
QUICK = [*HITS, *MISSES[::3], *HIDDEN, *SHAPES, *SETTINGS_AND_FIELDS]
"""All edits that change nothing, and a third of the others: the rest takes the longer part of a minute."""
REST = [edit for edit in (*CALLED, *BLIND) if edit not in QUICK]


def verdict_of(edits: Sequence[Edit], lake: Lake, api: str, directory: Path, *, plain: bool) -> Verdict:
    """Run all tasks as they were, edited, and as they were again, each time in a new process."""
    before = calls(edits, directory / "before", lake.name, api)
    shutil.rmtree(directory / "before")
    after = calls(edits, directory / "and after", lake.name, api, edited=True, seed=1)
    # Whatever else is different now, nothing was edited.
    again = calls(edits, directory / "again", lake.name, api, seed=2, turn=1, plain=plain)
    verdict = judge(edits, before, after, again)
    print(verdict.line())  # noqa: T201  # pytest shows it with what failed
    return verdict


def test_no_edit_goes_unnoticed_and_nothing_else_computes(
    lake: Lake, prefect_api: str, tmp_path: Path
) -> None:
    verdict = verdict_of(QUICK, lake, prefect_api, tmp_path, plain=False)
    assert verdict.left_out == {}
    assert {name: HOLES[name] for name in verdict.wrong if name in HOLES} == HOLES
    assert [name for name in verdict.wrong if name not in HOLES] == []
    assert len(verdict.missed) >= 60
    assert len(verdict.found) >= 60


@pytest.mark.slow
@pytest.mark.long  # half of the table, beside the quick half: two minutes
def test_no_edit_of_the_others_goes_unnoticed(lake: Lake, prefect_api: str, tmp_path: Path) -> None:
    verdict = verdict_of(REST, lake, prefect_api, tmp_path, plain=True)
    assert verdict.left_out == {}
    assert verdict.wrong == []
    assert len(verdict.missed) + len(verdict.found) == len(REST)


def test_an_edit_of_a_pipeline_computes_what_it_reaches_and_what_follows(
    lake: Lake, prefect_api: str, tmp_path: Path
) -> None:
    def computed(*directories: Path, seed: int) -> list[set[str]]:
        wanted = {"store": lake.name, "directories": [*map(str, directories)]}
        found = run_child("tests.keys.end_to_end.pipeline_child", wanted, prefect_api, seed=seed)
        return [set(names) for names in found]

    assert computed(pipeline.write(tmp_path / "first"), seed=0) == [pipeline.TASKS]

    restyled = pipeline.restyle(pipeline.write(tmp_path / "restyled"))
    changed = [
        pipeline.write(tmp_path / f"edit {number}", change) for number, change in enumerate(pipeline.CHANGES)
    ]
    found = computed(pipeline.write(tmp_path / "second"), restyled, *changed, seed=1)
    assert found[:2] == [set(), set()]
    assert [
        (change, names)
        for change, names in zip(pipeline.CHANGES, found[2:], strict=True)
        if names != change.computed
    ] == []


def test_a_cell_that_is_run_again_edited_computes_and_as_it_was_does_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    run_cell = cells_of(notebook)
    helper, other = (f"def scale(x): return x * {factor}" for factor in (2, 3))
    run_cell(helper)
    run_cell("def double(x): return scale(x)")
    run_cell(f"import prefect, s3kv_flows\nt = prefect.task(**s3kv_flows.caching({lake.name!r}))(double)")

    def state() -> tuple[str, int]:
        made = notebook.t(1, return_state=True)
        return made.name, made.result()

    assert state() == ("Completed", 2)
    run_cell(other)
    assert state() == ("Completed", 3)
    run_cell(helper)
    assert state() == ("Cached", 2)
    run_cell(f"# {other}\n\n{helper}  # as it was")
    assert state() == ("Cached", 2)


SCRIPT = """
import os
from dataclasses import dataclass
from prefect import task
from s3kv_flows import caching
from helpers import scale

@dataclass
class Point:
    x: int

@task(**caching(os.environ["S3KV_TEST_STORE"]))
def move(point):
    return Point(scale(point.x))

def main():
    states = [move(Point(1), return_state=True)]
    states.append(move(states[0].result(), return_state=True))
    print([(state.name, state.result().x) for state in states])

if __name__ == "__main__":
    main()
"""
HELPERS = "def scale(x): return x * 2\n"


@pytest.mark.slow  # six processes
@pytest.mark.long  # half a minute; a script and what imports it are among the ways of test_everywhere.py
def test_a_script_and_the_module_that_it_is_share_their_results(
    lake: Lake, prefect_api: str, tmp_path: Path
) -> None:
    def run(name: str, *command: str, helpers: str = HELPERS) -> list[tuple[str, int]]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "pipeline.py").write_text(SCRIPT)
        (tmp_path / name / "helpers.py").write_text(helpers)
        ran = subprocess.run(
            [sys.executable, "-B", *command],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path / name,
            env={
                **os.environ,
                "PREFECT_API_URL": prefect_api,
                "PREFECT_LOGGING_LEVEL": "ERROR",
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "S3KV_TEST_STORE": lake.name,
            },
        )
        found: list[tuple[str, int]] = ast.literal_eval(ran.stdout)
        return found

    computed, cached = [[(name, 2), (name, 4)] for name in ("Completed", "Cached")]
    assert run("script", "pipeline.py") == computed
    assert run("script again", "pipeline.py") == cached
    assert run("module", "-m", "pipeline") == cached
    assert run("imported", "-c", "import pipeline; pipeline.main()") == cached
    assert run("comment", "pipeline.py", helpers="# note\n" + HELPERS) == cached
    assert run("edited", "pipeline.py", helpers=HELPERS.replace("2", "3")) == [
        ("Completed", 3),
        ("Completed", 9),
    ]
