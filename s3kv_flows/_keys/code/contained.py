"""Atoms and built-in containers, and what is in these."""

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

__all__ = ["ATOMS", "CONTAINERS", "IMMUTABLE", "containers_in", "kinds_in", "members_of"]

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


def containers_in(value: Any) -> list[Any]:
    """Return a container, and all containers below it; nothing for what is none."""
    if type(value) not in CONTAINERS:
        return []
    found, seen = [value], {id(value)}
    for container in found:
        if CONTAINERS.isdisjoint(kinds_in(container)):
            continue
        for member in members_of(container):
            if type(member) in CONTAINERS and id(member) not in seen:
                seen.add(id(member))
                found.append(member)
    return found


def members_of(container: Any) -> list[Any]:
    """Return the members of a container; of a mapping, its values and its keys."""
    return [*container.values(), *container] if isinstance(container, Mapping) else list(container)


def kinds_in(container: Any) -> set[type]:
    """Return the types of the members of a container."""
    kinds = set(map(type, container))
    if isinstance(container, Mapping):
        kinds |= set(map(type, container.values()))
    if isinstance(container, defaultdict) and container.default_factory is not None:
        kinds.add(type(container.default_factory))
    return kinds
