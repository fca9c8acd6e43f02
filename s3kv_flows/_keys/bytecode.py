"""What code objects say of themselves: a key that tells them apart, and the names that they use.

The key is of what an interpreter runs, and of nothing else: neither lines nor files. It is one of a version
of Python. The names are read from the instructions, which also a function without any source has.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from types import CodeType

from s3kv_flows._keys.canonical import Chain, Import, constant

__all__ = ["Uses", "code_key", "nested_codes", "uses_of"]


@dataclass(frozen=True)
class Uses:
    """What a code object uses, with all that is nested in it.

    Attributes:
        globals: Global names with the attributes that are read of them, sorted.
        cells: The same of names of the functions around it.
        imports: In order of their occurrence.
        rebinds: Global names and names of functions around it that it assigns or deletes.
        names: Of globals and attributes that are read, by whatever way.
        strings: Among the constants: what may be the name of a module.
    """

    globals: tuple[Chain, ...]
    cells: tuple[Chain, ...]
    imports: tuple[Import, ...]
    rebinds: frozenset[str]
    names: frozenset[str]
    strings: frozenset[str]


def nested_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects among the constants of one."""
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield value


def code_key(code: CodeType) -> bytes:
    """Return 32 bytes that are equal for code that this version of Python runs alike."""
    parts: list[str] = []
    _write_key(code, parts)
    return sha256("\n".join(parts).encode()).digest()


def _write_key(code: CodeType, parts: list[str]) -> None:
    parts += [
        code.co_name,
        code.co_code.hex(),
        *(
            ascii(given)
            for given in (
                code.co_names,
                code.co_varnames,
                code.co_freevars,
                code.co_cellvars,
                (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
            )
        ),
        getattr(code, "co_exceptiontable", b"").hex(),
    ]
    _write_constants(code.co_consts, parts)


def _write_constants(values: tuple[object, ...], parts: list[str]) -> None:
    parts.append("(")
    for value in values:
        if isinstance(value, CodeType):
            _write_key(value, parts)
        elif isinstance(value, tuple):
            _write_constants(value, parts)
        elif isinstance(value, frozenset):
            members: list[str] = []
            for member in value:
                one: list[str] = []
                _write_constants((member,), one)
                members.append("\n".join(one))
            parts += ["{", *sorted(members), "}"]
        elif isinstance(value, slice):
            _write_constants((value.start, value.stop, value.step), parts)
        else:
            parts.append(constant(value))
    parts.append(")")


_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_CELLS = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_REBINDS = {"STORE_GLOBAL", "DELETE_GLOBAL"}
_REBINDS_CELLS = {"STORE_DEREF", "DELETE_DEREF"}
_BETWEEN = {"CACHE", "EXTENDED_ARG", "PUSH_NULL", "NOP", "RESUME", "COPY_FREE_VARS"}
"""What may stand between the instructions of an expression without a meaning of its own."""

_ARGUMENT_OF_GLOBAL = 1 if sys.version_info >= (3, 11) else 0
_ARGUMENT_OF_ATTRIBUTE = 1 if sys.version_info >= (3, 12) else 0
_ARGUMENT_OF_SUPER = 2


def uses_of(code: CodeType) -> Uses:
    """Return the names that a code object uses, with all that is nested in it."""
    found = _Found()
    found.look_at(code)
    # Of what nested code uses, what this code itself defines is none of the functions around.
    free = {*code.co_freevars}
    return Uses(
        globals=tuple(sorted(found.globals)),
        cells=tuple(sorted(chain for chain in found.cells if chain[0] in free)),
        imports=tuple(dict.fromkeys(found.imports)),
        rebinds=frozenset(found.rebinds | (found.rebound_cells & free)),
        names=frozenset(found.names),
        strings=frozenset(found.strings),
    )


class _Found:
    def __init__(self) -> None:
        self.globals: set[Chain] = set()
        self.cells: set[Chain] = set()
        self.imports: list[Import] = []
        self.rebinds: set[str] = set()
        self.rebound_cells: set[str] = set()
        self.names: set[str] = set()
        self.strings: set[str] = set()

    def look_at(self, code: CodeType) -> None:
        names, constants = code.co_names, code.co_consts
        cell_name = _cell_namer(code)
        chain: list[str] = []
        into: set[Chain] | None = None
        last: list[object] = [None, None]  # the constants that were loaded last
        for name, argument in _instructions(code):
            if name in _ATTRIBUTES:
                attribute = names[_index(name, argument)]
                self.names.add(attribute)
                if into is not None:
                    chain.append(attribute)
                continue
            if into is not None:
                into.add(tuple(chain))
                into = None
            if name in _GLOBALS:
                root = names[argument >> _ARGUMENT_OF_GLOBAL if name == "LOAD_GLOBAL" else argument]
                self.names.add(root)
                chain, into = [root], self.globals
            elif name in _CELLS:
                chain, into = [cell_name(argument)], self.cells
            elif name in _REBINDS:
                self.rebinds.add(names[argument])
            elif name in _REBINDS_CELLS:
                self.rebound_cells.add(cell_name(argument))
            elif name == "LOAD_CONST":
                last = [last[1], constants[argument]]
            elif name == "LOAD_SMALL_INT":
                last = [last[1], argument]
            elif name == "IMPORT_NAME":
                self._imported(names[argument], *last)
            elif name == "LOAD_SUPER_ATTR":
                self.names.add(names[argument >> _ARGUMENT_OF_SUPER])
        if into is not None:
            into.add(tuple(chain))
        self.strings.update(value for value in constants if isinstance(value, str))
        for value in constants:
            if isinstance(value, tuple):
                self.strings.update(member for member in value if isinstance(member, str))
        for inner in nested_codes(code):
            self.look_at(inner)

    def _imported(self, name: str, level: object, names: object) -> None:
        listed = tuple(str(one) for one in names) if isinstance(names, tuple) else ()
        self.imports.append(Import(name, level if isinstance(level, int) else 0, listed))


def _index(name: str, argument: int) -> int:
    return argument >> _ARGUMENT_OF_ATTRIBUTE if name == "LOAD_ATTR" else argument


def _cell_namer(code: CodeType) -> Callable[[int], str]:
    named: Callable[[int], str] | None = getattr(code, "_varname_from_oparg", None)
    return named if named is not None else (code.co_cellvars + code.co_freevars).__getitem__


def _instructions(code: CodeType) -> Iterator[tuple[str, int]]:
    raw, names, extended = code.co_code, opcode.opname, 0
    for at in range(0, len(raw), 2):
        name = names[raw[at]]
        if name == "EXTENDED_ARG":
            extended = (extended | raw[at + 1]) << 8
            continue
        if name not in _BETWEEN:
            yield name, extended | raw[at + 1]
        extended = 0
