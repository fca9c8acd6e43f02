"""What code changes in place, found in bytecode: held against what its text says."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from s3kv_flows._keys.code.syntax.bytecode.effects import writes_of
from s3kv_flows._keys.code.syntax.sources import SourceTexts, text_of
from s3kv_flows._keys.code.syntax.texts import Chain
from s3kv_flows._keys.identity import Identity

STDLIB = Path(sysconfig.get_paths()["stdlib"])
FILES = ("ast", "argparse", "inspect", "tarfile", "threading", "functools", "collections/__init__", "pickle")
MORE = ("enum", "typing", "dataclasses", "logging/__init__", "asyncio/base_events", "json/encoder")


def as_spelled(chains: Iterable[Chain]) -> set[Chain]:
    """Return chains with private names as they stand in the text."""
    return {tuple(re.sub(r"^_\w*?(?=__\w*[^_]=?$)", "", part) for part in chain) for chain in chains}


def test_bytecode_says_of_writes_what_the_text_says() -> None:
    texts, found, said_in_all = SourceTexts(), 0, 0
    for name in FILES + MORE:
        path = STDLIB / f"{name}.py"
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        pending = [code]
        for one in pending:
            pending += [inner for inner in one.co_consts if isinstance(inner, type(code))]
            said = texts.find(one, {}) if one is not code else None
            if said is None:
                continue
            in_text, in_bytecode = as_spelled(said.writes), as_spelled(writes_of(one))
            assert in_bytecode <= in_text, (name, one.co_name)
            found += len(in_bytecode)
            said_in_all += len(in_text)
    assert said_in_all > 1_000
    assert found > 0.99 * said_in_all


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        ("lake.ran.append(x)", {"lake.ran"}),
        ("counts['n'] += 1", {"counts"}),
        ("seen[k] = v if k else w", {"seen"}),
        ("obj.total += x or y", {"obj.total="}),
        ("obj.total = [a for a in x if a]", {"obj.total="}),
        ("del cache[k]", {"cache"}),
        ("del a.b, a.c[1:2]", {"a.b=", "a.c"}),
        ("state.add(x)", {"state"}),
        ("a.b[k].c.d = 1", {"a.b"}),
        ("a[k].c = 1", {"a"}),
        ("a.b[k][m].update(x, **y)", {"a.b"}),
        ("a.extend(*x)", {"a"}),
        ("a[1:] = b[2:].c = x", {"a", "b"}),
        ("a.b, (c[d], *e.f) = x", {"a.b=", "c", "e.f="}),
        ("for a.b in c: pass\nelse: d[e] = 1", {"a.b=", "d"}),
        ("with x as a.b: a.c.append([y for y in z])", {"a.b=", "a.c"}),
        ("try: a[1] = b()\nexcept E as e: c[2] = e\nfinally: d[3] = 4", {"a", "c", "d"}),
        ("while a: b[c] = (yield d)", {"b"}),
        ("match a:\n    case [b, *c]: d[b] = c\n    case {'x': e}: e.f = 1", {"d", "e.f="}),
        ("(lambda: a.append(1))()", {"a"}),
        ("class A:\n    b[1] = 2\n    c: int = 3", {"b"}),
        (
            "async def f():\n    async with a as b: b.c = await d\n    async for e.f in g: pass",
            {"e.f="},
        ),
        ("f(a).append(b)", set()),
        ("(a or b).append(c)", set()),
        ("(a + b)[c] = d", set()),
        ("f(a.append, b.pop)", set()),
        ("g = a.append", set()),
        ("a.append", set()),
        ("x = a[b], a.c, a.index(d)", set()),
        ("a.b().c.append(d)", set()),
        ("for a in b.pop, c: a(d)", set()),
        ("[a.append for a in b][c](d)", set()),
        ("a = {**b, c: d.sort}; e[a] = b", {"e"}),
    ],
)
def test_writes_in_bytecode(text: str, writes: set[str]) -> None:
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    namespace: dict[str, Any] = {"__name__": "m"}
    exec(compile(f"def f():\n{lines}", "<no text>", "exec"), namespace)  # noqa: S102
    assert {".".join(chain) for chain in writes_of(namespace["f"].__code__)} == writes


class Lake:
    def __init__(self) -> None:
        self.ran: list[int] = []
        self.total = 0
        self.name = "a"


def test_what_a_function_that_pytest_rewrote_changes_does_not_change_its_key() -> None:
    lake, counts, seen = Lake(), {"n": 0}, set[int]()
    calls = 0

    def task(x: int) -> int:
        nonlocal calls
        assert x
        calls += 1
        lake.ran.append(x)
        lake.total += x
        counts["n"] += 1
        seen.add(x)
        return x

    assert isinstance(task, FunctionType)
    assert text_of(task) is None
    before = Identity().code(task).digest
    identity = Identity()
    for x in (1, 2):
        task(x)
        assert Identity().code(task).digest == before == identity.code(task).digest
    lake.name = "b"
    assert Identity().code(task).digest != before


def test_what_a_function_without_any_text_changes_does_not_change_its_key() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__", "lake": Lake()}
    text = "def task(x):\n    S['a'].append(x)\n    lake.ran.append(x)\n    return N\nS, N = {'a': []}, 1"
    exec(compile(text, "<gone>", "exec"), namespace)  # noqa: S102
    task: FunctionType = namespace["task"]
    before = Identity().code(task).digest
    task(1)
    assert Identity().code(task).digest == before
    namespace["N"] = 2
    assert Identity().code(task).digest != before


def test_a_choice_is_seen_where_the_compiler_writes_its_end_twice() -> None:
    namespace: dict[str, Any] = {"__name__": "m"}
    exec(compile("def f():\n    (a if b else c).d = 1\n", "<no text>", "exec"), namespace)  # noqa: S102
    found = {".".join(chain) for chain in writes_of(namespace["f"].__code__)}
    assert found in (set(), {"a.d=", "c.d="})  # Python 3.11 writes it once
