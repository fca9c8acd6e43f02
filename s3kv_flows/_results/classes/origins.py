"""The origin of a script's class, by which another process finds it.

Such a class has no name that it could be imported by. It is the same class in another process if a module of
a file of that name has one of its name, with the same code: an edited class is another one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from s3kv_flows._keys.identity import Identity
from s3kv_flows._keys.project import is_script, module_of
from s3kv_flows._results.classes.scripts import modules_of_file, stem_of

__all__ = ["Origin", "find", "origin_of"]

_IDENTITY = Identity(settings=False)  # which make no other class
_DIGEST_BYTES = 16


class Origin(NamedTuple):
    """What identifies a class of a script.

    Attributes:
        stem: The name of the script's file, without its suffix.
        qualname: The name of the class within it.
        code: A digest of its code, with all that the code reaches.
    """

    stem: str
    qualname: str
    code: bytes


def origin_of(obj: object) -> Origin | None:
    """Return what identifies a class of a script; None for anything else.

    None also for a class that was defined in a function, and for one whose code has no digest.
    """
    if not issubclass(type(obj), type):
        return None
    cls: Any = obj
    module, qualname = module_of(cls), cls.__qualname__
    if not is_script(module) or "<locals>" in qualname:
        return None
    code = _code_of(cls)
    return None if code is None else Origin(_stem_of(cls, sys.modules.get(module)), qualname, code)


def find(origin: Origin) -> type | None:
    """Return the class in the modules that are loaded here, None where none has the same code."""
    for module in modules_of_file(origin.stem):
        cls = _member(module, origin.qualname)
        if cls is not None and _code_of(cls) == origin.code:
            return cls
    return None


def _stem_of(cls: type, module: ModuleType | None) -> str:
    """Return the name of the file of a class, also of a copy that another process sent for a task to use."""
    if _member(module, cls.__qualname__) is not cls:
        for value in vars(cls).values():
            file = value.__globals__.get("__file__") if type(value) is FunctionType else None
            if isinstance(file, str) and value.__globals__.get("__name__") == module_of(cls):
                return Path(file).stem
    return stem_of(module)


def _member(module: ModuleType | None, qualname: str) -> type | None:
    """Return a class by its name, never what a ``__getattr__`` of the user's makes up."""
    found: Any = module
    for part in qualname.split("."):
        if not isinstance(found, (ModuleType, type)):
            return None
        found = vars(found).get(part)
    return found if isinstance(found, type) else None


def _code_of(cls: type) -> bytes | None:
    try:
        code = _IDENTITY.codes.code_of(cls)
    except Exception:  # noqa: BLE001 -- without a digest it is copied: the result is saved all the same
        return None
    return None if code is None else code[:_DIGEST_BYTES]
