"""A walk over the functions, classes, modules and values of code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any

from s3kv_flows._keys.code.changes.changes import Changes
from s3kv_flows._keys.code.changes.first_look import first_look
from s3kv_flows._keys.code.changes.first_seen import Written
from s3kv_flows._keys.code.classes.fields import complete, fields_of_class, is_model, objects_of_fields
from s3kv_flows._keys.code.classes.generated import generated_functions
from s3kv_flows._keys.code.classes.parts import parts_of_class
from s3kv_flows._keys.code.graph import Found, Graph, Rules, Token
from s3kv_flows._keys.code.names.names import Names
from s3kv_flows._keys.code.objects.making import Making, Settings
from s3kv_flows._keys.code.objects.order import Order
from s3kv_flows._keys.code.syntax.facts import CODES
from s3kv_flows._keys.code.syntax.modules import NotLoaded
from s3kv_flows._keys.code.syntax.texts import encoded
from s3kv_flows._keys.code.values import Values
from s3kv_flows._keys.code.watch import ABSENT, content_of
from s3kv_flows._keys.project import is_project_function, module_of, stem_of_module

__all__ = ["Walk"]


class Walk(Graph):
    """Walks from a root, breadth first. One object per digest that is not known yet."""

    def __init__(self, rules: Rules, *, is_first_look: bool = False, in_any_order: bool = False) -> None:
        super().__init__(rules, is_first_look=is_first_look)
        self.roots: Sequence[Token] = ()
        self._not_loaded_at_first: set[NotLoaded] = set()
        self._in_any_order = in_any_order
        self._values = Values(self)
        self._names = Names(self)
        self._changes = Changes(self, rules.packages)

    def run(self, root: object, others: Iterable[Callable[[Graph], Token]] = ()) -> Found:
        """Return the digest of a root, and of further dependencies."""
        self.root = root
        self._changes.call(root)

        def head() -> list[Token]:
            found = [self.token(root, "value"), *(other(self) for other in others)]
            self._visit()
            return found + self._settings()

        found = self._until_all_is_known(head)
        self.not_loaded |= self._not_loaded_at_first
        return self.found(found)

    def _explore(self, roots: Sequence[object]) -> None:
        def look() -> list[Token]:
            found = [self.token(root, "value") for root in roots]
            self._visit()
            return found

        self.roots = self._until_all_is_known(look)

    def _until_all_is_known(self, look: Callable[[], list[Token]]) -> list[Token]:
        while True:
            before = self.knowledge()
            self.restart()
            self._making = Making(self, self._names)
            self._order = Order(None if self._in_any_order else self._in_any_order_from)
            found = look()
            # A name that turns out to be written counts otherwise, also where it was visited before.
            if not self.is_stale and before == self.knowledge():
                return found

    def _in_any_order_from(self, roots: Sequence[object]) -> Walk:
        walk = Walk(self.rules, is_first_look=self.is_first_look, in_any_order=True)
        walk.learn(self)
        walk._explore(roots)
        return walk

    def _first_from(self, root: object) -> Walk:
        walk = Walk(self.rules, is_first_look=True)
        walk.root = root
        walk._changes.call(root)
        walk._explore([root])
        return walk

    def ordered(self, members: Iterable[object]) -> list[object]:
        return self._order.sorted(members)

    def first_digest(self, written: Written, value: object) -> bytes:
        def explore(root: object) -> Walk:
            walk = self._first_from(root)
            self._not_loaded_at_first |= walk.not_loaded
            return walk

        return first_look(self.rules.first_seen, written, value, explore)

    def _visit(self) -> None:
        while self.queue:
            node, visit = self.queue.popleft()
            self.visited = node.label
            node.tokens = list(visit())

    def _settings(self) -> list[Token]:
        """Return the tokens of what the modules left behind, which may reach further modules."""
        found: list[Token] = []
        if not self.rules.settings:
            return found
        known = len(self.names_of_texts)
        settings = Settings(self, self._names)
        done = 0
        while done < len(self.entered()):
            found += settings.tokens(*self.entered()[done])
            done += 1
            self._visit()
        self.is_stale |= len(self.names_of_texts) > known  # what modules leave with those counts, too
        return found

    def making(self, value: object, label: str) -> Sequence[Token]:
        return self._making.tokens(value, label)

    def token(self, value: object, label: str) -> Token:
        known = self.number(value)
        return known if known is not None else self._values.token(value, label)

    def function(self, function: FunctionType) -> Token:
        name = str(function.__globals__.get("__name__"))
        label = f"{stem_of_module(name, function.__globals__)}.{function.__qualname__}"
        if not is_project_function(function, self.rules.packages):
            return self._installed(function, name, label)
        if self.is_ignored(function.__qualname__, f"{name}.{function.__qualname__}", label):
            return encoded(f"ignored {function.__qualname__}")
        return self.node(function, label, lambda: self._function(function, label))

    def cls(self, cls: type) -> Token:
        name = f"{module_of(cls)}.{cls.__qualname__}"
        if not self.is_project(cls):
            return encoded(f"installed {name.replace('pathlib._local.', 'pathlib.')}")  # as 3.13 calls it
        label = f"{stem_of_module(module_of(cls))}.{cls.__qualname__}"
        is_ignored = any(one is cls for one in self.rules.ignored_types)
        if is_ignored or self.is_ignored(cls.__qualname__, name, label):
            return encoded(f"ignored {cls.__qualname__}")
        return self.node(cls, label, lambda: self._class(cls, label))

    def namespace(self, namespace: dict[str, Any], name: str) -> Token:
        known = self.number(namespace)
        label = stem_of_module(name, namespace)
        return (
            known
            if known is not None
            else self.node(namespace, label, lambda: self._namespace(namespace, label))
        )

    def _function(self, function: FunctionType, label: str) -> Iterable[Token]:
        self.watch.function(function)
        self.enter(function.__globals__, label)
        facts = CODES.facts(function)
        self._names.mark_written(function, facts)
        self._changes.visit(function)
        self.mark_modes(facts.uses.names)
        yield b"function"
        yield encoded(function.__qualname__)
        yield facts.digest
        arguments = function.__code__.co_varnames
        defaults = function.__defaults__ or ()
        yield b"%d defaults" % len(defaults)
        first = function.__code__.co_argcount - len(
            defaults
        )  # a program may set more than there are arguments
        for at, value in enumerate(defaults, first):
            name = arguments[at] if at >= 0 else str(at)
            yield self.attribute(function, f"{name}=", value, label)
        keywords = function.__kwdefaults__ or {}
        if keywords:
            self.watch.mapping(keywords)
        yield b"%d keywords" % len(keywords)
        for name in sorted(keywords, key=str):
            yield encoded(name)
            yield self.attribute(function, f"{name}=", keywords[name], label)
        yield from self._own_attributes(function, label)
        if "annotations" in self.modes or self.is_validated(function):
            yield self.token(dict(function.__annotations__), label)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            yield encoded(name)
            yield from self._names.cell(function, cell, name, facts)
        yield from self._names.globals(function, facts, label)
        yield from self._names.evaluated(function, facts, label)
        if self.reads_documentation:
            yield from self._names.documented(function, facts, label)
        yield from self._names.imports(function, facts)

    def _own_attributes(self, function: FunctionType, label: str) -> Iterable[Token]:
        self.watch.mapping(function.__dict__)
        attributes = function.__dict__.copy()
        names = self.names(function, attributes)
        names = [name for name in names if not str(name).endswith("=")]  # of arguments
        yield b"%d attributes" % len(names)
        for name in names:
            yield encoded(name)
            yield self.attribute(function, name, attributes.get(name, ABSENT), label)
        if "docs" in self.modes:
            yield encoded(f"docs {function.__doc__}")

    def _installed(self, function: FunctionType, name: str, label: str) -> Token:
        last = getattr(function.__code__, "co_qualname", function.__code__.co_name).rpartition(".")[2]
        installed = encoded(f"installed {name}.{last}")
        wrapped = function.__dict__.get("__wrapped__", ABSENT)
        if not function.__closure__ and wrapped is ABSENT:
            return installed
        return self.node(function, label, lambda: self._wrapper(function, installed, wrapped, label))

    def _wrapper(
        self, function: FunctionType, installed: bytes, wrapped: object, label: str
    ) -> Iterable[Token]:
        """Yield the tokens of a package's function that wraps a function or closes over values."""
        yield installed
        if wrapped is not ABSENT:
            yield b"wraps"
            self.watch.mapping(function.__dict__)
            self.mark_validated(function, wrapped)
            yield self.token(wrapped, label)
        registry: Any = function.__dict__.get("registry")
        if function.__globals__.get("__name__") == "functools" and issubclass(type(registry), Mapping):
            self.watch.mapping(registry)
            found = [
                (
                    f"{module_of(cls)}.{cls.__qualname__}" if not self.is_project(cls) else cls.__name__,
                    cls,
                    implementation,
                )
                for cls, implementation in registry.copy().items()
            ]
            for name, cls, implementation in sorted(found, key=lambda one: one[0]):
                yield encoded(name)
                yield self.token(cls, label)
                yield self.token(implementation, label)
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            content = content_of(cell)
            if content is not function:
                yield encoded(name)
                self.mark_validated(function, content)
                yield self.cell(cell, name, label)

    def _class(self, cls: type, label: str) -> Iterable[Token]:
        complete(cls)
        self.watch.mapping(vars(cls))
        self._watch_fields(cls)
        module = sys.modules.get(module_of(cls))
        if isinstance(module, ModuleType):
            self.enter(vars(module), label)
        yield b"class"
        # A class in a class or a function loses the rest of its qualified name in a pickle by value.
        yield encoded(cls.__name__)
        metaclass = type(cls)
        if self.is_project(metaclass):
            yield self.token(metaclass, label)
        yield b"%d bases" % len(cls.__bases__)
        for base in cls.__bases__:
            yield self.token(base, label)
        if "docs" in self.modes:
            yield encoded(f"docs {cls.__doc__}")
        if "subclasses" in self.modes:
            found: list[type] = list(filter(self.is_project, type.__subclasses__(cls)))
            self.watch.call(lambda: len(type.__subclasses__(cls)), len(type.__subclasses__(cls)))
            for subclass in self.ordered(found):
                yield self.token(subclass, label)
        parts = dict(parts_of_class(cls))
        for name, value in parts.items():
            self._changes.member(cls, name, value)
        rebound = self.names(cls, ())
        # What the walked code binds comes last: whether it is bound as yet makes no difference.
        for name in (*(name for name in parts if name not in rebound), *rebound):
            if self.is_ignored(f"{cls.__qualname__}.{name}"):
                continue
            yield encoded(name)
            yield self.attribute(cls, name, parts.get(name, ABSENT), f"{label}.{name}")

    def _watch_fields(self, cls: type) -> None:
        """Watch the fields of a class, which may be changed in place, and what was generated of them."""
        if any(True for _ in fields_of_class(cls)):
            self.watch.objects(lambda: objects_of_fields(cls))
        for _, function in generated_functions(cls):
            self.watch.function(function)
        if is_model(cls):
            self.mark_model()

    def _namespace(self, namespace: dict[str, Any], label: str) -> Iterable[Token]:
        self.watch.mapping(namespace)
        namespace_now = namespace.copy()
        is_notebook = "get_ipython" in namespace
        for name in self.names(namespace, namespace_now):
            if type(name) is str and name.startswith("__") and name.endswith("__"):
                continue
            if is_notebook and (
                str(name).startswith("_") or name in ("In", "Out", "exit", "quit", "get_ipython")
            ):
                continue
            if not self.is_ignored(name, f"{label}.{name}"):
                yield encoded(name)
                yield self._names.bound(namespace, name, namespace_now.get(name, ABSENT), f"{label}.{name}")
