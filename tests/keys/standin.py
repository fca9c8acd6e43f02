"""A plain digest of values, for tests of what code reaches; run by bare interpreters, too."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from s3kv_flows._keys.code import CodeIdentity
from s3kv_flows._keys.errors import Unkeyable

_ATOMS = (type(None), bool, int, float, complex, str, bytes, range)


class Digests:
    """Values by type and content; of classes and functions the code."""

    def __init__(self) -> None:
        self.code_of: Callable[[Any], bytes | None] = lambda _: None

    def digest(self, value: object) -> bytes:
        return sha256(self._encode(value, 0)).digest()

    def _encode(self, value: Any, depth: int) -> bytes:
        if depth > 50:
            raise Unkeyable("nested too deeply", "flatten it")
        kind = type(value)
        if kind in _ATOMS:
            return f"{kind.__name__} {value!r}".encode("utf-8", "surrogatepass")
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
            code = self.code_of(value)
            return (
                f"named {value.__module__}.{value.__qualname__}".encode() if code is None else b"code " + code
            )
        if kind is re.Pattern:
            return f"pattern {value.pattern!r} {value.flags}".encode()
        parts: list[Any]
        if isinstance(value, Mapping) and kind in (dict, types.MappingProxyType):
            parts = [part for item in value.items() for part in item]
        elif kind in (list, tuple):
            parts = list(value)
        elif kind in (set, frozenset):
            return kind.__name__.encode() + b"".join(sorted(self._encode(one, depth + 1) for one in value))
        else:
            try:
                reduced = value.__reduce_ex__(4)
            except Exception as failure:
                raise Unkeyable(f"a {kind.__name__} has no content", "leave it out") from failure
            if isinstance(reduced, str):
                return f"named {kind.__module__}.{reduced}".encode()
            parts = [list(part) if hasattr(part, "__next__") else part for part in reduced[1:5]]
            name = getattr(reduced[0], "__qualname__", "")
            return f"{kind.__qualname__} {name}".encode() + self._encode(parts, depth + 1)
        return kind.__name__.encode() + b"(" + b",".join(self._encode(one, depth + 1) for one in parts) + b")"


def identity(**options: Any) -> CodeIdentity:
    digests = Digests()
    made = CodeIdentity(digests.digest, **options)
    digests.code_of = made.code_of
    return made
