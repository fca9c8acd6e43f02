"""Instructions are those that dis reads, on this version of Python."""

from __future__ import annotations

import dis
import importlib
import inspect
import opcode
from collections.abc import Iterator
from types import CodeType

import pytest

from s3kv_flows._keys.code.syntax.bytecode.codes import nested_codes
from s3kv_flows._keys.code.syntax.bytecode.instructions import instructions

RESOLVED = {
    *opcode.hasjabs,
    *opcode.hasjrel,
    *opcode.hasname,
    *opcode.hasconst,
    *opcode.haslocal,
    *opcode.hasfree,
} - {opcode.opmap.get("KW_NAMES")}  # which dis does not resolve


def all_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in nested_codes(code):
        yield from all_codes(inner)


def long_code() -> str:
    names = "".join(f"    name_{number} = other_{number}.part\n" for number in range(400))
    cells = "".join(f"    def inner_{number}(): return name_{number}\n" for number in range(300))
    return f"def long(x, *rest):\n    for _ in x:\n        if _: break\n{names}{cells}    return rest\n"


@pytest.mark.parametrize(
    "name", ["argparse", "dataclasses", "asyncio.base_events", "typing", "_pydecimal", ""]
)
def test_they_are_those_of_dis(name: str) -> None:
    text = inspect.getsource(importlib.import_module(name)) if name else long_code()
    seen = 0
    for code in all_codes(compile(text, name, "exec")):
        expected: list[tuple[int, str, int, object]] = []
        start: int | None = None
        for one in dis.get_instructions(code):
            start = one.offset if start is None else start
            if one.opname != "EXTENDED_ARG":
                resolved = one.argval if one.opcode in RESOLVED else None
                expected.append((start, one.opname, one.arg or 0, resolved))
                start = None
        found = instructions(code)
        seen += len(found)
        for it, (offset, opname, arg, argval) in zip(found, expected, strict=True):
            assert (it.offset, it.opname) == (offset, opname)
            if it.opcode >= opcode.HAVE_ARGUMENT:
                assert it.arg == arg
            if it.opcode in RESOLVED:
                assert (it.argval, type(it.argval)) == (argval, type(argval))
    assert seen > 50
