"""The types that all files of this room share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from s3kv_flows._keys.project import module_of

__all__ = ["CycleError", "Parts", "PartsOf", "Token", "Walk", "name_of"]


class CycleError(Exception):
    """Raised by an examination to itself: a value contains itself."""


class Parts(NamedTuple):
    """What of a value counts, besides its type.

    Attributes:
        label: Flags, and the content of what has no parts.
        children: The parts that are values themselves.
        unordered: Whether the order of the children says nothing.
    """

    label: bytes
    children: Sequence[object] = ()
    unordered: bool = False


class Token:
    """A part whose digest is already known: it need not be kept, or looked at again."""

    __slots__ = ("digest",)

    def __init__(self, digest: bytes) -> None:
        self.digest = digest


class Walk(Protocol):
    """The examination under way, as far as the parts of a value need it."""

    holds_secret: bool

    def settled(self, value: Any) -> object:
        """Return a part that is made for the occasion as what may take its place, so that it can go."""

    def code_of(self, value: object) -> bytes | None:
        """Return the digest of the code of a class, function or module of the project; None for others."""

    def secret(self, value: object) -> bytes:
        """Return a slow digest of a value, and note that there is one."""


PartsOf = Callable[[Walk, Any], Parts]
"""Returns the parts of a value of one type."""


def name_of(kind: type) -> str:
    """Return the name of a class by which this room knows it: its library, and its qualified name.

    Libraries move their classes between modules.
    """
    return f"{module_of(kind).partition('.')[0]}.{kind.__qualname__}"
