"""What code does to what it names, found in bytecode.

The instructions are followed once, with a stack that holds where each value came from: a name with the
attributes that follow it. Where two ways meet, what they do not agree on is unknown, as is what an
instruction that is not listed here leaves. So something may be overlooked, and nothing is found that is not
there.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dis import Instruction
from types import CodeType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.syntax.bytecode import nested_codes
from s3kv_flows._keys.code.syntax.canonical import MUTATORS
from s3kv_flows._keys.code.syntax.texts import Chain

__all__ = ["WITHIN", "Effects", "effects_of", "writes_of"]

_VERSION = sys.version_info[:2]
_IS_KNOWN = _VERSION <= (3, 13)
"""Later versions may mean something else by an instruction."""

WITHIN = "*"
"""Stands in a chain for something within a container."""
_INNER = {"get", "items", "setdefault", "values"}
"""Methods of a dict that return what is within."""
_SAVED = ("<saved>",)
_SLICE = "[:]"
"""Stands in a chain for a part of a list, which is a copy, or of an array, which is none."""


@dataclass(frozen=True)
class Effects:
    """What code, with all that is nested in it, does to what it names.

    The first part of a chain is a local name, a name of a function around, or ``@`` with a global name; after
    that come attributes, ``*`` for something within, and ``get()`` for what a method returned. A local name
    that is bound once, to such a chain, is replaced by that.

    Attributes:
        changes: What is changed in place; what is bound anew ends with a sign, as in ``CodeText.writes``.
        uses: What is read, also by an operator: ``("@a", "__getitem__")``.
        calls: What is called, each with its arguments: after ``name=`` where they have one, None where their
            origin is unknown.
    """

    changes: frozenset[Chain]
    uses: frozenset[Chain]
    calls: frozenset[tuple[Chain, tuple[Chain | None, ...]]]


class _Value(NamedTuple):
    chain: Chain = ()
    constant: Any = None


_Stack = list["_Value | None"]


def writes_of(code: CodeType) -> frozenset[Chain]:
    """Return what code, and all that is nested in it, changes in place: as ``CodeText.writes``."""
    if not _IS_KNOWN:
        return frozenset()
    return frozenset(map(_as_in_text, _changes_of(code))) - {(), ("__annotations__",)}


def _changes_of(code: CodeType) -> set[Chain]:
    found = set(_Reader(code).changes)
    for inner in nested_codes(code):
        found |= {
            chain for chain in _changes_of(inner) if chain[0][0] in "@?" or chain[0] in inner.co_freevars
        }
    return found


def _as_in_text(chain: Chain) -> Chain:
    if any(part.endswith(")") for part in chain):
        return ()
    end = next((at for at, part in enumerate(chain) if part in (WITHIN, _SLICE)), len(chain))
    return (chain[0].lstrip("@?"), *chain[1:end])


def effects_of(code: CodeType) -> Effects:
    """Return what code, and all that is nested in it, does to what it names."""
    if not _IS_KNOWN:
        return Effects(frozenset(), frozenset(), frozenset())
    reader = _Reader(code)
    changes, uses, calls = reader.changes | reader.set_by_name, set(reader.uses), set(reader.calls)
    free = {*code.co_freevars, *code.co_cellvars}
    for inner in nested_codes(code):
        nested = effects_of(inner)
        iterated = reader.iterated.get(inner)

        def outside(chain: Chain, inner: CodeType = inner, iterated: Chain | None = iterated) -> Chain:
            """Return a chain of nested code as one of this code; empty where it starts within that."""
            if chain[0] == ".0":
                return _joined(iterated, chain[1:]) if iterated else ()
            return chain if chain[0][0] == "@" or (chain[0] in inner.co_freevars and chain[0] in free) else ()

        changes |= {outside(chain) for chain in nested.changes}
        uses |= {outside(chain) for chain in nested.uses}
        calls |= {
            (outside(callee), tuple(_argument(one, outside) for one in given))
            for callee, given in nested.calls
        }

    def original(chain: Chain) -> Chain:
        for _ in range(10):
            if chain and chain[0] in reader.aliases:
                chain = _joined(reader.aliases[chain[0]], chain[1:])
        return chain if chain and chain[0][0] != "?" and chain[0] not in reader.rebound else ()

    return Effects(
        frozenset(filter(None, map(original, changes))),
        frozenset(filter(None, map(original, uses))),
        frozenset(
            (original(callee), tuple(_argument(one, original) for one in given))
            for callee, given in calls
            if original(callee)
        ),
    )


def _argument(given: Chain | None, move: Callable[[Chain], Chain]) -> Chain | None:
    if not given:
        return None
    if given[0].endswith("="):
        value = move(given[1:])
        return (given[0], *value) if value else None
    return move(given) or None


def _joined(start: Chain, rest: Chain) -> Chain:
    return start + (rest[1:] if rest[:1] == start[-1:] == (WITHIN,) else rest)


class _Reader:
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
        instructions = list(dis.get_instructions(code))
        self._restoring = _restoring(instructions)
        for instruction in instructions:
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
        count = code.co_argcount + code.co_kwonlyargcount + bin(code.co_flags & 12).count("1")
        arguments = code.co_varnames[:count]
        self.aliases = {
            name: chains[0]
            for name, chains in self._stores.items()
            if len(chains) == 1 and chains[0] and name not in arguments and chains[0][0] != name
        }
        self.rebound = self._stores.keys() - self.aliases.keys()

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
        null = it.opname == "LOAD_GLOBAL" and _VERSION >= (3, 11) and (it.arg or 0) & 1
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
        is_called = it.opname == "LOAD_METHOD" or (_VERSION >= (3, 12) and bool((it.arg or 0) & 1))
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
        if found is not None and (len(key) == 2 or (key[0] is not None and key[0].constant is _SLICE)):
            self._stack.append(_Value((*found.chain[:-1], _SLICE)))
        else:
            self._stack.append(_within(held))

    def slice(self, it: Instruction) -> None:
        self._pop(it.arg or 0)
        self._stack.append(_Value(constant=_SLICE))

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
        self._stack += [_within(held)] * (it.arg or 0)

    def contains(self, it: Instruction) -> None:  # noqa: ARG002
        self._used(self._pop(2)[1], "__contains__")
        self._stack.append(None)

    def enter(self, it: Instruction) -> None:  # noqa: ARG002
        (held,) = self._pop()
        self._used(held, "__enter__")
        self._used(held, "__exit__")
        self._stack += [None, None]

    def function(self, it: Instruction) -> None:
        flags = 0 if _VERSION >= (3, 13) else bin((it.arg or 0) & 15).count("1")
        taken = self._pop(flags + (2 if _VERSION < (3, 11) else 1))
        code = taken[-2 if _VERSION < (3, 11) else -1]
        self._stack.append(code)

    def keywords(self, it: Instruction) -> None:
        self._keywords = self._constants[it.arg or 0]

    def call(self, it: Instruction) -> None:
        taken = self._pop(_TAKEN_BY_CALLS[it.opname](it.arg or 0))
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
        taken = self._pop(it.arg or 0)
        taken[0], taken[-1] = taken[-1], taken[0]
        self._stack += taken

    def rotate(self, it: Instruction) -> None:
        *below, top = self._pop(_ROTATED.get(it.opname) or it.arg or 0)
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
    return _Value(_joined(held.chain, (WITHIN,)))


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
_TAGS = {"LOAD_GLOBAL": "@", "LOAD_NAME": "?", "LOAD_CLASSDEREF": "?"} | dict.fromkeys(
    ["LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"], "?"
)
"""Global names, and those that may be of a class under way."""
_SETTERS = {("@setattr",), ("@delattr",)}
_ITERATORS = {("@enumerate",), ("@iter",), ("@reversed",)}
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
    **_each(["STORE_FAST", "STORE_DEREF"], _Reader.store),
    "STORE_FAST_STORE_FAST": _Reader.store_two,
    "LOAD_FAST_AND_CLEAR": _Reader.save,
    "LOAD_SUPER_ATTR": _Reader.super_attribute,
    "LOAD_CONST": _Reader.constant,
    "GET_ITER": _Reader.iterate,
    "UNPACK_SEQUENCE": _Reader.unpack,
    "BUILD_SLICE": _Reader.slice,
    "CONTAINS_OP": _Reader.contains,
    "BEFORE_WITH": _Reader.enter,
    "MAKE_FUNCTION": _Reader.function,
    "KW_NAMES": _Reader.keywords,
    **_each(["STORE_ATTR", "DELETE_ATTR"], _Reader.store_attribute),
    **_each(_STORES_WITHIN, _Reader.store_subscript),
    **_each(_TAKEN_BY_CALLS, _Reader.call),
    **_each(["COPY", "DUP_TOP"], _Reader.copy),
    "DUP_TOP_TWO": _Reader.copy_two,
    "SWAP": _Reader.swap,
    **_each([*_ROTATED, "ROT_N"], _Reader.rotate),
}
_Effect = tuple[int, int] | Callable[[int], tuple[int, int]]


_FAMILIES: dict[str, _Effect] = {"UNARY": (1, 1), "BINARY": (2, 1), "INPLACE": (2, 1)}
_EFFECTS: dict[str, Any] = {
    **dict.fromkeys(["NOP", "RESUME", "PRECALL", "EXTENDED_ARG", "CACHE"], (0, 0)),
    **dict.fromkeys(["COPY_FREE_VARS", "MAKE_CELL"], (0, 0)),
    **dict.fromkeys(["DELETE_FAST", "DELETE_NAME", "DELETE_GLOBAL", "DELETE_DEREF"], (0, 0)),
    **dict.fromkeys(["POP_TOP", "STORE_NAME", "STORE_GLOBAL"], (1, 0)),
    **dict.fromkeys(["LIST_APPEND", "LIST_EXTEND", "SET_ADD", "SET_UPDATE"], (1, 0)),
    **dict.fromkeys(["DICT_UPDATE", "DICT_MERGE"], (1, 0)),
    "MAP_ADD": (2, 0),
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
    "END_FOR": (2, 0) if _VERSION == (3, 12) else (1, 0),
    "BUILD_MAP": lambda count: (2 * count, 1),
    "BUILD_CONST_KEY_MAP": lambda count: (count + 1, 1),
    "FORMAT_VALUE": lambda flags: (2 if flags & 4 else 1, 1),
    "UNPACK_EX": lambda counts: (1, (counts & 255) + 1 + (counts >> 8)),
}  # fmt: skip
"""How many values an instruction takes and leaves, by its argument."""
