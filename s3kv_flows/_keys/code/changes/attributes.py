"""Attributes that code uses of an instance, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from s3kv_flows._keys.code.contained import attributes_of
from s3kv_flows._keys.code.syntax.texts import Chain
from s3kv_flows._keys.code.watch import ABSENT

__all__ = ["AttributePath", "AttributeUsed", "attributes_used"]

_GET = object.__getattribute__


class AttributeUsed(NamedTuple):
    """An attribute in the ``__dict__`` of an instance."""

    holder: Any
    name: str


AttributePath = tuple[AttributeUsed, ...]
"""The attributes that lead from an instance to what is used: of ``settings.cache.rate``, two."""


def attributes_used(
    value: object, chains: Sequence[Chain], is_project: Callable[[type], bool]
) -> list[AttributePath]:
    """Return the attributes that chains such as ``settings.rate`` use of an instance of the project.

    The list is empty where a chain may use more than that: where the instance itself is passed on or called,
    where a method gets it as ``self``, or where its class decides what an attribute is.

    Args:
        value: What the first name of each chain is bound to.
        chains: All uses of that name in some code.
        is_project: Tells whether a class is the project's: others count by their content.
    """
    used: dict[Chain, AttributePath] = {}
    for chain in chains:
        path = _attribute_path(value, chain, is_project)
        if not path:
            return []
        used[chain[: len(path) + 1]] = path
    return list(used.values())


def _attribute_path(value: object, chain: Chain, is_project: Callable[[type], bool]) -> AttributePath:
    path: list[AttributeUsed] = []
    for name in chain[1:]:
        if not _is_plain(value, name, is_project):
            break
        path.append(AttributeUsed(value, name))
        value = vars(value)[name]
    return tuple(path)


def _is_plain(value: object, name: str, is_project: Callable[[type], bool]) -> bool:
    """Return whether reading an attribute gives what the instance's ``__dict__`` has, and runs no code."""
    cls = type(value)
    if issubclass(cls, type) or not is_project(cls) or cls.__getattribute__ is not _GET:
        return False
    attributes = attributes_of(value)
    return (
        type(attributes) is dict
        and attributes.get(name, ABSENT) is not ABSENT
        and not any(name in vars(base) for base in cls.__mro__)
    )
