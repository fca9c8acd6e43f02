"""What stands for the values that code uses: what holds code is looked into, all else has a digest."""

from __future__ import annotations

import contextvars
import enum
import functools
import logging
import pathlib
import sys
import types
import typing
from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from s3kv_flows._keys.bytecode import bytecode_digest
from s3kv_flows._keys.classes import NOT_CONTENT, fields_of_record, state_of
from s3kv_flows._keys.containers import (
    ATOMS,
    CONTAINERS,
    NEVER_CHANGE,
    containers_in,
    is_plain_container,
)
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.project import is_project_module
from s3kv_flows._keys.texts import constant

if TYPE_CHECKING:
    from s3kv_flows._keys.walk import Token, Walk

__all__ = ["Values"]

_LOGGERS = (logging.Logger, logging.LoggerAdapter, logging.Handler, logging.Formatter)
_LOGGING_PACKAGES = {"loguru", "structlog"}
_SETTINGS = {str, bytes, bool, pathlib.PosixPath, pathlib.WindowsPath}
"""What counts of an object that has no digest: where a client connects to, not how often it did."""
_COMPILED = ("pydantic_core", "pydantic._internal")
_TYPING = {"typing", "typing_extensions"}
_LOOKED_INTO = 1_000
"""Members of a container that are looked at one by one; what is longer has one digest."""
_WATCHED = 10_000
_HUGE_BYTES = 256 * 2**20

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
_LRU_CACHED = type(functools.lru_cache(abs))
_BASES: dict[type, Callable[[Any], object]] = {
    dict: lambda value: list(dict.items(value)),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: list(tuple.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: set(frozenset.__iter__(value)),
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.join(b"", [value]),
    BaseException: lambda value: list(value.args),
}
_WITHOUT_STATE = {"object", "Generic", "Protocol", "ABC", "Enum", "Exception", "BaseModel", "NamedTuple"}


class Values:
    """Finds what stands for values, for one walk."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    def token(self, value: object, label: str) -> Token:
        """Return what stands for a value that has no number yet."""
        kind = type(value)  # never isinstance: that asks proxies for what they stand for
        if kind in ATOMS:
            return f"{kind.__name__} {constant(value)}".encode()
        if kind in CONTAINERS:
            return self._container(value, label)
        if kind in _PARTS:
            return self._parts(value, kind.__name__, _PARTS[kind], label)
        if kind in NEVER_CHANGE:
            return self._digest(value) or f"by type {kind.__qualname__}".encode()
        looked_at = self._code(value, kind, label)
        return looked_at if looked_at is not None else self._instance(value, label)

    def _code(self, value: Any, kind: type, label: str) -> Token | None:
        if kind is types.FunctionType:
            return self._walk.function(value)
        if kind is types.GenericAlias:
            return self._alias(value, label)
        if issubclass(kind, type):
            return self._walk.cls(value)
        if issubclass(kind, types.ModuleType):
            name = str(value.__name__)
            if is_project_module(name, self._walk.rules.packages):
                return self._walk.namespace(vars(value), name)
            return f"installed {name}".encode()
        if kind is types.CodeType:
            return b"code " + bytecode_digest(value)
        if kind is types.GeneratorType:
            return b"generator " + bytecode_digest(value.gi_code)
        if kind is types.BuiltinFunctionType:
            return self._built_in(value, label)
        if kind is contextvars.ContextVar:
            return self._walk.node(
                value, label, lambda: [b"variable", self._walk.token(_content_of(self._walk, value), label)]
            )
        if kind is _LRU_CACHED:
            return self._walk.node(value, label, lambda: self._cached(value, label))
        return None

    def validates(self, wrapper: types.FunctionType, wrapped: object) -> None:
        """Keep that a package's wrapper may validate by what a function's annotations say."""
        top = str(wrapper.__globals__.get("__name__")).partition(".")[0]
        if isinstance(wrapped, types.FunctionType) and top not in sys.stdlib_module_names:
            self._walk.validated.add(id(wrapped))

    def is_validated(self, function: types.FunctionType) -> bool:
        """Tell whether a function's annotations may make a difference."""
        return id(function) in self._walk.validated

    def _instance(self, value: object, label: str) -> Token:
        cls = type(value)
        if issubclass(cls, _LOGGERS) or cls.__module__.partition(".")[0] in _LOGGING_PACKAGES:
            return f"by type {cls.__qualname__}".encode()
        if self._walk.is_project(cls):
            return self._walk.node(value, label, lambda: self._of_project(value, label))
        if issubclass(cls, enum.Enum):
            member = (ask(value, "_name_"), ask(value, "_value_"))
            return f"installed {cls.__module__}.{cls.__qualname__} {member!r}".encode()
        if cls.__module__ in _TYPING and hasattr(value, "__origin__") and hasattr(value, "__args__"):
            return self._alias(value, label)
        if cls.__module__ in _TYPING or cls is types.UnionType:
            return self._typing(value, label)
        attributes = ask(value, "__dict__")
        wrapped = attributes.get("__wrapped__") if isinstance(attributes, dict) else None
        if wrapped is not None:
            return self._walk.node(value, label, lambda: self._wrapper(value, wrapped, label))
        name = _found_by_name(value)
        if name is not None:
            return f"installed {name}".encode()
        fields = fields_of_record(value)
        if fields is not None:
            return self._walk.node(value, label, lambda: self._record(value, label))
        return self._walk.node(value, label, lambda: self._opaque(value, label))

    def _of_project(self, value: Any, label: str) -> Iterable[Token]:
        cls = type(value)
        yield b"instance"
        yield self._walk.token(cls, label)
        if issubclass(cls, enum.Enum):
            yield str(ask(value, "_name_")).encode()
            yield self._walk.token(ask(value, "_value_"), label)
            return
        bases = [base for base in cls.__mro__ if not self._walk.is_project(base)]
        hidden = [
            base
            for base in bases
            if base.__name__ not in _WITHOUT_STATE and base not in _BASES and not _is_plain(base)
        ]
        if hidden and not issubclass(cls, BaseException):
            wrapped = (ask(value, "__dict__") or {}).get("__wrapped__")
            if wrapped is not None and callable(value):
                yield self._walk.token(wrapped, label)
                return
            digest = self._digest(value)
            if digest is not None:
                yield digest
                return
        for base, content in _BASES.items():
            if base in bases:
                inner = content(value)
                if base is dict:
                    self._walk.watch.mapping(value)
                elif base in (list, set):
                    self._walk.watch.collection(value)
                yield self._walk.token(inner, label)
                break
        yield from self._state(value, label)

    def _state(self, value: object, label: str) -> Iterable[Token]:
        state = state_of(value)
        own = ask(value, "__dict__")
        if isinstance(own, dict):
            self._walk.watch.mapping(own)
        if len(state) > len(own or ()):
            self._walk.watch.call(lambda: [*map(id, state_of(value).values())], [*map(id, state.values())])
        for name, content in state.items():
            if not self._walk.is_ignored(f"{type(value).__qualname__}.{name}"):
                yield name.encode()
                yield self._walk.attribute(value, name, content, label)

    def _wrapper(self, value: Any, wrapped: object, label: str) -> Iterable[Token]:
        """An object of a package that stands for a function, as tasks and flows do: it counts as that."""
        yield f"wrapper {type(value).__qualname__}".encode()
        self._walk.watch.call(lambda: value.__dict__.get("__wrapped__") is wrapped, found=True)
        yield self._walk.token(wrapped, label)

    def _record(self, value: object, label: str) -> Iterable[Token]:
        yield f"record {type(value).__module__}.{type(value).__qualname__}".encode()
        own = ask(value, "__dict__")
        fields = fields_of_record(value) or {}
        if isinstance(own, dict):
            self._walk.watch.mapping(own)
        elif type(value).__name__ != "FieldInfo":
            found = [*map(id, fields.values())]
            self._walk.watch.call(lambda: [*map(id, (fields_of_record(value) or {}).values())], found)
        for name, content in fields.items():
            yield name.encode()
            yield self._walk.token(content, label)

    def _cached(self, value: Any, label: str) -> Iterable[Token]:
        yield b"cached"
        yield self._walk.token(value.__wrapped__, label)
        options: dict[str, object] = getattr(value, "cache_parameters", dict)()
        yield self._walk.token(dict(sorted(options.items())), label)

    def _parts(self, value: object, kind: str, names: tuple[str, ...], label: str) -> Token:
        return self._walk.node(value, label, lambda: self._look_into(value, kind, names, label))

    def _look_into(self, value: object, kind: str, names: tuple[str, ...], label: str) -> Iterable[Token]:
        yield kind.encode()
        for name in names:
            yield self._walk.token(attrgetter(name)(value), label)
        if names == ("func", "args", "keywords"):
            own = getattr(value, "__dict__", {})
            for name in sorted(set(own) - NOT_CONTENT):
                yield name.encode()
                yield self._walk.token(own[name], label)

    def _built_in(self, value: Any, label: str) -> Token:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return f"installed {value.__module__}.{value.__qualname__}".encode()
        return self._walk.node(
            value, label, lambda: (f"method {value.__name__}".encode(), self._walk.token(owner, label))
        )

    def _alias(self, value: Any, label: str) -> Token:
        parts = [value.__origin__, *value.__args__, *getattr(value, "__metadata__", ())]
        return self._walk.node(
            value, label, lambda: [b"alias", *(self._walk.token(one, label) for one in parts)]
        )

    def _typing(self, value: Any, label: str) -> Token:
        if type(value) is types.UnionType:
            return self._walk.node(
                value, label, lambda: [b"union", *(self._walk.token(one, label) for one in value.__args__)]
            )
        names = ("__name__", "__bound__", "__constraints__", "__supertype__", "__value__", "__forward_arg__")
        kept = {name: getattr(value, name) for name in names if hasattr(value, name)}
        if isinstance(value, (typing.TypeVar, typing.NewType, typing.ForwardRef)) or "__value__" in kept:
            return self._walk.node(
                value, label, lambda: [b"typing", *(self._walk.token(one, label) for one in kept.values())]
            )
        return f"installed {value!r}".encode()

    def _container(self, value: Any, label: str) -> Token:
        if not is_plain_container(value) and len(value) <= _LOOKED_INTO:
            return self._walk.node(value, label, lambda: self._members(value, label))
        return self._walk.node(value, label, lambda: self._plain(value, label))

    def _plain(self, value: Any, label: str) -> Iterable[Token]:
        try:
            digest = self._walk.rules.value_digest(value)
        except Unkeyable:
            return self._members(value, label)
        containers = containers_in(value)
        if sum(map(len, containers)) > _WATCHED or not is_plain_container(value):
            self._walk.watch.value(value, digest)
            return [b"value " + digest]
        for one in containers:
            self._watch(one)
        return [b"value " + digest]

    def _members(self, value: Any, label: str) -> Iterable[Token]:
        yield f"container {type(value).__name__}".encode()
        self._watch(value)
        if isinstance(value, defaultdict):
            yield self._walk.token(value.default_factory, label)
        if isinstance(value, Mapping):
            for key, content in list(value.items()):
                yield self._walk.token(key, label)
                yield self._walk.token(content, label)
        elif isinstance(value, (set, frozenset)):
            # By what each is, not by the order of a set, which is another one in each process.
            for member in sorted(value, key=self._walk.alone):
                yield self._walk.token(member, label)
        else:
            for member in list(value):
                yield self._walk.token(member, label)

    def _watch(self, container: Any) -> None:
        if isinstance(container, Mapping):
            self._walk.watch.mapping(container)
        elif not isinstance(container, (tuple, frozenset)):
            self._walk.watch.collection(container)

    def _opaque(self, value: object, label: str) -> Iterable[Token]:
        """An instance of an installed class: its content, or where that has no digest its class alone."""
        cls = type(value)
        if cls.__module__.startswith(_COMPILED):
            # Made of annotations, which count; holds addresses.
            yield f"by type {cls.__module__}.{cls.__qualname__}".encode()
            return
        if cls.__module__ == "pydantic.type_adapter":
            yield b"type adapter"
            yield self._walk.token(ask(value, "_type"), label)
            return
        digest = self._digest(value)
        if digest is None:
            self._walk.note(f"{label} counts by its type, {cls.__qualname__}, and texts and flags of its own")
            digest = f"by type {cls.__module__}.{cls.__qualname__}".encode()
        yield digest
        own = ask(value, "__dict__")
        if isinstance(own, dict):
            self._walk.watch.mapping(own)
            for name in sorted(own, key=str):
                is_setting = digest.startswith(b"by type") and type(own[name]) in _SETTINGS
                if is_setting or self._holds_code(own[name]):
                    yield str(name).encode()
                    yield self._walk.token(own[name], label)

    def _digest(self, value: object) -> bytes | None:
        rules = self._walk.rules
        try:
            size = ask(value, "nbytes")
            if isinstance(size, int) and size > _HUGE_BYTES:
                self._walk.note(
                    f"{type(value).__qualname__} of more than 256 MB: a change in place goes unnoticed"
                )
                seen = rules.first_seen.digest(
                    value, "huge", value, lambda: (rules.value_digest(value), True)
                )
                return b"value " + seen
            digest = rules.value_digest(value)
        except Exception:  # noqa: BLE001 -- Unkeyable, or what the value's own code raises when it is asked
            return None
        self._walk.watch.value(value, digest)
        return b"value " + digest

    def _holds_code(self, value: Any) -> bool:
        if type(value) is types.MethodType:
            value = value.__func__
        if type(value) is functools.partial:
            value = value.func
        if type(value) is types.FunctionType:
            return not isinstance(self._walk.function(value), bytes)
        return issubclass(type(value), type) and self._walk.is_project(value)


def _content_of(walk: Walk, variable: contextvars.ContextVar[object]) -> object:
    def look() -> object:
        try:
            return variable.get()
        except LookupError:
            return None

    content = look()
    walk.watch.call(lambda: look() is content, found=True)
    return content


def ask(value: object, name: str) -> Any:
    """Return an attribute; None where asking for it fails, in whatever way the user's code does."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001
        return None


def _is_plain(cls: type) -> bool:
    """Tell whether a class is written in Python, so that an instance's attributes are all that it holds."""
    return bool(cls.__flags__ & (1 << 9)) and cls.__base__ is not None and cls.__base__ in (object, *_BASES)


def _found_by_name(value: object) -> str | None:
    module, name = ask(value, "__module__"), ask(value, "__qualname__")
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = ask(found, part)
    return f"{module}.{name}" if found is value and not is_project_module(module) else None
