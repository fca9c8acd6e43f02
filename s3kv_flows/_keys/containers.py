"""Values that hold no code: atoms, what never changes, and built-in containers of such."""

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

__all__ = ["ATOMS", "CONTAINERS", "NEVER_CHANGE", "containers_in", "is_plain_container"]

ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...))
NEVER_CHANGE = (
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
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter, types.MappingProxyType)
_SEQUENCES = (list, tuple, deque)
_SETS = (set, frozenset)
CONTAINERS = (*_MAPPINGS, *_SEQUENCES, *_SETS)


def is_plain_container(value: Any) -> bool:
    return all(
        kind in ATOMS or kind in NEVER_CHANGE
        for container in containers_in(value)
        for kind in _kinds(container)
        if kind not in CONTAINERS
    )


def _kinds(container: Any) -> set[type]:
    kinds = set(map(type, container))
    if isinstance(container, Mapping):
        kinds |= set(map(type, container.values()))
    if isinstance(container, defaultdict) and container.default_factory is not None:
        kinds.add(type(container.default_factory))
    return kinds


def containers_in(value: Any) -> list[Any]:
    found, seen = [value], {id(value)}
    for container in found:
        if _kinds(container).isdisjoint(CONTAINERS):
            continue
        members = container.values() if isinstance(container, Mapping) else container
        keys = container if isinstance(container, Mapping) else ()
        for member in (*members, *keys):
            if type(member) in CONTAINERS and id(member) not in seen:
                seen.add(id(member))
                found.append(member)
    return found
