"""The parts of values, by type: one table, without importing libraries."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from s3kv_flows._keys.contents.parts import (
    arrays,
    arrow,
    functions,
    objects,
    refused,
    secrets,
    standard,
    tables,
    tensors,
)
from s3kv_flows._keys.contents.parts.kinds import CycleError, Parts, PartsOf, Token, Walk, name_of
from s3kv_flows._keys.errors import Unkeyable, changed_meanwhile

__all__ = ["CycleError", "Parts", "Token", "Walk", "layout_of", "parts_of"]

_TABLE: dict[str, PartsOf] = {
    **standard.PARTS,
    **objects.PARTS,
    **functions.PARTS,
    **arrays.PARTS,
    **tensors.PARTS,
    **tables.PARTS,
    **arrow.PARTS,
    **secrets.PARTS,
    **refused.PARTS,
}

_known: WeakKeyDictionary[type, PartsOf] = WeakKeyDictionary()


def parts_of(walk: Walk, value: object) -> Parts:
    """Return what of a value counts.

    Raises:
        Unkeyable: It has no content to digest, or reading it would change it.
    """
    try:
        return _parts_of_kind(type(value))(walk, value)
    except (Unkeyable, CycleError, RecursionError, MemoryError):
        raise
    except Exception as exc:  # a class of a user or a library may raise anything
        if changed_meanwhile(exc):
            raise
        raise refused.undigestible(type(value), exc) from exc


def layout_of(value: object) -> objects.Layout | None:
    """Return how an instance holds its attributes, None for what is more than those.

    Raises:
        Unkeyable: As for ``parts_of``.
    """
    if _parts_of_kind(type(value)) is not objects.instance:
        return None
    try:
        return objects.layout_of(value)
    except Exception as exc:  # as above
        if changed_meanwhile(exc):
            raise
        raise refused.undigestible(type(value), exc) from exc


def _parts_of_kind(kind: type) -> PartsOf:
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = _found_parts_of(kind)
    return found


def _found_parts_of(kind: type) -> PartsOf:
    bases = {name_of(base): vars(base) for base in kind.__mro__}
    for name, members in bases.items():
        if name in _TABLE:
            return _TABLE[name]
        if "__next__" in members or "__anext__" in members:
            # An open file is an iterator, too, and there is more to say of it.
            return next((refused.PARTS[one] for one in bases if one in refused.PARTS), refused.iterator)
    return objects.instance
