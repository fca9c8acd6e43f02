"""Which edits of a project give a task another key, on a table of small projects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3kv_flows._keys.code.graph import SCHEME
from tests.keys.code.edits import EDITS as PLAIN
from tests.keys.code.edits_of_idioms import IDIOMS
from tests.keys.code.edits_of_projects import PROJECTS
from tests.keys.code.processes import digests, verdict

EDITS = [*PLAIN, *IDIOMS, *PROJECTS]
GOLDEN = Path(__file__).with_name("golden.json")
"""Digests by the number of the scheme: a change of any needs another number, as all results age out then."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(EDITS, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(EDITS, tmp_path_factory.mktemp("after"), edited=True, seed=1)


def test_edits_that_count_change_the_key_and_others_do_not(
    before: dict[str, str], after: dict[str, str]
) -> None:
    assert verdict(EDITS, before, after) == ([], [])
    assert sum(edit.changes for edit in EDITS) >= 60
    assert sum(not edit.changes for edit in EDITS) >= 60


@pytest.mark.parametrize("how", ["import", "main", "loader", "notebook", "zip"])
def test_the_key_is_the_same_however_the_code_is_loaded(
    before: dict[str, str], tmp_path: Path, how: str
) -> None:
    found = digests(EDITS, tmp_path, how=how, seed=2)
    # An archive that lists no directories has no namespace packages.
    expected = {name: digest for name, digest in before.items() if name in found or how != "zip"}
    assert found == expected


def test_optimized_code_has_the_same_key(before: dict[str, str], tmp_path: Path) -> None:
    assert digests(EDITS, tmp_path, optimize=1) == before


def test_old_code_never_gets_the_key_of_what_its_file_says_now(after: dict[str, str], tmp_path: Path) -> None:
    old = digests(EDITS, tmp_path, how="old")
    assert [
        edit.name for edit in EDITS if edit.changes and old.get(edit.name) == after.get(edit.name, "")
    ] == []


def test_without_any_text_no_edit_goes_unnoticed(tmp_path: Path) -> None:
    compiled = digests(EDITS, tmp_path / "before", how="compiled")
    edited = digests(EDITS, tmp_path / "after", how="compiled", edited=True)
    assert verdict(EDITS, compiled, edited)[0] == []


def test_digests_are_those_of_their_scheme(before: dict[str, str]) -> None:
    golden: dict[str, str] = json.loads(GOLDEN.read_text())[SCHEME]
    assert {name: before[name] for name in golden} == golden
