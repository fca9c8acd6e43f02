"""Statements of a text, by what they bind, make or set."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

from s3kv_flows._keys.code.syntax.parsing import parse, parsing
from s3kv_flows._keys.code.syntax.statements.calls import Called, Calls
from s3kv_flows._keys.code.syntax.statements.nodes import (
    DEFINITIONS,
    IMPORTS,
    bound,
    bound_by,
    imports_of,
    runs_at_import,
)
from s3kv_flows._keys.code.syntax.statements.settings import CanBeSet
from s3kv_flows._keys.code.syntax.statements.statement import Statement, statement_of
from s3kv_flows._keys.code.syntax.texts import Chain, Import

__all__ = ["Tree", "tree_of"]

_UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


class Tree:
    """The trees of a module's text, or of the cells of a notebook."""

    def __init__(self, texts: object, cells: Sequence[ast.Module]) -> None:
        self._texts = texts
        self._cells = cells
        self._indexes: dict[int, dict[str, list[ast.stmt]]] = {}
        self._is_notebook = len(cells) > 1

    def making(self, path: Chain) -> list[Statement]:
        bodies = [cell.body for cell in self._cells]
        last = self._last_bound.get(path[0], 0)  # of cells, the last that binds it begins anew
        return [statement_of(one) for body in bodies[last:] for one in self._of(body, path)]

    def _of(self, body: Sequence[ast.stmt], path: Chain) -> Iterator[ast.stmt]:
        index = self._indexes.get(id(body))
        if index is None:
            index = {}
            for node in body:
                for name in _may_make(node):
                    index.setdefault(name, []).append(node)
            self._indexes[id(body)] = index  # once it is whole: another thread may ask meanwhile
        for node in index.get(path[0], ()):
            if isinstance(node, ast.ClassDef) and node.name == path[0] and len(path) > 1:
                yield from list(self._of(node.body, path[1:])) or [node]
            else:
                yield node

    @cached_property
    def _last_bound(self) -> dict[str, int]:
        """By names: the last cell that binds them."""
        return {name: at for at, cell in enumerate(self._cells) for one in cell.body for name in bound(one)}

    def origins(self, name: str) -> list[tuple[Import, str]]:
        found: list[tuple[Import, str]] = []
        for node in self._nodes:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name == "*":
                        found.append((Import(node.module or "", node.level, ()), name))
                    elif (alias.asname or alias.name) == name:
                        found.append((Import(node.module or "", node.level, ()), alias.name))
        return found

    def imports(self) -> list[Import]:
        return [one for node in self._nodes if isinstance(node, IMPORTS) for one in imports_of(node)]

    def settings(self, can_be_set: CanBeSet, called: Called) -> list[Statement]:
        found: dict[bytes, Statement] = {}
        for cell in self._cells:
            for at, node in enumerate(cell.body):
                # What a cell ends with is shown: it may be there for that.
                is_shown = self._is_notebook and at == len(cell.body) - 1
                if self.calls.leave_setting(node, can_be_set, called, is_shown=is_shown):
                    statement = statement_of(node)
                    found.pop(statement.digest, None)  # as a cell may run again
                    found[statement.digest] = statement
        return list(found.values())

    @cached_property
    def calls(self) -> Calls:
        """What it calls, and whether that leaves a setting."""
        return Calls(self._texts, self._nodes)

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        return [one for cell in self._cells for statement in cell.body for one in runs_at_import(statement)]


@lru_cache(maxsize=8)
def tree_of(texts: tuple[str | bytes, ...]) -> Tree:
    try:
        with parsing():
            return Tree(texts, [parse(text) for text in texts])
    except _UNPARSED:  # then the module was not loaded from it
        return Tree(texts, [])


def _may_make(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds, or uses so that it may change what they are bound to."""
    if isinstance(node, IMPORTS):
        return set()
    parts: list[ast.AST] = [node]
    found: set[str] = set()
    if isinstance(node, DEFINITIONS):  # a body that only uses it does not change it
        found.add(node.name)
        parts = list(node.decorator_list)
    for one in (one for part in parts for one in runs_at_import(part)):
        if isinstance(one, ast.Name):
            found.add(one.id)
        found.update(bound_by(one))
    return found
