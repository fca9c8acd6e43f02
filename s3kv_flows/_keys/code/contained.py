"""Atoms, built-in containers and what is in these, and attributes."""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from typing import Any

__all__ = [
    "ATOMS",
    "CONTAINERS",
    "IMMUTABLE",
    "attributes_of",
    "containers_in",
    "is_container",
    "kinds_in",
    "members_of",
]

ATOMS = frozenset((type(None), bool, int, float, complex, str, bytes, type(...)))
IMMUTABLE = frozenset(
    (
        range,
        decimal.Decimal,
        fractions.Fraction,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
        pathlib.PosixPath,
        pathlib.WindowsPath,
        re.Pattern,
        uuid.UUID,
    )
)
CONTAINERS = frozenset(
    (
        dict,
        OrderedDict,
        defaultdict,
        Counter,
        types.MappingProxyType,
        list,
        tuple,
        deque,
        set,
        frozenset,
    )
)


def attributes_of(value: object) -> dict[str, Any] | None:
    """Return the ``__dict__`` of an object, without a question to its class; None where it has none."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001 -- a property of that name may raise anything
        return None
    return found if issubclass(type(found), dict) else None


def containers_in(value: Any) -> list[Any]:
    """Return a container, and all containers below it; nothing for what is none."""
    if not is_container(value):
        return []
    found, seen = [value], {id(value)}
    for container in found:
        if CONTAINERS.isdisjoint(kinds_in(container)):
            continue
        for member in members_of(container):
            if is_container(member) and id(member) not in seen:
                seen.add(id(member))
                found.append(member)
    return found


def members_of(container: Any) -> list[Any]:
    """Return the members of a container; of a mapping, its values and its keys."""
    return [*container.values(), *container] if isinstance(container, Mapping) else list(container)


def kinds_in(container: Any) -> set[type]:
    """Return the types of the members of a container."""
    members = members_of(container)
    if isinstance(container, defaultdict) and container.default_factory is not None:
        members.append(container.default_factory)
    try:
        return set(map(type, members))
    except Exception:  # noqa: BLE001 -- a metaclass may have any hash, or none: such a class is as any other
        return {kind if type(kind) is type else object for kind in map(type, members)}


def is_container(value: object) -> bool:
    """Return whether a value is a built-in container, and not of a class that is derived of one."""
    kind = type(value)
    return type(kind) is type and kind in CONTAINERS  # a metaclass may have any hash
