"""Attributes and members of living objects, without running any code."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.classes.parts import LRU_CACHED
from s3kv_flows._keys.code.contained import attributes_of
from s3kv_flows._keys.code.syntax.bytecode.effects import WITHIN
from s3kv_flows._keys.code.syntax.facts import CODES

__all__ = [
    "Bound",
    "Fresh",
    "Keyword",
    "Super",
    "bound_to",
    "function_of",
    "look_anew",
    "looked_up",
    "setter_of",
]

_MOST_MEMBERS = 1_000
_MOST_LAYERS = 20_000
"""Of decorators, partials and methods around a function."""
_CONTAINERS: tuple[Any, ...] = (dict, list, tuple, set, frozenset, deque)


class Fresh(NamedTuple):
    """Some instance of a class, of which nothing else is known."""

    cls: type


class Keyword(NamedTuple):
    """An argument with a name."""

    name: str
    value: object


class Bound(NamedTuple):
    """A function with its first arguments, of which the last may be unknown."""

    function: FunctionType
    given: tuple[object, ...]


_SET: dict[int, tuple[type, frozenset[str]]] = {}
"""By classes: the attributes that their methods set."""
_FIELD: Any = type(vars(Bound)["function"])
"""The type of what finds a field of a named tuple."""


def looked_up(value: Any, part: str, owner: type | None = None) -> Iterator[object]:
    """Yield what a part of a chain stands for, of a value.

    Args:
        value: Any, also a :class:`Fresh` one.
        part: An attribute, ``*`` for all members, ``get()`` for what a method of a dict returned.
        owner: The class whose method names it, for ``super()``.
    """
    if part == WITHIN:
        yield from _members(value)
    elif part == "type()" or part == "__class__":
        yield value.cls if type(value) is Fresh else type(value)
    elif part == "super()":
        cls = value if issubclass(type(value), type) else value.cls if type(value) is Fresh else type(value)
        if owner in cls.__mro__:
            yield Super(value, cls.__mro__[cls.__mro__.index(owner) + 1 :])
    elif part.endswith("()"):
        if issubclass(type(value), dict):
            yield from _members(value)
    else:
        yield from _attribute(value, part)


def bound_to(value: Any, given: tuple[object, ...] = ()) -> Iterator[Bound]:
    """Yield the functions that a call of a value runs, with what they get.

    A loop, as decorators and partials may be thousands deep, and may lead back to themselves.
    """
    pending: list[tuple[Any, tuple[object, ...]]] = [(value, given)]
    seen: set[int] = set()
    for one, got in pending:
        if len(pending) > _MOST_LAYERS:
            return
        if type(one) is FunctionType:
            if id(one) in seen:
                continue
            yield Bound(one, got)
        elif type(one) is not Bound and id(one) in seen:
            continue
        seen.add(id(one))
        pending += _layer(one, got)


def _layer(value: Any, given: tuple[object, ...]) -> Iterator[tuple[Any, tuple[object, ...]]]:
    """Yield what a call of a value calls in its turn, and what that gets."""
    if type(value) is Bound:
        yield value.function, (*value.given, *given)
    elif type(value) is FunctionType:
        if "__wrapped__" in value.__dict__:
            yield value.__dict__["__wrapped__"], given
    elif type(value) is MethodType:
        yield value.__func__, (value.__self__, *given)
    elif type(value) is functools.partial:
        named = tuple(Keyword(*item) for item in value.keywords.items())
        yield value.func, (*value.args, *given, *named)
    elif issubclass(type(value), type):
        for name, first in (("__new__", value), ("__init__", Fresh(value))):
            for one in _in_classes(value.__mro__, name):
                yield function_of(one), (first, *given)
    else:
        wrapped = _own(value).get("__wrapped__") if not issubclass(type(value), (Fresh, Super)) else None
        if wrapped is not None:  # a task, a cached function
            yield wrapped, given
        for one in _attribute(value, "__call__"):
            if type(one) is Bound:
                yield one, given


class Super(NamedTuple):
    """What ``super()`` returns."""

    value: Any
    mro: tuple[type, ...]


def _members(value: Any) -> Iterator[object]:
    pending: list[Any] = [value]
    seen = {id(value)}
    for one in pending:
        base = next((base for base in _CONTAINERS if issubclass(type(one), base)), None)
        if base is None or len(pending) > _MOST_MEMBERS:
            continue
        inner: list[object] = []
        with suppress(RuntimeError):  # changed by another thread: what it holds is looked up the next time
            inner = list(dict.values(one) if base is dict else base.__iter__(one))
        for member in inner:
            if id(member) not in seen:
                seen.add(id(member))
                pending.append(member)
                yield member


def _attribute(value: Any, name: str) -> Iterator[object]:
    if issubclass(type(value), ModuleType):
        if name in vars(value):
            yield vars(value)[name]
        return
    if issubclass(type(value), type):
        yield from _of_class(value, value.__mro__, name, None)
        return
    if type(value) is Super:
        first = value.value
        cls = first if issubclass(type(first), type) else None
        yield from _of_class(cls, value.mro, name, None if cls is not None else first)
        return
    cls = value.cls if type(value) is Fresh else type(value)
    if type(value) is Fresh and name in _set_on_self(cls):
        return  # it has its own, which is as fresh
    own = {} if type(value) is Fresh else _own(value)
    for found in _in_classes(cls.__mro__, name):
        if issubclass(type(found), property):
            break
        if type(found) is MemberDescriptorType:
            with suppress(AttributeError, TypeError):
                yield found.__get__(value, cls)
            return
    if name in own:
        yield own[name]
        return
    yield from _of_class(cls, cls.__mro__, name, value)


def _set_on_self(cls: type) -> set[str]:
    """Return the attributes that methods of a class set: found once, as each method may be looked up."""
    found: set[str] = set()
    for base in cls.__mro__:
        known = _SET.get(id(base))
        if known is None:
            known = _SET[id(base)] = (base, frozenset(_set_by(vars(base).copy().values())))
        found |= known[1]
    return found


def look_anew() -> None:
    """Forget what methods set, as they may be others now."""
    _SET.clear()


def _set_by(held: Iterable[object]) -> Iterator[str]:
    for one in held:
        if type(one) is FunctionType and one.__code__.co_argcount:
            first = one.__code__.co_varnames[0]
            changes = CODES.facts(one).effects.changes
            yield from (chain[1][:-1] for chain in changes if len(chain) == 2 and chain[0] == first)


def _of_class(cls: type | None, mro: tuple[type, ...], name: str, instance: Any) -> Iterator[object]:
    for found in _in_classes(mro, name):
        function = function_of(found)
        if type(found) is classmethod:
            first = cls if cls is not None else instance.cls if type(instance) is Fresh else type(instance)
            yield from bound_to(function, (first,))
        elif issubclass(type(found), (property, functools.cached_property)):
            if instance is not None and type(function) is FunctionType:
                yield from bound_to(function, (instance,))
        elif type(found) is staticmethod or instance is None:
            yield function
        elif type(function) is FunctionType:
            yield from bound_to(function, (instance,))
        elif type(found) is _FIELD:
            with suppress(AttributeError, TypeError, IndexError):
                yield found.__get__(instance)
        elif type(found) is LRU_CACHED:
            yield from bound_to(found.__wrapped__, (instance,))
        else:
            yield found


def _in_classes(mro: tuple[type, ...], name: str) -> Iterator[Any]:
    for base in mro:
        if name in vars(base):
            yield vars(base)[name]
            return


def setter_of(holder: Any, name: str) -> Iterator[Bound]:
    """Yield what an assignment to an attribute of an object runs, where that is a property."""
    for found in _in_classes(type(holder).__mro__, name):
        if type(found) is property and type(found.fset) is FunctionType:
            yield from bound_to(found.fset, (holder,))


def function_of(found: Any) -> Any:
    """Return the function in what a class holds under the name of a method; anything else as it is."""
    if issubclass(type(found), (staticmethod, classmethod)):
        return found.__func__
    if issubclass(type(found), property):
        return found.fget
    return found.func if type(found) is functools.cached_property else found


def _own(value: Any) -> Mapping[str, Any]:
    return attributes_of(value) or {}
