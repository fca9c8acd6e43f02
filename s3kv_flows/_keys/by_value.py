"""Digests of code that travels by value, for processes without its text.

cloudpickle sends functions of ``__main__``, and of modules that are registered for it, with their bytecode.
Where they arrive (a worker of Dask or Ray), no file tells their text, so their digests travel along.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from s3kv_flows._keys.code.code_identity import export_table

__all__ = ["export_tables"]

_LOADER = "__prefect_loader_"


def export_tables() -> dict[bytes, bytes]:
    """Return the digests of the functions that this process would pickle by value.

    They are those of the files, or cells of a notebook, in which a function, task or class of such a module
    is defined. :func:`~s3kv_flows._keys.code.code_identity.adopt_table` takes them.
    """
    tables: dict[bytes, bytes] = {}
    seen: set[str] = set()
    for module in _by_value():
        for function in _functions_of(vars(module)):
            if function.__code__.co_filename not in seen:
                seen.add(function.__code__.co_filename)
                tables |= export_table(function)
    return tables


def _by_value() -> Iterator[ModuleType]:
    registered: set[str] = cloudpickle.list_registry_pickle_by_value()
    for name, module in list(sys.modules.items()):
        if name in ("__main__", "__mp_main__") or name in registered or name.startswith(_LOADER):
            yield module


def _functions_of(namespace: Mapping[str, Any]) -> Iterator[FunctionType]:
    for value in list(namespace.values()):
        members = list(vars(value).values()) if isinstance(value, type) else [value]
        for one in members:
            function = one if isinstance(one, FunctionType) else _wrapped(one)
            if isinstance(function, FunctionType) and function.__globals__ is namespace:
                yield function


def _wrapped(value: object) -> object:
    """Return the function in a task or flow, without a question that a user's object could answer."""
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return attributes.get("__wrapped__") if isinstance(attributes, dict) else None
