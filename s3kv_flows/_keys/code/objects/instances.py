"""Instances among the values of code: by state, content or type."""

from __future__ import annotations

import enum
import functools
import logging
import pathlib
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from s3kv_flows._keys.code.changes.first_seen import CONTENT, Written
from s3kv_flows._keys.code.classes.fields import fields_of_record, objects_of_record
from s3kv_flows._keys.code.classes.parts import state_of
from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.code.syntax.texts import encoded
from s3kv_flows._keys.code.watch import ABSENT
from s3kv_flows._keys.errors import TooDeepError, UnsteadyError
from s3kv_flows._keys.project import is_project_module, module_of

__all__ = ["Instances"]

_LOGGERS = (logging.Logger, logging.LoggerAdapter, logging.Handler, logging.Formatter)
_LOGGING_PACKAGES = {"loguru", "structlog"}
_SETTINGS = {str, bytes, bool, pathlib.PosixPath, pathlib.WindowsPath}
"""Types of attributes that count of an object without content: the URL of a client, not its counters."""
_RUNNING = {"threading", "_thread", "concurrent", "queue", "multiprocessing", "asyncio"}
"""Whose objects have names with running numbers, and flags that tell what is going on."""
_COMPILED = ("pydantic_core", "pydantic._internal")
_HUGE_BYTES = 256 * 2**20

_BUILT_IN_BASES: dict[type, Callable[[Any], object]] = {
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


class Instances:
    """Finds the tokens of instances, for one walk."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def token(self, value: object, label: str) -> Token:
        """Return the token of an instance."""
        cls = type(value)
        if issubclass(cls, _LOGGERS) or module_of(cls).partition(".")[0] in _LOGGING_PACKAGES:
            return encoded(f"by type {cls.__qualname__}")
        if self._graph.is_project(cls):
            return self._graph.node(value, label, lambda: self._of_project(value, label))
        if issubclass(cls, enum.Enum):
            member = (ask(value, "_name_"), ask(value, "_value_"))
            return encoded(f"installed {module_of(cls)}.{cls.__qualname__} {member!r}")
        attributes = ask(value, "__dict__")
        wrapped = attributes.get("__wrapped__") if isinstance(attributes, dict) else None
        if wrapped is not None:
            return self._graph.node(value, label, lambda: self._wrapper(value, wrapped, label))
        name = _found_by_name(value)
        if name is not None:
            return encoded(f"installed {name}")
        if isinstance(attributes, dict) and self._graph.written_names(value):
            return self.changed(value, label)
        fields = fields_of_record(value)
        if fields is not None:
            return self._graph.node(value, label, lambda: self._record(value, label))
        return self._graph.node(value, label, lambda: self._opaque(value, label))

    def _of_project(self, value: Any, label: str) -> Iterable[Token]:
        cls = type(value)
        yield b"instance"
        yield self._graph.token(cls, label)
        if issubclass(cls, enum.Enum):
            yield encoded(str(ask(value, "_name_")))
            yield self._graph.token(ask(value, "_value_"), label)
            return
        bases = [base for base in cls.__mro__ if not self._graph.is_project(base)]
        hidden = [
            base
            for base in bases
            if base.__name__ not in _WITHOUT_STATE and base not in _BUILT_IN_BASES and not _is_plain(base)
        ]
        if hidden and not issubclass(cls, BaseException):
            wrapped = (ask(value, "__dict__") or {}).get("__wrapped__")
            if wrapped is not None and callable(value):
                yield self._graph.token(wrapped, label)
                return
            tokens = self.content(value, label)
            if tokens is not None:
                yield from tokens
                return
            yield from self._graph.making(value, label)
        for base, content in _BUILT_IN_BASES.items():
            if base in bases:
                if base is dict:
                    self._graph.watch.mapping(value)
                elif base in (list, set):
                    self._graph.watch.collection(value)
                yield self._content(value, content, label)
                break
        yield from self._state(value, label)

    def _content(self, value: object, content: Callable[[Any], object], label: str) -> Token:
        if not self._graph.is_written(value, CONTENT):
            return self._graph.token(content(value), label)
        return self._graph.attribute(value, CONTENT, content(value), label)

    def changed(self, value: object, label: str) -> Token:
        """Return the token of an installed class's instance some of whose attributes are written."""
        name = encoded(f"instance {module_of(type(value))}.{type(value).__qualname__}")
        return self._graph.node(value, label, lambda: (name, *self._state(value, label)))

    def _state(self, value: object, label: str) -> Iterable[Token]:
        own = ask(value, "__dict__")
        if isinstance(own, dict):
            self._graph.watch.mapping(own)  # before it is read: what changes in between shows
        state = state_of(value)
        if len(state) > len(own or ()):
            self._graph.watch.call(lambda: [*map(id, state_of(value).values())], [*map(id, state.values())])
        for name in self._graph.names(value, state):
            if not self._graph.is_ignored(f"{type(value).__qualname__}.{name}"):
                yield encoded(name)
                yield self._graph.attribute(value, name, state.get(name, ABSENT), label)

    def _wrapper(self, value: Any, wrapped: object, label: str) -> Iterable[Token]:
        """Yield the tokens of a package's object that wraps a function, as a task or a flow does."""
        yield encoded(f"wrapper {type(value).__qualname__}")
        self._graph.watch.call(lambda: value.__dict__.get("__wrapped__") is wrapped, found=True)
        yield self._graph.token(wrapped, label)

    def _record(self, value: object, label: str) -> Iterable[Token]:
        yield encoded(f"record {module_of(type(value))}.{type(value).__qualname__}")
        own = ask(value, "__dict__")
        if isinstance(own, dict):
            self._graph.watch.mapping(own)
        fields = fields_of_record(value) or {}
        if not isinstance(own, dict):
            self._graph.watch.objects(lambda: objects_of_record(value))
        for name, content in fields.items():
            yield encoded(name)
            yield self._graph.token(content, label)

    def _opaque(self, value: object, label: str) -> Iterable[Token]:
        """Yield the tokens of an installed class's instance: its content, or else its class alone."""
        cls = type(value)
        if module_of(cls).startswith(_COMPILED):
            # Made of annotations, which count; holds addresses.
            yield encoded(f"by type {module_of(cls)}.{cls.__qualname__}")
            return
        if module_of(cls) == "pydantic.type_adapter":
            yield b"type adapter"
            yield self._graph.token(ask(value, "_type"), label)
            return
        content = self.content(value, label)
        if content is None:
            self._graph.note(
                f"{label} counts by its type, {cls.__qualname__}, by its strings and flags, and by the "
                "statements that make it"
            )
            yield from self._graph.making(value, label)
            yield encoded(f"by type {module_of(cls)}.{cls.__qualname__}")
        else:
            yield from content
        own = ask(value, "__dict__")
        is_client = content is None and module_of(cls).partition(".")[0] not in _RUNNING
        if isinstance(own, dict):
            self._graph.watch.mapping(own)
            for name, content in sorted(own.copy().items(), key=lambda item: str(item[0])):
                is_setting = is_client and any(type(content) is one for one in _SETTINGS)
                if is_setting or self._holds_code(content):
                    yield encoded(name)
                    yield self._graph.token(content, label)

    def content(self, value: object, label: str) -> list[Token] | None:
        """Return the tokens of a value by its content, None for a value without content."""
        try:
            return [self._huge(value)] if _is_huge(value) else self._graph.content(value, label)
        except TooDeepError as exc:  # it has a content, whatever it is
            raise TooDeepError(f"{label}: {exc.reason}", exc.remedy) from exc
        except UnsteadyError:
            raise  # so has this one
        except Exception:  # noqa: BLE001 -- Unkeyable, or what the value's own code raises when it is asked
            return None

    def _huge(self, value: object) -> Token:
        self._graph.note(f"{type(value).__qualname__} of more than 256 MB: a change in place goes unnoticed")
        rules, written = self._graph.rules, Written(value, "huge", value)
        seen = rules.first_seen.get(written)
        return b"value " + (seen or rules.first_seen.keep(written, rules.content(value).digest))

    def _holds_code(self, value: Any) -> bool:
        if type(value) is types.MethodType:
            value = value.__func__
        if type(value) is functools.partial:
            value = value.func
        if type(value) is types.FunctionType:
            return not isinstance(self._graph.function(value), bytes)
        return issubclass(type(value), type) and self._graph.is_project(value)


def ask(value: object, name: str) -> Any:
    """Return an attribute; None where reading it fails, whatever the user's code raises."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001
        return None


def _is_huge(value: object) -> bool:
    """Return whether an array of numbers is large; objects in one may hold code, which is not kept."""
    size = ask(value, "nbytes")
    return isinstance(size, int) and size > _HUGE_BYTES and not ask(ask(value, "dtype"), "hasobject")


def _is_plain(cls: type) -> bool:
    """Return whether a class is written in Python, so that its instances hold attributes alone."""
    return (
        bool(cls.__flags__ & (1 << 9))
        and cls.__base__ is not None
        and cls.__base__ in (object, *_BUILT_IN_BASES)
    )


def _found_by_name(value: object) -> str | None:
    module, name = ask(value, "__module__"), ask(value, "__qualname__")
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = ask(found, part)
    return f"{module}.{name}" if found is value and not is_project_module(module) else None
