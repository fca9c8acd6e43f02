"""Writes in bytecode: what code without a text changes in place.

The instructions are followed once, with a stack that holds where each value came from: a name with the
attributes that follow it. Where two ways meet, what they do not agree on is unknown, as is what an
instruction that is not listed here leaves. So a write may be overlooked, and none is found that is none.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterable
from dis import Instruction
from types import CodeType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.syntax.bytecode import nested_codes
from s3kv_flows._keys.code.syntax.canonical import MUTATORS
from s3kv_flows._keys.code.syntax.texts import Chain

__all__ = ["writes_of"]

_VERSION = sys.version_info[:2]


class _Value(NamedTuple):
    """Where a value came from.

    Attributes:
        chain: A name, and attributes of it.
        is_within: Whether it is something within that, by a subscript.
        is_mutator: Whether it is a method that changes that.
    """

    chain: Chain
    is_within: bool = False
    is_mutator: bool = False


_Stack = list["_Value | None"]


def writes_of(code: CodeType) -> frozenset[Chain]:
    """Return what code, and all that is nested in it, changes in place: as ``CodeText.writes``."""
    if _VERSION > (3, 13):
        return frozenset()  # its instructions may mean something else
    found = set(_Reader(code).writes)
    for inner in nested_codes(code):
        found |= writes_of(inner)
    return frozenset(found)


class _Reader:
    """Follows the instructions of one code object."""

    def __init__(self, code: CodeType) -> None:
        self.writes: set[Chain] = set()
        self._stack: _Stack = []
        self._arriving: dict[int, list[_Stack]] = {}
        goes_on = True
        for instruction in dis.get_instructions(code):
            ways = self._arriving.pop(instruction.offset, [])
            if ways:
                self._stack = _merged([*ways, self._stack] if goes_on else ways)
            elif not goes_on:
                self._stack = []
            if instruction.opcode in _JUMPS:
                self._jump(instruction)
            else:
                self._follow(instruction)
            goes_on = instruction.opname not in _LAST

    def _follow(self, it: Instruction) -> None:
        special = _SPECIAL.get(it.opname)
        if special is not None:
            special(self, it)
            return
        effect = _EFFECTS.get(it.opname) or _FAMILIES.get(it.opname.partition("_")[0])
        if effect is None:
            self._stack.clear()
            return
        pops, pushes = effect(it.arg or 0) if callable(effect) else effect
        self._pop(pops)
        self._stack += [None] * pushes

    def _pop(self, count: int = 1) -> _Stack:
        """Return what was on top, the lowest first; what is below of what is known is unknown."""
        taken = self._stack[-count:] if count else []
        del self._stack[len(self._stack) - len(taken) :]
        return [None] * (count - len(taken)) + taken

    def _jump(self, it: Instruction) -> None:
        popped, kept = _POPPED_BY_JUMPS.get(it.opname, (0, 0))
        if it.opname.startswith(("POP_JUMP", "JUMP_IF_NOT_EXC")):
            popped = kept = 2 if "EXC" in it.opname else 1
        if it.opname.startswith("FOR_ITER"):
            arriving = [*self._stack, None] if _VERSION >= (3, 12) else self._stack[:-1]
            self._arriving.setdefault(it.argval, []).append(arriving)
            self._stack.append(None)
        elif it.opname.startswith(("SETUP", "SEND")):
            self._arriving.setdefault(it.argval, []).append([])
            self._stack.clear()
        else:
            before = list(self._stack)
            self._pop(popped)
            if it.argval > it.offset:
                arriving = before[: len(before) - kept] if kept else before
                self._arriving.setdefault(it.argval, []).append(arriving)

    # What leaves values whose origin is known, and what writes.

    def name(self, it: Instruction) -> None:
        if it.opname.startswith("LOAD_FROM_DICT"):
            self._pop()
        null = it.opname == "LOAD_GLOBAL" and _VERSION >= (3, 11) and (it.arg or 0) & 1
        if null and _VERSION < (3, 13):
            self._stack.append(None)
        self._stack.append(_Value((it.argval,)))
        if null and _VERSION >= (3, 13):
            self._stack.append(None)

    def names(self, it: Instruction) -> None:
        self._stack += [_Value((name,)) for name in it.argval]

    def store_and_load(self, it: Instruction) -> None:
        self._pop()
        self._stack.append(_Value((it.argval[1],)))

    def attribute(self, it: Instruction) -> None:
        (held,) = self._pop()
        is_called = it.opname == "LOAD_METHOD" or (_VERSION >= (3, 12) and bool((it.arg or 0) & 1))
        is_mutator = it.argval in MUTATORS
        if is_called and is_mutator:
            self._written(held)
        if is_called:
            self._stack += [None, None]
        elif held is None or held.is_mutator:
            self._stack.append(None)
        else:
            chain = held.chain if held.is_within else (*held.chain, it.argval)
            self._stack.append(
                _Value(held.chain, held.is_within, is_mutator=True)
                if is_mutator
                else _Value(chain, held.is_within)
            )

    def subscript(self, it: Instruction) -> None:
        held = self._pop(3 if it.opname == "BINARY_SLICE" else 2)[0]
        is_known = held is not None and not held.is_mutator
        self._stack.append(_Value(held.chain, is_within=True) if held is not None and is_known else None)

    def store_attribute(self, it: Instruction) -> None:
        *_, held = self._pop(1 if it.opname == "DELETE_ATTR" else 2)
        if held is not None and not held.is_mutator and not held.is_within:
            self.writes.add((*held.chain, f"{it.argval}="))
        else:
            self._written(held)

    def store_subscript(self, it: Instruction) -> None:
        pops, at = _STORES_WITHIN[it.opname]
        self._written(self._pop(pops)[at])

    def call(self, it: Instruction) -> None:
        argument = it.arg or 0
        taken = self._pop(_TAKEN_BY_CALLS[it.opname](argument))
        for value in taken[
            : 1 if _VERSION < (3, 11) else 2
        ]:  # one of two is what is called, the other nothing
            if value is not None and value.is_mutator:
                self._written(value._replace(is_mutator=False))
        self._stack.append(None)

    def copy(self, it: Instruction) -> None:
        depth = it.arg or 1
        self._stack.append(self._stack[-depth] if depth <= len(self._stack) else None)

    def copy_two(self, it: Instruction) -> None:  # noqa: ARG002
        two = self._pop(2)
        self._stack += two + two

    def swap(self, it: Instruction) -> None:
        taken = self._pop(it.arg or 0)
        taken[0], taken[-1] = taken[-1], taken[0]
        self._stack += taken

    def rotate(self, it: Instruction) -> None:
        *below, top = self._pop(_ROTATED.get(it.opname) or it.arg or 0)
        self._stack += [top, *below]

    def _written(self, held: _Value | None) -> None:
        if held is not None and not held.is_mutator and held.chain != ("__annotations__",):
            self.writes.add(held.chain)


def _merged(ways: list[_Stack]) -> _Stack:
    depth = min(map(len, ways))
    tops = [way[len(way) - depth :] for way in ways]
    return [
        values[0] if values.count(values[0]) == len(values) else None for values in zip(*tops, strict=True)
    ]


_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs})
_LAST = frozenset(
    {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_ABSOLUTE"}
    | {name for name in dis.opname if name.startswith("JUMP_BACKWARD")}
)
"""After which the next instruction is reached by jumps alone."""
_POPPED_BY_JUMPS = {"JUMP_IF_TRUE_OR_POP": (1, 0), "JUMP_IF_FALSE_OR_POP": (1, 0)}
_STORES_WITHIN = {"STORE_SUBSCR": (3, 1), "DELETE_SUBSCR": (2, 0), "STORE_SLICE": (4, 1)}
_ROTATED = {"ROT_TWO": 2, "ROT_THREE": 3, "ROT_FOUR": 4}
_TAKEN_BY_CALLS: dict[str, Callable[[int], int]] = {
    "CALL": lambda count: count + 2,
    "CALL_METHOD": lambda count: count + 2,
    "CALL_KW": lambda count: count + 3,
    "CALL_FUNCTION": lambda count: count + 1,
    "CALL_FUNCTION_KW": lambda count: count + 2,
    "CALL_FUNCTION_EX": lambda flags: (2 if _VERSION < (3, 11) else 3) + (flags & 1),
}
_Follow = Callable[[_Reader, Instruction], None]


def _each(names: Iterable[str], follow: _Follow) -> dict[str, _Follow]:
    return dict.fromkeys(names, follow)


_SPECIAL: dict[str, _Follow] = {
    **_each(["LOAD_NAME", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_DEREF"], _Reader.name),
    **_each(["LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"], _Reader.name),
    "LOAD_FAST_LOAD_FAST": _Reader.names,
    "STORE_FAST_LOAD_FAST": _Reader.store_and_load,
    **_each(["LOAD_ATTR", "LOAD_METHOD"], _Reader.attribute),
    **_each(["BINARY_SUBSCR", "BINARY_SLICE"], _Reader.subscript),
    **_each(["STORE_ATTR", "DELETE_ATTR"], _Reader.store_attribute),
    **_each(_STORES_WITHIN, _Reader.store_subscript),
    **_each(_TAKEN_BY_CALLS, _Reader.call),
    **_each(["COPY", "DUP_TOP"], _Reader.copy),
    "DUP_TOP_TWO": _Reader.copy_two,
    "SWAP": _Reader.swap,
    **_each([*_ROTATED, "ROT_N"], _Reader.rotate),
}
_Effect = tuple[int, int] | Callable[[int], tuple[int, int]]


def _function(flags: int) -> tuple[int, int]:
    if _VERSION >= (3, 13):
        return 1, 1
    return bin(flags & 15).count("1") + (2 if _VERSION < (3, 11) else 1), 1


_FAMILIES: dict[str, _Effect] = {"UNARY": (1, 1), "BINARY": (2, 1), "INPLACE": (2, 1)}
_EFFECTS: dict[str, Any] = {
    **dict.fromkeys(["NOP", "RESUME", "PRECALL", "KW_NAMES", "EXTENDED_ARG", "CACHE"], (0, 0)),
    **dict.fromkeys(["COPY_FREE_VARS", "MAKE_CELL"], (0, 0)),
    **dict.fromkeys(["DELETE_FAST", "DELETE_NAME", "DELETE_GLOBAL", "DELETE_DEREF"], (0, 0)),
    **dict.fromkeys(["POP_TOP", "STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF"], (1, 0)),
    **dict.fromkeys(["LIST_APPEND", "LIST_EXTEND", "SET_ADD", "SET_UPDATE"], (1, 0)),
    **dict.fromkeys(["DICT_UPDATE", "DICT_MERGE"], (1, 0)),
    **dict.fromkeys(["MAP_ADD", "STORE_FAST_STORE_FAST"], (2, 0)),
    **dict.fromkeys(
        ["PUSH_NULL", "LOAD_CONST", "LOAD_CLOSURE", "LOAD_BUILD_CLASS", "LOAD_ASSERTION_ERROR", "LOAD_LOCALS",
         "LOAD_FAST_AND_CLEAR", "IMPORT_FROM"],
        (0, 1),
    ),
    **dict.fromkeys(
        ["GET_ITER", "LIST_TO_TUPLE", "FORMAT_SIMPLE", "CONVERT_VALUE", "TO_BOOL", "CALL_INTRINSIC_1",
         "YIELD_VALUE", "GET_YIELD_FROM_ITER"],
        (1, 1),
    ),
    **dict.fromkeys(
        ["COMPARE_OP", "IS_OP", "CONTAINS_OP", "IMPORT_NAME", "FORMAT_WITH_SPEC", "SET_FUNCTION_ATTRIBUTE",
         "CALL_INTRINSIC_2"],
        (2, 1),
    ),
    **dict.fromkeys(["BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_STRING", "BUILD_SLICE"],
                    lambda count: (count, 1)),
    "BEFORE_WITH": (1, 2),
    "END_FOR": (2, 0) if _VERSION == (3, 12) else (1, 0),
    "BUILD_MAP": lambda count: (2 * count, 1),
    "BUILD_CONST_KEY_MAP": lambda count: (count + 1, 1),
    "FORMAT_VALUE": lambda flags: (2 if flags & 4 else 1, 1),
    "UNPACK_SEQUENCE": lambda count: (1, count),
    "UNPACK_EX": lambda counts: (1, (counts & 255) + 1 + (counts >> 8)),
    "MAKE_FUNCTION": _function,
    "LOAD_SUPER_ATTR": lambda argument: (3, 1 + (argument & 1)),
}  # fmt: skip
"""How many values an instruction takes and leaves, by its argument."""
