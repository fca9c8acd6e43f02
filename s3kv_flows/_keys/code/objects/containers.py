"""Built-in containers among the values that code uses, and atoms."""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from s3kv_flows._keys.code.changes.first_seen import CONTENT
from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.errors import Unkeyable, UnsteadyError

__all__ = ["ATOMS", "CONTAINERS", "IMMUTABLE", "Containers", "containers_in", "is_plain_container"]

ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...))
IMMUTABLE = (
    range,
    decimal.Decimal,
    fractions.Fraction,
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    datetime.timezone,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    re.Pattern,
    uuid.UUID,
)
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter, types.MappingProxyType)
_SEQUENCES = (list, tuple, deque)
_SETS = (set, frozenset)
CONTAINERS = (*_MAPPINGS, *_SEQUENCES, *_SETS)


_VISITED = 1_000
"""Members of a container that are visited one by one; a longer one has a single digest."""
_WATCHED = 10_000


class Containers:
    """Finds the tokens of containers, for one walk."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def token(self, value: Any, label: str) -> Token:
        """Return the token of a container."""
        if self._graph.is_changed(value):
            return self._graph.attribute(value, CONTENT, value, label)
        if not is_plain_container(value) and len(value) <= _VISITED:
            return self._graph.node(value, label, lambda: self._members(value, label))
        return self._graph.node(value, label, lambda: self._plain(value, label))

    def _plain(self, value: Any, label: str) -> Iterable[Token]:
        containers = containers_in(value)
        if any(map(self._graph.is_changed, containers)):
            return self._members(value, label)
        is_watched = sum(map(len, containers)) <= _WATCHED and is_plain_container(value)
        if is_watched:
            for one in containers:  # before they are read: what changes in between shows
                self._watch(one)
        try:
            digest = self._graph.rules.value_digest(value)
        except UnsteadyError:
            raise
        except Unkeyable:
            return self._members(value, label)
        if not is_watched:
            self._graph.watch.value(value, digest)
        return [b"value " + digest]

    def _members(self, value: Any, label: str) -> Iterable[Token]:
        yield f"container {type(value).__name__}".encode()
        self._watch(value)
        if isinstance(value, defaultdict):
            yield self._graph.token(value.default_factory, label)
        if isinstance(value, Mapping):
            for key, content in list(value.items()):
                yield self._graph.token(key, label)
                yield self._graph.token(content, label)
        elif isinstance(value, (set, frozenset)):
            # By what each is, not by the order of a set, which is another one in each process.
            for member in sorted(value, key=self._graph.alone):
                yield self._graph.token(member, label)
        else:
            for member in list(value):
                yield self._graph.token(member, label)

    def _watch(self, container: Any) -> None:
        if isinstance(container, Mapping):
            self._graph.watch.mapping(container)
        elif not isinstance(container, (tuple, frozenset)):
            self._graph.watch.collection(container)


def is_plain_container(value: Any) -> bool:
    """Return whether a container holds nothing but atoms, immutable values and containers of such."""
    return all(
        kind in ATOMS or kind in IMMUTABLE
        for container in containers_in(value)
        for kind in _kinds(container)
        if kind not in CONTAINERS
    )


def _kinds(container: Any) -> set[type]:
    kinds = set(map(type, container))
    if isinstance(container, Mapping):
        kinds |= set(map(type, container.values()))
    if isinstance(container, defaultdict) and container.default_factory is not None:
        kinds.add(type(container.default_factory))
    return kinds


def containers_in(value: Any) -> list[Any]:
    """Return a container, and all containers below it."""
    found, seen = [value], {id(value)}
    for container in found:
        if _kinds(container).isdisjoint(CONTAINERS):
            continue
        members = container.values() if isinstance(container, Mapping) else container
        keys = container if isinstance(container, Mapping) else ()
        for member in (*members, *keys):
            if type(member) in CONTAINERS and id(member) not in seen:
                seen.add(id(member))
                found.append(member)
    return found
