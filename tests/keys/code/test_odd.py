# ruff: noqa: E501 -- a project is one line of a table
"""Classes and objects that answer no question as others do: digested rightly, or refused."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows._keys.code import code_identity
from s3kv_flows._keys.code.syntax.parsing import parsing
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.identity import Identity

Load = Callable[[str], Any]

DIGESTED = {
    "fields as a list": ("class A: model_fields = ['a']\ndef t(): return A", "m.A.model_fields = ['b']"),
    "private attributes as a list": ("class A: __private_attributes__ = [1]\ndef t(): return A", "m.A.__private_attributes__ = [2]"),
    "no fields of attrs": ("class A: __attrs_attrs__ = None\ndef t(): return A", "m.A.__attrs_attrs__ = 3"),
    "options of no dataclass": ("class A: __dataclass_params__ = 1\ndef t(): return A", "m.A.__dataclass_params__ = 2"),
    "fields of no dataclass": ("class A: __dataclass_fields__ = {1: 2}\na = A()\ndef t(): return a, A", "m.A.__dataclass_fields__ = {1: 3}"),
    "a tuple without names": ("class A(tuple): _fields = None\ndef t(): return A", "m.A._fields = 1"),
    "annotations that are none": ("class A: __annotations__ = 3\ndef t(): return A", "m.A.__annotations__ = 4"),
    "more defaults than arguments": ("def f(a): return a\nf.__defaults__ = (1, 2, 3)\ndef t(): return f()", "m.f.__defaults__ = (1, 2, 4)"),
    "defaults in another order": ("def f(a, b=1): return a\nf.__defaults__ = (1, 2)\ndef t(): return f()", "m.f.__defaults__ = (2, 1)"),
    "a default without a name": ("def f(a): return a\nf.__kwdefaults__ = {1: 2, 'a': 3}\ndef t(): return f()", "m.f.__kwdefaults__ = {1: 3, 'a': 3}"),
    "a number as a name": ("class A: pass\na = A()\na.__dict__[1] = 1\ndef t(): return a", "m.a.__dict__[1] = 2"),
    "a number as a function's name": ("def f(): pass\nf.__dict__[1] = 1\ndef t(): return f()", "m.f.__dict__[1] = 2"),
    "a number as a global name": ("globals()[1] = 2\ndef t(): return globals()", "vars(m)[1] = 3"),
    "half a character as a name": ("class A: pass\na = A()\nsetattr(a, '\\ud800', 1)\ndef t(): return a", "setattr(m.a, '\\ud800', 2)"),
    "half a character as a function's name": ("def f(): return f.n\nf.n = 1\nf.__qualname__ = '\\ud800'\ndef t(): return f()", "m.f.n = 2"),
    "a metaclass that compares nothing": ("class M(type):\n    def __eq__(s, o): raise ValueError\nclass A(metaclass=M): k = 1\na = A()\nL = [a]\ndef t(): return A, a, L", "m.A.k = 2"),
    "a metaclass that equals all": ("class M(type):\n    def __eq__(s, o): return True\n    def __hash__(s): return 0\nclass A(metaclass=M): k = 1\na = A()\nL = [a]\ndef t(): return A, a, L", "m.A.k = 2"),
    "a metaclass without a hash": ("class M(type):\n    def __hash__(s): raise ValueError\nclass A(metaclass=M): k = 1\na = A()\nL = [a, (a,)]\ndef t(): return A, a, L", "m.A.k = 2"),
    "a metaclass that answers with another error": ("class M(type):\n    def __getattr__(s, n): raise KeyError(n)\nclass A(metaclass=M): k = 1\na = A()\ndef t(): return A, a", "m.A.k = 2"),
    "an instance that answers with another error": ("class A:\n    def __getattr__(s, n): raise KeyError(n)\na = A()\na.k = 1\ndef t(): return a", "m.a.k = 2"),
    "an instance that answers nothing": ("class A:\n    k = 1\n    def __getattribute__(s, n): raise OSError\na = A()\ndef t(): return a", "m.A.k = 2"),
    "an instance without attributes": ("class A:\n    k = 1\n    __dict__ = property(lambda s: 1 / 0)\na = A()\ndef t(): return a", "m.A.k = 2"),
    "an instance without a class": ("class A:\n    k = 1\n    __class__ = property(lambda s: 1 / 0)\na = A()\ndef t(): return a", "m.A.k = 2"),
    "a dictionary that does not iterate": ("class A(dict):\n    def __iter__(s): raise OSError\n    items = values = __iter__\na = A(x=1)\ndef t(): return a", "m.a['x'] = 2"),
    "a list that does not iterate": ("class A(list):\n    def __iter__(s): raise OSError\n    __len__ = __iter__\na = A([1])\ndef t(): return a", "m.a[0] = 2"),
    "members that hide their names": ("import enum\nclass E(enum.Enum):\n    A = 1\n    @property\n    def name(self): raise ValueError\n    k = enum.member(2) if hasattr(enum, 'member') else 2\ndef t(): return E", "m.E.more = 3"),
    "wrappers of each other": ("def f(): return f.k\ndef g(): return 2\nf.__wrapped__, g.__wrapped__, f.k = g, f, 1\ndef t(): return f()", "m.f.k = 2"),
    "a registry that is none": ("import functools\nclass A: k = 1\ndef f(): return A.k\nl = functools.lru_cache(f)\nl.registry = f.registry = 3\ndef t(): return l()", "m.A.k = 2"),
    "an array of objects": ("import numpy\nclass A: k = 1\nN = numpy.array([A(), None], dtype=object)\ndef t(): return N", "m.A.k = 2"),
    "a time zone of the project": ("import datetime\nclass Z(datetime.tzinfo):\n    k = 1\n    def utcoffset(s, t): return None\nD = datetime.datetime(2020, 1, 1, tzinfo=Z())\ndef t(): return D", "m.Z.k = 2"),
}  # fmt: skip
REFUSED = {
    "a metaclass that answers nothing": "class M(type):\n    def __getattribute__(s, n): raise KeyError(n)\nclass A(metaclass=M): pass\ndef t(): return A",
    "a metaclass without attributes": "class M(type):\n    @property\n    def __dict__(s): raise KeyError\nclass A(metaclass=M): pass\ndef t(): return A",
    "a proxy of what does not iterate": "import types\nclass D(dict):\n    def items(s): raise OSError\nP = types.MappingProxyType(D(a=1))\ndef t(): return P",
}  # fmt: skip


@pytest.mark.parametrize("name", DIGESTED)
def test_odd_things_are_digested_with_what_is_in_them(project: Load, name: str) -> None:
    text, change = DIGESTED[name]
    m, other = project(text), project(text)
    identity = Identity()
    before = identity.code(m.t).digest
    assert before == identity.code(m.t).digest
    if "globals()" not in text:
        assert before == Identity().code(other.t).digest
    exec(change, {"m": m})  # noqa: S102
    assert identity.code(m.t).digest != before
    assert identity.code(m.t).digest == Identity().code(m.t).digest


@pytest.mark.parametrize("name", REFUSED)
def test_odder_things_are_refused_by_the_name_under_which_they_were_met(project: Load, name: str) -> None:
    m = project(REFUSED[name])
    with pytest.raises(Unkeyable, match=r"project\d+\.\w+ cannot be digested \((KeyError|OSError)"):
        Identity().code(m.t)


def test_a_setting_behind_two_functions_of_one_name_counts(project: Load) -> None:
    text = "import behind\ndef setup(): behind.setup()\nsetup()\ndef t(): return 1\n--- behind.py\nimport random\ndef setup(): random.seed({n})"
    one = project(text.format(n=1))
    before = Identity().code(one.t).digest
    del sys.modules["behind"]
    assert Identity().code(project(text.format(n=2)).t).digest != before


def test_digests_that_are_used_are_kept(project: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_identity, "_KEPT", 2)
    m = project("def a(): return 1\ndef b(): return 2\ndef c(): return 3")
    codes = Identity().codes
    for function in (m.a, m.b, m.a, m.c):
        codes.digest(function)
    assert [kept[0] for kept in codes._kept.values()] == [m.a, m.c]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_parses_leaves_nothing_switched_off() -> None:
    parses, forked = threading.Event(), threading.Event()

    def parse() -> None:
        with parsing(), parsing():
            parses.set()
            forked.wait()

    thread = threading.Thread(target=parse)
    thread.start()
    parses.wait()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            with parsing():
                pass
            os._exit(0 if gc.isenabled() else 1)
        os._exit(2)
    forked.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert gc.isenabled()
