"""Nodes of trees: what they bind, import and call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from s3kv_flows._keys.code.syntax.texts import Chain, Import

__all__ = [
    "DEFINITIONS",
    "FUNCTIONS",
    "IMPORTS",
    "bound",
    "bound_by",
    "chain_of",
    "dropped_call",
    "imports_of",
    "names_bound",
    "runs_at_import",
]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)


def runs_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node with what of it runs when the module is imported: no bodies of functions."""
    pending = [node]
    for one in pending:
        yield one
        if isinstance(one, (*FUNCTIONS, ast.Lambda)):
            pending += getattr(one, "decorator_list", [])
            pending += [default for default in (*one.args.defaults, *one.args.kw_defaults) if default]
        elif isinstance(one, ast.If) and _is_left_out(one.test):
            pending += one.orelse
        else:
            pending += ast.iter_child_nodes(one)


def _is_left_out(test: ast.expr) -> bool:
    """Return whether a condition is that of a script, or of type checkers."""
    if isinstance(test, ast.Compare):
        return any(isinstance(one, ast.Name) and one.id == "__name__" for one in ast.walk(test))
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def bound(node: ast.AST) -> set[str]:
    return {name for one in runs_at_import(node) for name in bound_by(one)}


def bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, (*DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    elif isinstance(node, IMPORTS):
        yield from (bound for _, bound, _ in names_bound(node))


def imports_of(node: ast.Import | ast.ImportFrom) -> list[Import]:
    if isinstance(node, ast.Import):
        return [Import(alias.name, 0, ()) for alias in node.names]
    return [Import(node.module or "", node.level, tuple(alias.name for alias in node.names))]


def names_bound(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[Import, str, str]]:
    """Yield imports with the name that they bind, and the name of what they take from the module."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Import(alias.name, 0, ()), alias.asname or alias.name.partition(".")[0], ""
        else:
            yield Import(node.module or "", node.level, ()), alias.asname or alias.name, alias.name


def dropped_call(node: ast.AST) -> Chain:
    """Return what a statement calls whose value is dropped, also into the name ``_``."""
    value = node.value if isinstance(node, ast.Expr) or _is_into_nothing(node) else None
    if isinstance(value, ast.Await):
        value = value.value
    return chain_of(value.func)[0] if isinstance(value, ast.Call) else ()


def _is_into_nothing(node: ast.AST) -> TypeGuard[ast.Assign]:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and not node.targets[0].id.strip("_")
    )


def chain_of(node: ast.AST) -> tuple[Chain, bool]:
    """Return the name and the attributes of an expression, and whether it calls or subscribes anything."""
    names: list[str] = []
    calls = False
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript):
            names.append("[]")
            node = node.value
        elif isinstance(node, ast.Call):
            calls = True
            node = node.func
        else:
            return (), calls
    return (node.id, *reversed(names)), calls
