"""The parts of classes and instances that count, without derived attributes."""

from __future__ import annotations

import abc
import contextlib
import enum
import functools
import sys
from collections.abc import Collection, Iterator, Mapping
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from s3kv_flows._keys.code.classes.fields import fields_of_class, function_of, slots_of
from s3kv_flows._keys.code.classes.generated import changed_later, is_derived
from s3kv_flows._keys.project import is_project_module, module_of

__all__ = [
    "LRU_CACHED",
    "NOT_CONTENT",
    "Registry",
    "is_project_class",
    "parts_of_class",
    "state_of",
]


class Registry:
    """The classes that were registered with an abstract one, which C keeps.

    Args:
        cls: The abstract class.
    """

    def __init__(self, cls: type) -> None:
        self._cls = cls

    def classes(self) -> list[type]:
        """Return the classes that live."""
        dump: Any = vars(abc).get("_get_dump")  # nothing else tells them
        references = dump(self._cls)[0] if dump is not None else ()
        return [cls for cls in (one() for one in list(references)) if cls is not None]


LRU_CACHED = type(functools.lru_cache(abs))
"""The type of what ``functools.lru_cache`` makes of a function."""
NOT_CONTENT = frozenset({"__module__", "__doc__", "__annotations__", "__qualname__", "__name__"})
"""Attributes that decorators copy onto what they return."""


def is_project_class(cls: type, packages: Collection[str] = ()) -> bool:
    """Return whether a class is the project's; one of a factory that nobody can find by its name is, too.

    Args:
        cls: Which one.
        packages: Installed packages that count as the project.
    """
    if type(vars(cls).get("__module__")) in (MemberDescriptorType, GetSetDescriptorType):
        return False  # written in C, as those of Cython
    module = module_of(cls)
    if is_project_module(module, packages):
        return True
    if "<locals>" in cls.__qualname__ or module not in ("types", "collections"):
        return False
    found: Any = sys.modules.get(module)
    for part in cls.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is not cls


def parts_of_class(cls: type) -> Iterator[tuple[str, object]]:
    """Yield names and values that count, in an order that does not depend on their positions."""
    attributes = vars(cls).copy()  # in which pickle may write meanwhile
    yield from _annotations(cls)
    yield from fields_of_class(cls)
    yield from changed_later(cls, attributes)
    if "_abc_impl" in attributes:
        yield "registered", Registry(cls)
    if attributes.get("_is_runtime_protocol") is True:
        yield "is checked at run time", True
    members: dict[str, Any] = {}
    if issubclass(type(cls), enum.EnumMeta):
        members = dict(vars(cls).get("_member_map_", {}))
        yield "members", [(name, _state_of_member(member)) for name, member in members.items()]
    for name in sorted(attributes, key=str):
        value = attributes[name]
        is_slot = issubclass(type(value), (MemberDescriptorType, GetSetDescriptorType))
        if name not in members and not is_slot and not is_derived(cls, attributes, name, value):
            is_static = name == "_generate_next_value_"  # of an enum, from Python 3.13 on
            yield name, function_of(value) or value if is_static else value


def state_of(value: object) -> dict[str, Any]:
    """Return the attributes of an instance by name, without those that a cached property keeps there."""
    cls = type(value)
    state: dict[str, Any] = {}
    for name in [*slots_of(cls), "__dict__"]:
        # A slot that was never set, or a property that fails, is no part.
        with contextlib.suppress(Exception):
            state[name] = getattr(value, name)
    own = state.pop("__dict__", None)
    if isinstance(own, Mapping):
        state.update(own)
    for name in NOT_CONTENT:
        state.pop(name, None)
    cached = [
        name
        for name in state
        if any(type(vars(base).get(name)) is functools.cached_property for base in cls.__mro__)
    ]
    for name in cached:
        del state[name]
    return {name: state[name] for name in sorted(state, key=str)}


def _annotations(cls: type) -> Iterator[tuple[str, object]]:
    said = vars(cls).get("__annotations__")
    if said is None and sys.version_info >= (3, 14):
        try:
            said = cls.__annotations__
        except Exception as failure:  # noqa: BLE001 -- names for type checkers only
            said = {"?": type(failure).__name__}
    if said:
        yield "annotations", dict(said) if isinstance(said, Mapping) else said


def _state_of_member(member: Any) -> object:
    skipped = {"_value_", "_name_", "__objclass__", "_sort_order_"}
    own: dict[str, object] = getattr(member, "__dict__", {})
    extra = {name: value for name, value in own.items() if name not in skipped}
    # Not by `name`, which a class may define anew.
    return [own.get("_name_"), own.get("_value_"), extra]
