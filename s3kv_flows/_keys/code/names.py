"""Resolve the names in a function's code in the running process."""

from __future__ import annotations

import builtins
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CellType, FunctionType, ModuleType
from typing import Any

from s3kv_flows._keys.code.changes.attributes import AttributePath, attributes_used
from s3kv_flows._keys.code.changes.lookup import Bound, looked_up
from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.code.syntax.facts import CodeFacts
from s3kv_flows._keys.code.syntax.loaded import UNBOUND, Comparison, Loaded, seen
from s3kv_flows._keys.code.syntax.modules import (
    MODULES,
    ModuleText,
    NotLoaded,
    absolute_names,
    is_loading,
)
from s3kv_flows._keys.code.syntax.texts import Chain, Import, encoded
from s3kv_flows._keys.code.watch import ABSENT, content_of
from s3kv_flows._keys.project import (
    is_loaded_by_prefect,
    is_project_file,
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
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...))


class Names:
    """Resolves names for one walk."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._changed: set[str] = set()
        self._compared: list[Mapping[str, Any]] = []

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
        namespace = function.__globals__
        package = namespace.get("__package__")
        if not isinstance(package, str):
            package = str(namespace.get("__name__")).rpartition(".")[0]
        for imported in facts.uses.imports:
            yield from self._texts(absolute_names(imported, package))
        if facts.uses.names & _FINDS_BY_NAME:
            found = set(facts.uses.strings)
            for chain in facts.uses.globals:
                found |= _strings_in(namespace.get(chain[0]))
            yield from self._texts(name for text in sorted(found) for name in _modules_named(text, package))

    def evaluated(self, function: FunctionType, facts: CodeFacts, label: str) -> Iterable[Token]:
        """Yield the tokens of global names in texts that a function has a library evaluate.

        ``@LIMIT`` in a query of pandas is any name; without that sign, as in SQL, it is one of a value.
        """
        if not facts.uses.names & _EVALUATES:
            return
        namespace = function.__globals__
        texts = set(facts.uses.strings) - {function.__doc__}
        for value in self._values_at_hand(function, facts):
            texts |= _strings_in(value)
        found = {match for text in texts for match in _NAMED_IN_TEXT.findall(text)}
        for sign, name in sorted(found):
            chain = tuple(name.split("."))
            value = namespace.get(chain[0], ABSENT)
            if sign or not (value is ABSENT or issubclass(type(value), (FunctionType, type, ModuleType))):
                yield from self._chain(namespace, chain, label.rpartition(".")[0] or label)

    def _values_at_hand(self, function: FunctionType, facts: CodeFacts) -> Iterator[object]:
        """Yield the values of a function's defaults, cells and globals, also of those in modules."""
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        yield from map(content_of, function.__closure__ or ())
        for chain in facts.uses.globals:
            value, rest = function.__globals__.get(chain[0], ABSENT), chain[1:]
            while rest and issubclass(type(value), ModuleType):
                value, rest = vars(value).get(rest[0], ABSENT), rest[1:]
            yield value

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
            self._mark_changed({name.rstrip("=") for name in of_modules} - own)
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
        self._mark_changed(loaded.bindings.of_others)
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
                    b"absent" if value is UNBOUND else self.bound(namespace, name, value, f"{last}.{name}")
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

    def _mark_changed(self, names: Iterable[str]) -> None:
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


def _modules_named(text: str, package: str) -> list[str]:
    """Return the modules that a string may name; for ``"steps."``, from an f-string, all in the package."""
    match = _MODULE_NAME.fullmatch(text)
    if match is None:
        return []
    dots, name, open_end = match.groups()
    names = absolute_names(Import(name, len(dots), ()), package)
    return (
        names + [f"{names[-1]}.{one}" for one in MODULES.within(names[-1])] if names and open_end else names
    )


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
