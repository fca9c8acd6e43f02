"""The instructions of code, sooner than :mod:`dis` has them.

Only arguments that :mod:`.reader` looks at are resolved. What they mean on each version of Python is as in
:mod:`dis`; a test compares both.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

__all__ = ["Instruction", "instructions"]

_VERSION = sys.version_info[:2]


class Instruction(NamedTuple):
    """An instruction.

    Attributes:
        offset: Where it begins, with what extends its argument; jumps lead there.
        opcode: Its number.
        opname: Its name.
        arg: Its argument as a number.
        argval: What that stands for: a name, a constant, the offset a jump leads to.
    """

    offset: int
    opcode: int
    opname: str
    arg: int
    argval: Any


def instructions(code: CodeType) -> list[Instruction]:
    """Return the instructions of code, without those of code nested in it."""
    raw, found = code.co_code, []
    extended, start = 0, -1
    for at, number, low in zip(range(0, len(raw), 2), raw[::2], raw[1::2], strict=True):
        if number == _CACHE:
            continue
        if number == _EXTENDED_ARG:
            extended, start = (extended | low) << 8, at if start < 0 else start
            continue
        arg = extended | low
        resolve = _RESOLVE[number]
        found.append(
            Instruction(
                start if start >= 0 else at,
                number,
                _NAMES[number],
                arg,
                resolve(code, arg, at) if resolve is not None else arg,
            )
        )
        extended, start = 0, -1
    return found


_Resolve = Callable[[CodeType, int, int], Any]
_NAMES = [*opcode.opname, *[""] * (256 - len(opcode.opname))][:256]
_CACHE = opcode.opmap.get("CACHE", -1)
_EXTENDED_ARG = opcode.opmap["EXTENDED_ARG"]
_SHIFTS = {
    "LOAD_GLOBAL": 1 if _VERSION >= (3, 11) else 0,
    "LOAD_ATTR": 1 if _VERSION >= (3, 12) else 0,
    "LOAD_SUPER_ATTR": 2,
}
"""Bits of an argument that are none of its index of a name."""
_LOCAL_NAME: Any = getattr(CodeType, "_varname_from_oparg", None)
"""As :mod:`dis` finds names of locals and cells, since Python 3.11."""
_PAIRS = {"LOAD_FAST_LOAD_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST"}


def _constant(code: CodeType, arg: int, at: int) -> Any:  # noqa: ARG001
    return code.co_consts[arg]


def _name(shift: int) -> _Resolve:
    return lambda code, arg, at: code.co_names[arg >> shift]  # noqa: ARG005


def _local(code: CodeType, arg: int, at: int) -> Any:  # noqa: ARG001
    return code.co_varnames[arg]


def _cell(code: CodeType, arg: int, at: int) -> Any:  # noqa: ARG001
    return (code.co_cellvars + code.co_freevars)[arg]


def _local_or_cell(code: CodeType, arg: int, at: int) -> Any:  # noqa: ARG001
    return _LOCAL_NAME(code, arg)


def _two(code: CodeType, arg: int, at: int) -> Any:  # noqa: ARG001
    return _LOCAL_NAME(code, arg >> 4), _LOCAL_NAME(code, arg & 15)


def _absolute(code: CodeType, arg: int, at: int) -> Any:  # noqa: ARG001
    return 2 * arg


def _forward(code: CodeType, arg: int, at: int) -> Any:
    return _after(code, at) + 2 * arg


def _backward(code: CodeType, arg: int, at: int) -> Any:
    return _after(code, at) - 2 * arg


def _after(code: CodeType, at: int) -> int:
    at += 2
    if _VERSION >= (3, 12):
        raw = code.co_code
        while at < len(raw) and raw[at] == _CACHE:
            at += 2
    return at


def _resolve(number: int, name: str) -> _Resolve | None:
    if number in opcode.hasjabs:
        return _absolute
    if number in opcode.hasjrel:
        return _backward if "JUMP_BACKWARD" in name else _forward
    if name in _PAIRS:
        return _two
    if number in opcode.hasname:
        return _name(_SHIFTS.get(name, 0))
    if number in opcode.hasconst:
        return _constant
    if number in opcode.haslocal:
        return _local if _VERSION < (3, 11) else _local_or_cell
    if number in opcode.hasfree:
        return _cell if _VERSION < (3, 11) else _local_or_cell
    return None


_RESOLVE = [_resolve(number, name) for number, name in enumerate(_NAMES)]
"""By the number of an instruction: what its argument stands for; None where nobody asks."""
