"""Nodes of a graph, told apart by what they lead to.

Nodes that are on no cycle have a digest of the digests of what they lead to. The nodes of a cycle are told
apart in rounds: each has a colour, first of its label, then of its label and the colours of its children,
until a round finds no more colours than the one before. Two graphs with the same colours at that point look
the same from inside, wherever a visit began: so no digest depends on the order of visits, nor on what leads
to a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from s3kv_flows._keys.errors import Unkeyable

__all__ = ["Node", "colour", "components"]

_MOST_STEPS = 1_000_000


@dataclass
class Node:
    """A node.

    Attributes:
        label: What it is by itself.
        unordered: Whether the order of its children does not count.
        children: Numbers of other nodes, and bytes for what is none.
        digest: Of the node with everything that it leads to, once it is coloured.
    """

    label: bytes
    unordered: bool
    children: list[bytes | int] = field(default_factory=list)
    digest: bytes = b""


def colour(nodes: Sequence[Node], found: Sequence[Sequence[int]]) -> None:
    """Find the digest of each node.

    Args:
        nodes: All nodes of the graph.
        found: Their components, see :func:`components`.

    Raises:
        Unkeyable: It would take too long.
    """
    for component in found:
        first = nodes[component[0]]
        if len(component) == 1 and component[0] not in first.children:
            tokens = [child if isinstance(child, bytes) else nodes[child].digest for child in first.children]
            first.digest = _joined(b"node", first, tokens)
        else:
            _colour_cycle(nodes, component)


def components(nodes: Sequence[Node]) -> list[list[int]]:
    """Return what is strongly connected, children before what leads to them (Tarjan, without recursion)."""
    search = _Search(nodes)
    for start in range(len(nodes)):
        search.go(start)
    return search.found


class _Search:
    def __init__(self, nodes: Sequence[Node]) -> None:
        self.found: list[list[int]] = []
        self._nodes = nodes
        self._order: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._path: list[int] = []
        self._places: dict[int, int] = {}  # of nodes, on the path

    def go(self, start: int) -> None:
        if start in self._order:
            return
        calls = [(start, iter(self._nodes[start].children))]
        self._enter(start)
        low = self._low
        while calls:
            node, children = calls[-1]
            for child in children:
                if isinstance(child, bytes):
                    continue
                if child not in self._order:
                    self._enter(child)
                    calls.append((child, iter(self._nodes[child].children)))
                    break
                if child in self._places:
                    low[node] = min(low[node], self._order[child])
            else:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[node])
                if low[node] == self._order[node]:
                    self._leave(node)

    def _enter(self, node: int) -> None:
        self._order[node] = self._low[node] = len(self._order)
        self._places[node] = len(self._path)
        self._path.append(node)

    def _leave(self, node: int) -> None:
        component = self._path[self._places[node] :]
        del self._path[self._places[node] :]
        for one in component:
            del self._places[one]
        self.found.append(component)


def _colour_cycle(nodes: Sequence[Node], component: Sequence[int]) -> None:
    members = set(component)
    colours = {number: _joined(b"start", nodes[number], []) for number in component}
    seen, steps = 0, 0
    while len(found := set(colours.values())) > seen:
        seen = len(found)
        steps += len(component)
        if steps > _MOST_STEPS:
            raise Unkeyable(
                f"{len(component)} objects refer to each other in a long cycle", "pass them as a list"
            )
        colours = {
            number: _joined(
                b"cycle",
                nodes[number],
                [
                    child
                    if isinstance(child, bytes)
                    else colours[child]
                    if child in members
                    else nodes[child].digest
                    for child in nodes[number].children
                ],
            )
            for number in component
        }
    together = sha256(b"".join(sorted(found))).digest()
    for number in component:
        nodes[number].digest = sha256(b"on a cycle" + together + colours[number]).digest()


def _joined(what: bytes, node: Node, tokens: list[bytes]) -> bytes:
    return sha256(
        b"%s %d:%s%d;" % (what, len(node.label), node.label, len(node.children))
        + b"".join([sha256(token).digest() for token in (sorted(tokens) if node.unordered else tokens)])
    ).digest()
