"""Names within texts: of modules, and in queries of data frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from s3kv_flows._keys.code.syntax.facts import CodeFacts
from s3kv_flows._keys.code.syntax.modules import MODULES, absolute_names
from s3kv_flows._keys.code.syntax.texts import Import
from s3kv_flows._keys.code.watch import ABSENT, content_of

__all__ = ["modules_named", "names_evaluated"]

_FINDS_BY_NAME = frozenset(
    {
        "import_module",
        "__import__",
        "modules",
        "run_module",
        "find_spec",
        "resolve_name",
        "import_string",
        "locate",
    }
)
"""Functions of importlib, sys, runpy, pkgutil, pydoc and others that take the name of a module."""
_EVALUATES = frozenset(
    {"query", "eval", "evaluate", "sql", "sqldf", "execute", "SQLContext", "execute_global"}
)
"""Methods of pandas, polars, duckdb and others whose texts name what is around the call."""
_NAMED_IN_TEXT = re.compile(r"(@?)([^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_MODULE_NAME = re.compile(r"(\.*)([^\W\d]\w*(?:\.[^\W\d]\w*)*)(\.?)(?::.*)?", re.ASCII)
_LOOKED_THROUGH = 1_000


def modules_named(function: FunctionType, facts: CodeFacts, package: str) -> list[str]:
    """Return the modules that a function may look for by their names."""
    if not facts.uses.names & _FINDS_BY_NAME:
        return []
    found = set(facts.uses.strings)
    for chain in facts.uses.globals:
        found |= _strings_in(function.__globals__.get(chain[0]))
    return [name for text in sorted(found) for name in _modules_in(text, package)]


def names_evaluated(function: FunctionType, facts: CodeFacts) -> list[tuple[bool, str]]:
    """Return the names in texts that a function has a library evaluate, sorted, and whether each is marked.

    ``@LIMIT`` in a query of pandas is marked, and may be anything; in SQL there is no such sign.
    """
    if not facts.uses.names & _EVALUATES:
        return []
    texts = set(facts.uses.strings) - {function.__doc__}
    for value in _values_at_hand(function, facts):
        texts |= _strings_in(value)
    return sorted({(bool(sign), name) for text in texts for sign, name in _NAMED_IN_TEXT.findall(text)})


def _values_at_hand(function: FunctionType, facts: CodeFacts) -> Iterator[object]:
    """Yield the values of a function's defaults, cells and globals, also of those in modules."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from map(content_of, function.__closure__ or ())
    for chain in facts.uses.globals:
        value, rest = function.__globals__.get(chain[0], ABSENT), chain[1:]
        while rest and issubclass(type(value), ModuleType):
            value, rest = vars(value).get(rest[0], ABSENT), rest[1:]
        yield value


def _strings_in(value: Any) -> set[str]:
    found: set[str] = set()
    to_look_at = [value]
    for one in to_look_at:
        if type(one) is str:
            found.add(one)
        elif type(one) is dict:
            to_look_at += [*one.keys(), *one.values()]
        elif issubclass(type(one), (list, tuple, set, frozenset)):
            to_look_at += one
        if len(to_look_at) > _LOOKED_THROUGH:
            break
    return found


def _modules_in(text: str, package: str) -> list[str]:
    """Return the modules that a string may name; for ``"steps."``, from an f-string, all in the package."""
    match = _MODULE_NAME.fullmatch(text)
    if match is None:
        return []
    dots, name, open_end = match.groups()
    names = absolute_names(Import(name, len(dots), ()), package)
    return (
        names + [f"{names[-1]}.{one}" for one in MODULES.within(names[-1])] if names and open_end else names
    )
