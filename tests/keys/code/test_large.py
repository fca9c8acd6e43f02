# ruff: noqa: E501 -- a project is one line of a table
"""Large and deep code: what a digest costs grows with it, and no faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows._keys.code import code_identity
from s3kv_flows._keys.code.changes import lookup
from s3kv_flows._keys.code.changes.first_seen import FirstSeen
from s3kv_flows._keys.code.graph import Graph
from s3kv_flows._keys.code.syntax import loaded
from s3kv_flows._keys.code.syntax.sources import Table
from s3kv_flows._keys.code.syntax.statements.calls import Calls
from s3kv_flows._keys.errors import TooDeepError
from s3kv_flows._keys.identity import Identity

Load = Callable[[str], Any]
Counted = Callable[[Any], int]


def lines(count: int, line: str) -> str:
    return "\n".join(line.format(i=i, j=(i + 1) % count, k=(i * 7 + 3) % count) for i in range(count))


def handlers(count: int) -> str:
    named = ", ".join(f"f{i}" for i in range(count))
    return (
        lines(count, "def f{i}(x): return HANDLERS, {i}")
        + f"\nHANDLERS = {{{named}}}\ndef t(): return HANDLERS"
    )


def closures(count: int) -> str:
    return f"def make(n): return lambda: (HANDLERS, n)\nHANDLERS = {{make(i) for i in range({count})}}\ndef t(): return HANDLERS"


def instances(count: int) -> str:
    return f"class A:\n    def f(s): return ALL\nALL = {{A() for _ in range({count})}}\ndef t(): return ALL"


def sets_of_closures(count: int) -> str:
    return f"def make(n): return lambda: (SETS, n)\nSETS = [{{make(i), make(i + 1)}} for i in range({count})]\ndef t(): return SETS"


def memos(count: int) -> str:
    return (
        lines(count, "M{i} = {{}}\ndef f{i}(x):\n    M{i}[x] = 1\n    return M{j}, M{k}\nM{i}['f'] = f{i}")
        + "\ndef t(): return M0"
    )


def values_with_code(count: int) -> str:
    return (
        "import argparse\n"
        + lines(count, "class C{i}:\n    def f(s): return N{j}, N{k}\nN{i} = argparse.Namespace(s=C{i}())")
        + "\ndef t(): return N0"
    )


def registered(count: int) -> str:
    return (
        "import abc\nclass B(abc.ABC): pass\n"
        + lines(count, "class C{i}:\n    def f(s): return B\nB.register(C{i})")
        + "\ndef t(): return C0"
    )


def a_registry(count: int) -> str:
    return "R = {}\n" + lines(count, "def f{i}(x): return R\nR['{i}'] = f{i}") + "\ndef t(): return R"


def mutual_classes(count: int) -> str:
    return lines(count, "class C{i}:\n    def f(s): return C{j}(), C{k}()") + "\ndef t(): return C0()"


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Count the nodes that are made for a function's digest."""
    made, node = [0], Graph.node

    def counted(*args: Any, **options: Any) -> Any:
        made[0] += 1
        return node(*args, **options)

    def count(function: Any) -> int:
        made[0] = 0
        Identity().code(function)
        return made[0]

    monkeypatch.setattr(Graph, "node", counted)
    return count


@pytest.mark.parametrize(
    "text",
    [
        handlers,
        closures,
        instances,
        sets_of_closures,
        memos,
        values_with_code,
        registered,
        a_registry,
        mutual_classes,
    ],
)
def test_twice_the_code_is_twice_the_work(project: Load, visits: Counted, text: Callable[[int], str]) -> None:
    one, other = (visits(project(text(count)).t) for count in (60, 120))
    assert one >= 60
    assert other < 2.5 * one


@pytest.mark.parametrize(
    "text",
    [
        "D = {end}\nfor i in range(3_000): D = (D, i)",
        "D = {end}\nfor i in range(3_000): D = [D, i]",
        "D = {end}\nfor i in range(3_000): D = {{'a': D}}",
    ],
)
@pytest.mark.parametrize("ends", [("1", "2"), ("[len]", "[max]"), ("E", "F")])
def test_deep_containers_count_to_their_end(
    project: Load, visits: Counted, text: str, ends: tuple[str, str]
) -> None:
    text = "E, F = [1], [2]\n" + text + "\ndef t():\n    E.append(1); F.append(2)\n    return D"
    one, other = (project(text.format(end=end)) for end in ends)
    assert visits(one.t) < 12_000
    assert Identity().code(one.t).digest == Identity().code(one.t).digest != Identity().code(other.t).digest


def test_a_deep_default_and_a_deep_module_are_gone_through(project: Load) -> None:
    m = project(
        "D = ()\nfor i in range(3_000): D = (D, i)\ndef t(x=D):\n    import deep\n    return deep.D\n--- deep.py\nD = []\nfor i in range(3_000): D = [D]\n"
    )
    __import__("deep")
    assert Identity().code(m.t).digest == Identity().code(m.t).digest


def test_a_chain_of_objects_that_is_too_long_is_refused_by_its_name(project: Load) -> None:
    m = project(
        "import argparse\nLINKS = None\nfor i in range(10_000): LINKS = argparse.Namespace(n=LINKS)\ndef t(): return LINKS"
    )
    with pytest.raises(TooDeepError, match="LINKS"):
        Identity().code(m.t)


def test_containers_that_share_their_parts_are_not_unrolled(
    project: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded, "_MOST_VISITS", 10_000)
    m = project(
        "D = ()\nfor i in range(60): D = (D, D)\nE = [len]\nfor i in range(60): E = [E, E]\ndef t(): return D, E"
    )
    assert Identity().code(m.t).digest == Identity().code(m.t).digest


@pytest.mark.parametrize(
    "text",
    [
        "import functools\ndef f(): return {n}\ndef d(f):\n    @functools.wraps(f)\n    def w(): return f()\n    return w\nfor i in range(1_050): f = d(f)\ndef t(): return f()",
        "import functools\ndef f(): return {n}\ndef g(h): return h()\nfor i in range(1_500): f = functools.partial(g, f)\ndef t(): return f()",
        "import types\ndef f(*a): return {n}\nfor i in range(1_500): f = types.MethodType(f, 1)\ndef t(): return f()",
        "def f(): return {n}\ndef d(f): return lambda: f()\nfor i in range(1_500): f = d(f)\ndef t(): return f()",
        "class C:\n    def f(s): return {n}\nfor i in range(200): C = type('C', (C,), dict(f=lambda s: 1))\nC.__module__ = __name__\ndef t(): return C().f()",
    ],
    ids=["decorators", "partials", "methods", "closures", "bases"],
)
def test_long_chains_count_to_their_end(project: Load, text: str) -> None:
    one, other = (project(text.format(n=n)) for n in (1, 2))
    assert Identity().code(one.t).digest != Identity().code(other.t).digest


def test_what_methods_set_is_found_once_per_class(project: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    m = project(
        "class A:\n"
        + lines(300, "    def m{i}(s):\n        s.x = 1\n        return s.m{j}()")
        + "\ndef t(): return A().m0()"
    )
    found, set_by = [0], lookup._set_by

    def counted(held: Any) -> Any:
        found[0] += 1
        return set_by(held)

    monkeypatch.setattr(lookup, "_set_by", counted)
    Identity().code(m.t)
    assert 0 < found[0] < 20


def test_calls_of_calls_at_the_top_of_a_module_are_looked_into_once(
    project: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import random\n" + "\n".join(
        f"def s{i}(x=0):\n    if x:\n        s{i + 1}()\n        s{i + 2}()" for i in range(60)
    )
    m = project(text + "\ndef s60(): pass\ndef s61(): pass\ns0()\ns1()\ndef t(): return 1")
    asked, sets_by = [0], Calls.sets_by

    def counted(*args: Any) -> bool:
        asked[0] += 1
        return sets_by(*args)

    monkeypatch.setattr(Calls, "sets_by", counted)
    Identity().code(m.t)
    assert 60 < asked[0] < 300


def test_many_lambdas_on_one_line_are_each_found_by_their_code() -> None:
    text = "L = [" + ", ".join(f"lambda x: x + {i}" for i in range(3_000)) + "]"
    names: dict[str, Any] = {}
    exec(compile(text, "one", "exec", dont_inherit=True), names)  # noqa: S102
    table = Table(text)
    found = [table.find(one.__code__) for one in names["L"]]
    assert None not in found
    assert len({one.digest for one in found if one is not None}) == 3_000


# --- and the same whatever comes first --------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        "make(1), make(2), make(3)",
        "A(1), A(2), A(3)",
        "A(1).f, A(2).f, A(3).f",
        "partial(make(1)), partial(make(2)), partial(make(3))",
        "(1, make(1)), (1, make(2)), (1, A(3))",
        "frozenset({make(1)}), frozenset({make(2)}), frozenset({make(3), len})",
    ],
)
def test_members_of_a_set_that_look_alike_are_told_apart_by_what_they_lead_to(
    project: Load, make: str
) -> None:
    text = (
        "from functools import partial\ndef make(n): return lambda: (S, n)\nclass A:\n    def __init__(s, n): s.n = n\n"
        "    def f(s): return S\ndef fill(*members):\n    global S\n    S = set(members)\ndef t(): return S"
    )
    m = project(text)
    found = set()
    for turn in range(3):
        members = eval(f"[{make}]", dict(vars(m)))  # noqa: S307
        m.fill(*members[turn:], *members[:turn])
        found.add(Identity().code(m.t).digest)
    assert len(found) == 1
    m.fill(*eval(f"[{make.replace('3', '4')}]", dict(vars(m))))  # noqa: S307
    assert Identity().code(m.t).digest not in found
    m.fill(*members, *eval(f"[{make}]", dict(vars(m)))[:1])  # noqa: S307
    assert Identity().code(m.t).digest not in found


def test_memos_that_lead_to_each_other_count_alike_whichever_is_seen_first(
    project: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = memos(7) + "\n" + lines(7, "def t{i}(): return M{i}")
    found = []
    for order in (range(7), reversed(range(7)), (3, 0, 6, 1, 5, 2, 4)):
        m = project(text)
        monkeypatch.setattr(code_identity, "_FIRST_SEEN", FirstSeen())
        identity = Identity()
        digests = {number: identity.code(getattr(m, f"t{number}")).digest for number in order}
        for number in range(7):
            getattr(m, f"f{number}")("x")
        again = Identity()
        assert {number: again.code(getattr(m, f"t{number}")).digest for number in digests} == digests
        found.append(digests)
    assert found[0] == found[1] == found[2]


def test_values_that_hold_code_count_alike_whichever_is_seen_first(project: Load) -> None:
    text = values_with_code(5) + "\n" + lines(5, "def t{i}(): return N{i}")
    m, other = project(text), project(text)
    one, two = Identity(), Identity()
    found = [one.code(getattr(m, f"t{number}")).digest for number in range(5)]
    assert found == [two.code(getattr(other, f"t{number}")).digest for number in reversed(range(5))][::-1]
    other = project(text.replace("def f(s): return N0", "def f(s): return 1, N0"))
    assert all(Identity().code(getattr(other, f"t{n}")).digest != found[n] for n in range(5))


def test_classes_in_a_value_are_told_apart(project: Load) -> None:
    text = (
        "import argparse\ndef make(n):\n    class A:\n        def f(s): return n\n    return A\n"
        "A, B = make(1), make(2)\nN = argparse.Namespace(a={a}(), b={b}())\ndef t(): return N"
    )
    one, other = (project(text.format(a=a, b=b)) for a, b in ("AB", "BA"))
    assert Identity().code(one.t).digest != Identity().code(other.t).digest
    identity = Identity()
    before = identity.code(one.t).digest
    one.N.a.__class__ = one.B
    assert identity.code(one.t).digest != before


def test_sets_of_tuples_in_a_text_are_what_they_say() -> None:
    members = [(i, str(i), frozenset({i, "a"})) for i in range(50)]
    pictures = [
        loaded._picture(set(order)) for order in (members, members[::-1], [tuple(one) for one in members])
    ]
    assert pictures[0] == pictures[1] == pictures[2] != loaded._picture(set(members[1:]))
