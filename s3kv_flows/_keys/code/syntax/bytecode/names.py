"""Names that code uses, as its instructions tell.

So they are known of a function without source, too.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType

from s3kv_flows._keys.code.syntax.texts import Chain, Import

__all__ = ["GETS_LOGGER", "Uses", "uses_of"]


@dataclass(frozen=True)
class Uses:
    """The names that a code object uses, with those of nested code.

    Attributes:
        globals: Global names with the attributes that are read of them, sorted.
        cells: The same of names of the functions around it.
        imports: In order of their occurrence.
        rebinds: Global names and names of functions around it that it assigns or deletes.
        names: Of globals and attributes that are read, by whatever way.
        strings: Among the constants: what may be the name of a module.
        reads_own_name: Whether it uses ``__name__`` otherwise than as the name of a logger.
    """

    globals: tuple[Chain, ...]
    cells: tuple[Chain, ...]
    imports: tuple[Import, ...]
    rebinds: frozenset[str]
    names: frozenset[str]
    strings: frozenset[str]
    reads_own_name: bool = False


_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_CELLS = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_CONSTANTS = {"LOAD_CONST", "LOAD_SMALL_INT"}
_REBINDS = {"STORE_GLOBAL", "DELETE_GLOBAL"}
_REBINDS_CELLS = {"STORE_DEREF", "DELETE_DEREF"}
_BETWEEN = {"CACHE", "PUSH_NULL", "NOP", "RESUME", "COPY_FREE_VARS"}
"""What may stand between the instructions of an expression without a meaning of its own."""
_MEANING = {
    *_ATTRIBUTES,
    *_GLOBALS,
    *_CELLS,
    *_CONSTANTS,
    *_REBINDS,
    *_REBINDS_CELLS,
    "IMPORT_NAME",
    "LOAD_SUPER_ATTR",
    "EXTENDED_ARG",
}
_KINDS = [None if name in _BETWEEN else name if name in _MEANING else "" for name in opcode.opname]
_KINDS += [""] * (256 - len(_KINDS))
GETS_LOGGER = {
    "getLogger",
    "get_logger",
    "get_run_logger",
    "get_task_logger",
    "getChild",
    "Logger",
    "LoggerAdapter",
}
"""What gives the logger of a name."""
_CALLS = {opcode.opmap.get(name) for name in ("PRECALL", "CALL", "CALL_FUNCTION", "CALL_METHOD")}
_STORES = opcode.opmap["STORE_NAME"]
_SHIFTS = {
    "LOAD_GLOBAL": 1 if sys.version_info >= (3, 11) else 0,
    "LOAD_ATTR": 1 if sys.version_info >= (3, 12) else 0,
    "LOAD_SUPER_ATTR": 2,
}
"""Bits of an argument that are none of its index of a name."""


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
        reads_own_name=found.reads_own_name,
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
        self.reads_own_name = False

    def look_at(self, code: CodeType) -> None:
        constants, raw = code.co_consts, code.co_code
        chain: list[str] = []
        into: set[Chain] | None = None
        last: list[object] = [None, None]  # the constants that were loaded last
        extended = 0
        before = ""  # the name that the instruction before loaded
        of = None  # what __name__ was loaded after
        for number, argument in zip(raw[::2], raw[1::2], strict=True):
            kind = _KINDS[number]
            if kind is None:  # CACHE and the like stand between the instructions of one expression
                extended = 0
                continue
            if kind == "EXTENDED_ARG":
                extended = (extended | argument) << 8
                continue
            if of is not None:
                self.reads_own_name |= not _is_of_logger(code, of, number, extended | argument)
                of = None
            if kind in _ATTRIBUTES:
                attribute = code.co_names[_index(kind, extended | argument)]
                self.names.add(attribute)
                before = attribute
                if into is not None:
                    chain.append(attribute)
            else:
                if into is not None:
                    into.add(tuple(chain))
                    into = None
                last_name, before = before, ""
                if kind in _GLOBALS:
                    chain, into = [code.co_names[_index(kind, extended | argument)]], self.globals
                    self.names.add(chain[0])
                    before = chain[0]
                    of = last_name if before == "__name__" else None
                elif kind in _CELLS:
                    chain, into = [_cell_name(code, extended | argument)], self.cells
                elif kind in _CONSTANTS:
                    loaded = constants[extended | argument] if kind == "LOAD_CONST" else argument
                    last = [last[1], loaded]
                elif kind:
                    self._statement(code, kind, extended | argument, last)
            extended = 0
        if into is not None:
            into.add(tuple(chain))
        for value in constants:
            if isinstance(value, str):
                self.strings.add(value)
            elif isinstance(value, tuple):
                self.strings.update(member for member in value if isinstance(member, str))
            elif isinstance(value, CodeType):
                self.look_at(value)

    def _statement(self, code: CodeType, kind: str, argument: int, last: list[object]) -> None:
        if kind in _REBINDS:
            self.rebinds.add(code.co_names[argument])
        elif kind in _REBINDS_CELLS:
            self.rebound_cells.add(_cell_name(code, argument))
        elif kind == "IMPORT_NAME":
            self._imported(code.co_names[argument], *last)
        else:
            self.names.add(code.co_names[_index(kind, argument)])

    def _imported(self, name: str, level: object, names: object) -> None:
        listed = tuple(str(one) for one in names) if isinstance(names, tuple) else ()
        self.imports.append(Import(name, level if isinstance(level, int) else 0, listed))


def _is_of_logger(code: CodeType, before: str, number: int, argument: int) -> bool:
    """Return whether ``__name__`` is used as a logger's name, or by the body of a class as its module.

    Args:
        code: Which code.
        before: The name that was loaded before it.
        number: The instruction after it.
        argument: That instruction's.
    """
    if number == _STORES:
        return code.co_names[argument] == "__module__"
    return before in GETS_LOGGER and number in _CALLS and argument == 1


def _index(kind: str, argument: int) -> int:
    return argument >> _SHIFTS.get(kind, 0)


def _cell_name(code: CodeType, argument: int) -> str:
    named: Callable[[int], str] | None = getattr(code, "_varname_from_oparg", None)
    return named(argument) if named is not None else (code.co_cellvars + code.co_freevars)[argument]
