"""Fields of dataclasses, of attrs and of pydantic, as they are now.

A field may be changed after the class statement: ``Order.model_fields["n"].default = 5``. What is still as
that statement made it adds nothing to what is declared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, MemberDescriptorType
from typing import Any

from s3kv_flows._keys.code.contained import ATOMS
from s3kv_flows._keys.code.syntax.texts import constant
from s3kv_flows._keys.project import module_of

__all__ = [
    "arguments_said",
    "attrs_of",
    "complete",
    "fields_of_class",
    "fields_of_record",
    "function_of",
    "in_mro",
    "is_model",
    "is_same",
    "objects_of_fields",
    "objects_of_record",
    "options_of",
    "slots_of",
]

_DATACLASS_OPTIONS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD = ("default", "default_factory", "init", "repr", "hash", "compare", "kw_only")
_FIELD_OF_PYDANTIC_1 = (
    *("default", "default_factory", "required", "alias"),
    *("outer_type_", "allow_none", "field_info"),
)
_ALIASES = frozenset({"alias", "validation_alias", "serialization_alias"})
_BY_GENERATOR, _BY_HAND = 1, 2
"""Priorities of an alias: a generator, which counts itself, gives one when the class is completed."""
FACTORY = "of a factory"
"""Stands for a default value that is made for each instance."""


def complete(cls: type) -> None:
    """Have pydantic resolve the annotations of a model that name later classes, as its first use would.

    Until then nothing leads to those classes.
    """
    fields = _mapping_of(vars(cls), "__pydantic_fields__")
    if all(getattr(field, "_complete", True) for field in list(fields.values())):
        return
    rebuild: Any = in_mro(cls, "model_rebuild")
    if rebuild is not None:
        rebuild.__get__(None, cls)(raise_errors=False)
    elif "pydantic.dataclasses" in sys.modules:
        sys.modules["pydantic.dataclasses"].rebuild_dataclass(cls, raise_errors=False)


def fields_of_class(cls: type) -> Iterator[tuple[str, object]]:
    """Yield what the libraries that made a class know of its fields, under names."""
    attributes = vars(cls).copy()
    options = options_of(attributes)
    if options is not None:
        yield "dataclass", options
        for name, field in attributes["__dataclass_fields__"].items():
            values = [_or_missing(getattr(field, attribute, None)) for attribute in _FIELD]
            yield f"field:{name}", [*values, dict(getattr(field, "metadata", ()))]
            if not is_same(getattr(field, "type", None), _annotation(cls, name)):
                yield f"type:{name}", getattr(field, "type", None)
    for field in attrs_of(attributes):
        yield f"field:{field.name}", field
    yield from _of_pydantic(cls, attributes)


def _of_pydantic(cls: type, attributes: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    fields = _mapping_of(attributes, "__pydantic_fields__")
    if not fields and any(str(name).startswith("__pydantic_") for name in attributes):
        fields = _mapping_of(attributes, "model_fields")
    if not fields and "__validators__" in attributes:
        fields = _mapping_of(attributes, "__fields__")
    for name, field in fields.items():
        yield f"field:{name}", field
    for name, field in _mapping_of(attributes, "__private_attributes__").items():
        yield f"private:{name}", [getattr(field, "default", None), getattr(field, "default_factory", None)]
    decorators = attributes.get("__pydantic_decorators__")
    for kind in sorted(getattr(decorators, "__dataclass_fields__", ())):
        found = getattr(decorators, kind)
        if isinstance(found, Mapping) and found:
            yield f"decorators:{kind}", {name: getattr(one, "info", None) for name, one in found.items()}
            others = {name: one.func for name, one in found.items() if not _is_of_class(cls, one)}
            if others:
                yield f"functions:{kind}", others


def fields_of_record(value: object) -> dict[str, Any] | None:
    """Return the fields of an instance of a dataclass, an attrs class, or of what describes a field."""
    cls = type(value)
    names: list[str] | None = None
    module = module_of(cls)
    if type(in_mro(cls, "__dataclass_fields__")) is dict:
        names = list(in_mro(cls, "__dataclass_fields__"))
    elif attrs_of({"__attrs_attrs__": in_mro(cls, "__attrs_attrs__")}):
        names = [one.name for one in in_mro(cls, "__attrs_attrs__")]
    elif cls.__name__ == "FieldInfo" and hasattr(value, "_attributes_set"):
        return _of_field_info(value)
    elif module.startswith("pydantic.v1.") and cls.__name__ == "ModelField":
        names = list(_FIELD_OF_PYDANTIC_1)
    elif module.startswith("pydantic.v1.") and cls.__name__ == "FieldInfo":
        names = slots_of(cls)
    elif module.startswith("attr") and cls.__name__ in ("Factory", "Attribute"):
        unset = {name for name in ("eq_key", "order_key") if getattr(value, name, None) is None}
        names = [name for name in slots_of(cls) if name != "inherited" and name not in unset]
    if names is None:
        return None
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def objects_of_fields(cls: type) -> list[object]:
    """Return what there is in the fields of a class, one by one: another object shows a change."""
    return _objects_in(dict(fields_of_class(cls)))


def objects_of_record(value: object) -> list[object]:
    """Return what there is in the fields of a record, one by one."""
    return _objects_in(fields_of_record(value) or {})


def _objects_in(fields: dict[str, Any]) -> list[object]:
    """Return fields without the containers that were made for them, two levels of them at most."""
    found: list[Any] = list(fields.values())
    for _ in range(2):
        inner: list[Any] = []
        for one in found:
            if type(one) is dict:
                inner += [*one.keys(), *one.values()]
            elif type(one) is list:
                inner += one
            else:
                inner.append(one)
        found = inner
    return found


def is_model(cls: type) -> bool:
    """Return whether pydantic may make a schema of a class."""
    own = vars(cls)
    return "__dataclass_fields__" in own or any(str(name).startswith("__pydantic_") for name in list(own))


def options_of(attributes: Mapping[str, Any]) -> list[object] | None:
    """Return the options of a dataclass; None for what is none, whatever it has under those names."""
    options, missing = attributes.get("__dataclass_params__"), object()
    found = [getattr(options, name, missing) for name in _DATACLASS_OPTIONS]
    is_record = type(attributes.get("__dataclass_fields__")) is dict
    return None if missing in found or not is_record else found


def attrs_of(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the fields of a class of attrs, none for another."""
    found = attributes.get("__attrs_attrs__")
    if not isinstance(found, tuple) or not all(type(one).__name__ == "Attribute" for one in found):
        return ()
    return found


def arguments_said(attributes: Mapping[str, Any]) -> dict[str, object]:
    """Return the default values that the fields of a class say its instances are made with, by argument."""
    found: dict[str, object] = {}
    if type(attributes.get("_field_defaults")) is dict:
        found.update(attributes["_field_defaults"])
    if options_of(attributes) is not None:
        for name, field in attributes["__dataclass_fields__"].items():
            kind = getattr(getattr(field, "_field_type", None), "name", "")
            if field.init and kind != "_FIELD_CLASSVAR":
                found[name] = FACTORY if _or_missing(field.default_factory) != "missing" else field.default
    for field in attrs_of(attributes):
        if field.init:
            name = getattr(field, "alias", None) or field.name.lstrip("_")
            found[name] = FACTORY if type(field.default).__name__ == "Factory" else field.default
    return {name: value for name, value in found.items() if not _is_missing(value)}


def is_same(one: object, other: object) -> bool:
    """Return whether two values are one object, or equal numbers or texts."""
    if one is other:
        return True
    kind = type(one)
    is_atom = type(kind) is type and kind in ATOMS  # a metaclass may have any hash
    return is_atom and type(other) is kind and constant(one) == constant(other)


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


def in_mro(cls: type, name: str) -> Any:
    """Return what a class or a base of it has under a name, without a question to its metaclass."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def function_of(value: Any) -> FunctionType | None:
    """Return the function of a method, of a property, or the value itself; None for what is none."""
    if issubclass(type(value), (staticmethod, classmethod)):
        value = value.__func__
    if type(value) is property:
        value = value.fget
    return value if type(value) is FunctionType else None


def _of_field_info(value: Any) -> dict[str, Any]:
    """Return what a field of pydantic was declared with, and what it is now where that is something else."""
    declared: dict[str, Any] = dict(value._attributes_set)  # noqa: SLF001
    found = {"set": declared, "metadata": list(getattr(value, "metadata", ()))}
    later = {
        name: getattr(value, name)
        for name in slots_of(type(value))
        if not name.startswith("_")
        and name != "metadata"
        and hasattr(value, name)
        and not _is_declared(value, name, declared)
    }
    # What a subclass knows of a field, as of a column in a database.
    own = getattr(value, "__dict__", None) or {}
    later |= {name: own[name] for name in sorted(own, key=str) if type(own[name]) in ATOMS}
    return {**found, "later": later} if later else found


def _is_declared(value: Any, name: str, declared: Mapping[str, Any]) -> bool:
    """Return whether an attribute of a field is as it was declared, or follows from that."""
    now = getattr(value, name)
    priority = getattr(value, "alias_priority", None)
    if name in declared and declared[name] is not ...:
        return is_same(now, declared[name])
    if name == "default":
        return _is_missing(now)
    if name == "alias_priority":
        has_alias = any(declared.get(one) is not None for one in _ALIASES)
        return now == _BY_HAND if has_alias else now in (None, _BY_GENERATOR)
    if name in _ALIASES and priority == _BY_GENERATOR:
        return True
    return now is (True if name == "repr" else None)


def _annotation(cls: type, name: str) -> object:
    """Return the annotation of a field, in the class that declares it."""
    for base in cls.__mro__:
        said = vars(base).get("__annotations__")
        if isinstance(said, Mapping) and name in said:
            return said[name]
    return None


def _is_of_class(cls: type, decorator: Any) -> bool:
    """Return whether a decorator of pydantic calls the function that the class has for it."""
    function = getattr(decorator, "func", None)
    own = function_of(getattr(function, "__func__", function))
    return own is None or own is function_of(in_mro(cls, str(getattr(decorator, "cls_var_name", ""))))


def _mapping_of(attributes: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = attributes.get(name)
    return found if isinstance(found, Mapping) else {}


def _is_missing(value: object) -> bool:
    return type(value).__name__ in ("_MISSING_TYPE", "_Nothing", "PydanticUndefinedType")


def _or_missing(value: object) -> object:
    return "missing" if type(value).__name__ == "_MISSING_TYPE" else value
