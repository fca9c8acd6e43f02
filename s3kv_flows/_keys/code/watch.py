"""Detect changes to everything that a digest was made of.

A digest that was computed before costs this check alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import is_
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.syntax.sources import TextStamp, stamp_of

__all__ = ["ABSENT", "Content", "Watch", "content_of"]

ABSENT: Any = object()


class Content(NamedTuple):
    """The content of a value.

    Attributes:
        digest: 32 bytes, in which a class, function or module of the project counts by its name.
        code: Those, in the order in which they were met: what they lead to counts, too.
    """

    digest: bytes
    code: Sequence[object] = ()

    def is_that(self, other: Content) -> bool:
        """Return whether another content is the same, of the same code."""
        return (
            self.digest == other.digest
            and len(self.code) == len(other.code)
            and all(map(is_, self.code, other.code))
        )


def content_of(cell: CellType) -> Any:
    """Return the content of a cell; ABSENT for an empty one."""
    try:
        return cell.cell_contents
    except ValueError:
        return ABSENT


class Watch:
    """Everything that a digest was made of, as it was at that time.

    :meth:`unchanged` compares identities: of the values of global names, attributes of modules, closure
    cells, attributes of classes and functions, and members of containers. Values that can change in place
    without any of those changing (arrays, frames, instances of installed classes) are digested again. Files
    are compared by size and times.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], tuple[Mapping[str, Any], str, object]] = {}
        self._functions: dict[int, tuple[FunctionType, object, object, object]] = {}
        self._cells: dict[int, tuple[CellType, object]] = {}
        self._mappings: dict[int, tuple[Mapping[Any, Any], tuple[object, ...], tuple[object, ...]]] = {}
        self._collections: dict[int, tuple[Collection[Any], tuple[object, ...]]] = {}
        self._values: dict[int, tuple[object, Content]] = {}
        self._modules: dict[str, ModuleType | None] = {}
        self._files: dict[str, TextStamp | None] = {}
        self._calls: list[tuple[Callable[[], object], object]] = []

    def name(self, namespace: Mapping[str, Any], name: str, found: object) -> None:
        """Watch the value of a name; ABSENT for an unbound one."""
        self._names[id(namespace), name] = (namespace, name, found)

    def function(self, function: FunctionType) -> None:
        """Watch the code and the defaults of a function."""
        self._functions[id(function)] = (
            function,
            function.__code__,
            function.__defaults__,
            function.__kwdefaults__,
        )

    def cell(self, cell: CellType, content: object) -> None:
        """Watch the content of a closure's cell; ABSENT for an empty one."""
        self._cells[id(cell)] = (cell, content)

    def mapping(self, mapping: Mapping[Any, Any]) -> None:
        """Watch keys, values and their order."""
        self._mappings[id(mapping)] = (mapping, tuple(_keys(mapping)), tuple(_values(mapping)))

    def collection(self, members: Collection[Any]) -> None:
        """Watch members, and their order."""
        self._collections[id(members)] = (members, tuple(_members(members)))

    def value(self, value: object, content: Content) -> None:
        """Watch a value by its content, as its identity does not show a change."""
        self._values[id(value)] = (value, content)

    def module(self, name: str) -> None:
        """Watch whether a module is loaded, and which."""
        self._modules[name] = sys.modules.get(name)

    def file(self, path: str, stamp: TextStamp | None) -> None:
        """Watch a file."""
        self._files[path] = stamp

    def call(self, look: Callable[[], object], found: object) -> None:
        """Watch the result of a function, by equality."""
        self._calls.append((look, found))

    def objects(self, look: Callable[[], Sequence[object]]) -> None:
        """Watch which objects a function returns."""
        before = look()

        def are_those() -> bool:
            now = look()
            return len(now) == len(before) and all(map(is_, now, before))

        self.call(are_those, found=True)

    def unchanged(self, content: Callable[[object], Content]) -> bool:
        """Return whether all of it is as it was.

        Args:
            content: Returns the content of the values that can change in place.
        """
        for namespace, name, found in self._names.values():
            if namespace.get(name, ABSENT) is not found:
                return False
        for function, code, defaults, keyword_defaults in self._functions.values():
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not keyword_defaults
            ):
                return False
        return self._contents_unchanged() and self._files_unchanged() and self._values_unchanged(content)

    def _contents_unchanged(self) -> bool:
        for cell, found in self._cells.values():
            if content_of(cell) is not found:
                return False
        try:
            for mapping, keys, values in self._mappings.values():
                own = _keys(mapping)
                if len(own) != len(keys) or not (
                    all(map(is_, _values(mapping), values)) and all(map(is_, own, keys))
                ):
                    return False
            for members, snapshot in self._collections.values():
                if not _is_same(members, snapshot):
                    return False
        except RuntimeError:  # changed by another thread meanwhile
            return False
        return True

    def _files_unchanged(self) -> bool:
        modules = sys.modules
        if any(modules.get(name) is not module for name, module in self._modules.items()):
            return False
        return all(stamp_of(path) == stamp for path, stamp in self._files.items())

    def _values_unchanged(self, content: Callable[[object], Content]) -> bool:
        try:
            return all(look() == found for look, found in self._calls) and all(
                content(value).is_that(before) for value, before in self._values.values()
            )
        except Exception:  # noqa: BLE001 -- Unkeyable now, or the value's own code fails
            return False


def _keys(mapping: Mapping[Any, Any]) -> Collection[Any]:
    """Return the keys of a mapping; of a dictionary those that it has, whatever its class says."""
    return dict.keys(mapping) if isinstance(mapping, dict) else mapping.keys()


def _values(mapping: Mapping[Any, Any]) -> Collection[Any]:
    return dict.values(mapping) if isinstance(mapping, dict) else mapping.values()


_BASES: tuple[Any, ...] = (list, set)


def _members(collection: Collection[Any]) -> Iterator[Any]:
    """Return an iterator of a collection; of a list or a set by what it has, whatever its class says."""
    for base in _BASES:
        if isinstance(collection, base):
            found: Iterator[Any] = base.__iter__(collection)
            return found
    return iter(collection)


def _is_same(collection: Collection[Any], snapshot: tuple[object, ...]) -> bool:
    members = tuple(_members(collection))
    return len(members) == len(snapshot) and all(map(is_, members, snapshot))
