"""Values that contain themselves, digested as graphs.

Nodes that are on no cycle have a digest of the digests of their parts. The nodes of a cycle are told apart in
rounds: each has a colour, first of its label, then of its label and the colours of its parts, until a round
finds no more colours than the one before. Two graphs with the same colours at that point look the same from
inside, however often a part occurs, and wherever the visit began: so the order of visits never counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from s3kv_flows._keys.contents.parts.kinds import Parts
from s3kv_flows._keys.errors import Unkeyable

__all__ = ["digest"]

_MOST_STEPS = 1_000_000


@dataclass
class _Node:
    label: bytes
    unordered: bool
    children: list[bytes | int] = field(default_factory=list)
    digest: bytes = b""


def digest(
    root: object, parts_of: Callable[[object], Parts], leaf: Callable[[object], bytes | None]
) -> bytes:
    """Return the digest of a value that contains itself.

    Args:
        root: The value.
        parts_of: Returns the label and the parts of a value.
        leaf: Returns the digest of a value that cannot be on a cycle, None for others.

    Raises:
        Unkeyable: It would take too long.
    """
    nodes = _graph(root, parts_of, leaf)
    for component in _components(nodes):
        first = nodes[component[0]]
        if len(component) == 1 and component[0] not in first.children:
            tokens = [child if isinstance(child, bytes) else nodes[child].digest for child in first.children]
            first.digest = _joined(b"node", first, tokens)
        else:
            _colour(nodes, component)
    return nodes[0].digest


def _graph(
    root: object, parts_of: Callable[[object], Parts], leaf: Callable[[object], bytes | None]
) -> list[_Node]:
    nodes, numbers, kept = list[_Node](), dict[int, int](), list[object]()
    to_do: list[Sequence[object]] = []

    def number(value: object) -> int:
        if id(value) not in numbers:
            numbers[id(value)] = len(nodes)
            parts = parts_of(value)
            nodes.append(_Node(parts.label, parts.unordered))
            kept.append(value)  # or another one could have its address
            to_do.append(parts.children)
        return numbers[id(value)]

    number(root)
    done = 0
    while done < len(nodes):
        for child in to_do[done]:
            token = None if id(child) in numbers else leaf(child)
            nodes[done].children.append(number(child) if token is None else token)
        done += 1
    return nodes


def _components(nodes: list[_Node]) -> list[list[int]]:
    """Return what is strongly connected, parts before what has them (Tarjan, without recursion)."""
    found: list[list[int]] = []
    order, low, on_path, path = dict[int, int](), dict[int, int](), set[int](), list[int]()
    calls = [(0, iter(nodes[0].children))]
    order[0] = low[0] = 0
    path.append(0)
    on_path.add(0)
    while calls:
        node, children = calls[-1]
        for child in children:
            if isinstance(child, bytes):
                continue
            if child not in order:
                order[child] = low[child] = len(order)
                path.append(child)
                on_path.add(child)
                calls.append((child, iter(nodes[child].children)))
                break
            if child in on_path:
                low[node] = min(low[node], order[child])
        else:
            calls.pop()
            if calls:
                low[calls[-1][0]] = min(low[calls[-1][0]], low[node])
            if low[node] == order[node]:
                start = path.index(node) if len(path) < 64 else len(path) - 1 - path[::-1].index(node)
                found.append(path[start:])
                on_path.difference_update(path[start:])
                del path[start:]
    return found


def _colour(nodes: list[_Node], component: list[int]) -> None:
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


def _joined(what: bytes, node: _Node, tokens: list[bytes]) -> bytes:
    return sha256(
        b"%s %d:%s%d;" % (what, len(node.label), node.label, len(node.children))
        + b"".join([sha256(token).digest() for token in (sorted(tokens) if node.unordered else tokens)])
    ).digest()
