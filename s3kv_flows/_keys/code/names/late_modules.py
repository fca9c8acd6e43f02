"""Modules that functions import when they run, by their text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.code.names.in_texts import modules_named
from s3kv_flows._keys.code.syntax.facts import CodeFacts
from s3kv_flows._keys.code.syntax.loaded import UNBOUND, Comparison, Loaded, seen
from s3kv_flows._keys.code.syntax.modules import MODULES, ModuleText, NotLoaded, absolute_names, is_loading
from s3kv_flows._keys.code.syntax.texts import encoded
from s3kv_flows._keys.project import is_project_file

__all__ = ["LateModules"]


class LateModules:
    """The modules that the code of one walk imports when it runs.

    Args:
        graph: Of the walk.
        bound: Returns the token of the value of a name in a module.
    """

    def __init__(self, graph: Graph, bound: Callable[[Mapping[str, Any], str, object, str], Token]) -> None:
        self._graph = graph
        self._bound = bound
        self._changed: set[str] = set()
        self._compared: list[Mapping[str, Any]] = []

    def imports(self, function: FunctionType, facts: CodeFacts) -> Iterable[Token]:
        """Yield the tokens of the project's modules that a function imports when it runs."""
        package = function.__globals__.get("__package__")
        if not isinstance(package, str):
            package = str(function.__globals__.get("__name__")).rpartition(".")[0]
        for imported in facts.uses.imports:
            yield from self._texts(absolute_names(imported, package))
        yield from self._texts(modules_named(function, facts, package))

    def _texts(self, names: Iterable[str]) -> Iterable[Token]:
        for name in names:
            token = self._text(name)
            if token is not None:
                yield token

    def _text(self, name: str) -> Token | None:
        if name.partition(".")[0] in ("prefect", "s3kv_flows"):
            return None
        known = self._graph.texts.get(name)
        if known is not None:
            return known
        self._graph.watch.module(name)
        own = name.partition(".")[0] in self._graph.rules.packages
        is_there = name in sys.modules
        text = MODULES.look_at(name, lambda path: own or is_project_file(path))
        if text is None:
            if not is_there:
                self._graph.not_loaded.add(NotLoaded(name))
            return None
        if text.loaded is None and (not is_there or is_loading(sys.modules.get(name))):
            self._graph.not_loaded.add(NotLoaded(name, text.path, text.stamped, text.stamp))
        token = self._graph.node(text, name, lambda: self._of_text(text))
        self._graph.texts[name] = token
        self._graph.names_of_texts.add(name)
        return token

    def _of_text(self, text: ModuleText) -> Iterable[Token]:
        module = sys.modules.get(text.name)
        if text.loaded is None or not text.trusted:
            self._graph.watch.file(text.stamped, text.stamp)
        said = text.said.run_as(text.name)
        self._graph.mark_modes(said.readers)
        yield b"text"
        yield said.digest
        if self._graph.reads_documentation:
            yield said.documentation.digest
        if text.loaded is not None:
            yield from self._of_loaded(text, text.loaded)
        elif is_loading(module):  # by another thread
            self._graph.watch.call(lambda: is_loading(module), found=True)
        elif module is not None and not text.trusted:
            yield self._graph.namespace(vars(module), text.name)
        is_package = text.path.endswith(("__init__.py", "__init__.pyc"))
        package = text.name if is_package else text.name.rpartition(".")[0]
        for imported in said.imports:
            yield from self._texts(absolute_names(imported, package))

    def _of_loaded(self, text: ModuleText, loaded: Loaded) -> Iterable[Token]:
        """Yield the tokens of what differs between a loaded module and its text."""
        self.mark_changed(loaded.bindings.of_others)
        namespace = loaded.namespace
        self._compared.append(namespace)
        watched = loaded.last
        self._watch(loaded, watched)  # before it is compared: what changes in between shows
        found = loaded.compare(self._changed)
        if found.compared() != watched.compared():
            self._watch(loaded, found)
            found = loaded.compare(self._changed)
        if found.is_of_other_text or (found.has_computed and not text.trusted):
            yield self._graph.namespace(namespace, text.name)
            return
        if not text.trusted and not text.compiled:
            yield b"untrusted"
        last = text.name.rpartition(".")[2]
        for name, value in sorted(found.differs.items()):
            if not self._graph.is_ignored(name, f"{text.name}.{name}", f"{last}.{name}"):
                yield encoded(name)
                yield (
                    b"absent" if value is UNBOUND else self._bound(namespace, name, value, f"{last}.{name}")
                )
        if text.is_witnessed:
            return
        for name, value in sorted(found.filled.items()):
            if value is not UNBOUND and not self._graph.is_ignored(
                name, f"{text.name}.{name}", f"{last}.{name}"
            ):
                self._graph.mark_written(namespace, name, rebound=True)
                yield encoded(name)
                yield self._graph.attribute(namespace, name, value, f"{last}.{name}")

    def mark_changed(self, names: Iterable[str]) -> None:
        """Record names that the walked code assigns in some module: no loaded module is compared by them."""
        new = {*names} - self._changed
        self._changed |= new
        self._graph.is_stale |= any(not new.isdisjoint(namespace) for namespace in self._compared)

    def _watch(self, loaded: Loaded, found: Comparison) -> None:
        watch, namespace = self._graph.watch, loaded.namespace
        changed = {*loaded.bindings.changed, *self._changed}
        if changed.isdisjoint(namespace):
            watch.mapping(namespace)
        else:
            for name, value in list(namespace.items()):
                if name not in changed:
                    watch.name(namespace, name, value)
            watch.call(lambda: len(namespace), len(namespace))
        watch.call(seen(found.functions), found=True)
        for cls in found.classes:
            watch.mapping(vars(cls))
        for container in found.containers:
            if isinstance(container, Mapping):
                watch.mapping(container)
            else:
                watch.collection(container)
