"""The first look at a value that the walked code changes.

Its digest must not depend on what else was looked at before, or on which of several values that lead to each
other came first: other processes look in another order. So values that lead to each other are seen together,
in one graph; and what they lead to, and what does not lead back, is seen before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

from s3kv_flows._keys.code.changes.first_seen import FirstSeen, Written
from s3kv_flows._keys.colours import Node, colour, components

__all__ = ["Explored", "Met", "digest_of_token", "first_look"]


class Met(NamedTuple):
    """A written name that was met on a first look, and not seen before.

    Attributes:
        written: The name.
        value: What it is bound to.
        node: The number of that value's node.
    """

    written: Written
    value: object
    node: int


class Explored(Protocol):
    """What a walk found from some values."""

    @property
    def roots(self) -> Sequence[bytes | int]:
        """The tokens of those values."""

    @property
    def met(self) -> Sequence[Met]:
        """The written names that were met."""

    def coloured(self) -> list[Node]:
        """Return the nodes, not coloured as yet."""


def first_look(
    first_seen: FirstSeen, written: Written, value: object, explore: Callable[[object], Explored]
) -> bytes:
    """Return the digest of a written name's value that was not seen before, and keep it.

    Args:
        first_seen: Keeps it, with those of the names that it leads to.
        written: The name.
        value: What it is bound to.
        explore: Walks from a value, and visits what written names are bound to, unless that was seen.
    """
    pending: list[tuple[Written, object]] = [(written, value)]
    with first_seen.looking():
        while pending:
            wanted, value = pending[-1]
            if first_seen.get(wanted) is None:
                below = _look(first_seen, wanted, explore(value), {one.at for one, _ in pending})
                if below:
                    pending += below
                    continue
            pending.pop()
        found = first_seen.get(written)
    assert found is not None  # noqa: S101 -- nothing is forgotten meanwhile
    return found


def _look(
    first_seen: FirstSeen, wanted: Written, explored: Explored, pending: set[tuple[int, str, int]]
) -> list[tuple[Written, object]]:
    """Keep what was seen; or return what has to be seen before, the last first."""
    root = explored.roots[0]
    if isinstance(root, bytes):
        first_seen.keep(wanted, digest_of_token(root))
        return []
    nodes = explored.coloured()
    found = components(nodes)
    rank = {number: at for at, component in enumerate(found) for number in component}
    below = [one for one in explored.met if rank[one.node] != rank[root] and one.written.at not in pending]
    if below:
        below.sort(key=lambda one: -rank[one.node])
        return [(one.written, one.value) for one in below]
    colour(nodes, found)
    for one in explored.met:
        if rank[one.node] == rank[root]:
            first_seen.keep(one.written, nodes[one.node].digest)
    first_seen.keep(wanted, nodes[root].digest)
    return []


def digest_of_token(token: bytes) -> bytes:
    """Return the digest of a value that leads to no other one, by its token."""
    return sha256(b"first look" + token).digest()
