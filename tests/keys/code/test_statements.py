"""Statements at the top of modules, where no value shows what they did."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from s3kv_flows._keys.code.syntax.bodies import BODIES
from s3kv_flows._keys.code.syntax.statements.body import body_of_cells, body_of_code
from s3kv_flows._keys.contents.encoder import ContentEncoder
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.identity import Identity
from tests.keys.end_to_end.loading import cells_of

Load = Callable[[str], Any]
KEY = "import functools\nKEY = functools.cmp_to_key(lambda a, b: {})"
TASK = "def t(x): return sorted(x, key=KEY)"


def digest(function: Callable[..., object]) -> bytes:
    return Identity().code(function).digest


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def in_ipython(module: ModuleType) -> Callable[[str], None]:
    """Return what runs a cell, and keeps its text as IPython does."""
    run, ran = cells_of(module), [""]
    vars(module).update(In=ran, get_ipython=lambda: None)

    def run_cell(cell: str) -> None:
        ran.append(cell)
        run(cell)

    return run_cell


def test_a_cell_that_makes_an_object_anew_counts_alone(notebook: ModuleType) -> None:
    run = in_ipython(notebook)
    run(KEY.format("a - b"))
    run(TASK)
    first = digest(notebook.t)
    run(KEY.format("b - a"))
    assert digest(notebook.t) != first
    run("# as it was\n" + KEY.format("a - b"))
    assert digest(notebook.t) == first


def test_a_cell_with_a_setting_that_runs_twice_counts_once(notebook: ModuleType) -> None:
    run = in_ipython(notebook)
    run("def t(x): return x")
    without = digest(notebook.t)
    run("import random\nrandom.seed(1)")
    seeded = digest(notebook.t)
    run("import random\nrandom.seed( 1 )")
    assert digest(notebook.t) == seeded != without


def test_what_a_cell_shows_is_no_setting(notebook: ModuleType) -> None:
    run = in_ipython(notebook)
    run("import math\ndef t(x): return x")
    first = digest(notebook.t)
    run("math.sqrt(2)")
    assert digest(notebook.t) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import random\nrandom.seed(1)\n", ""),
        ("import random\nrandom.seed(1)\n", "import random\nrandom.seed(2)\n"),
        ("", "import random\nrandom.seed(1)\n"),
    ],
)
def test_a_file_that_was_edited_since_it_was_loaded_is_not_taken_for_it(
    project: Load, old: str, new: str
) -> None:
    loaded = project(f"{old}def t(x): return x")
    expected = project(f"{new}def t(x): return x")
    file = Path(loaded.__file__)
    file.write_text(f"{new}def t(x): return x\n")
    trusted = BODIES.find(vars(expected))._replace(trusted=True, compiled=True)  # type: ignore[union-attr]
    BODIES._last[expected.__name__] = vars(expected), expected.__spec__, trusted
    assert digest(loaded.t) != digest(expected.t)


def test_a_file_that_is_edited_after_a_first_look_changes_nothing(project: Load) -> None:
    module = project("import random\nrandom.seed(1)\n" + KEY.format("a - b") + "\n" + TASK)
    before = digest(module.t)
    Path(module.__file__).write_text(KEY.format("b - a") + "\n" + TASK)
    assert digest(module.t) == before


def test_what_is_registered_later_counts(project: Load) -> None:
    module = project("import abc\nclass A(abc.ABC): pass\ndef t(x): return isinstance(x, A)")
    codes = Identity()
    before = codes.code(module.t).digest
    module.A.register(int)
    assert codes.code(module.t).digest not in (before, None)
    assert codes.code(module.t).digest == digest(module.t)


def test_an_object_that_only_has_the_name_of_an_installed_one_is_refused() -> None:
    numpy = pytest.importorskip("numpy")
    encoder = ContentEncoder(lambda _: None)
    made = numpy.frompyfunc(abs, 1, 1)
    assert encoder.digest(numpy.add) != encoder.digest(numpy.subtract)
    with pytest.raises(Unkeyable, match="by its name alone"):
        encoder.digest(made)


def test_a_query_with_names_of_this_process_is_refused() -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    column = sqlalchemy.column("a")
    with pytest.raises(Unkeyable, match="pass its text"):
        ContentEncoder(lambda _: None).digest(sqlalchemy.select(column).where(column == 3))


@pytest.mark.parametrize(
    ("text", "is_setting"),
    [
        ("np.seterr(all='raise')", True),
        ("np.random.seed(1)", True),
        ("del os.environ['A']", True),
        ("os.environ['A'] += 'b'", True),
        ("from os import environ\nenviron.update(A='b')", True),
        ("try:\n    np.seterr(all='raise')\nexcept ValueError: pass", True),
        ("options = np.get_printoptions()\noptions['precision'] = 3", True),
        ("setattr(os, 'a', 1)", True),
        ("await_it = 1\nawait os.nothing()", True),
        ("N = np.zeros(3)", False),
        ("N = np.zeros(3)\nN[0] = 1", False),
        ("N = np.zeros(3)\nN.sort()", False),
        ("sys.path.insert(0, '')", False),
        ("logging.basicConfig()", False),
        ("def f(): np.random.seed(1)", False),
        ("def f(): np.random.seed(1)\nf()", True),
        ("def f(): print(np.zeros(3))\nf()", False),
        ("def f(): g()\ndef g(): f(); np.random.seed(1)\nf()", True),
        ("if TYPE_CHECKING:\n    np.random.seed(1)", False),
    ],
)
def test_settings_are_told_by_their_text(text: str, *, is_setting: bool) -> None:
    body = body_of_cells(["import numpy as np, os, sys, logging\n" + text])
    assert bool(body.settings(lambda _: True, lambda *_: None)) == is_setting


def test_without_a_text_all_of_a_module_may_be_a_setting() -> None:
    quiet, loud = (body_of_code(compile(text, "m", "exec")) for text in ("N = f()", "f()"))
    assert quiet.settings(lambda _: True, lambda *_: None) == []
    assert len(loud.settings(lambda _: True, lambda *_: None)) == 1
