"""The order of members of sets: by what each is."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Protocol

from s3kv_flows._keys.code.contained import ATOMS
from s3kv_flows._keys.code.syntax.facts import CODES
from s3kv_flows._keys.code.syntax.texts import constant, encoded
from s3kv_flows._keys.colours import Node, colour, components
from s3kv_flows._keys.project import is_project_function, qualname_of

__all__ = ["Order", "label_of"]

_MOST_MEMBERS = 8
_MOST_LAYERS = 10


class Explored(Protocol):
    """What a walk found from the members of sets, and in which order it does not matter."""

    @property
    def roots(self) -> Sequence[bytes | int]:
        """The tokens of the members."""

    @property
    def subjects(self) -> Sequence[object]:
        """What the nodes are of."""

    def coloured(self) -> list[Node]:
        """Return the nodes, not coloured as yet."""


class Order:
    """Sorts members of sets, for one walk.

    Each has a label that costs little: its name and its own text. Where labels tie, as those of closures of
    one function, one more walk from all of these tells them apart by everything that they lead to.

    Args:
        explore: Walks from some values, and counts members of sets in any order; None for such a walk, in
            which ties do not matter.
    """

    def __init__(self, explore: Callable[[Sequence[object]], Explored] | None) -> None:
        self._explore = explore
        self._colours: dict[int, tuple[bytes, object]] = {}

    def sorted(self, members: Iterable[Any]) -> list[Any]:
        """Return members in their order."""
        labelled = [(label_of(one), one) for one in members]
        labelled.sort(key=lambda item: item[0])
        labels = [label for label, _ in labelled]
        if self._explore is None or len(set(labels)) == len(labels):
            return [one for _, one in labelled]
        count: dict[bytes, int] = {}
        for label in labels:
            count[label] = count.get(label, 0) + 1
        self._tell_apart([one for label, one in labelled if count[label] > 1])
        nothing = (b"", None)
        labelled.sort(key=lambda item: (item[0], self._colours.get(id(item[1]), nothing)[0]))
        return [one for _, one in labelled]

    def _tell_apart(self, tied: Sequence[object]) -> None:
        if self._explore is None or all(id(one) in self._colours for one in tied):
            return
        explored = self._explore(tied)
        nodes = explored.coloured()
        colour(nodes, components(nodes))
        # What a walk from here meets later needs no further one.
        for node, subject in zip(nodes, explored.subjects, strict=True):
            self._colours.setdefault(id(subject), (node.digest, subject))
        for token, one in zip(explored.roots, tied, strict=True):
            found = token if isinstance(token, bytes) else nodes[token].digest
            self._colours.setdefault(id(one), (found, one))


def label_of(value: Any) -> bytes:
    """Return a label of a value that depends on the value itself alone, not on what it leads to."""
    layers = b""
    for _ in range(_MOST_LAYERS):
        kind = type(value)
        if kind is MethodType:
            value = value.__func__
        elif kind is functools.partial:
            value = value.func
        else:
            break
        layers += encoded(kind.__name__) + b" "
    return layers + _label(value, type(value))


def _label(value: Any, kind: type) -> bytes:
    if type(kind) is type and kind in ATOMS:  # a metaclass may have any hash
        return encoded(f"{kind.__name__} {constant(value)}")
    if kind is FunctionType:
        own = CODES.facts(value).digest if is_project_function(value) else b""
        return encoded(f"function {value.__qualname__} ") + own
    if issubclass(kind, type):
        return encoded(f"class {qualname_of(value)}")
    if kind is BuiltinFunctionType:
        return encoded(f"built in {value.__qualname__}")
    if (kind is tuple or kind is frozenset) and len(value) <= _MOST_MEMBERS:
        members = [
            label_of(one) if not issubclass(type(one), (tuple, frozenset)) else encoded(type(one).__name__)
            for one in value
        ]
        return b"%s %s" % (encoded(kind.__name__), b"\n".join(members if kind is tuple else sorted(members)))
    if issubclass(kind, enum.Enum):
        name = vars(value).get("_name_")
        return encoded(f"member {qualname_of(kind)}.{name}")
    return encoded(f"{kind.__name__} {qualname_of(kind)}")
