# ruff: noqa: E501 -- a project is one line of a table
"""Modules that tasks import when they run count as they are loaded, and as their texts before."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows._keys.code.names import late_modules
from s3kv_flows._keys.code.syntax.modules import ModuleTexts
from s3kv_flows._keys.identity import Identity, place_of
from tests.keys.code.late_modules import PATCHES, TEXTS
from tests.support.waiting import until

Load = Callable[[str], Any]
TASK = "def t():\n    import late\n    return late\n--- late.py\n"
COMPUTED = "import functools\n@functools.lru_cache\ndef f(x=1): return x"


def digest(function: Callable[..., object]) -> bytes:
    return Identity().code(function).digest


@pytest.fixture(params=["seen before it was loaded", "loaded before"])
def forget(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget what was seen of modules before they were loaded, or do not."""

    def forget() -> None:
        if request.param == "loaded before":
            monkeypatch.setattr(late_modules, "MODULES", ModuleTexts())

    return forget


@pytest.mark.parametrize("name", TEXTS)
def test_to_load_and_to_use_a_module_changes_no_key(project: Load, name: str) -> None:
    task = project(TASK + TEXTS[name]).t
    kept = Identity()
    before = kept.code(task).digest
    late = task()
    assert kept.code(task).digest == digest(task) == before
    for name in ("f", "h", "go"):
        if callable(getattr(late, name, None)):
            with contextlib.suppress(TypeError):
                getattr(late, name)()
    assert kept.code(task).digest == digest(task) == before


@pytest.mark.parametrize(("text", "change"), PATCHES)
def test_what_a_process_puts_into_a_module_counts(
    project: Load, forget: Callable[[], None], text: str, change: str
) -> None:
    task = project(TASK + text).t
    unloaded, kept = digest(task), Identity()
    late = task()
    forget()
    before = kept.code(task).digest
    exec(change, {"m": late, "sys": sys, "__name__": "patches"})  # noqa: S102
    assert kept.code(task).digest == digest(task) != before
    forget()  # what it had put there before the first key
    assert digest(task) != unloaded


def test_what_a_module_was_filled_with_before_the_first_key_counts_and_what_a_run_adds_does_not(
    project: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = project(TASK + "T = {}\ndef put(k): T[k] = 1").t
    unloaded = digest(task)
    late = task()
    late.put(1)
    assert digest(task) == unloaded, "a run may have done that"
    monkeypatch.setattr(late_modules, "MODULES", ModuleTexts())
    filled = digest(task)
    assert filled != unloaded
    late.put(2)
    assert digest(task) == filled


@pytest.mark.parametrize(
    "task",
    [
        "def t():\n    import late\n    late.N += 1\n    late.T['a'] = late.N",
        "def t():\n    from late import T\n    T['a'] = 2",
        "import other\ndef t():\n    import late\n    other.fill()\n--- other.py\ndef fill():\n    import late\n    late.T[2] = late.N = 3",
    ],
)
def test_what_a_run_puts_into_a_module_changes_no_key(project: Load, task: str) -> None:
    m = project(f"{task}\n--- late.py\nN = 1\nT = {{}}")
    kept = Identity()
    before = kept.code(m.t).digest
    m.t()
    assert kept.code(m.t).digest == digest(m.t) == before


def test_a_text_that_is_written_after_the_module_was_loaded_does_not_count(
    project: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = project(TASK + "def f(): return 1\nT = {'a': 1}").t
    old = digest(task)
    task()
    assert digest(task) == old
    (tmp_path / "late.py").write_text("def f(): return 2\nT = {'a': 1}\n")
    assert digest(task) == old, "it was seen"
    monkeypatch.setattr(late_modules, "MODULES", ModuleTexts())
    loaded = digest(task)
    del sys.modules["late"]
    assert len({old, loaded, digest(task)}) == 3


def test_a_module_that_was_loaded_before_the_first_key_has_that_of_a_new_process(
    project: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = project(
        TASK + "import json\nT = {'a': (1, 2)}\nclass A:\n    n = 1\n    def f(self, x=[]): return x"
    ).t
    unloaded = digest(task)
    task()
    monkeypatch.setattr(late_modules, "MODULES", ModuleTexts())
    assert digest(task) == unloaded


def _now(place: Path) -> int:
    """Return the time by the clock of files."""
    with tempfile.NamedTemporaryFile(dir=place.parent) as file:
        return os.fstat(file.fileno()).st_ctime_ns


@pytest.mark.parametrize("moved", ["directory", "a place that it imports from", "link", ""])
def test_what_a_text_computes_counts_by_value_where_the_file_may_be_another(
    project: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moved: str
) -> None:
    task = project(TASK.replace("late", "place.late").replace("place.late.py", "place/late.py") + COMPUTED).t
    place = tmp_path / "place"
    if moved == "link":
        place.rename(tmp_path / "real")
        place.symlink_to(tmp_path / "real")
    unloaded = digest(task)
    task()
    shutil.copytree(place, tmp_path / "copy")
    times = [one.lstat().st_ctime_ns for one in [*tmp_path.rglob("*"), *place.parents]]
    monkeypatch.setattr("s3kv_flows._keys.provenance.STARTED_NS", max(times))
    until(lambda: _now(tmp_path) > max(times))  # the clock of files ticks some hundred times a second
    if moved == "directory":
        place.rename(tmp_path / "other")
        (tmp_path / "other").rename(place)
    elif moved == "a place that it imports from":
        known = {str(place): (place.stat().st_dev, place.stat().st_ino)}
        monkeypatch.setattr("s3kv_flows._keys.provenance._KNOWN_PLACES", known)
        place.rename(tmp_path / "other")
        (tmp_path / "copy").rename(place)
        (place / "more").touch()
    elif not moved:  # what goes on beside it makes no difference
        for busy in (place, tmp_path):
            (busy / "more").touch()
    elif moved == "link":
        place.unlink()
        place.symlink_to(tmp_path / "real")
    monkeypatch.setattr(late_modules, "MODULES", ModuleTexts())
    assert (digest(task) == unloaded) is (moved == "")


def test_a_file_that_is_written_while_it_is_read_is_read_again(
    project: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = project(TASK + "def f(): return 1").t
    old, read = digest(task), Path.read_bytes
    texts = [b"def f(): return 2, 2\n", b"def f(): return 3, 3, 3\n"]
    (file := tmp_path / "late.py").write_bytes(texts[0])

    def read_and_write(path: Path) -> bytes:
        found = read(path)
        if path == file and found == texts[0]:
            file.write_bytes(texts[1])
        return found

    monkeypatch.setattr(Path, "read_bytes", read_and_write)
    found = digest(task)
    assert file.read_bytes() == texts[1]
    assert found == digest(task) != old


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("return __name__", True),
        ("return f'{__name__}'", True),
        ("return __name__.split('.')", True),
        ("return print(__name__, 1)", True),
        ("return logging.getLogger(__name__)", False),
        ("return logging.getLogger(__name__).info('a')", False),
        ("class A: pass", False),
        ("return __file__", False),
    ],
)
def test_the_name_of_a_module_counts_where_it_is_a_value(project: Load, body: str, *, counts: bool) -> None:
    one, other = (project(f"import logging\ndef t():\n    {body}") for _ in range(2))
    assert (digest(one.t) != digest(other.t)) is counts


def test_a_script_has_one_place_in_processes_that_it_spawns(project: Load) -> None:
    task = project("def t(): pass").t
    place = place_of(task)
    for name in ("__main__", "__mp_main__"):
        vars(sys.modules[task.__module__])["__name__"] = name
        assert place_of(task) == place


def test_a_class_counts_by_its_own_name(project: Load) -> None:
    """As cloudpickle makes it, in the process that gets it."""
    m = project("class Outer:\n    class Inner: size = 1\ndef t(): return Outer.Inner")
    before = digest(m.t)
    m.Outer.Inner.__qualname__ = "Inner"
    assert digest(m.t) == before


def test_modules_that_are_imported_after_the_key_are_compared_with_it(project: Load, tmp_path: Path) -> None:
    task = project("def t():\n    import late, missing\n--- late.py\nN = 1").t
    identity = Identity()
    with identity.codes.modules_not_loaded() as found:
        identity.code(task)
    with identity.codes.modules_not_loaded() as again:
        identity.code(task)
    assert {one.name for one in found} == {"late", "missing"}
    assert found == again
    assert not [one for one in found if one.is_other_now()]
    (tmp_path / "missing.py").write_text("")
    os.utime(tmp_path / "late.py", (1, 1))
    importlib.invalidate_caches()
    assert not [one for one in found if one.is_other_now()], "nobody imported them"
    task()
    assert {one.name for one in found if one.is_other_now()} == {"late", "missing"}
