"""Which edits of a project give a task another key, on a table of small projects."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from s3kv_flows._keys.code.graph import SCHEME
from tests.keys.code.cases import Edit
from tests.keys.code.edits import EDITS as PLAIN
from tests.keys.code.edits_of_classes import CLASSES
from tests.keys.code.edits_of_idioms import IDIOMS
from tests.keys.code.edits_of_objects import OBJECTS
from tests.keys.code.edits_of_projects import PROJECTS
from tests.keys.code.edits_of_texts import TEXTS
from tests.keys.code.processes import digests, verdict

EDITS = [*PLAIN, *IDIOMS, *OBJECTS, *PROJECTS, *CLASSES, *TEXTS]
assert len({edit.name for edit in EDITS}) == len(EDITS)  # what became of each is kept by its name
BARE = [
    edit
    for edit in EDITS
    if not re.search(r"prefect|sklearn|pandas|pydantic|numpy|sqlalchemy|httpx|click|typer", edit.text)
]
"""The edits that import no library: a second of CPU for each process, where all take four."""

GOLDEN = Path(__file__).with_name("golden.json")
"""Digests by the number of the scheme: a change of any needs another number, as all results age out then."""

tables = pytest.mark.parametrize(
    "edits",
    [
        pytest.param(BARE, id="bare"),
        # Every process imports scikit-learn and Prefect.
        pytest.param(EDITS, id="all", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)


pytestmark = pytest.mark.slow  # hundreds of small projects, in processes that import Prefect and scikit-learn


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(EDITS, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(EDITS, tmp_path_factory.mktemp("after"), edited=True, seed=1)


def of(edits: Sequence[Edit], found: dict[str, str]) -> dict[str, str]:
    return {edit.name: found[edit.name] for edit in edits if edit.name in found}


def test_edits_that_count_change_the_key_and_others_do_not(
    before: dict[str, str], after: dict[str, str]
) -> None:
    assert verdict(EDITS, before, after) == ([], [])
    assert sum(edit.changes for edit in EDITS) >= 60
    assert sum(not edit.changes for edit in EDITS) >= 60


@tables
@pytest.mark.parametrize("how", ["import", "main", "loader", "notebook", "zip"])
def test_the_key_is_the_same_however_the_code_is_loaded(
    before: dict[str, str], tmp_path: Path, how: str, edits: list[Edit]
) -> None:
    found = digests(edits, tmp_path, how=how, seed=2)
    expected = of(edits, before)
    if how == "zip":  # an archive that lists no directories has no namespace packages
        expected = {name: digest for name, digest in expected.items() if name in found}
    assert found == expected
    assert len(found) > 0.9 * len(edits)


@tables
def test_optimized_code_has_the_same_key(before: dict[str, str], tmp_path: Path, edits: list[Edit]) -> None:
    assert digests(edits, tmp_path, optimize=1) == of(edits, before)


@tables
def test_old_code_never_gets_the_key_of_what_its_file_says_now(
    after: dict[str, str], tmp_path: Path, edits: list[Edit]
) -> None:
    old = digests(edits, tmp_path, how="old")
    assert [
        edit.name for edit in edits if edit.changes and old.get(edit.name) == after.get(edit.name, "")
    ] == []


@tables
def test_without_any_text_no_edit_goes_unnoticed(tmp_path: Path, edits: list[Edit]) -> None:
    compiled = digests(edits, tmp_path / "before", how="compiled")
    edited = digests(edits, tmp_path / "after", how="compiled", edited=True)
    assert verdict(edits, compiled, edited)[0] == []


def test_digests_are_those_of_their_scheme(before: dict[str, str]) -> None:
    golden: dict[str, str] = json.loads(GOLDEN.read_text())[SCHEME]
    assert {name: before[name] for name in golden} == golden
