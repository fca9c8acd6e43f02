"""Digests of code that travels by value, for processes without its text.

cloudpickle sends functions of ``__main__``, and of modules that are registered for it, with their bytecode.
Where they arrive (a worker of Dask or Ray), no file tells their text, so their digests travel along.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from s3kv_flows._keys.code.code_identity import adopt_table, export_table
from s3kv_flows._keys.code.contained import attributes_of
from s3kv_flows._keys.code.syntax.bytecode.codes import code_key, nested_codes
from s3kv_flows._keys.code.watch import content_of
from s3kv_flows._keys.project import is_script

__all__ = ["adopt_tables", "export_tables"]

_PICKLERS = ("cloudpickle", "ray.cloudpickle", "joblib.externals.cloudpickle")
_LOOKED_THROUGH = 1_000
"""Members of a container: a notebook may hold millions of numbers, and few functions."""

_HOLDERS: dict[type, tuple[str, ...]] = {
    MethodType: ("__func__", "__self__"),
    classmethod: ("__func__",),
    functools.cached_property: ("func",),
    functools.partial: ("func", "args", "keywords"),
    functools.partialmethod: ("func", "args", "keywords"),
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
}
_known: dict[int, tuple[weakref.ref[CodeType], Mapping[bytes, bytes]]] = {}
_adopted: dict[bytes, bytes] = {}


def export_tables() -> dict[bytes, bytes]:
    """Return the digests of the functions that this process would pickle by value.

    Functions are found from the global names of each module that is pickled by value, through classes,
    containers, closures, decorators and partials. The table of a function has the digests of all functions
    in its file, or in its cell of a notebook. The other process calls :func:`adopt_tables` with the result.
    """
    by_file: dict[str, list[Mapping[bytes, bytes]]] = {}
    for module in _by_value():
        for function in _functions_of(vars(module)):
            tables = by_file.setdefault(function.__code__.co_filename, [])
            table = _table_of(function, tables)
            if not any(table is one for one in tables):
                tables.append(table)
    return {key: digest for tables in by_file.values() for table in tables for key, digest in table.items()}


def adopt_tables(tables: Mapping[bytes, bytes]) -> None:
    """Use digests that another process exported with :func:`export_tables`, for the same code here."""
    if not tables.keys() <= _adopted.keys():  # every pickled task brings the same tables
        adopt_table(tables)
        _adopted.update(tables)


def _table_of(function: FunctionType, others: Iterable[Mapping[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Return the digests of all functions in a function's file; each file's are found once.

    Args:
        function: Which one.
        others: The tables that were found for the same file: several if it was edited between imports.
    """
    code = function.__code__
    at = id(code)
    known = _known.get(at)
    if known is not None and known[0]() is code:
        return known[1]
    key = code_key(code)
    table = next((one for one in others if key in one), None)
    if table is None:
        # The methods of a class that was unpickled by value have no file: their digests came with it.
        table = export_table(function) or dict(_of_adopted(code))
    _known[at] = (weakref.ref(code, lambda _: _known.pop(at, None)), table)
    return table


def _of_adopted(code: CodeType) -> Iterator[tuple[bytes, bytes]]:
    key = code_key(code)
    if key in _adopted:
        yield key, _adopted[key]
    for inner in nested_codes(code):
        yield from _of_adopted(inner)


def _by_value() -> Iterator[ModuleType]:
    registered = _registered()
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType):
            continue
        if is_script(name):
            yield module
        elif registered:  # a package stands for all its modules
            parts = name.split(".")
            if any(".".join(parts[: end + 1]) in registered for end in range(len(parts))):
                yield module


def _registered() -> set[str]:
    """Return the modules that are registered to be pickled by value; Ray and joblib have own picklers."""
    names: set[str] = set()
    for pickler in _PICKLERS:
        told = getattr(sys.modules.get(pickler), "list_registry_pickle_by_value", None)
        if told is not None:
            names |= told()
    return names


def _functions_of(namespace: Mapping[str, Any]) -> Iterator[FunctionType]:
    """Yield the functions of a module that its names lead to."""
    name = namespace.get("__name__")
    queue: deque[Any] = deque(list(namespace.values()))  # objects of any class: no user's code may run
    seen: set[int] = set()
    while queue:
        value = queue.popleft()
        kind = type(value)
        if kind in (int, float, str, bytes, bool, type(None)) or id(value) in seen:
            continue
        seen.add(id(value))
        if kind is FunctionType:
            if value.__globals__.get("__name__") == name:
                yield value
            queue += [content_of(cell) for cell in value.__closure__ or ()]
            queue += [value.__defaults__, value.__kwdefaults__, *value.__dict__.values()]
        elif issubclass(kind, type):
            if vars(value).get("__module__") == name:
                queue += vars(value).values()
        elif kind in (list, tuple, set, frozenset, deque):
            queue += list(islice(value, _LOOKED_THROUGH))
        elif kind is dict:
            queue += list(islice(value.values(), _LOOKED_THROUGH))
        elif kind in _HOLDERS:
            queue += [getattr(value, attribute, None) for attribute in _HOLDERS[kind]]
        else:
            attributes = attributes_of(value) or {}
            # An object of the module's own may hold functions; others can hold the whole process.
            is_own = vars(kind).get("__module__") == name
            queue += attributes.values() if is_own else [attributes.get("__wrapped__")]
