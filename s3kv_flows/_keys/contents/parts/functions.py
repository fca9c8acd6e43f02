"""Functions, classes and modules as values: by code or by name."""

from __future__ import annotations

import sys
from hashlib import sha256
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk

__all__ = ["PARTS"]


def _function(walk: Walk, value: FunctionType) -> Parts:
    """A function counts with what it closes over: ``make_scaler(2)`` is not ``make_scaler(3)``."""
    code = walk.code_of(value)
    if code is None:
        # Not `__module__`, which functools.wraps takes from another function.
        module, name = value.__globals__.get("__name__"), value.__code__.co_name
        label = f"function {module}.{getattr(value.__code__, 'co_qualname', name)}".encode()
        if "<l" in value.__qualname__ or "<l" in name:  # <locals>, <lambda>: others may have the name
            label += b" " + _code(value.__code__)
    else:
        label = b"code " + code
    cells = [_content(cell) for cell in value.__closure__ or ()]
    return Parts(label, [cells, value.__defaults__, value.__kwdefaults__, dict(value.__dict__)])


def _code(code: CodeType) -> bytes:
    """Return what tells one piece of code from another in this version of Python."""
    digest = sha256(code.co_code + repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            digest.update(_code(constant))
        else:
            parts = sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
            digest.update(repr((type(constant).__name__, parts)).encode())
    return digest.digest()


def _content(cell: Any) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # nothing as yet
        return ()


def _method(walk: Walk, value: MethodType) -> Parts:  # noqa: ARG001
    return Parts(b"method", [value.__func__, value.__self__])


def _builtin(walk: Walk, value: BuiltinFunctionType) -> Parts:  # noqa: ARG001
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        module = value.__module__ or getattr(owner, "__name__", "")
        return Parts(f"builtin {module}.{value.__qualname__}".encode())
    return Parts(b"builtin method " + value.__name__.encode(), [owner])


def _class(walk: Walk, value: type) -> Parts:
    code = walk.code_of(value)
    if code is not None:
        return Parts(b"code " + code)
    return Parts(f"class {value.__module__}.{value.__qualname__}".encode())


def _module(walk: Walk, value: ModuleType) -> Parts:
    code = walk.code_of(value)
    if code is not None:
        return Parts(b"code " + code)
    if sys.modules.get(value.__name__) is not value:
        raise TypeError(f"the module {value.__name__!r} cannot be imported")
    return Parts(f"module {value.__name__}".encode())


PARTS: dict[str, PartsOf] = {
    "builtins.function": _function,
    "builtins.method": _method,
    "builtins.builtin_function_or_method": _builtin,
    "builtins.type": _class,
    "builtins.module": _module,
}
