"""Names: resolves those in the code of functions."""

from __future__ import annotations

import builtins
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from types import CellType, FunctionType, ModuleType
from typing import Any

from s3kv_flows._keys.code.changes.attributes import AttributePath, attributes_used
from s3kv_flows._keys.code.changes.lookup import Bound, looked_up
from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.code.names.in_texts import names_evaluated
from s3kv_flows._keys.code.names.late_modules import LateModules
from s3kv_flows._keys.code.syntax.facts import CodeFacts
from s3kv_flows._keys.code.syntax.modules import (
    MODULES,
)
from s3kv_flows._keys.code.syntax.texts import Chain, encoded
from s3kv_flows._keys.code.watch import ABSENT, content_of
from s3kv_flows._keys.project import (
    is_loaded_by_prefect,
    is_project_function,
    is_project_module,
    stem_of_module,
)

__all__ = ["Names"]

_OF_THE_MODULE = frozenset(
    [
        "__name__",
        "__file__",
        "__spec__",
        "__loader__",
        "__package__",
        "__path__",
        "__cached__",
        "__builtins__",
        "__debug__",
    ]
)
"""Names that tell the location of code: they differ between a script and an import of it.

So they do not count, but for ``__name__``, where it is more than the name of a logger.
"""

_TELLS_PLACE = frozenset({"__file__", "__path__", "__spec__", "__loader__", "__cached__"})

_READS_NAMESPACE = frozenset({"globals", "eval", "exec"})
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...))


class Names:
    """Resolves names for one walk."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._late = LateModules(graph, self.bound)

    def globals(self, function: FunctionType, facts: CodeFacts, label: str) -> Iterable[Token]:
        """Yield the tokens of the global names that a function uses, and of their values."""
        namespace = function.__globals__
        module = str(namespace.get("__name__"))
        stem = stem_of_module(module, namespace)
        for chain in facts.uses.globals:
            if self._graph.is_ignored(chain[0], f"{module}.{chain[0]}", f"{stem}.{chain[0]}"):
                continue
            if chain[0] in _OF_THE_MODULE:
                if chain[0] == "__name__" and facts.uses.reads_own_name:
                    yield self._own_name(namespace, module)
                continue
            if chain[0] in _READS_NAMESPACE and chain[0] not in namespace:
                yield self._graph.namespace(namespace, module)
            yield from self._chain(namespace, chain, label.rpartition(".")[0] or label)

    def documented(self, function: FunctionType, facts: CodeFacts, label: str) -> Iterable[Token]:
        """Yield the tokens of docstrings and annotations in a function, and of what those name."""
        yield facts.documentation.digest
        for name in sorted(facts.documentation.names - _OF_THE_MODULE):
            yield from self._chain(function.__globals__, (name,), label.rpartition(".")[0] or label)

    def _own_name(self, namespace: Mapping[str, Any], name: str) -> Token:
        self._graph.watch.name(namespace, "__name__", namespace.get("__name__", ABSENT))
        # The name that Prefect gives to a file is another one in each process.
        return encoded(f"name {'of a loader' if is_loaded_by_prefect(name) else name}")

    def cell(self, function: FunctionType, cell: CellType, name: str, facts: CodeFacts) -> Iterable[Token]:
        """Yield the tokens of a closure's cell; of a module, those of the names that are used of it."""
        content = content_of(cell)
        if issubclass(type(content), ModuleType) and not self._graph.is_written(cell, name):
            self._graph.watch.cell(cell, content)
            for chain in facts.uses.cells:
                if chain[0] == name:
                    yield from self._of_module(content, chain, 1, name)
            return
        label = f"{function.__qualname__}.{name}"
        self._graph.place(function, name, label)
        chains = [chain for chain in facts.uses.cells if chain[0] == name]
        used = attributes_used(content, chains, self._graph.is_project)
        if not used or self._graph.is_rebound(cell, name):
            yield self._graph.cell(cell, name, label)
            return
        self._graph.watch.cell(cell, content)
        for one in used:
            yield from self._of_instance(one, label)

    def imports(self, function: FunctionType, facts: CodeFacts) -> Iterable[Token]:
        """Yield the tokens of the project's modules that a function imports when it runs."""
        return self._late.imports(function, facts)

    def evaluated(self, function: FunctionType, facts: CodeFacts, label: str) -> Iterable[Token]:
        """Yield the tokens of global names in texts that a function has a library evaluate."""
        namespace = function.__globals__
        for is_marked, name in names_evaluated(function, facts):
            chain = tuple(name.split("."))
            value = namespace.get(chain[0], ABSENT)
            is_value = value is not ABSENT and not issubclass(type(value), (FunctionType, type, ModuleType))
            if is_marked or is_value:
                yield from self._chain(namespace, chain, label.rpartition(".")[0] or label)

    def bound(self, namespace: Mapping[str, Any], name: str, value: object, label: str) -> Token:
        """Return the token of the value of a name."""
        if not self._graph.is_rebound(namespace, name):
            self._graph.watch.name(namespace, name, value)
        return self._graph.attribute(namespace, name, value, label)

    def mark_written(self, function: FunctionType, facts: CodeFacts) -> None:
        """Record the names that a function writes, before any names are resolved."""
        code, namespace = function.__code__, function.__globals__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        for name in facts.uses.rebinds:
            holder = cells.get(name, namespace)
            self._graph.mark_written(holder, name, rebound=True)
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        used = {chain[0] for chain in facts.uses.globals}
        if facts.uses.imports:
            imported = {name for one in facts.uses.imports for name in one.names}
            of_modules = [chain[1] if len(chain) > 1 else chain[0] for chain in facts.writes]
            own = {chain[0] for chain in facts.writes if len(chain) == 1} - imported
            self._late.mark_changed({name.rstrip("=") for name in of_modules} - own)
        for chain in facts.writes:
            root = chain[0]
            if root in cells:
                self._mark(cells[root], root, content_of(cells[root]), chain[1:])
            elif root in arguments:
                if len(chain) == 1:
                    self._graph.mark_written(function, f"{root}=", rebound=False)
            elif root in used and root in namespace:
                self._mark(namespace, root, namespace[root], chain[1:])

    def _mark(self, holder: object, name: str, value: object, attributes: Chain) -> None:
        rebound = bool(attributes) and attributes[-1].endswith("=")
        while attributes and issubclass(type(value), ModuleType):
            holder, name, attributes = vars(value), attributes[0].rstrip("="), attributes[1:]
            value = holder.get(name, ABSENT)
        while len(attributes) > 1:
            inner = list(looked_up(value, attributes[0]))
            if len(inner) != 1 or isinstance(inner[0], (Bound, ModuleType)):
                break
            value, attributes = inner[0], attributes[1:]
        if attributes:
            if value is ABSENT or issubclass(type(value), _CONSTANTS):
                return
            holder, name, rebound = value, attributes[0].rstrip("="), rebound and len(attributes) == 1
        elif not rebound and not (hasattr(type(value), "__setitem__") or issubclass(type(value), set)):
            return
        self._graph.mark_written(holder, name, rebound=rebound)

    def _chain(self, namespace: Mapping[str, Any], chain: Chain, label: str) -> Iterable[Token]:
        name = chain[0]
        value = namespace.get(name, ABSENT)
        if value is ABSENT:
            self._graph.watch.name(namespace, name, ABSENT)
            built_in = getattr(builtins, name, ABSENT)
            if built_in is not ABSENT:
                self._graph.watch.name(vars(builtins), name, built_in)
                if isinstance(built_in, FunctionType) and is_project_function(built_in):
                    yield self._graph.token(built_in, name)
                return
            if not self._graph.is_written(namespace, name):
                yield encoded(f"absent {name}")
                return
        if issubclass(type(value), ModuleType) and not self._graph.is_written(namespace, name):
            self._graph.watch.name(namespace, name, value)
            yield from self._of_module(value, chain, 1, name)
            return
        yield encoded(name)
        used = attributes_used(value, [chain], self._graph.is_project)
        if not used or self._graph.is_rebound(namespace, name):
            yield self.bound(namespace, name, value, f"{label}.{name}")
            return
        self._graph.watch.name(namespace, name, value)
        self._graph.place(namespace, name, f"{label}.{name}")
        for one in used:
            yield from self._of_instance(one, f"{label}.{name}")

    def _of_instance(self, path: AttributePath, label: str) -> Iterable[Token]:
        """Yield the tokens of an attribute of an instance, of which nothing else counts."""
        for step, (holder, name) in enumerate(path, 1):
            value, label = vars(holder)[name], f"{label}.{name}"
            yield encoded(name)
            rebound = self._graph.is_rebound(holder, name)
            if not rebound:
                self._graph.watch.name(vars(holder), name, value)
            if rebound or step == len(path):
                yield self._graph.attribute(holder, name, value, label)
                return

    def _of_module(self, module: ModuleType, chain: Chain, at: int, label: str) -> Iterable[Token]:
        """Follow attributes through modules; what the first that is none has of its own counts with it."""
        while True:
            name = str(module.__name__)
            own = is_project_module(name, self._graph.rules.packages)
            if own and type(module) is not ModuleType and self._graph.is_project(type(module)):
                # Its attributes may be those of its class, which read any of its names.
                yield b"module of a class"
                yield self._graph.token(type(module), label)
                at = len(chain)
            if at == len(chain):
                yield encoded(".".join(chain))
                yield self._graph.token(module, label)
                return
            attribute = chain[at]
            value = self._attribute(module, attribute, own=own)
            if issubclass(type(value), ModuleType):
                module, at = value, at + 1
                continue
            last = stem_of_module(name, vars(module))
            if self._graph.is_ignored(attribute, f"{name}.{attribute}", f"{last}.{attribute}"):
                return
            if own and attribute in _TELLS_PLACE:
                yield from self._place(module, attribute)
                return
            if value is ABSENT and not own:
                yield from _of_unloaded(name, chain, at)
                return
            yield encoded(".".join(chain[: at + 1]))
            if value is ABSENT and not self._graph.is_written(vars(module), attribute):
                yield encoded(f"absent {attribute}") if own else encoded(f"installed {name}")
            elif own or is_project_object(value):
                yield self.bound(vars(module), attribute, value, f"{last}.{attribute}")
            else:
                yield encoded(f"installed {name}")
            return

    def _place(self, module: ModuleType, attribute: str) -> Iterable[Token]:
        """Yield the tokens of where a module is: of a path, the names of the modules in it."""
        yield encoded(attribute)
        if attribute == "__path__":
            found = MODULES.within(str(module.__name__))
            self._graph.watch.call(lambda: MODULES.within(str(module.__name__)), found)
            yield from (encoded(one) for one in found)

    def _attribute(self, module: ModuleType, name: str, *, own: bool) -> Any:
        namespace = vars(module)
        value: Any = namespace.get(name, ABSENT)
        if value is ABSENT and own and "__getattr__" in namespace:
            # A module that loads its parts when they are asked for, as the function would.
            value = _ask(module, name)
            if value is not ABSENT:
                if name not in namespace:
                    self._graph.watch.call(lambda: _ask(module, name) is value, found=True)
                return value
        if not self._graph.is_written(namespace, name):
            self._graph.watch.name(namespace, name, value)
        return value


def _of_unloaded(name: str, chain: Chain, at: int) -> Iterator[Token]:
    """Yield what a loaded package would: some load their modules when these are used for the first time."""
    while at < len(chain) and _is_module(f"{name}.{chain[at]}"):
        name, at = f"{name}.{chain[at]}", at + 1
    yield encoded(".".join(chain[: at + 1]))
    yield encoded(f"installed {name}")


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def is_project_object(value: object) -> bool:
    """Return whether a function or a class is the project's."""
    if type(value) is FunctionType:
        return is_project_function(value)
    return issubclass(type(value), type) and is_project_module(str(getattr(value, "__module__", "")))


def _ask(module: ModuleType, name: str) -> object:
    try:
        return getattr(module, name)
    except Exception:  # noqa: BLE001 -- it is the user's code; the task would meet the same
        return ABSENT
