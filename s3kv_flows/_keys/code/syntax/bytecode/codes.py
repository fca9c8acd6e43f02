"""Code objects: a key that tells them apart, and those within them.

The key covers what the interpreter runs, without lines and files. It holds for one version of Python.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from types import CodeType

from s3kv_flows._keys.code.syntax.texts import constant

__all__ = ["bytecode_digest", "code_key", "nested_codes"]


def nested_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects among the constants of one."""
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield value


def code_key(code: CodeType) -> bytes:
    """Return 32 bytes that are equal for code that this version of Python runs alike."""
    parts: list[str] = []
    _write_key(code, parts)
    return sha256("\n".join(parts).encode()).digest()


def bytecode_digest(code: CodeType) -> bytes:
    """Return the digest of code of which there is no text: one of this version of Python."""
    version = f"bytecode {sys.version_info[0]}.{sys.version_info[1]}\n".encode()
    return sha256(version + code_key(code)).digest()


def _write_key(code: CodeType, parts: list[str]) -> None:
    parts += [
        code.co_name,
        code.co_code.hex(),
        *(
            ascii(given)
            for given in (
                code.co_names,
                code.co_varnames,
                code.co_freevars,
                code.co_cellvars,
                (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
            )
        ),
        getattr(code, "co_exceptiontable", b"").hex(),
    ]
    _write_constants(code.co_consts, parts)


def _write_constants(values: tuple[object, ...], parts: list[str]) -> None:
    parts.append("(")
    for value in values:
        if isinstance(value, CodeType):
            _write_key(value, parts)
        elif isinstance(value, tuple):
            _write_constants(value, parts)
        elif isinstance(value, frozenset):
            members: list[str] = []
            for member in value:
                one: list[str] = []
                _write_constants((member,), one)
                members.append("\n".join(one))
            parts += ["{", *sorted(members), "}"]
        elif isinstance(value, slice):
            _write_constants((value.start, value.stop, value.step), parts)
        else:
            parts.append(constant(value))
    parts.append(")")
