"""Attributes of classes that interpreters and libraries make of what counts.

They count where somebody changed them afterwards: ``Point.__new__.__defaults__ = (0, 0)``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

from s3kv_flows._keys.code.classes.fields import (
    FACTORY,
    arguments_said,
    attrs_of,
    function_of,
    in_mro,
    is_same,
    options_of,
)
from s3kv_flows._keys.code.syntax.sources import text_of

__all__ = ["changed_later", "generated_functions", "is_derived", "is_named_tuple"]

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
_DERIVED_OF_NAMED_TUPLE = frozenset(
    [
        "__new__", "_make", "_replace", "__replace__", "__repr__", "_asdict", "__getnewargs__", "__slots__",
        "__orig_bases__", "_field_types",
    ]
)
_DERIVED_OF_ENUM = frozenset(
    [
        "_member_names_", "_member_map_", "_value2member_map_", "_hashable_values_", "_unhashable_values_",
        "_unhashable_values_map_", "_member_type_", "_value_repr_", "_new_member_", "_use_args_",
        "_flag_mask_", "_singles_mask_", "_all_bits_", "_inverted_", "_sort_order_", "_numeric_repr_",
        "_order_", "_ignore_", "__order__", "__new_member__", "__members__", "__getnewargs__",
        "__getnewargs_ex__", "__reduce_ex__",
    ]
)
_METHODS_OF_ATTRS = frozenset(
    [
        "__init__", "__attrs_init__", "__repr__", "__str__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__",
        "__ge__", "__hash__",
    ]
)
# fmt: on
_GENERATORS = frozenset({"typing", "enum", "dataclasses", "abc", "reprlib", "typing_extensions"})


def is_derived(cls: type, attributes: Mapping[str, Any], name: str, value: object) -> bool:
    """Return whether an attribute of a class follows from what else counts."""
    if name in _derived(attributes):
        is_hook = str(name).startswith("__pydantic_") or name == "__attrs_init__"
        return not is_hook or not _is_written(value) or _is_generated(attributes, name, value)
    if _is_generated(attributes, name, value):
        return True
    if is_named_tuple(cls) and _is_of_named_tuple(attributes, name, value):
        return True
    if issubclass(type(cls), enum.EnumMeta) and str(name).startswith("_") and str(name).endswith("_"):
        return _is_of_enum(cls, name, value)
    return name == "__hash__" and value is None and "__eq__" in attributes


def is_named_tuple(cls: type) -> bool:
    """Return whether a class is one of ``collections.namedtuple``, or of ``typing.NamedTuple``."""
    return cls.__bases__ == (tuple,) and type(vars(cls).get("_fields")) is tuple


def changed_later(cls: type, attributes: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield what somebody changed of derived attributes, or said of them in an option, under names."""
    if attrs_of(attributes):
        held = {name: attributes[name] for name in _METHODS_OF_ATTRS if name in attributes}
        yield "generated", sorted(name for name, one in held.items() if _is_generated(attributes, name, one))
    for name, function in generated_functions(cls):
        found, said = _defaults_of(function), arguments_said(attributes)
        if found.keys() != said.keys() or not all(is_same(value, said[one]) for one, value in found.items()):
            yield f"defaults:{name}", found
        own = {one: value for one, value in function.__dict__.items() if one != "__wrapped__"}
        if own:
            yield f"attributes:{name}", own
    abstract = attributes.get("__abstractmethods__")
    if isinstance(abstract, frozenset) and abstract != _abstract(cls):
        yield "abstract", sorted(abstract)


def generated_functions(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions that a library generated of a class's fields, which have default values."""
    attributes = vars(cls)
    names = ["__new__"] if is_named_tuple(cls) else ["__init__", "__attrs_init__"]
    for name in names:
        function = function_of(attributes.get(name))
        if function is None:
            continue
        if _is_generated(attributes, name, function) or (name == "__new__" and not _is_written(function)):
            yield name, function


def _derived(attributes: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that follow from what else counts; a class may have one of them for itself."""
    by_pydantic = {name for name in attributes if str(name).startswith("__pydantic_")}
    if by_pydantic or "__validators__" in attributes:
        by_pydantic |= _DERIVED_BY_PYDANTIC
    own = {"__pydantic_config__"}
    if attributes.get("__attrs_attrs__") != attrs_of(attributes):
        own.add("__attrs_attrs__")
    if options_of(attributes) is None:
        own |= {"__dataclass_params__", "__dataclass_fields__"}
    return (_DERIVED | by_pydantic) - own


def _is_of_named_tuple(attributes: Mapping[str, Any], name: str, value: Any) -> bool:
    fields = attributes["_fields"]
    if name == "__match_args__":
        return bool(value == fields)
    if name in fields:
        return type(value).__name__ == "_tuplegetter" and value.__reduce__()[1][0] == fields.index(name)
    return name in _DERIVED_OF_NAMED_TUPLE and not _is_written(value)


def _is_of_enum(cls: type, name: str, value: object) -> bool:
    """Return whether the metaclass of enumerations made a private attribute."""
    if _is_written(value):
        return False
    if name == "_boundary_" or name in ("__str__", "__repr__", "__format__"):
        bases = [base for base in cls.__mro__[1:] if issubclass(type(base), enum.EnumMeta)]
        inherited = next((vars(base)[name] for base in bases if name in vars(base)), None)
        return value is inherited
    return name in _DERIVED_OF_ENUM or callable(value) or hasattr(type(value), "__get__")


def _abstract(cls: type) -> set[str]:
    """Return the names of the methods that make a class abstract."""
    names = {name for base in cls.__mro__ for name in vars(base).get("__abstractmethods__", ())}
    names |= {name for base in cls.__mro__ for name in list(vars(base))}
    functions = {name: function_of(in_mro(cls, name)) for name in names}
    return {name for name, one in functions.items() if getattr(one, "__isabstractmethod__", False) is True}


def _defaults_of(function: FunctionType) -> dict[str, object]:
    """Return the default values of a function by argument."""
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount][-len(defaults) :] if defaults else ()
    found = {**dict(zip(names, defaults, strict=False)), **(function.__kwdefaults__ or {})}
    is_made = ("_HAS_DEFAULT_FACTORY_CLASS", "_Nothing")
    return {name: FACTORY if type(value).__name__ in is_made else value for name, value in found.items()}


def _is_written(value: object) -> bool:
    """Return whether somebody wrote a function, in a file or a cell."""
    function = function_of(value)
    if function is None:
        return False
    module = str(function.__globals__.get("__name__"))
    if module in {*_GENERATORS, "collections"} or module.startswith("namedtuple_"):
        return False
    return not function.__code__.co_filename.startswith("<string>")


def _is_generated(attributes: Mapping[str, Any], name: str, value: object) -> bool:
    function = function_of(value)
    if function is None:
        return False
    module = function.__globals__.get("__name__")
    if str(name).startswith("_") and module in _GENERATORS:
        return True
    if name == "__replace__" and module == "attr._make":  # from Python 3.13 on
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
