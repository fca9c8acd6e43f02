# ruff: noqa: E501 -- a project is one line of a table
"""What a function's digest follows within one process, and what it costs to look again."""

from __future__ import annotations

import functools
import importlib
import linecache
import os
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from s3kv_flows._keys.code.code_identity import CodeIdentity, adopt_table, export_table
from s3kv_flows._keys.code.syntax.sources import TEXTS
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.identity import Identity, identity_of
from tests.keys.code.processes import ROOT

NUMBERS = count()
Load = Callable[[str], Any]


_MODEL = (
    "from pydantic import BaseModel, Field\n"
    "class A(BaseModel):\n    n: int = 1\n    j: dict = Field({}, json_schema_extra={'a': 1})\n"
    "def t(): return A()"
)
_DATACLASS = (
    "from dataclasses import dataclass, field\n"
    "@dataclass\nclass A:\n    a: int = 1\n    b: list = field(default_factory=list)\n"
    "def t(): return A()"
)


def identity(**options: Any) -> CodeIdentity:
    return Identity(**options).codes


def digest(function: Callable[..., object], **options: Any) -> bytes:
    return identity(**options).digest(function)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("N = 1\ndef t(): return N", "m.N = 2"),
        ("N = [1]\ndef t(): return N", "m.N.append(2)"),
        ("N = [[1]]\ndef t(): return N", "m.N[0].append(2)"),
        ("N = {'a': 1}\ndef t(): return N", "m.N['a'] = 2"),
        ("N = {'a': {1}}\ndef t(): return N", "m.N['a'].add(2)"),
        ("class A: k = 1\na = A()\ndef t(): return a.k", "m.a.k = 2"),
        ("class A: k = 1\na = A()\ndef t(): return a.k", "m.A.k = 2"),
        ("class A: k = 1\nclass B(A): pass\ndef t(): return B.k", "m.A.k = 2"),
        ("class A: __slots__ = ('k',)\na = A()\na.k = 1\ndef t(): return a.k", "m.a.k = 2"),
        ("def f(x=1): return x\ndef t(): return f()", "m.f.__defaults__ = (2,)"),
        ("def f(*, x=1): return x\ndef t(): return f()", "m.f.__kwdefaults__ = {'x': 2}"),
        ("def f(): return f.k\nf.k = 1\ndef t(): return f()", "m.f.k = 2"),
        ("def f(): return 1\ndef g(): return 2\ndef t(): return f()", "m.f = m.g"),
        ("def f(): return 1\ndef g(): return 2\ndef t(): return f()", "m.f.__code__ = m.g.__code__"),
        ("import numpy\nN = numpy.zeros(3)\ndef t(): return N", "m.N[0] = 1"),
        ("def t(): return len([1])", "m.len = max"),
        (
            "def make():\n    n = [1]\n    def t(): return n\n    return t\nt = make()",
            "m.t.__closure__[0].cell_contents.append(2)",
        ),
        (
            "def make():\n    n = 1\n    def t(): return n\n    return t\nt = make()",
            "m.t.__closure__[0].cell_contents = 2",
        ),
        (
            "from functools import singledispatch\n@singledispatch\ndef f(x): return 0\ndef t(): return f(1)",
            "m.f.register(int, max)",
        ),
        ("import cfg\ndef t(): return cfg.N\n--- cfg.py\nN = 1", "m.cfg.N = 2"),
        ("import cfg\ndef t(): return vars(cfg)\n--- cfg.py\nN = 1", "m.cfg.N = 2"),
        ("import cfg2\ndef t():\n    import cfg2\n    return cfg2.N\n--- cfg2.py\nN = 1", "m.cfg2.N = 2"),
        ("D = {'f': lambda: 1}\ndef t(): return D['f']()", "m.D['f'] = m.t"),
        ("from types import SimpleNamespace as S\nN = S(a=1)\ndef t(): return N.a", "m.N.a = 2"),
        (_MODEL, "m.A.model_fields['n'].default = 2"),
        (_MODEL, "m.A.model_fields['n'].metadata.append(2)"),
        (_MODEL, "m.A.model_fields['j'].json_schema_extra['b'] = 2"),
        (_MODEL, "m.A.model_fields['n'] = m.A.model_fields['j']"),
        (_DATACLASS, "m.A.__dataclass_fields__['a'].default = 2"),
        (_DATACLASS, "m.A.__dataclass_fields__['b'] = m.A.__dataclass_fields__['a']"),
        (_DATACLASS, "m.A.__init__.__defaults__ = (2, 3)"),
        (
            "import attrs\n@attrs.define\nclass A: a: int = 1\ndef t(): return A()",
            "object.__setattr__(m.A.__attrs_attrs__[0], 'default', 2)",
        ),
        (
            "from collections import namedtuple\nA = namedtuple('A', 'a b')\ndef t(): return A(1)",
            "m.A.__new__.__defaults__ = (2,)",
        ),
    ],
)
def test_a_change_in_the_running_process_is_noticed(project: Load, text: str, change: str) -> None:
    m = project(text)
    made = identity()
    before = made.digest(m.t)
    assert made.digest(m.t) == before
    exec(change, {"m": m})  # noqa: S102
    assert made.digest(m.t) != before
    assert made.digest(m.t) == digest(m.t)


@pytest.mark.parametrize(
    "text",
    [
        "C = {}\ndef t(x=1):\n    if x not in C: C[x] = x\n    return C[x]",
        "C = {}\ndef f(x):\n    C.setdefault(x, 1)\ndef t(x=1): return f(x)",
        "C = []\ndef t(): C.append(1)",
        "C = [[]]\ndef t(): C[0].append(1)",
        "N = 0\ndef t():\n    global N\n    N += 1",
        "M = None\ndef load():\n    global M\n    if M is None: M = [1]\n    return M\ndef t(): return load()",
        "def t(x=[]): x.append(1)",
        "def t(*, x={}): x[1] = 2",
        "def t(): t.k += 1\nt.k = 0",
        "class A: n = 0\ndef t(): A.n += 1",
        "class A: pass\na = A()\na.c = {}\ndef t(): a.c['x'] = 1",
        "import cfg3\ndef t(): cfg3.C['x'] = 1\n--- cfg3.py\nC = {}",
        "def make():\n    c = {}\n    def t(): c[1] = 2\n    return t\nt = make()",
        "def make():\n    n = 0\n    def t():\n        nonlocal n\n        n += 1\n    return t\nt = make()",
        "from functools import lru_cache\n@lru_cache\ndef f(x): return x\ndef t(): return f(1)",
        "from functools import cached_property\nclass A:\n    @cached_property\n    def p(s): return 1\na = A()\ndef t(): return a.p",
        "import copy\nclass A:\n    def __init__(s): s.k = 1\na = A()\ndef t(): return copy.copy(a)",
        "from functools import singledispatch\n@singledispatch\ndef f(x): return 0\ndef t(): return f(1)",
        "import abc\nclass B(abc.ABC): pass\ndef t(): return isinstance(1, B)",
        "def t():\n    import lazily\n    return lazily.f()\n--- lazily.py\nN = 1\ndef f(): return N",
        "import helpers3\ndef t(): return helpers3.f()\n--- helpers3.py\ndef __getattr__(n):\n    globals()[n] = f = lambda: 1\n    return f",
        "import logging\nlog = logging.getLogger('x')\ndef t(): log.warning('a') or log.setLevel(10)",
    ],
)
def test_what_a_task_itself_changes_does_not_change_its_key(project: Load, text: str) -> None:
    m = project(text)
    before = digest(m.t)
    m.t()
    assert digest(m.t) == before
    made = identity()
    assert made.digest(m.t) == before
    m.t()
    assert made.digest(m.t) == before


def test_pickling_an_instance_does_not_change_the_key_of_its_class(project: Load) -> None:
    m = project("class A:\n    __slots__ = ('k',)\na = A()\na.k = 1\ndef t(): return a")
    before = digest(m.t)
    m.a.__reduce_ex__(4)
    assert "__slotnames__" in vars(m.A)
    assert digest(m.t) == before


def test_code_that_runs_while_its_file_is_edited_keeps_its_key(project: Load) -> None:
    m = project("def f(x): return x + 1\ndef t(x): return f(x)")
    before = digest(m.t)
    path = Path(m.__file__)
    path.write_text(path.read_text().replace("+ 1", "+ 2"))
    assert digest(m.t) == before
    path.unlink()
    assert digest(m.t) == before


def test_edits_that_move_lines_while_the_code_runs_do_not_matter(project: Load) -> None:
    m = project("def f(x): return x + 1\ndef t(x): return [f(y) for y in x]")
    path = Path(m.__file__)
    other = path.with_name("other.py")
    other.write_text(path.read_text())
    expected = digest(importlib.import_module("other").t)
    path.write_text(f"# moved\n\n{path.read_text()}")
    assert digest(m.t) == expected


def test_a_reloaded_module_has_the_key_of_its_new_text(project: Load) -> None:
    m = project("import relo\ndef t():\n    import relo\n    return relo.f()\n--- relo.py\ndef f(): return 1")
    before = digest(m.t)
    path = Path(m.relo.__file__)
    path.write_text("def f(): return 2 + 2\n")
    importlib.reload(m.relo)
    assert digest(m.t) != before


def test_a_module_that_was_loaded_before_an_edit_has_not_the_key_of_the_new_text(
    project: Load, tmp_path: Path
) -> None:
    text = "def t():\n    import late\n    return late.f()\n--- late.py\nN = [1]\ndef f(): return N"
    m = project(text)
    importlib.import_module("late")
    (tmp_path / "late.py").write_text("N = [2]\ndef f(): return N\n")
    running = digest(m.t)
    del sys.modules["late"]
    assert digest(m.t) != running


def test_a_function_and_its_twin_elsewhere_have_one_key(project: Load) -> None:
    text = "N = 2\ndef f(x): return x * N\ndef t(x): return f(x)"
    assert digest(project(text).t) == digest(project(text).t)


def test_closures_of_one_function_are_told_apart(project: Load) -> None:
    m = project("def make(n): return lambda x: x * n")
    assert digest(m.make(2)) != digest(m.make(3))
    assert digest(m.make(2)) == digest(m.make(2))


def test_sets_of_functions_have_one_key_in_any_order(project: Load) -> None:
    m = project("def make(n): return lambda x: x * n\nS = {make(i) for i in range(20)}\ndef t(): return S")
    before = digest(m.t)
    m.S = {m.make(i) for i in reversed(range(20))}
    assert digest(m.t) == before
    m.S = {m.make(i) for i in range(1, 21)}
    assert digest(m.t) != before


def test_a_value_that_leads_back_to_its_function_ends(project: Load) -> None:
    text = (
        "import argparse\nN = argparse.Namespace()\ndef f(): return N, t\ndef t(): return N\nN.f, N.k = f, 1\n"
        "class A:\n    def me(s): return a\na = A()\na.a = [a]\ndef u(): return a, u"
    )
    m, other = project(text), project(text.replace("N.k = f, 1", "N.k = f, 2"))
    assert digest(m.t) == digest(m.t) != digest(other.t)
    assert digest(m.f) != digest(other.f)
    assert digest(m.u) == digest(other.u)
    made = identity()
    assert made.digest(m.f) == digest(m.f) == made.digest(m.f)
    assert made.digest(m.t) == digest(m.t)


def test_prefect_tasks_and_flows_count_as_their_functions(project: Load) -> None:
    text = "from prefect import flow, task\n@task(retries=3)\ndef f(x): return x + 1\n@flow\ndef g(x): return f(x)\ndef t(x): return g(x)"
    m = project(text)
    before = digest(m.t)
    assert digest(project(text.replace("+ 1", "+ 2")).t) != before
    assert digest(project(text.replace("retries=3", "retries=4")).t) == before
    assert identity().examine(m.t).notes == ()
    assert digest(m.f.fn) == digest(project(text).f.fn)


def test_what_counts_by_its_type_is_said(project: Load) -> None:
    m = project("import socket\ns = socket.socket()\ndef t(): return s")
    try:
        assert "socket" in identity().examine(m.t).notes[0]
    finally:
        m.s.close()


def test_parts_name_what_changed(project: Load) -> None:
    text = "import parted\nRATE = 2\ndef g(x): return x\ndef t(x): return g(parted.f(x)) * RATE\n--- parted.py\ndef f(x): return x + 1"
    m = project(text)
    name = Path(m.__file__).stem
    one = identity().examine(m.t).parts
    assert {key.removeprefix(name) for key in one} == {".t", ".g", "parted.f", ".RATE"}
    m.RATE = 3
    other = identity().examine(m.t).parts
    assert {key for key in one if one[key] != other[key]} == {f"{name}.RATE"}


@pytest.mark.parametrize(
    "use", ["wsgiref.util.FileWrapper", "wsgiref.util", "wsgiref.util.missing", "wsgiref.other"]
)
def test_a_package_that_loads_a_module_later_counts_as_before(
    project: Load, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    package = importlib.import_module("wsgiref")
    monkeypatch.delitem(sys.modules, "wsgiref.util", raising=False)
    monkeypatch.delattr(package, "util", raising=False)
    m = project(f"import wsgiref\ndef t(): return {use}")
    before = digest(m.t)
    importlib.import_module("wsgiref.util")
    assert digest(m.t) == before


def test_installed_packages_count_by_name() -> None:
    made = identity()
    assert made.digest(functools.reduce) != made.digest(functools.partial)
    assert made.digest(importlib.import_module) == digest(importlib.import_module)


def _install(root: Path, name: str, text: str, **files: str) -> Path:
    package, record = root / name, root / f"{name}-1.dist-info"
    package.mkdir(parents=True)
    record.mkdir()
    (package / "__init__.py").write_text(text)
    (record / "RECORD").write_text(f"{name}/__init__.py,,\n{name}-1.dist-info/RECORD,,\n")
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    for file, content in files.items():
        (record / file.replace("_json", ".json")).write_text(content)
    return package / "__init__.py"


@pytest.mark.parametrize(
    ("place", "files", "counts"),
    [
        ("lib/site-packages", {}, False),
        ("lib/site-packages", {"direct_url_json": '{"url": "file:///x", "dir_info": {}}'}, True),
        ("lib/site-packages", {"direct_url_json": '{"url": "file:///x/y.whl", "archive_info": {}}'}, True),
        ("lib/site-packages", {"direct_url_json": '{"url": "https://x/y", "vcs_info": {}}'}, True),
        ("lib/site-packages", {"direct_url_json": '{"url": "https://x/y.whl", "archive_info": {}}'}, False),
        (
            "lib/site-packages",
            {"direct_url_json": '{"url": "file:///x", "dir_info": {}}', "INSTALLER": "conda"},
            False,
        ),
        ("dist-packages", {}, False),
        ("target", {}, False),
        ("src", None, True),
    ],
)
def test_what_is_installed_from_sources_is_the_project(
    project: Load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    files: dict[str, str] | None,
    *,
    counts: bool,
) -> None:
    name = f"pkg{next(NUMBERS)}"
    if files is None:
        file = tmp_path / place / name / "__init__.py"
        file.parent.mkdir(parents=True)
        file.write_text("N = 1\ndef f(): return N\n")
    else:
        file = _install(tmp_path / place, name, "N = 1\ndef f(): return N\n", **files)
    monkeypatch.syspath_prepend(str(tmp_path / place))
    m = project(f"import {name} as p\ndef t(): return p.f()")
    before = digest(m.t)
    m.p.N = 2
    assert (digest(m.t) != before) == counts


def test_the_package_of_a_task_is_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from prefect import task\nN = 1\ndef f(): return N\n@task\ndef t(): return f()\n"
    _install(tmp_path / "site-packages", "ownpkg", text)
    _install(
        tmp_path / "site-packages", "otherpkg", text.replace("from prefect import task\n", "task = print\n")
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    own: Any = importlib.import_module("ownpkg")
    other: Any = importlib.import_module("otherpkg")

    def digests() -> list[bytes]:
        return [identity_of(one).code(one).digest for one in (own.t.fn, other.f)]

    before = digests()
    own.N = other.N = 2
    after = digests()
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_depends_on(project: Load, tmp_path: Path) -> None:
    m = project("def t(): return 1\nN = 1\ndef g(): return N\nclass A: k = 1")
    plain = digest(m.t)
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "a.csv").write_text("1")
    made = {
        name: identity(depends_on=[thing])
        for name, thing in {
            "file": data / "deep" / "a.csv",
            "directory": data,
            "function": m.g,
            "class": m.A,
            "module": m,
            "value": "v3",
            "installed": pytest,
        }.items()
    }
    before = {name: one.digest(m.t) for name, one in made.items()}
    assert len({plain, *before.values()}) == 8
    assert {name: one.digest(m.t) for name, one in made.items()} == before
    (data / "deep" / "a.csv").write_text("22")
    assert {name for name, one in made.items() if one.digest(m.t) != before[name]} == {"file", "directory"}
    before = {name: one.digest(m.t) for name, one in made.items()}
    m.N, m.A.k = 2, 2
    assert {name for name, one in made.items() if one.digest(m.t) != before[name]} == {
        "function",
        "class",
        "module",
    }
    assert digest(m.t) == plain
    with pytest.raises(Unkeyable, match="cannot be read"):
        digest(m.t, depends_on=[tmp_path / "nowhere"])


def test_a_directory_that_gains_a_file_counts(project: Load, tmp_path: Path) -> None:
    m = project("def t(): return 1")
    data = tmp_path / "data"
    data.mkdir()
    made = identity(depends_on=[data])
    before = made.digest(m.t)
    (data / "b").write_text("")
    assert made.digest(m.t) != before


def test_ignored_classes_do_not_count(project: Load) -> None:
    m = project("class A:\n    k = 1\na = A()\na.x = 1\ndef t(): return a")
    made = identity(ignore=[m.A])
    before = made.digest(m.t)
    m.A.k = 2
    assert made.digest(m.t) == before
    m.a.x = 2
    assert made.digest(m.t) != before


def test_a_script_has_the_name_of_its_file_where_names_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.py"
    text = "RATE = 1\ndef helper(): return RATE\ndef t(): return RATE, helper()\n"
    made = identity(ignore=["pipeline.RATE", "pipeline.helper"])

    def key_of(text: str) -> bytes:
        path.write_text(text)
        namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
        exec(compile(text, str(path), "exec"), namespace)  # noqa: S102
        return made.digest(namespace["t"])

    before = key_of(text)
    assert key_of(text.replace("= 1", "= 2")) == before
    assert key_of(text.replace("return RATE\n", "return -RATE\n")) == before
    assert key_of(text.replace("RATE, ", "0, ")) != before


def test_a_pickle_by_value_has_the_key_of_its_file_where_its_table_came_with_it(
    project: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tells that the module, which is newer than this process, was loaded from its file as it is.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    m = project(
        "N = 2\nt, u = (lambda x: f(x) * N), (lambda x: f(x) * 2.0)\ndef f(x: int): return x + 1\ndef other(): pass"
    )
    cloudpickle.register_pickle_by_value(m)
    sent = cloudpickle.dumps((m.t, export_table(m.t)))
    cloudpickle.unregister_pickle_by_value(m)
    (tmp_path / "sent").write_bytes(sent)
    program = (
        "import pickle, sys; from s3kv_flows._keys.identity import Identity; from s3kv_flows._keys.code.code_identity import adopt_table\n"
        "t, table = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(Identity().code(t).digest.hex()); adopt_table(table); print(Identity().code(t).digest.hex())"
    )
    expected = digest(m.t).hex()
    Path(m.__file__).unlink()
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "sent")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    alone, with_table = ran.stdout.split()
    assert with_table == expected != alone


def test_a_cell_of_a_notebook_that_runs_again_counts_anew() -> None:
    def cell(text: str, filename: str) -> None:
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), namespace)  # noqa: S102

    namespace: dict[str, Any] = {"__name__": "__main__", "get_ipython": None, "In": ["x"], "_i1": "x"}
    cell("def f(x): return x + 1\n", "/tmp/ipykernel_12/34.py")
    cell("def t(x): return f(x)\n", "/tmp/ipykernel_12/35.py")
    before = digest(namespace["t"])
    cell("# comment\ndef f(x):\n    return x + 1\n", "/tmp/ipykernel_12/36.py")
    assert digest(namespace["t"]) == before
    cell("def f(x): return x + 2\n", "/tmp/ipykernel_12/37.py")
    assert digest(namespace["t"]) != before


def test_functions_of_tests_have_a_key(project: Load) -> None:
    # Rewritten by pytest, so no text compiles to them.
    def helper(x: int) -> int:
        assert x > 0
        return x

    assert digest(helper) == digest(helper)


def test_tracing_changes_nothing(project: Load) -> None:
    m = project("def f(x): return x + 1\ndef t(x): return f(x)")
    before = digest(m.t)
    kept = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        assert digest(m.t) == before
    finally:
        sys.settrace(kept)
    for _ in range(100):
        m.t(1)  # specialized by the interpreter
    assert digest(m.t) == before


def test_threads_at_once_have_one_key(project: Load) -> None:
    text = (
        "\n".join(f"def f{i}(x): return f{i + 1}(x) + {i}" for i in range(200))
        + "\ndef f200(x): return x\nt = f0"
    )
    m = project(text)
    made, start = identity(), threading.Barrier(32)

    def work(_: int) -> bytes:
        start.wait()
        return made.digest(m.t)

    with ThreadPoolExecutor(32) as pool:
        found = set(pool.map(work, range(32)))
    assert found == {digest(m.t)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_child_of_a_fork_has_the_same_key_whatever_a_thread_held(project: Load) -> None:
    m, other = project("N = 1\ndef t(x): return x + N"), project("N = 1\ndef t(x): return x + N")
    expected = digest(m.t)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with TEXTS._lock:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0 if digest(other.t) == expected else 1)
    _, status = os.waitpid(child, 0)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_digest_of_a_value_that_fails_for_want_of_content_is_one_of_its_type() -> None:
    def refuse(value: object) -> bytes:
        raise Unkeyable("no content", "none")

    kept = types.SimpleNamespace(value=threading.Lock())
    made = CodeIdentity(refuse)
    assert made.digest(functools.partial(print, kept)) == CodeIdentity(refuse).digest(
        functools.partial(print, kept)
    )


def test_tables_are_small(project: Load) -> None:
    m = project("def f(x): return x\ndef t(x): return f(x)")
    table = export_table(m.t)
    assert len(table) == 2
    assert sum(len(key) + len(value) for key, value in table.items()) < 200
    adopt_table(table)
