"""Built-in containers among the values that code uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from s3kv_flows._keys.code.changes.first_seen import CONTENT
from s3kv_flows._keys.code.contained import (
    ATOMS,
    CONTAINERS,
    IMMUTABLE,
    containers_in,
    is_container,
    kinds_in,
    members_of,
)
from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.errors import Unkeyable, UnsteadyError

__all__ = ["Containers"]

_PLAIN = ATOMS | IMMUTABLE
_CODE = frozenset((FunctionType, MethodType, partial, type))
_VISITED = 1_000
"""Members of a container that are visited one by one; a longer one has a single digest, but for code."""
_WATCHED = 10_000


class Containers:
    """Finds the tokens of containers, for one walk."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._plain: dict[int, tuple[bool, object]] = {}
        """Of containers that were looked into from above: whether each is plain."""
        self._split: dict[int, object] = {}
        """Containers that have no digest as a whole, and all below them, which are not tried again."""

    def token(self, value: Any, label: str) -> Token:
        """Return the token of a container."""
        if self._graph.is_changed(value):
            return self._graph.attribute(value, CONTENT, value, label)
        unordered = isinstance(value, (set, frozenset))
        if id(value) in self._split or (not self._is_plain(value) and self._is_visited(value)):
            return self._graph.node(value, label, lambda: self._members(value, label), unordered=unordered)
        return self._graph.node(value, label, lambda: self._whole(value, label), unordered=unordered)

    def _is_visited(self, value: Any) -> bool:
        return len(value) <= _VISITED or not _CODE.isdisjoint(kinds_in(value))

    def _whole(self, value: Any, label: str) -> Iterable[Token]:
        containers = containers_in(value)
        is_split = any(map(self._graph.is_changed, containers))
        if not is_split:
            is_watched = sum(map(len, containers)) <= _WATCHED and self._is_plain(value)
            if is_watched:
                for one in containers:  # before they are read: what changes in between shows
                    self._watch(one)
            try:
                return self._graph.content(value, label, is_watched=not is_watched)
            except UnsteadyError:
                raise
            except Unkeyable:
                pass
        self._split.update((id(one), one) for one in containers)
        return self._members(value, label)

    def _members(self, value: Any, label: str) -> Iterable[Token]:
        yield f"container {type(value).__name__}".encode()
        self._watch(value)
        if isinstance(value, defaultdict):
            yield self._graph.token(value.default_factory, label)
        if isinstance(value, Mapping):
            for key, content in list(value.items()):
                yield self._graph.token(key, label)
                yield self._graph.token(content, label)
        else:
            is_set = isinstance(value, (set, frozenset))
            for member in self._graph.ordered(list(value)) if is_set else list(value):
                yield self._graph.token(member, label)

    def _watch(self, container: Any) -> None:
        if isinstance(container, Mapping):
            self._graph.watch.mapping(container)
        elif not isinstance(container, (tuple, frozenset)):
            self._graph.watch.collection(container)

    def _is_plain(self, value: Any) -> bool:
        """Return whether a container holds atoms, immutable values and containers of such alone."""
        known = self._plain.get(id(value))
        if known is None:
            for one, is_plain in _plain_in(value):
                self._plain[id(one)] = is_plain, one
            known = self._plain[id(value)]
        return known[0]


def _plain_in(value: Any) -> Iterable[tuple[Any, bool]]:
    """Yield a container, and those below it, each with whether it is plain: all in one pass."""
    containers = containers_in(value)
    around: dict[int, list[int]] = {}
    mixed: list[int] = []
    for container in containers:
        kinds = kinds_in(container)
        if not kinds <= _PLAIN | CONTAINERS:
            mixed.append(id(container))
        if not CONTAINERS.isdisjoint(kinds):
            for member in members_of(container):
                if is_container(member):
                    around.setdefault(id(member), []).append(id(container))
    found = set(mixed)
    for one in mixed:
        new = [outer for outer in around.get(one, ()) if outer not in found]
        found.update(new)
        mixed += dict.fromkeys(new)
    return [(container, id(container) not in found) for container in containers]
