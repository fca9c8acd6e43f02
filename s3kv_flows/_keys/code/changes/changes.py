"""Find which objects the walked code changes, by following its calls.

A method changes ``self``; which object that is, a call says: ``CLIENT.fetch()`` runs the method of the class
of ``CLIENT`` with that one object. So calls are followed from the functions that are reached, as far as
their objects are found without running anything. An attribute that nobody is seen to change counts by its
present value: what somebody else changes is never hidden for want of knowledge.
"""

from __future__ import annotations

import contextvars
import io
import random
import weakref
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Protocol

from s3kv_flows._keys.code.changes.first_seen import CONTENT
from s3kv_flows._keys.code.changes.lookup import (
    Bound,
    Fresh,
    Keyword,
    Super,
    bound_to,
    function_of,
    look_anew,
    looked_up,
    setter_of,
)
from s3kv_flows._keys.code.syntax.facts import CODES
from s3kv_flows._keys.code.syntax.texts import Chain
from s3kv_flows._keys.project import is_project_function, module_of

__all__ = ["Changes"]

_MOST_CALLS = 5_000
_MOST_OBJECTS = 50
_CONTAINERS = (dict, list, set, deque, weakref.WeakSet)
_FILLED = {
    "_heapq": {"heappush", "heappop", "heapify", "heappushpop", "heapreplace"},
    "_bisect": {"insort", "insort_left", "insort_right"},
}
"""Functions that change what they are given first."""
_BY_USE: tuple[tuple[type, Collection[str] | None], ...] = (
    (random.Random, None),
    (contextvars.ContextVar, {"set", "reset"}),
    (io.StringIO, {"write", "writelines", "read", "readline", "readlines", "seek", "truncate", "__iter__"}),
    (io.BytesIO, {"write", "writelines", "read", "readline", "readlines", "seek", "truncate", "__iter__"}),
)
"""Methods of installed classes that change the object; None for all of them."""
_GENERATORS = {"numpy.Generator", "numpy.RandomState", "numpy.mtrand.RandomState"}


class Marks(Protocol):
    """What takes the findings."""

    def mark_written(self, holder: object, name: str, *, rebound: bool) -> None:
        """Record that an object's attribute is changed."""


class Changes:
    """What the functions of one walk change. What they reach later is followed when it is visited."""

    def __init__(self, marks: Marks, packages: Collection[str]) -> None:
        look_anew()
        self._marks = marks
        self._packages = packages
        self._names: set[str] = set()
        self._members: dict[int, tuple[str, type]] = {}
        self._waiting: dict[str, list[Bound]] = {}
        self._done: set[tuple[object, ...]] = set()
        self._to_do: list[Bound] = []
        self._kept: list[object] = []

    def call(self, value: object) -> None:
        """Follow a call of any value, of which nothing is known but that."""
        self._to_do += bound_to(value)
        self._follow()

    def member(self, cls: type, name: str, value: object) -> None:
        """Note a method of a class: it is followed once its name is used."""
        for function in (function_of(value), value.fset if type(value) is property else None):
            if type(function) is FunctionType:
                self._members[id(function)] = name, cls
                self._kept.append(function)

    def visit(self, function: FunctionType) -> None:
        """Follow a function that is reached."""
        known = self._members.get(id(function))
        if known is None:
            self._to_do.append(Bound(function, ()))
        else:
            name, cls = known
            bound = Bound(function, (Fresh(cls),))
            if name in self._names or (name.startswith("__") and name.endswith("__")):
                self._to_do.append(bound)
            else:
                self._waiting.setdefault(name, []).append(bound)
        self._follow()

    def _follow(self) -> None:
        while self._to_do:
            bound = self._to_do.pop()
            function, given = bound
            at = (id(function), *(part for one in given for part in _known_by(one)))
            if at in self._done or len(self._done) > _MOST_CALLS:
                continue
            if not is_project_function(function, self._packages):
                continue
            self._done.add(at)
            self._kept.append(bound)
            facts = CODES.facts(function)
            for name in facts.uses.names - self._names:
                self._names.add(name)
                self._to_do += self._waiting.pop(name, ())
            _Run(self._marks, bound, self._to_do).run()


class _Run:
    """One function, with what it is given."""

    def __init__(self, marks: Marks, bound: Bound, to_do: list[Bound]) -> None:
        self._marks = marks
        self._to_do = to_do
        function: Any = bound.function
        self._function = function
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]
        defaults = function.__defaults__ or ()
        # From the last one: a program may set more defaults than there are arguments.
        self._locals: dict[str, object] = dict(zip(reversed(names), reversed(defaults), strict=False))
        self._locals.update(function.__kwdefaults__ or {})
        self._locals.update(
            zip(names, (one for one in bound.given if type(one) is not Keyword), strict=False)
        )
        self._locals.update({one.name: one.value for one in bound.given if type(one) is Keyword})
        self._first: object = bound.given[0] if bound.given else None
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # empty as yet
                self._locals.setdefault(name, cell.cell_contents)
        self._locals = {name: one for name, one in self._locals.items() if one is not _UNKNOWN}
        self._found: dict[Chain, list[object]] = {}

    def run(self) -> None:
        effects = CODES.facts(self._function).effects
        for chain in sorted(effects.uses):
            self._use(chain)
        for callee, given in sorted(effects.calls, key=repr):
            self._call(callee, given)
        for chain in sorted(effects.changes):
            self._change(chain)

    def _use(self, chain: Chain) -> None:
        for value in self._objects(chain[:-1]):
            if _changes_by_use(value, chain[-1]):
                self._marks.mark_written(value, CONTENT, rebound=False)
        also = [(*chain[:-1], "__missing__")] if chain[-1] == "__getitem__" else []
        for found in [one for path in (chain, *also) for one in self._objects(path)]:
            if type(found) is Bound:
                self._to_do.append(found)

    def _call(self, callee: Chain, given: Sequence[Chain | None]) -> None:
        arguments = [self._arguments(one) if one else [] for one in given]
        for value in self._objects(callee):
            if type(value) is BuiltinFunctionType:
                if value.__name__ in _FILLED.get(str(value.__module__), ()) and arguments:
                    for one in arguments[0]:
                        self._marks.mark_written(one, CONTENT, rebound=False)
                continue
            for number in range(max([1, *map(len, arguments)])):
                one_each = tuple(
                    found[min(number, len(found) - 1)] if found else _UNKNOWN for found in arguments
                )
                self._to_do += bound_to(value, one_each)

    def _arguments(self, given: Chain) -> list[object]:
        if not given[0].endswith("="):
            return self._objects(given)
        return [Keyword(given[0][:-1], one) for one in self._objects(given[1:])]

    def _change(self, chain: Chain) -> None:
        if chain[-1].endswith("="):
            name = chain[-1][:-1]
            for holder in self._objects(chain[:-1]):
                self._rebind(holder, name)
            return
        for found in self._objects(chain):
            value = found.value if type(found) is Super else found
            kind = type(value)
            if issubclass(kind, (type, ModuleType, Fresh, Bound)):
                continue
            if issubclass(kind, _CONTAINERS) or any("__setitem__" in vars(base) for base in kind.__mro__):
                self._marks.mark_written(value, CONTENT, rebound=False)

    def _rebind(self, holder: object, name: str) -> None:
        if issubclass(type(holder), (Fresh, Bound, Super)):
            return
        self._to_do += setter_of(holder, name)
        self._marks.mark_written(
            vars(holder) if issubclass(type(holder), ModuleType) else holder, name, rebound=True
        )
        if any("__pydantic_fields_set__" in vars(base) for base in type(holder).__mro__):
            self._marks.mark_written(holder, "__pydantic_fields_set__", rebound=True)

    def _objects(self, chain: Chain) -> list[object]:
        known = self._found.get(chain)
        if known is None:
            known = self._found[chain] = list(self._look_up(chain))[:_MOST_OBJECTS]
        return known

    def _look_up(self, chain: Chain) -> Iterator[object]:
        if len(chain) > 1:
            for value in self._objects(chain[:-1]):
                yield from looked_up(value, chain[-1])
            return
        root = chain[0]
        if root == "super()":
            owner: Any = self._locals.get("__class__")
            if issubclass(type(owner), type) and self._first is not None:
                yield from looked_up(self._first, root, owner)
        elif root.startswith("@"):
            if root[1:] in self._function.__globals__:
                yield self._function.__globals__[root[1:]]
        elif root in self._locals:
            yield self._locals[root]


def _known_by(given: object) -> tuple[object, ...]:
    if type(given) is Keyword:
        return given.name, *_known_by(given.value)
    return ("fresh", id(given.cls)) if type(given) is Fresh else (id(given),)


class _Unknown:
    pass


_UNKNOWN = _Unknown()


def _changes_by_use(value: Any, name: str) -> bool:
    if issubclass(type(value), defaultdict):
        return name == "__getitem__" and value.default_factory is not None
    if name.startswith("__") and name != "__iter__":
        return False
    kind = type(value)
    if f"{module_of(kind).partition('.')[0]}.{kind.__qualname__}" in _GENERATORS:
        return True
    return any(issubclass(kind, cls) and (names is None or name in names) for cls, names in _BY_USE)
