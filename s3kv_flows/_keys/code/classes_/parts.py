"""The parts of classes and instances that count, without derived attributes."""

from __future__ import annotations

import abc
import contextlib
import enum
import functools
import sys
from collections.abc import Collection, Iterator, Mapping
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

from s3kv_flows._keys.code.syntax.sources import text_of
from s3kv_flows._keys.project import is_project_module, module_of

__all__ = [
    "LRU_CACHED",
    "NOT_CONTENT",
    "Registry",
    "fields_of_record",
    "is_project_class",
    "parts_of_class",
    "slots_of",
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

# fmt: off
_DERIVED = frozenset(
    [
        # by interpreters, and by pickle
        "__module__", "__dict__", "__weakref__", "__doc__", "__slotnames__", "__firstlineno__",
        "__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__",
        "__annotations_cache__", "__classdictcell__", "__qualname__",
        # by abc and typing
        "__abstractmethods__", "_abc_impl", "__parameters__", "_is_protocol", "_is_runtime_protocol",
        "__protocol_attrs__", "__callable_proto_members_only__", "__non_callable_proto_members__",
        "__readonly_keys__", "__mutable_keys__", "__closed__", "__extra_items__", "__type_params__",
        "__final__",
        # by dataclasses and attrs, from fields, which count
        "__dataclass_fields__", "__dataclass_params__", "__attrs_attrs__", "__attrs_own_setattr__",
        "__attrs_props__", "__attrs_init__", "__attrs_base_of_slotted__",
    ]
)
_DERIVED_BY_PYDANTIC = frozenset(
    [
        # from fields and validators, which count
        "model_fields", "__signature__", "__class_vars__", "__private_attributes__", "__fields__",
        "__validators__", "model_computed_fields",
    ]
)
# fmt: on
_DERIVED_OF_NAMED_TUPLE = frozenset(
    [
        "__new__",
        "_make",
        "_replace",
        "__replace__",
        "__repr__",
        "_asdict",
        "__getnewargs__",
        "__match_args__",
        "__slots__",
        "__orig_bases__",
        "_field_types",
    ]
)
_GENERATORS = frozenset({"typing", "enum", "dataclasses", "abc", "reprlib", "typing_extensions"})
_DATACLASS_OPTIONS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD = ("default", "default_factory", "init", "repr", "hash", "compare", "kw_only")


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
    yield from _fields(attributes)
    if "_abc_impl" in attributes:
        yield "registered", Registry(cls)
    if attributes.get("_is_runtime_protocol") is True:
        yield "is checked at run time", True
    members: dict[str, Any] = {}
    if issubclass(type(cls), enum.EnumMeta):
        members = dict(vars(cls).get("_member_map_", {}))
        yield "members", [(name, _state_of_member(member)) for name, member in members.items()]
    is_named_tuple = cls.__bases__ == (tuple,) and type(attributes.get("_fields")) is tuple
    derived = _derived(attributes)
    for name in sorted(attributes, key=str):
        value = attributes[name]
        if name in derived or name in members:
            continue
        if issubclass(type(value), (MemberDescriptorType, GetSetDescriptorType)) or _is_generated(
            attributes, name, value
        ):
            continue
        if is_named_tuple and (
            name in attributes["_fields"] or (name in _DERIVED_OF_NAMED_TUPLE and not _is_written(value))
        ):
            continue
        if issubclass(type(cls), enum.EnumMeta):
            private = str(name).startswith("_") and str(name).endswith("_")
            if private and not _is_written(value):
                continue
        if name == "__hash__" and value is None and "__eq__" in attributes:
            continue  # follows from that
        yield name, value


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


def slots_of(cls: type) -> list[str]:
    """Return the names of a class's slots; ``copyreg`` would write what it finds into the class."""
    names: list[str] = []
    for base in cls.__mro__:
        names += [
            name
            for name, value in vars(base).copy().items()
            if type(value) is MemberDescriptorType and name not in ("__weakref__", "__dict__")
        ]
    return sorted(set(names))


def fields_of_record(value: object) -> dict[str, Any] | None:
    """Return the fields of an instance of a dataclass, an attrs class, or of pydantic's FieldInfo."""
    cls = type(value)
    names: list[str] | None = None
    if type(_in_mro(cls, "__dataclass_fields__")) is dict:
        names = list(_in_mro(cls, "__dataclass_fields__"))
    elif _attrs_of({"__attrs_attrs__": _in_mro(cls, "__attrs_attrs__")}):
        names = [one.name for one in _in_mro(cls, "__attrs_attrs__")]
    elif cls.__name__ == "FieldInfo" and hasattr(value, "_attributes_set"):
        return {"set": dict(value._attributes_set), "metadata": list(getattr(value, "metadata", ()))}  # noqa: SLF001
    elif module_of(cls).startswith("attr") and cls.__name__ in ("Factory", "Attribute"):
        names = [name for name in slots_of(cls) if name not in ("inherited", "eq_key", "order_key")]
    if names is None:
        return None
    return {name: getattr(value, name) for name in names if _has(value, name)}


def _annotations(cls: type) -> Iterator[tuple[str, object]]:
    said = vars(cls).get("__annotations__")
    if said is None and sys.version_info >= (3, 14):
        try:
            said = cls.__annotations__
        except Exception as failure:  # noqa: BLE001 -- names for type checkers only
            said = {"?": type(failure).__name__}
    if said:
        yield "annotations", dict(said) if isinstance(said, Mapping) else said


def _derived(attributes: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that follow from what else counts; a class may have one of them for itself."""
    by_pydantic = {name for name in attributes if str(name).startswith("__pydantic_")}
    if by_pydantic or "__validators__" in attributes:
        by_pydantic |= _DERIVED_BY_PYDANTIC
    own = set()
    if attributes.get("__attrs_attrs__") != _attrs_of(attributes):
        own.add("__attrs_attrs__")
    if _options_of(attributes) is None:
        own |= {"__dataclass_params__", "__dataclass_fields__"}
    return (_DERIVED | by_pydantic) - own


def _options_of(attributes: Mapping[str, Any]) -> list[object] | None:
    """Return the options of a dataclass; None for what is none, whatever it has under those names."""
    options, missing = attributes.get("__dataclass_params__"), object()
    found = [getattr(options, name, missing) for name in _DATACLASS_OPTIONS]
    is_record = type(attributes.get("__dataclass_fields__")) is dict
    return None if missing in found or not is_record else found


def _attrs_of(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the fields of a class of attrs, none for another."""
    found = attributes.get("__attrs_attrs__")
    if not isinstance(found, tuple) or not all(type(one).__name__ == "Attribute" for one in found):
        return ()
    return found


def _mapping_of(attributes: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = attributes.get(name)
    return found if isinstance(found, Mapping) else {}


def _fields(attributes: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    options = _options_of(attributes)
    if options is not None:
        yield "dataclass", options
        for name, field in attributes["__dataclass_fields__"].items():
            values = [_or_missing(getattr(field, attribute, None)) for attribute in _FIELD]
            yield f"field:{name}", [*values, dict(getattr(field, "metadata", ()))]
    for field in _attrs_of(attributes):
        yield f"field:{field.name}", field
    fields = _mapping_of(attributes, "__pydantic_fields__")
    if not fields and any(str(name).startswith("__pydantic_") for name in attributes):
        fields = _mapping_of(attributes, "model_fields")
    for name, field in fields.items():
        yield f"field:{name}", field
    for name, field in _mapping_of(attributes, "__private_attributes__").items():
        yield f"private:{name}", [getattr(field, "default", None), getattr(field, "default_factory", None)]
    decorators = attributes.get("__pydantic_decorators__")
    for kind in sorted(getattr(decorators, "__dataclass_fields__", ())):
        found = getattr(decorators, kind)
        if isinstance(found, Mapping) and found:
            yield f"decorators:{kind}", {name: getattr(one, "info", None) for name, one in found.items()}


def _or_missing(value: object) -> object:
    return "missing" if type(value).__name__ == "_MISSING_TYPE" else value


def _state_of_member(member: Any) -> object:
    skipped = {"_value_", "_name_", "__objclass__", "_sort_order_"}
    own: dict[str, object] = getattr(member, "__dict__", {})
    extra = {name: value for name, value in own.items() if name not in skipped}
    # Not by `name`, which a class may define anew.
    return [own.get("_name_"), own.get("_value_"), extra]


def _function(value: Any) -> FunctionType | None:
    if issubclass(type(value), (staticmethod, classmethod)):
        value = value.__func__
    if type(value) is property:
        value = value.fget
    return value if type(value) is FunctionType else None


def _is_written(value: object) -> bool:
    """Return whether somebody wrote a function, in a file or a cell."""
    function = _function(value)
    if function is None:
        return False
    module = str(function.__globals__.get("__name__"))
    if module in {*_GENERATORS, "collections"} or module.startswith("namedtuple_"):
        return False
    return not function.__code__.co_filename.startswith("<string>")


def _is_generated(attributes: Mapping[str, Any], name: str, value: object) -> bool:
    function = _function(value)
    if function is None:
        return False
    if str(name).startswith("_") and function.__globals__.get("__name__") in _GENERATORS:
        return True
    code = function.__code__
    if code.co_filename == "<dynamic-code>":  # cloudpickle drops what the library put there
        # Before Python 3.11 this is unknown, and the class has another digest in the process that got it.
        qualname = getattr(code, "co_qualname", "")
        if "__attrs_attrs__" in attributes:
            return qualname == name and name.startswith("__") and text_of(function) is None
        return "__dataclass_params__" in attributes and qualname.startswith("__create_fn__.")
    return code.co_filename.startswith("<attrs generated") or (
        "__dataclass_params__" in attributes and code.co_filename == "<string>"
    )


def _in_mro(cls: type, name: str) -> Any:
    """Return what a class or a base of it has under a name, without a question to its metaclass."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def _has(value: object, name: str) -> bool:
    try:
        getattr(value, name)
    except Exception:  # noqa: BLE001 -- a slot that was never set, or a property that fails
        return False
    return True
