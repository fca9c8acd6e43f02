"""Values that contain themselves, digested as graphs.

The order of visits never counts, nor how often a part occurs: see :mod:`s3kv_flows._keys.colours`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from s3kv_flows._keys.colours import Node, colour, components
from s3kv_flows._keys.contents.parts.kinds import Parts

__all__ = ["digest"]


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
    colour(nodes, components(nodes))
    return nodes[0].digest


def _graph(
    root: object, parts_of: Callable[[object], Parts], leaf: Callable[[object], bytes | None]
) -> list[Node]:
    nodes, numbers, kept = list[Node](), dict[int, int](), list[object]()
    to_do: list[Sequence[object]] = []

    def number(value: object) -> int:
        if id(value) not in numbers:
            numbers[id(value)] = len(nodes)
            parts = parts_of(value)
            nodes.append(Node(parts.label, parts.unordered))
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
