# ruff: noqa: E501 -- a project is one line of a table
"""No run of a task changes the digest of its code in its process; what others change counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows._keys.identity import Identity
from tests.keys.code.cases import Edit
from tests.keys.code.processes import digests
from tests.keys.code.runs import MEMO, RUNS

Load = Callable[[str], Any]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_does_not_change_the_key(project: Load, name: str) -> None:
    m = project(RUNS[name])
    kept = Identity()
    first = kept.code(m.t).digest
    for _ in range(2):
        m.t()
        assert Identity().code(m.t).digest == first
        assert kept.code(m.t).digest == first
    twin = project(RUNS[name])
    assert Identity().code(twin.t).digest == first
    for one in (m, twin):
        if name in ("an open file", "a connection"):
            (one.F if name == "an open file" else one.D).close()


def test_keys_of_tasks_that_change_what_they_share_are_the_same_in_each_process(tmp_path: Path) -> None:
    table = [Edit(name, text, "", "", changes=False) for name, text in RUNS.items()]
    one = digests(table, tmp_path / "one", seed=1)
    assert one == digests(table, tmp_path / "other", seed=2)
    assert len(one) == len(RUNS)
    assert len(set(one.values())) > len(RUNS) - 5


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (f"{MEMO}C = Client()\ndef t(): return C.get(1)", "m.C.set_rate(3)"),
        (f"{MEMO}C = Client()\ndef t(): return C.get(1)", "m.C.calls = 3"),
        (f"{MEMO}C = Client()\ndef t(): return C.session()", "m.C._cache['x'] = 3"),
        (f"{MEMO}C = Client()\ndef t(): return C.calls", "m.C.count()"),
        (f"{MEMO}C, D = Client(), Client()\ndef t(): return C.get(1), D.calls", "m.D.count()"),
        (f"{MEMO}C = Client()\ndef t():\n    c = Client()\n    c.count()\n    return C", "m.C.count()"),
        (f"{MEMO}C = Client()\ndef h(c): c.rate = 5\ndef t():\n    h(Client())\n    return C", "m.C.rate = 3"),
        (f"{MEMO}C = Client()\ndef t(c=None):\n    c = c or Client()\n    c.rate = 5\n    return C", "m.C.rate = 3"),
        (f"{MEMO}class A:\n    def __init__(s): s.c = Client()\na = A()\ndef t(): a.c.calls += 1", "m.a.c.rate = 3"),
        (f"{MEMO}class A:\n    def __init__(s): s.c = Client()\na = A()\ndef t():\n    a.c._cache[1] = 2\n    return a.c.rate", "m.a.c.rate = 3"),
        ("class A:\n    n, k = 0, 1\n    @classmethod\n    def f(c): c.n += 1\ndef t(): return A.f()", "m.A.k = 2"),
        ("L, M = [[1], [2]], [[3]]\ndef t():\n    for one in L: one.append(1)\n    return M", "m.M[0].append(4)"),
        ("from types import SimpleNamespace as S\nN = S(n=0, k=1)\ndef t(): N.n += 1", "m.N.k = 2"),
        ("import argparse\nN = argparse.Namespace(n=0, k=[1])\ndef t(): N.n += 1", "m.N.k.append(2)"),
        ("class D(dict):\n    def put(s, k): s[k] = 1\nd = D()\nd.k = 1\ndef t(): d.put(1)", "m.d.k = 2"),
        ("class D(dict):\n    def put(s, k): s[k] = 1\nd = D()\ndef t(): return d.get(1)", "m.d.put(2)"),
        ("class A:\n    def __init__(s): s.d = {}\n    def __getitem__(s, k): return s.d[k]\n    def __setitem__(s, k, v): s.d[k] = v\na = A()\ndef t(): return a[1]", "m.a[1] = 2"),
        ("import random\nR = random.Random(1)\ndef t(): return [R]", "m.R.seed(2)"),
        ("from collections import defaultdict\nD = defaultdict(int)\ndef t(): return D.get('a')", "m.D['a']"),
        ("S = {}\ndef show(d): return len(d)\ndef t(): return show(S)", "m.S['a'] = 1"),
        ("class A:\n    _v = 0\n    @property\n    def v(self): return self._v\n    @v.setter\n    def v(self, x): self._v = x\na = A()\ndef t(): return a.v", "m.a.v = 3"),
        ("L = [[1]]\ndef t():\n    m = L[:]\n    m.append(2)\n    return m", "m.L[0].append(9)"),
        (f"{MEMO}c = Client()\ndef t():\n    def g(c): c.count()\n    g(Client())\n    return c", "m.c.count()"),
        (f"{MEMO}L = [Client()]\ndef t():\n    [c.count() for c in (Client(),)]\n    return [c.calls for c in L]", "m.L[0].count()"),
        ("class A: pass\ns, n = A(), A()\ns.a = A()\ns.a.x, n.x = 1, 2\ndef t(): return s.a.x", "m.s.a = m.n"),
        ("class A: pass\nn = A()\nn.x = 2\ndef make(s):\n    def t(): return s.a.x, s.b\n    return t\ns = A()\ns.a, s.b = A(), 1\ns.a.x = 1\nt = make(s)", "m.s.a = m.n"),
        ("class A: pass\ns, n = A(), A()\ns.a = A()\ns.a.a = A()\ns.a.a.x, n.x = 1, 2\ndef t(): return s.a.a.x", "m.s.a.a = m.n"),
        ("L = [1]\ndef t():\n    def g(L): L.append(2)\n    g([])\n    return L", "m.L.append(9)"),
        ("L = [1]\ndef t():\n    def g(*L): L.append(2)\n    g()\n    return L", "m.L.append(9)"),
        ("L = [1]\ndef t():\n    def g():\n        L = []\n        L.append(2)\n    g()\n    return L", "m.L.append(9)"),
        ("L = [1]\ndef t():\n    (lambda L: L.append(2))([])\n    return L", "m.L.append(9)"),
        ("L = [1]\ndef t():\n    [L.append(2) for L in ([],)]\n    return L", "m.L.append(9)"),
        ("L = [1]\ndef t():\n    class A:\n        L = []\n        L.append(2)\n    return L", "m.L.append(9)"),
        ("import s1\ndef t(): s1.X = 1\n--- s1.py\nX, Y = 0, 0", "m.s1.X = 0; m.s1.t = 1; m.t.k = 3"),
    ],
)  # fmt: skip
def test_what_others_change_counts_where_the_task_does_not_change_it(
    project: Load, text: str, change: str
) -> None:
    m = project(text)
    kept = Identity()
    before = kept.code(m.t).digest
    exec(change, {"m": m})  # noqa: S102
    assert kept.code(m.t).digest != before
    assert kept.code(m.t).digest == Identity().code(m.t).digest
