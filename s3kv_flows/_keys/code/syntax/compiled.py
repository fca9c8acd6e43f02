"""Compiled files, compared with the texts beside them."""

from __future__ import annotations

import importlib.util
import marshal
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from s3kv_flows._keys.code.syntax.bytecode.codes import bytecode_digest
from s3kv_flows._keys.code.syntax.sources import TextStamp, stamp_of
from s3kv_flows._keys.quiet import compile_quietly

__all__ = ["compiled_instead", "is_compiled"]

_HEADER = 16
_HASHED, _CHECKED = 1, 2
_MARGIN_NS = 2_000_000_000
"""A compiled file that is so much newer than the last change of the text was compiled from that text.

Python reads a text and writes what it compiled within this time.
"""


def compiled_instead(spec: Any, text: bytes, stamp: TextStamp | None) -> CodeType | None:
    """Return the code that Python would run if it imported a module; None for what its text compiles to.

    Python compares seconds of the text's time, and its size. An edit that keeps both is not seen by it.

    Args:
        spec: Of the module, which is not loaded.
        text: Of its file.
        stamp: Of its file.
    """
    loader, cached = getattr(spec, "loader", None), getattr(spec, "cached", None)
    if type(loader) is not SourceFileLoader or not isinstance(cached, str) or stamp is None:
        return None
    written = stamp_of(cached)
    if written is None or (
        min(written.modified_ns, written.changed_ns) > max(stamp.modified_ns, stamp.changed_ns) + _MARGIN_NS
    ):
        return None
    try:
        found = Path(cached).read_bytes()
    except OSError:
        return None
    if not _is_valid(found, text, stamp):
        return None
    return _code(found)


def is_compiled(cached: object, path: str, stamp: TextStamp | None) -> bool:
    """Return whether the file that the import system keeps of a module is of its text as it is.

    That is a sign, where nothing proves it, that the module was loaded from that text.

    Args:
        cached: The module's ``__cached__``.
        path: Of its text.
        stamp: Of that file.
    """
    if not isinstance(cached, str) or stamp is None:
        return False
    try:
        found, text = Path(cached).read_bytes(), Path(path).read_bytes()
        if _is_valid(found, text, stamp):
            return True
        code = _code(found) if found[:4] == importlib.util.MAGIC_NUMBER else None
        own = compile_quietly(text)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return code is not None and bytecode_digest(code) == bytecode_digest(own)


def _code(found: bytes) -> CodeType | None:
    try:
        code = marshal.loads(memoryview(found)[_HEADER:])  # noqa: S302 -- what Python itself would load
    except (ValueError, EOFError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None


def _is_valid(found: bytes, text: bytes, stamp: TextStamp) -> bool:
    """Return whether Python would take a compiled file for one of a text, by its header."""
    if found[:4] != importlib.util.MAGIC_NUMBER or len(found) < _HEADER:
        return False
    flags = int.from_bytes(found[4:8], "little")
    if flags & _HASHED:
        return not flags & _CHECKED or found[8:16] == importlib.util.source_hash(text)
    modified = stamp.modified_ns // 1_000_000_000
    return (
        int.from_bytes(found[8:12], "little") == modified & 0xFFFFFFFF
        and int.from_bytes(found[12:16], "little") == stamp.size & 0xFFFFFFFF
    )
