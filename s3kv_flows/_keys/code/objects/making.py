"""Statements for what no value shows: makings of values, and settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.graph import Graph, Place, Token
from s3kv_flows._keys.code.names.names import Names
from s3kv_flows._keys.code.syntax.bodies import BODIES
from s3kv_flows._keys.code.syntax.bytecode.effects import Effects
from s3kv_flows._keys.code.syntax.facts import CodeFacts
from s3kv_flows._keys.code.syntax.modules import absolute_names
from s3kv_flows._keys.code.syntax.statements.body import Body, Statement
from s3kv_flows._keys.code.syntax.texts import Chain, Import
from s3kv_flows._keys.project import is_project_module, module_of

__all__ = ["Making", "Settings"]


class _Question(NamedTuple):
    """What an import statement is of: what can be set; with a name, the body that a function is in."""

    imported: Import
    name: str


class _Known(NamedTuple):
    """The settings of a body, and what was asked to find them."""

    body: Body
    asked: Mapping[_Question, Body | bool | None]
    statements: list[Statement]


_SETTINGS: dict[int, list[_Known]] = {}
_MOST_KNOWN = 8
_NO_EFFECTS = Effects(frozenset(), frozenset(), frozenset())


class _Statements:
    """Finds the tokens of statements, for one walk."""

    def __init__(self, graph: Graph, names: Names) -> None:
        self._graph = graph
        self._names = names
        self._made: set[int] = set()

    def _tokens(
        self, statement: Statement, namespace: dict[str, Any], label: str, seen: set[tuple[int, Chain]]
    ) -> list[Token]:
        tokens: list[Token] = [statement.digest]
        uses = statement.uses
        self._graph.mark_modes(uses.names)
        kept: list[Chain] = []
        for chain in uses.globals:
            owner, name = _found(namespace, chain)
            value = owner.get(name)
            if any(_is_place(value, one) for one in self._files(owner, name)):
                # Each machine has the code in another directory: what made the path counts.
                self._graph.watch.name(owner, name, value)
                tokens += self._of_name(owner, (name,), label, seen)
            else:
                kept.append(chain)
            if id(value) in self._made:
                # The name leads back to what is being visited, and not to what is said of the name.
                tokens += self._of_name(owner, (name,), label, seen)
        # A function with the code of the statement uses the names that the statement uses.
        facts = CodeFacts(statement.digest, replace(uses, globals=tuple(kept)), frozenset(), _NO_EFFECTS)
        stem = label.partition(".")[0]
        tokens += self._names.globals(FunctionType(statement.code, namespace), facts, f"{stem}.made")
        return tokens

    def _files(self, namespace: Mapping[str, Any], name: str) -> list[str]:
        """Return the file of a module; for a notebook, which has none, those that a name is imported from."""
        found = BODIES.find(namespace) if "__file__" not in namespace else None
        modules = (
            [self._module(imported, namespace) for imported, _ in found.body.origins(name)] if found else []
        )
        spaces = [namespace, *(vars(module) for module in modules if module is not None)]
        return [space["__file__"] for space in spaces if isinstance(space.get("__file__"), str)]

    def _of_name(
        self, namespace: dict[str, Any], path: Chain, label: str, seen: set[tuple[int, Chain]]
    ) -> list[Token]:
        found = BODIES.find(namespace)
        if found is None or (id(namespace), path) in seen:
            return []
        seen.add((id(namespace), path))
        tokens: list[Token] = []
        for made in found.body.making(path):
            tokens += self._tokens(made, namespace, label, seen)
        for imported, name in found.body.origins(path[0]) if path else ():
            module = self._module(imported, namespace)
            if module is not None and name in vars(module):
                tokens += self._of_name(vars(module), (name, *path[1:]), label, seen)
        if not tokens:
            tokens.append(found.body.digest)  # somewhere in there, by a name that is put together
        if not found.trusted:
            tokens += [b"untrusted", self._graph.namespace(namespace, str(namespace.get("__name__")))]
        return tokens

    def _module(self, imported: Import, namespace: Mapping[str, Any]) -> ModuleType | None:
        """Return the project's module that an import statement loaded; None for an installed one."""
        found = absolute_names(Import(imported.name, imported.level, ()), _package(namespace))
        module = sys.modules.get(found[-1]) if found else None
        return module if isinstance(module, ModuleType) and self._is_project(found[-1]) else None

    def _is_project(self, name: str) -> bool:
        return is_project_module(name, self._graph.rules.packages)


class Making(_Statements):
    """Finds the statements that made values."""

    def tokens(self, value: object, label: str) -> list[Token]:
        """Return the tokens of the statements that made the value under a label; none where nothing tells."""
        self._made.add(id(value))
        tokens: list[Token] = []
        seen: set[tuple[int, Chain]] = set()
        for place in list(self._graph.places(label)):
            namespace, path = _path_of(place)
            if namespace is not None:
                tokens += self._of_name(namespace, path, label, seen)
        return tokens


class Settings(_Statements):
    """Finds the statements by which modules leave settings with others, which count without what they hold.

    Those are installed packages, and modules of the project that functions import when they run.
    """

    def __init__(self, graph: Graph, names: Names) -> None:
        super().__init__(graph, names)
        self._seen: set[int] = set()

    def tokens(self, namespace: dict[str, Any], stem: str) -> Iterator[Token]:
        """Yield the tokens of a module's settings, and of those of the modules that it imports."""
        if id(namespace) in self._seen:
            return
        self._seen.add(id(namespace))
        found = BODIES.find(namespace)
        if found is None:
            return
        statements = self._settings(found.body, namespace)
        for statement in statements:
            yield b"sets"
            yield from self._tokens(statement, namespace, stem, set())
        if not found.trusted and (statements or not found.compiled):
            yield b"untrusted"
        for imported in found.body.imports:
            for name in absolute_names(imported, _package(namespace)):
                module = sys.modules.get(name)
                if isinstance(module, ModuleType) and self._is_project(name):
                    yield from self.tokens(vars(module), name.rpartition(".")[2])

    def _settings(self, body: Body, namespace: Mapping[str, Any]) -> list[Statement]:
        all_known = [known for known in _SETTINGS.get(id(body), ()) if known.body is body]
        for known in all_known:
            answers = known.asked
            if all(self._answer(namespace, question) is answer for question, answer in answers.items()):
                return known.statements
        asked: dict[_Question, Body | bool | None] = {}

        def ask(imported: Import, name: str = "") -> Any:
            question = _Question(imported, name)
            answer = asked[question] = self._answer(namespace, question)
            return answer

        statements = body.settings(ask, ask)
        _SETTINGS[id(body)] = [*all_known[-_MOST_KNOWN:], _Known(body, asked, statements)]
        return statements

    def _answer(self, namespace: Mapping[str, Any], question: _Question) -> Body | bool | None:
        imported, name = question
        return self._function(imported, name, namespace) if name else self._can_be_set(imported, namespace)

    def _can_be_set(self, imported: Import, namespace: Mapping[str, Any]) -> bool:
        found = absolute_names(imported, _package(namespace))
        if not self._graph.names_of_texts.isdisjoint(found):
            return True
        if imported.level:
            return False
        top = imported.name.partition(".")[0]
        return top in sys.modules and not self._is_project(
            imported.name if imported.name in sys.modules else top
        )

    def _function(self, imported: Import, name: str, namespace: Mapping[str, Any]) -> Body | None:
        module = self._module(imported, namespace)
        value: Any = vars(module).get(name) if module is not None else None
        owner: Any = None
        if type(value) is FunctionType:
            owner = value.__globals__
        elif issubclass(type(value), type):
            owner = vars(sys.modules[module_of(value)]) if module_of(value) in sys.modules else None
        if owner is None or not self._is_project(str(owner.get("__name__"))):
            return None
        found = BODIES.find(owner)
        return found.body if found is not None else None


def _found(namespace: dict[str, Any], chain: Chain) -> tuple[dict[str, Any], str]:
    """Return the namespace that a chain leads to through modules, and the name that it has there."""
    for at, name in enumerate(chain[:-1]):
        module = namespace.get(name)
        if not issubclass(type(module), ModuleType):
            return namespace, chain[at]
        namespace = vars(module)
    return namespace, chain[-1]


def _is_place(value: object, file: str) -> bool:
    """Return whether a value is a path to where the code in a file is, or around it."""
    if not isinstance(value, (str, PurePath)) or not PurePath(value).is_absolute():
        return False
    path, directory = str(value), PurePath(file).parent
    return PurePath(path).is_relative_to(directory) or directory.is_relative_to(path)


def _package(namespace: Mapping[str, Any]) -> str:
    package = namespace.get("__package__")
    return package if isinstance(package, str) else str(namespace.get("__name__")).rpartition(".")[0]


def _path_of(place: Place) -> tuple[dict[str, Any] | None, Chain]:
    """Return the module in whose text a name stands, with the way to it through classes."""
    holder, name = place
    if type(holder) is dict:
        return holder, (name,)
    if type(holder) is FunctionType:
        return holder.__globals__, _outermost(holder.__qualname__)
    module = sys.modules.get(module_of(holder))
    path = _outermost(holder.__qualname__)
    if not isinstance(module, ModuleType):
        return None, ()
    return vars(module), (*path, name.partition(":")[2] or name) if "<" not in holder.__qualname__ else path


def _outermost(qualname: str) -> Chain:
    """Return the names up to the first function that others are defined in."""
    path: list[str] = []
    for part in qualname.split("."):
        if part.startswith("<"):
            break
        path.append(part)
    return tuple(path)
