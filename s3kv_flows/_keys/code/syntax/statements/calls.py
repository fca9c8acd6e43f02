"""What a module calls at import, and whether that leaves settings."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Protocol

from s3kv_flows._keys.code.syntax.statements.nodes import (
    DEFINITIONS,
    FUNCTIONS,
    IMPORTS,
    chain_of,
    names_bound,
    runs_at_import,
)
from s3kv_flows._keys.code.syntax.statements.settings import CanBeSet, Scope
from s3kv_flows._keys.code.syntax.texts import Chain, Import

__all__ = ["Called", "Calls", "HasFunctions", "Seen"]

Seen = set[tuple[object, str]]
"""Functions that were looked into already: each once, or calls of calls would have no end."""


class HasFunctions(Protocol):
    """A module of the project whose functions may be called."""

    def sets_by(self, name: str, can_be_set: CanBeSet, called: Called, seen: Seen) -> bool:
        """Return whether a function, or a method of a class, leaves a setting when it is called."""
        ...

    def calls_argument(self, name: str) -> bool:
        """Return whether a function, or the constructor of a class, calls what it is given at once."""
        ...


Called = Callable[[Import, str], "HasFunctions | None"]
"""Returns the body of the project's module that a function is imported from."""

_CONTAINERS = (ast.List, ast.Tuple, ast.Dict, ast.Set)
_CALL_OTHERS = frozenset({"map", "filter", "sorted", "min", "max", "reduce"})
"""Built-in functions that call what they are given."""
_WRAPPERS = frozenset(
    {"contextmanager", "asynccontextmanager", "cache", "lru_cache", "wraps", "staticmethod"}
)
"""Decorators whose functions run when they are called, as others do."""


class Calls:
    """The calls of one text.

    Args:
        texts: Stands for the text, among those that were looked into.
        nodes: What of it runs when it is imported.
    """

    def __init__(self, texts: object, nodes: Sequence[ast.AST]) -> None:
        self._texts = texts
        self._nodes = nodes
        self._last_scope: Scope | None = None

    def leave_setting(
        self, node: ast.stmt, can_be_set: CanBeSet, called: Called, *, is_shown: bool = False
    ) -> bool:
        """Return whether a statement leaves a setting with another module, itself or by what it calls.

        Args:
            node: A statement at the top of the text.
            can_be_set: Tells the imports of such modules.
            called: Finds functions of the project that it calls.
            is_shown: Whether the statement may be there for what it returns.
        """
        scope = self._scope(can_be_set)
        if isinstance(node, DEFINITIONS) and any(map(scope.registers, node.decorator_list)):
            return True
        nodes = list(runs_at_import(node))
        if any(scope.sets(one, strict=is_shown) for one in nodes):
            return True
        for one in [one for one in nodes if isinstance(one, ast.Lambda)]:
            inner = list(ast.walk(one.body))
            if any(scope.sets(part, strict=True) for part in inner):
                return True
            nodes += inner
        if isinstance(node, FUNCTIONS) and self._runs_at_once(node, called):
            nodes += [one for part in node.body for one in ast.walk(part)]
            inner_scope = Scope(nodes, can_be_set, scope)
            if any(inner_scope.sets(one, strict=True) for one in nodes):
                return True
        seen = scope.harmless.copy()
        chains = [*self._called_by(nodes), *self._inherited(nodes)]
        if any(self._leads_to_setter(chain, can_be_set, called, seen) for chain in chains):
            return True
        scope.harmless = seen  # nothing that was looked into leads to a setting
        return False

    def sets_by(self, name: str, can_be_set: CanBeSet, called: Called, seen: Seen) -> bool:
        """Return whether a function, or a method of a class, leaves a setting when it is called.

        Args:
            name: Of the function or class; with a method's after a dot, that one alone.
            can_be_set: As above.
            called: As above.
            seen: Gets what was looked into.
        """
        if (self._texts, name) in seen:
            return False
        seen.add((self._texts, name))
        for definition in self._defined(name):
            nodes = list(ast.walk(definition))
            scope = Scope(nodes, can_be_set, self._scope(can_be_set))
            if any(scope.sets(node, strict=True) for node in nodes):
                return True
            chains = list(self._called_by(nodes))
            chains += [chain_of(base)[0] for base in getattr(definition, "bases", ())]
            if any(self._leads_to_setter(chain, can_be_set, called, seen) for chain in chains):
                return True
        return False

    def calls_argument(self, name: str) -> bool:
        """Return whether a function, or the constructor of a class, calls what it is given at once."""
        for definition in self._definitions.get(name, ()):
            methods = [definition] if isinstance(definition, FUNCTIONS) else _methods(definition, "__init__")
            for one in methods:
                given = {argument.arg for argument in one.args.args} - {"self"}
                now = (part for statement in one.body for part in runs_at_import(statement))
                called = {chain_of(part.func)[0][:1] for part in now if isinstance(part, ast.Call)}
                if any((name,) in called for name in given):
                    return True
        return False

    def _runs_at_once(self, node: ast.FunctionDef | ast.AsyncFunctionDef, called: Called) -> bool:
        """Return whether a decorator of the project calls the function that it is given."""
        for decorator in node.decorator_list:
            chain, _ = chain_of(decorator)
            if chain[:1] and chain[0] in self._definitions:
                if self.calls_argument(chain[0]):
                    return True
                continue
            for other, name in self._imported(chain, called):
                if other.calls_argument(name):
                    return True
        return False

    def _called_by(self, nodes: Sequence[ast.AST]) -> Iterator[Chain]:
        """Yield what is called, and what may be called by something that nothing tells."""
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        yield from (chain_of(function)[0] for function in calls)
        if any(map(self._is_unknown, calls)):
            for name in {node.id for node in nodes if isinstance(node, ast.Name)}:
                yield from ((one,) for one in (name, *self._mentioned.get(name, ())))

    def _is_unknown(self, function: ast.expr) -> bool:
        if not isinstance(function, ast.Name):
            return not isinstance(function, ast.Attribute)  # what a call or an item is
        name = function.id
        return name in _CALL_OTHERS or (name in self._bound_in_passing and name not in self._definitions)

    def _inherited(self, nodes: Sequence[ast.AST]) -> Iterator[Chain]:
        """Yield what runs where a class is made: by its bases, or its metaclass."""
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    chain, _ = chain_of(base)
                    if chain:
                        yield (*chain, "__init_subclass__()")
                yield from (chain_of(one.value)[0] for one in node.keywords if one.arg == "metaclass")

    def _leads_to_setter(self, chain: Chain, can_be_set: CanBeSet, called: Called, seen: Seen) -> bool:
        if not chain:
            return False
        method = ".__init_subclass__" if chain[-1] == "__init_subclass__()" else ""
        chain = chain[:-1] if method else chain
        root = self._aliases.get(chain[0], chain[0])
        if root in self._definitions:
            return self.sets_by(root + method, can_be_set, called, seen)
        return any(
            other.sets_by(name + method, can_be_set, called, seen)
            for other, name in self._imported((root, *chain[1:]), called)
        )

    def _imported(self, chain: Chain, called: Called) -> Iterator[tuple[HasFunctions, str]]:
        for imported, name in self._imported_as.get(chain[0], ()) if chain else ():
            last = name or (chain[1] if len(chain) > 1 else "")
            other = called(imported, last) if last else None
            if other is not None:
                yield other, last

    def _defined(self, name: str) -> Iterator[ast.AST]:
        name, _, method = name.partition(".")
        for definition in self._definitions.get(name, ()):
            if method:
                yield from _methods(definition, method)
                for base in getattr(definition, "bases", ()):
                    chain, _ = chain_of(base)
                    yield from self._defined(f"{chain[0]}.{method}") if chain[:1] not in ((), (name,)) else ()
            else:
                yield definition

    def _scope(self, can_be_set: CanBeSet) -> Scope:
        scope = self._last_scope
        if scope is None or scope.can_be_set is not can_be_set:  # another thread asks for what it walks
            scope = self._last_scope = Scope(self._nodes, can_be_set)
        return scope

    @cached_property
    def _definitions(self) -> dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
        found: dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]] = {}
        for node in self._nodes:
            # What else wraps a function may call it, or not: a flow is no setting.
            if isinstance(node, DEFINITIONS) and all(map(_runs_when_called, node.decorator_list)):
                found.setdefault(node.name, []).append(node)
        return found

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """Names for what functions return, and for instances of classes."""
        found: dict[str, str] = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                chain, _ = chain_of(node.value)
                if chain:
                    found[node.targets[0].id] = chain[0]
        return found

    @cached_property
    def _mentioned(self) -> dict[str, set[str]]:
        """By names: what stands in lists, tuples and dictionaries that they are bound to."""
        found: dict[str, set[str]] = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign) and isinstance(node.value, _CONTAINERS):
                names = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)}
                for target in node.targets:
                    if isinstance(target, ast.Name) and names:
                        found.setdefault(target.id, set()).update(names)
        return found

    @cached_property
    def _bound_in_passing(self) -> set[str]:
        """Names of what loops go through, and what `with` gives."""
        found: set[str] = set()
        for node in self._nodes:
            targets: list[ast.expr] = []
            if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
                targets = [node.target]
            elif isinstance(node, (ast.With, ast.AsyncWith)):
                targets = [item.optional_vars for item in node.items if item.optional_vars]
            found |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        return found

    @cached_property
    def _imported_as(self) -> dict[str, list[tuple[Import, str]]]:
        found: dict[str, list[tuple[Import, str]]] = {}
        for node in self._nodes:
            if isinstance(node, IMPORTS):
                for imported, bound, name in names_bound(node):
                    found.setdefault(bound, []).append((imported, name))
        return found


def _runs_when_called(decorator: ast.expr) -> bool:
    chain, _ = chain_of(decorator)
    return bool(chain) and chain[-1] in _WRAPPERS


def _methods(definition: ast.AST, name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    body = getattr(definition, "body", ())
    return [one for one in body if isinstance(one, FUNCTIONS) and one.name == name]
