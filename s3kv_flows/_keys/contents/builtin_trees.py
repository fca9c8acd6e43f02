"""Built-in containers and atoms, written by the C pickler.

No Python code runs per atom. The pickler runs in its fast mode, which writes a shared part as often as it
occurs, so that a copy and a reference are the same. Fast mode would also unroll without end: ``x = [x, x]``,
sixty times, is 2**60 lists. So :func:`measure` first counts the parts of the unrolled tree, level by level
and in C, and stops past a small number. The caller then cuts the tree into pieces.

An object that is no built-in, as one in a list, is put into the memo of the pickler before it runs: the
pickler writes a reference by number, and never visits the object.
"""

from __future__ import annotations

import gc
import marshal
import pickle
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

__all__ = ["CONTAINERS", "Tree", "flattened", "measure", "small_blob", "write"]

ATOMS = frozenset({int, float, bool, type(None), str, bytes, bytearray})
CONTAINERS = frozenset({list, tuple, dict})
BUILTIN = ATOMS | CONTAINERS

MOST_PARTS = 2048
"""A tree with more parts below its first level, unrolled, is taken in pieces: it bounds what a part that
is shared by many costs, and how much is looked at in vain."""

_SMALL = frozenset({int, float, bool, type(None), str, list, tuple, dict})
_SMALL_PARTS = 256
_SHORT = 4096
_FORMAT = 2  # of marshal: the last one that knows nothing of interned strings and shared parts
_PROTOCOL = 5


class Tree(NamedTuple):
    """What was found in a sequence of values and below.

    Attributes:
        others: What is neither an atom nor a container, in no particular order, as often as it occurs.
        size: How many parts there are below the first level; where it is more than ``MOST_PARTS``, at least
            so many.
        small: Whether ``small_blob`` can write it.
    """

    others: list[object]
    size: int
    small: bool


def measure(values: Sequence[object]) -> Tree:
    """Look at builtin trees without unrolling more than ``MOST_PARTS`` of what is below the values."""
    level, others = values, list[object]()
    size, small = 0, len(values) <= _SMALL_PARTS
    while True:
        kinds = set(map(type, level))
        if small:
            small = kinds <= _SMALL and (str not in kinds or _are_short(level))
        kinds -= ATOMS
        if not kinds:
            return Tree(others, size, small)
        if not kinds <= CONTAINERS:
            others.extend([one for one in level if type(one) not in BUILTIN])
        inner: list[Any] = [one for one in level if type(one) in CONTAINERS]
        if not inner:
            return Tree(others, size, small=False)
        size += sum(map(len, inner))
        if size > MOST_PARTS:
            return Tree(others, size, small=False)
        if small:
            # Whether keys are in the next level depends on which ones a dict once had.
            small = size <= _SMALL_PARTS and all(_are_short(one) for one in inner if type(one) is dict)
        level = gc.get_referents(*inner)  # of dicts with plain strings for keys, the values alone


def _are_short(values: Iterable[object]) -> bool:
    return all(type(one) is not str or len(one) <= _SHORT for one in values)


def small_blob(values: Sequence[Any]) -> bytes:
    """Return the bytes of a few builtin values that ``measure`` calls small."""
    return marshal.dumps(tuple(values), _FORMAT)


def write(
    update: Callable[[Any], object], values: Sequence[object], numbers: Mapping[int, tuple[int, object]]
) -> None:
    """Write builtin trees that are not larger than ``MOST_PARTS`` piece by piece; large atoms as they are.

    Args:
        update: Takes the pieces.
        values: The trees.
        numbers: What is written as a number, by ``id``: the number, and the object. All others must be in.
    """
    pickler = pickle.Pickler(_Sink(update), _PROTOCOL)
    pickler.fast = True
    if numbers:
        pickler.memo = dict(numbers)
    pickler.dump(values if type(values) is list else list(values))


def flattened(container: Collection[Any]) -> Sequence[object]:
    """Return the parts of a list, a tuple or a dict (keys and values in turn) in their order."""
    if type(container) is dict:
        return list(chain.from_iterable(container.items()))  # at once, whatever other threads do
    return container if isinstance(container, (list, tuple)) else list(container)


class _Sink:
    """A file as far as a pickler cares."""

    __slots__ = ("write",)

    def __init__(self, update: Callable[[Any], object]) -> None:
        self.write = update
