"""What the identity of code and that of contents make of each other, and who shares them."""

from __future__ import annotations

import argparse
import importlib
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.identity import Identity, identity_of

NUMBERS = count()
Load = Callable[[str], Any]


CLASS = """
RATE = 1
class Scaler:
    def __init__(self, factor): self.factor = factor
    def scale(self, x): return x * self.factor * RATE
def task(scaler): return scaler.scale(1)
"""


def test_an_input_counts_with_the_code_of_its_class(project: Load) -> None:
    m, same, other, rate = (
        project(text)
        for text in (
            CLASS,
            f"# a comment\n{CLASS}",
            CLASS.replace("x *", "x +"),
            CLASS.replace("RATE = 1", "RATE = 2"),
        )
    )
    found = [Identity().inputs({"scaler": one.Scaler(2)})["scaler"].digest for one in (m, same, other, rate)]

    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_an_ignored_class_counts_by_its_name(project: Load) -> None:
    m = project(CLASS)
    identity = Identity(ignore=[m.Scaler])
    before = identity.inputs({"scaler": m.Scaler(2)})
    m.Scaler.scale = len

    assert identity.inputs({"scaler": m.Scaler(2)}) == before
    assert identity.inputs({"scaler": m.Scaler(3)}) != before


def test_a_function_counts_with_the_content_of_its_constants(project: Load) -> None:
    text = "import numpy, decimal\nN = [numpy.arange(3), decimal.Decimal('1.0')]\ndef task(): return N"
    found = {
        Identity().code(project(text.replace(*change)).task).digest
        for change in (("", ""), ("numpy.arange(3)", "numpy.array([0, 1, 2])"), ("'1.0'", "'1.00'"))
    }
    assert len(found) == 2


def test_a_value_that_holds_the_function_that_uses_it_ends(project: Load) -> None:
    m = project("import argparse\nN = argparse.Namespace(k=1)\ndef task(): return N\nN.f = task")
    identity, again = Identity(), Identity()
    inside = argparse.Namespace(f=m.task)

    code, inputs = identity.code(m.task).digest, identity.inputs({"a": m.N, "b": inside})
    assert again.inputs({"b": inside, "a": m.N}) == inputs
    assert again.code(m.task).digest == code == identity.code(m.task).digest
    m.N.k = 2
    assert identity.code(m.task).digest != code
    assert identity.inputs({"a": m.N, "b": inside}).keys() == inputs.keys()
    assert identity.inputs({"b": inside}) != {"b": inputs["b"]}


def test_a_refusal_names_the_input_and_what_to_do() -> None:
    rows = (number for number in range(3))
    with pytest.raises(Unkeyable, match=r"input 'rows': a generator .* only once; pass a list") as refused:
        Identity().inputs({"first": [1], "rows": {"a": rows}})

    assert list(rows) == [0, 1, 2]
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.reason) == (str(refused.value), refused.value.reason)


def test_equal_options_share_an_identity(project: Load) -> None:
    m = project(CLASS)
    made = identity_of(m.task)

    assert identity_of(m.task, ignore=[], depends_on=()) is made
    assert (
        identity_of(m.task, ignore=["A", m.Scaler]) is identity_of(m.task, ignore=[m.Scaler, "A"]) is not made
    )
    assert identity_of(m.task, depends_on=["".join("v3")]) is identity_of(m.task, depends_on=["v3"])
    one, other = [1], [1]
    assert identity_of(m.task, depends_on=[one]) is identity_of(m.task, depends_on=[one])
    assert identity_of(m.task, depends_on=[one]) is not identity_of(m.task, depends_on=[other])
    assert identity_of(m.task, depends_on=[1]) is not identity_of(m.task, depends_on=[True])


def test_no_key_depends_on_which_tasks_were_run_before(
    project: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / (name := f"installed{next(NUMBERS)}")
    package.mkdir(parents=True)
    text = f"{CLASS}\nfrom prefect import task as prefect_task\nown = prefect_task(task)\n"
    (package / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(package.parent))
    installed = importlib.import_module(name)
    m = project(CLASS)

    def inputs(function: Any) -> Any:
        return identity_of(function).inputs({"scaler": installed.Scaler(2)})

    before = inputs(m.task)
    own = inputs(installed.own)
    assert inputs(m.task) == before != own
    monkeypatch.setattr(installed, "RATE", 2)
    assert inputs(m.task) == before
    assert inputs(installed.own) != own


def test_threads_at_once_have_one_identity_and_one_digest(project: Load) -> None:
    m = project(
        f"{CLASS}\nimport numpy, argparse as a\nN = a.Namespace(a=numpy.arange(9), t=task)\ndef t(): return N"
    )
    start = threading.Barrier(32)

    def work(number: int) -> tuple[bytes, bytes]:
        start.wait()
        identity = identity_of(m.t)
        code = identity.code(m.t).digest if number % 2 else b""
        inputs = identity.inputs({"a": [m.Scaler(2), m.task, m.N]})["a"].digest
        return code or identity.code(m.t).digest, inputs

    with ThreadPoolExecutor(32) as pool:
        found = set(pool.map(work, range(32)))
    alone = Identity()
    assert found == {(alone.code(m.t).digest, alone.inputs({"a": [m.Scaler(2), m.task, m.N]})["a"].digest)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_while_other_threads_digest_leaves_the_child_free(project: Load) -> None:
    m = project(CLASS)
    expected = Identity().inputs({"a": m.Scaler(2)})
    others = [project(CLASS) for _ in range(20)]
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            for one in others:
                identity_of(one.task, ignore=[str(next(NUMBERS))]).code(one.task)

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                try:
                    found = identity_of(m.task).inputs({"a": m.Scaler(2)})
                    os._exit(0 if found == expected else 1)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()
