"""Compile texts without the warnings that were given when they were loaded.

Filters of warnings are those of the whole process: two threads that set them for a time, and restore them in
turn, leave behind what one of them set. So texts are compiled under a file name of their own here, and one
filter ignores what is said of that file. It says nothing of anybody else's warnings, and so it may stay.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar

__all__ = ["compile_quietly", "parse_quietly"]

_T = TypeVar("_T")

_FILE = "<s3kv_flows>"
_OF_THAT_FILE = re.escape(_FILE)
_MOST_ATTEMPTS = 5


def compile_quietly(source: str | bytes | ast.Module, flags: int = 0) -> CodeType:
    """Return the code of a module's text or tree.

    Raises:
        SyntaxError, ValueError: It is none of Python's.
        RecursionError, MemoryError: It is nested too deeply.
    """
    code: CodeType = _quietly(lambda: compile(source, _FILE, "exec", flags, dont_inherit=True))
    return code


def parse_quietly(text: str | bytes) -> ast.Module:
    """Return the tree of a module's text; raise as :func:`compile_quietly`."""
    return _quietly(lambda: ast.parse(text, _FILE))


def _quietly(work: Callable[[], _T]) -> _T:
    if getattr(sys.flags, "context_aware_warnings", False):
        with warnings.catch_warnings():  # of this thread alone
            warnings.simplefilter("ignore")
            return work()
    for _ in range(_MOST_ATTEMPTS - 1):
        _ignore_warnings()
        try:
            return work()
        except SyntaxError:
            # Or a warning that another thread has just made an error, with a filter before this one.
            continue
    _ignore_warnings()
    return work()


def _ignore_warnings() -> None:
    first: Any = warnings.filters[0] if warnings.filters else None
    if first is None or getattr(first[3], "pattern", None) != _OF_THAT_FILE:
        warnings.filterwarnings("ignore", module=_OF_THAT_FILE)
