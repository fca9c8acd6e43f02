"""Values that code uses: visited where they hold code, otherwise digested."""

from __future__ import annotations

import abc
import contextvars
import functools
import types
import typing
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from s3kv_flows._keys.code.changes.first_seen import CONTENT
from s3kv_flows._keys.code.classes.parts import LRU_CACHED, NOT_CONTENT, Registry
from s3kv_flows._keys.code.contained import ATOMS, CONTAINERS, IMMUTABLE
from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.code.objects.containers import Containers
from s3kv_flows._keys.code.objects.instances import Instances
from s3kv_flows._keys.code.syntax.bytecode.codes import bytecode_digest
from s3kv_flows._keys.code.syntax.texts import constant, encoded
from s3kv_flows._keys.project import is_project_module, module_of

__all__ = ["Values"]

_TYPING = {"typing", "typing_extensions"}
_PARTS: dict[type, tuple[str, ...]] = {
    types.MethodType: ("__func__", "__self__"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    functools.partial: ("func", "args", "keywords"),
    functools.partialmethod: ("func", "args", "keywords"),
    functools.cached_property: ("func",),
    functools.singledispatchmethod: ("dispatcher",),
    types.SimpleNamespace: ("__dict__",),
    ChainMap: ("maps",),
}

_WEAK: dict[type, Callable[[Any], list[object]]] = {
    weakref.WeakSet: list,
    weakref.WeakValueDictionary: lambda value: [one for item in value.items() for one in item],
    weakref.WeakKeyDictionary: lambda value: [one for item in value.items() for one in item],
}
"""What is in collections that keep nothing alive."""


class Values:
    """Finds the tokens of values, for one walk."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._containers = Containers(graph)
        self._instances = Instances(graph)

    def token(self, value: object, label: str) -> Token:
        """Return the token of a value that is no node yet."""
        kind = type(value)  # never isinstance, which a proxy answers for its target
        is_plain = type(kind) is type  # a metaclass may have any hash
        if is_plain and kind in ATOMS:
            return encoded(f"{kind.__name__} {constant(value)}")
        if is_plain and kind in CONTAINERS:
            return self._containers.token(value, label)
        if self._graph.is_changed(value) and not self._graph.is_project(kind):
            return self._graph.attribute(value, CONTENT, value, label)
        if kind is types.SimpleNamespace and self._graph.written_names(value):
            return self._instances.changed(value, label)
        if is_plain and kind in _PARTS:
            return self._parts(value, kind.__name__, _PARTS[kind], label)
        if is_plain and kind in IMMUTABLE:
            return self._immutable(value, label)
        token = self._code(value, kind, label)
        return token if token is not None else self._instances.token(value, label)

    def _immutable(self, value: object, label: str) -> Token:
        content = self._instances.content(value, label) or [encoded(f"by type {type(value).__qualname__}")]
        # The time zone of a time may be of a class of the project.
        return content[0] if len(content) == 1 else self._graph.node(value, label, lambda: content)

    def _code(self, value: Any, kind: type, label: str) -> Token | None:
        if kind is types.FunctionType:
            return self._graph.function(value)
        if kind is types.GenericAlias:
            return self._alias(value, label)
        if issubclass(kind, type):
            return self._graph.cls(value)
        if issubclass(kind, types.ModuleType):
            name = str(value.__name__)
            if is_project_module(name, self._graph.rules.packages):
                return self._graph.namespace(vars(value), name)
            return encoded(f"installed {name}")
        if kind is types.CodeType:
            return b"code " + bytecode_digest(value)
        if kind is types.GeneratorType:
            return self._graph.node(value, label, lambda: self._generator(value, label))
        if kind is types.BuiltinFunctionType:
            return self._built_in(value, label)
        if kind is Registry:
            return self._graph.node(value, label, lambda: self._registered(value, label), unordered=True)
        if kind is weakref.ref or kind is weakref.WeakMethod:
            return self._graph.node(value, label, lambda: self._reference(value, label))
        if any(kind is one for one in _WEAK):
            return self._graph.node(value, label, lambda: self._weak(value, kind, label))
        if kind is contextvars.ContextVar:
            return self._graph.node(
                value, label, lambda: [b"variable", self._graph.token(_content_of(self._graph, value), label)]
            )
        if kind is LRU_CACHED:
            return self._graph.node(value, label, lambda: self._cached(value, label))
        if module_of(kind) in _TYPING and hasattr(value, "__origin__") and hasattr(value, "__args__"):
            return self._alias(value, label)
        if module_of(kind) in _TYPING or kind is types.UnionType:
            return self._typing(value, label)
        return None

    def _generator(self, value: Any, label: str) -> Iterable[Token]:
        yield b"generator"
        yield from self._graph.making(value, label) or [bytecode_digest(value.gi_code)]

    def _registered(self, registry: Registry, label: str) -> Iterable[Token]:
        self._graph.watch.call(abc.get_cache_token, abc.get_cache_token())
        yield b"registry"
        for cls in self._graph.ordered(registry.classes()):
            yield self._graph.token(cls, label)

    def _reference(self, value: Any, label: str) -> Iterable[Token]:
        target = value()
        is_method = type(value) is weakref.WeakMethod  # which makes it anew
        self._graph.watch.call(lambda: value() == target if is_method else value() is target, found=True)
        yield b"reference"
        yield self._graph.token(target, label)

    def _weak(self, value: Any, kind: type, label: str) -> Iterable[Token]:
        content = _WEAK[kind](value)
        self._graph.watch.call(lambda: list(map(id, _WEAK[kind](value))), list(map(id, content)))
        yield encoded(kind.__name__)
        if kind is weakref.WeakSet:
            yield self._graph.token(frozenset(content), label)
            return
        for one in content:
            yield self._graph.token(one, label)

    def _cached(self, value: Any, label: str) -> Iterable[Token]:
        yield b"cached"
        yield self._graph.token(value.__wrapped__, label)
        options: dict[str, object] = getattr(value, "cache_parameters", dict)()
        yield self._graph.token(dict(sorted(options.items())), label)

    def _parts(self, value: object, kind: str, names: tuple[str, ...], label: str) -> Token:
        return self._graph.node(value, label, lambda: self._attributes(value, kind, names, label))

    def _attributes(self, value: object, kind: str, names: tuple[str, ...], label: str) -> Iterable[Token]:
        yield encoded(kind)
        for name in names:
            yield self._graph.token(attrgetter(name)(value), label)
        if names == ("func", "args", "keywords"):
            own = getattr(value, "__dict__", {})
            for name in sorted(set(own) - NOT_CONTENT):
                yield encoded(name)
                yield self._graph.token(own[name], label)

    def _built_in(self, value: Any, label: str) -> Token:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return encoded(f"installed {value.__module__}.{value.__qualname__}")
        return self._graph.node(
            value, label, lambda: (encoded(f"method {value.__name__}"), self._graph.token(owner, label))
        )

    def _alias(self, value: Any, label: str) -> Token:
        parts = [value.__origin__, *value.__args__, *getattr(value, "__metadata__", ())]
        return self._graph.node(
            value, label, lambda: [b"alias", *(self._graph.token(one, label) for one in parts)]
        )

    def _typing(self, value: Any, label: str) -> Token:
        if type(value) is types.UnionType:
            return self._graph.node(
                value, label, lambda: [b"union", *(self._graph.token(one, label) for one in value.__args__)]
            )
        names = ("__name__", "__bound__", "__constraints__", "__supertype__", "__value__", "__forward_arg__")
        kept = {name: getattr(value, name) for name in names if hasattr(value, name)}
        if isinstance(value, (typing.TypeVar, typing.NewType, typing.ForwardRef)) or "__value__" in kept:
            return self._graph.node(
                value, label, lambda: [b"typing", *(self._graph.token(one, label) for one in kept.values())]
            )
        return encoded(f"installed {value!r}")


def _content_of(graph: Graph, variable: contextvars.ContextVar[object]) -> object:
    def content() -> object:
        try:
            return variable.get()
        except LookupError:
            return None

    found = content()
    graph.watch.call(lambda: content() is found, found=True)
    return found
