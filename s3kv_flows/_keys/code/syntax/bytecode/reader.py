"""Where the values on the stack of code come from."""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.syntax.bytecode.instructions import Instruction, instructions
from s3kv_flows._keys.code.syntax.bytecode.stack import STACK_EFFECTS
from s3kv_flows._keys.code.syntax.canonical import MUTATORS
from s3kv_flows._keys.code.syntax.texts import Chain

__all__ = ["A_SLICE", "WITHIN", "Reader", "joined"]

_VERSION = sys.version_info[:2]
WITHIN = "*"
"""Stands in a chain for something within a container."""
_INNER = {"get", "items", "setdefault", "values"}
"""Methods of a dict that return what is within."""
_SAVED = ("<saved>",)
A_SLICE = "[:]"
"""Stands in a chain for a part of a list, which is a copy, or of an array, which is none."""


class _Value(NamedTuple):
    chain: Chain = ()
    constant: Any = None


_Stack = list["_Value | None"]


def joined(start: Chain, rest: Chain) -> Chain:
    return start + (rest[1:] if rest[:1] == start[-1:] == (WITHIN,) else rest)


class Reader:
    """Follows the instructions of one code object."""

    def __init__(self, code: CodeType) -> None:
        self.changes: set[Chain] = set()
        self.set_by_name: set[Chain] = set()
        self.uses: set[Chain] = set()
        self.calls: set[tuple[Chain, tuple[Chain | None, ...]]] = set()
        self.iterated: dict[CodeType, Chain] = {}
        self._stores: dict[str, list[Chain]] = {}
        self._keywords: Any = ()
        self._constants = code.co_consts
        self._stack: _Stack = []
        self._arriving: dict[int, list[_Stack]] = {}
        goes_on = True
        found = instructions(code)
        self._restoring = _restoring(found)
        for instruction in found:
            ways = self._arriving.pop(instruction.offset, None) if self._arriving else None
            if ways:
                self._stack = _merged([*ways, self._stack] if goes_on else ways)
            elif not goes_on:
                self._stack = []
            special = _SPECIALS[instruction.opcode]
            if special is not None:
                special(self, instruction)
            else:
                self._follow(instruction)
            goes_on = not _ENDS[instruction.opcode]
        count = code.co_argcount + code.co_kwonlyargcount + bin(code.co_flags & 12).count("1")
        arguments = code.co_varnames[:count]
        self.aliases = {
            name: chains[0]
            for name, chains in self._stores.items()
            if len(chains) == 1 and chains[0] and name not in arguments and chains[0][0] != name
        }
        self.rebound = self._stores.keys() - self.aliases.keys()

    def _follow(self, it: Instruction) -> None:
        effect = STACK_EFFECTS[it.opcode]
        if effect is None:
            self._stack.clear()
            return
        pops, pushes = effect(it.arg) if callable(effect) else effect
        stack = self._stack
        if pops:
            del stack[max(0, len(stack) - pops) :]
        stack += [None] * pushes

    def _pop(self, count: int = 1) -> _Stack:
        """Return what was on top, the lowest first; what is below of what is known is unknown."""
        taken = self._stack[-count:] if count else []
        del self._stack[len(self._stack) - len(taken) :]
        return [None] * (count - len(taken)) + taken

    def jump(self, it: Instruction) -> None:
        popped, kept = _POPPED_BY_JUMPS.get(it.opname, (0, 0))
        if it.opname.startswith(("POP_JUMP", "JUMP_IF_NOT_EXC")):
            popped = kept = 2 if "EXC" in it.opname else 1
        if it.opname.startswith("FOR_ITER"):
            iterated = self._stack[-1] if self._stack else None
            arriving = [*self._stack, None] if _VERSION >= (3, 12) else self._stack[:-1]
            self._arriving.setdefault(it.argval, []).append(arriving)
            self._stack.append(_within(iterated))
        elif it.opname.startswith(("SETUP", "SEND")):
            if it.opname == "SETUP_WITH":
                self.enter(it)
            self._arriving.setdefault(it.argval, []).append([])
            self._stack.clear()
        else:
            before = list(self._stack)
            self._pop(popped)
            if it.argval > it.offset:
                arriving = before[: len(before) - kept] if kept else before
                self._arriving.setdefault(it.argval, []).append(arriving)

    # What leaves values whose origin is known, and what does something to them.

    def name(self, it: Instruction) -> None:
        if it.opname.startswith("LOAD_FROM_DICT"):
            self._pop()
        null = it.opname == "LOAD_GLOBAL" and _VERSION >= (3, 11) and it.arg & 1
        if null and _VERSION < (3, 13):
            self._stack.append(None)
        self._stack.append(_Value((_TAGS.get(it.opname, "") + it.argval,)))
        if null and _VERSION >= (3, 13):
            self._stack.append(None)

    def names(self, it: Instruction) -> None:
        self._stack += [_Value((name,)) for name in it.argval]

    def save(self, it: Instruction) -> None:  # noqa: ARG002
        self._stack.append(_Value(_SAVED))  # of a name that a comprehension uses as its own for a time

    def constant(self, it: Instruction) -> None:
        self._stack.append(_Value(constant=it.argval))

    def store(self, it: Instruction) -> None:
        (value,) = self._pop()
        if it.offset in self._restoring:
            return
        self._bound(it.argval, value)

    def store_two(self, it: Instruction) -> None:
        second, first = self._pop(2)
        if it.offset in self._restoring:
            return
        self._bound(it.argval[0], first)
        self._bound(it.argval[1], second)

    def store_and_load(self, it: Instruction) -> None:
        (value,) = self._pop()
        self._bound(it.argval[0], value)
        self._stack.append(_Value((it.argval[1],)))

    def _bound(self, name: str, value: _Value | None) -> None:
        chain = value.chain if value is not None else ()
        if chain != _SAVED:
            self._stores.setdefault(name, []).append(chain)

    def attribute(self, it: Instruction) -> None:
        (held,) = self._pop()
        is_called = it.opname == "LOAD_METHOD" or (_VERSION >= (3, 12) and bool(it.arg & 1))
        found = self._used(held, it.argval)
        if is_called and it.argval in MUTATORS:
            self._changed(held)
        self._stack.append(found)
        if is_called:
            self._stack.append(None)

    def super_attribute(self, it: Instruction) -> None:
        self._pop(3)
        self._stack.append(_Value(("super()",)))
        self.attribute(it)

    def subscript(self, it: Instruction) -> None:
        held, *key = self._pop(3 if it.opname == "BINARY_SLICE" else 2)
        found = self._used(held, "__getitem__")
        if found is not None and (len(key) == 2 or (key[0] is not None and key[0].constant is A_SLICE)):
            self._stack.append(_Value((*found.chain[:-1], A_SLICE)))
        else:
            self._stack.append(_within(held))

    def slice(self, it: Instruction) -> None:
        self._pop(it.arg)
        self._stack.append(_Value(constant=A_SLICE))

    def store_attribute(self, it: Instruction) -> None:
        *_, held = self._pop(1 if it.opname == "DELETE_ATTR" else 2)
        if held is not None and held.chain:
            self.changes.add((*held.chain, f"{it.argval}="))

    def store_subscript(self, it: Instruction) -> None:
        pops, at = _STORES_WITHIN[it.opname]
        held = self._pop(pops)[at]
        self._used(held, "__delitem__" if it.opname == "DELETE_SUBSCR" else "__setitem__")
        self._changed(held)

    def iterate(self, it: Instruction) -> None:  # noqa: ARG002
        (held,) = self._pop()
        self._used(held, "__iter__")
        self._stack.append(held)

    def unpack(self, it: Instruction) -> None:
        (held,) = self._pop()
        self._stack += [_within(held)] * it.arg

    def contains(self, it: Instruction) -> None:  # noqa: ARG002
        self._used(self._pop(2)[1], "__contains__")
        self._stack.append(None)

    def enter(self, it: Instruction) -> None:  # noqa: ARG002
        (held,) = self._pop()
        self._used(held, "__enter__")
        self._used(held, "__exit__")
        self._stack += [None, None]

    def function(self, it: Instruction) -> None:
        flags = 0 if _VERSION >= (3, 13) else bin(it.arg & 15).count("1")
        taken = self._pop(flags + (2 if _VERSION < (3, 11) else 1))
        code = taken[-2 if _VERSION < (3, 11) else -1]
        self._stack.append(code)

    def keywords(self, it: Instruction) -> None:
        self._keywords = self._constants[it.arg]

    def call(self, it: Instruction) -> None:
        taken = self._pop(_TAKEN_BY_CALLS[it.opname](it.arg))
        slots = 1 if it.opname.startswith("CALL_FUNCTION") and _VERSION < (3, 11) else 2
        # One of two is what is called; the other is nothing, or the object of a method.
        called = next((one for one in taken[:slots] if one is not None), None)
        given, names = taken[slots:], self._keywords
        if it.opname in ("CALL_KW", "CALL_FUNCTION_KW"):
            *given, listed = given
            names = listed.constant if listed is not None else None
        if it.opname == "CALL_FUNCTION_EX" or not isinstance(names, tuple):
            given, names = [], ()
        first = len(given) - len(names)
        for at, name in enumerate(names):
            value = given[first + at]
            given[first + at] = (
                _Value((f"{name}=", *value.chain)) if value is not None and value.chain else None
            )
        self._keywords = ()
        self._stack.append(None)
        if called is None:
            return
        iterated = taken[-1]
        if isinstance(called.constant, CodeType) and len(taken) == 2 and iterated is not None:
            self.iterated[called.constant] = iterated.chain  # of a comprehension
        if called.chain:
            self._stack[-1] = self._called(called.chain, given)

    def _called(self, callee: Chain, given: _Stack) -> _Value | None:
        if callee[-1] in MUTATORS:
            self._changed(_Value(callee[:-1]))
        first = given[0].chain if given and given[0] is not None else ()
        self.calls.add((callee, tuple(one.chain or None if one is not None else None for one in given)))
        if (
            callee in _SETTERS
            and first
            and len(given) > 1
            and given[1]
            and isinstance(given[1].constant, str)
        ):
            self.set_by_name.add((*first, f"{given[1].constant}="))
        if callee == ("@type",) and len(given) == 1 and first:
            return _Value((*first, "type()"))
        if callee in _ITERATORS and first:
            return _within(given[0])
        if callee == ("@super",):
            return _Value(("super()",))
        return _Value((*callee[:-1], f"{callee[-1]}()")) if callee[-1] in _INNER and callee[1:] else None

    def _used(self, held: _Value | None, name: str) -> _Value | None:
        if held is None or not held.chain:
            return None
        self.uses.add((*held.chain, name))
        return _Value((*held.chain, name))

    def _changed(self, held: _Value | None) -> None:
        if held is not None and held.chain:
            self.changes.add(held.chain)

    def copy(self, it: Instruction) -> None:
        depth = it.arg or 1
        self._stack.append(self._stack[-depth] if depth <= len(self._stack) else None)

    def copy_two(self, it: Instruction) -> None:  # noqa: ARG002
        two = self._pop(2)
        self._stack += two + two

    def swap(self, it: Instruction) -> None:
        taken = self._pop(it.arg)
        taken[0], taken[-1] = taken[-1], taken[0]
        self._stack += taken

    def rotate(self, it: Instruction) -> None:
        *below, top = self._pop(_ROTATED.get(it.opname) or it.arg)
        self._stack += [top, *below]


def _restoring(instructions: list[Instruction]) -> set[int]:
    """Return where names are restored that a comprehension used, after an exception in it."""
    found: set[int] = set()
    is_restoring = False
    for it in reversed(instructions):
        is_restoring = it.opname == "RERAISE" or (is_restoring and it.opname.startswith("STORE_FAST"))
        if is_restoring:
            found.add(it.offset)
    return found


def _within(held: _Value | None) -> _Value | None:
    if held is None or not held.chain or held.chain[-1].endswith(")"):
        return held  # what a dict returned stands for all that is within, however deep
    return _Value(joined(held.chain, (WITHIN,)))


def _merged(ways: list[_Stack]) -> _Stack:
    depth = min(map(len, ways))
    tops = [way[len(way) - depth :] for way in ways]
    return [
        values[0] if values.count(values[0]) == len(values) else None for values in zip(*tops, strict=True)
    ]


_LAST = frozenset(
    {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_ABSOLUTE"}
    | {name for name in opcode.opname if name.startswith("JUMP_BACKWARD")}
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
_TAGS = {"LOAD_GLOBAL": "@", "LOAD_NAME": "?", "LOAD_CLASSDEREF": "?"} | dict.fromkeys(
    ["LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"], "?"
)
"""Global names, and those that may be of a class under way."""
_SETTERS = {("@setattr",), ("@delattr",)}
_ITERATORS = {("@enumerate",), ("@iter",), ("@reversed",)}
_Follow = Callable[[Reader, Instruction], None]


def _each(names: Iterable[str], follow: _Follow) -> dict[str, _Follow]:
    return dict.fromkeys(names, follow)


_BY_NAME: dict[str, _Follow] = {
    **_each(["LOAD_NAME", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_DEREF"], Reader.name),
    **_each(["LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"], Reader.name),
    "LOAD_FAST_LOAD_FAST": Reader.names,
    "STORE_FAST_LOAD_FAST": Reader.store_and_load,
    **_each(["LOAD_ATTR", "LOAD_METHOD"], Reader.attribute),
    **_each(["BINARY_SUBSCR", "BINARY_SLICE"], Reader.subscript),
    **_each(["STORE_FAST", "STORE_DEREF"], Reader.store),
    "STORE_FAST_STORE_FAST": Reader.store_two,
    "LOAD_FAST_AND_CLEAR": Reader.save,
    "LOAD_SUPER_ATTR": Reader.super_attribute,
    "LOAD_CONST": Reader.constant,
    "GET_ITER": Reader.iterate,
    "UNPACK_SEQUENCE": Reader.unpack,
    "BUILD_SLICE": Reader.slice,
    "CONTAINS_OP": Reader.contains,
    "BEFORE_WITH": Reader.enter,
    "MAKE_FUNCTION": Reader.function,
    "KW_NAMES": Reader.keywords,
    **_each(["STORE_ATTR", "DELETE_ATTR"], Reader.store_attribute),
    **_each(_STORES_WITHIN, Reader.store_subscript),
    **_each(_TAKEN_BY_CALLS, Reader.call),
    **_each(["COPY", "DUP_TOP"], Reader.copy),
    "DUP_TOP_TWO": Reader.copy_two,
    "SWAP": Reader.swap,
    **_each([*_ROTATED, "ROT_N"], Reader.rotate),
}
_JUMPS = {opcode.opname[number] for number in (*opcode.hasjrel, *opcode.hasjabs)}
_SPECIALS = [
    Reader.jump if name in _JUMPS else _BY_NAME.get(name) for name in (*opcode.opname, *[""] * 256)[:256]
]
_ENDS = [name in _LAST for name in (*opcode.opname, *[""] * 256)[:256]]
