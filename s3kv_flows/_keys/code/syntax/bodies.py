"""The texts of running modules, and whether those are what was loaded.

The text is trusted where the module is known to have been loaded from it: see
:mod:`s3kv_flows._keys.provenance`.
"""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.syntax.modules import MODULES, ModuleText
from s3kv_flows._keys.code.syntax.sources import stamp_of
from s3kv_flows._keys.code.syntax.statements.body import Body, body_of_cells, body_of_code
from s3kv_flows._keys.errors import Unkeyable

__all__ = ["BODIES", "Bodies", "Found"]

_UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


class Found(NamedTuple):
    """The body of a module that is loaded.

    Attributes:
        body: Its statements.
        trusted: Whether the module was loaded from that text.
        compiled: Whether the import system compiled that text last: a sign, where nothing proves it, that the
            module was loaded from it.
    """

    body: Body
    trusted: bool
    compiled: bool


_UNREAD = Found(Body(b"unread", ()), trusted=False, compiled=False)


class Bodies:
    """The bodies of this process's modules: one object for the process, :data:`BODIES`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._known: dict[tuple[str, object], Body | None] = {}
        self._last: dict[str, tuple[object, object, Found]] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self._lock = threading.RLock()

    def find(self, namespace: Mapping[str, Any]) -> Found | None:
        """Return the body of the module that a namespace is of; None where nothing tells its statements."""
        name = namespace.get("__name__")
        module = sys.modules.get(name) if isinstance(name, str) else None
        if not isinstance(name, str) or not isinstance(module, ModuleType) or vars(module) is not namespace:
            return None
        with self._lock:
            if not isinstance(namespace.get("__file__"), str):
                return self._of_cells(name, namespace)
            spec = namespace.get("__spec__")
            last = self._last.get(name)
            if last is not None and last[0] is namespace and last[1] is spec:
                return last[2]  # whatever became of the file since
            try:
                text = MODULES.look_at(name)
            except Unkeyable:
                text = None
            found = (self._of_text(text, namespace) if text is not None else None) or _UNREAD
            self._last[name] = namespace, spec, found
            return found

    def _of_text(self, text: ModuleText, namespace: Mapping[str, Any]) -> Found | None:
        at = (text.path, text.stamp)
        if at not in self._known:
            self._known[at] = _read(text, namespace)
        body = self._known[at]
        if body is None:
            return None
        return Found(body, text.trusted, text.trusted or text.compiled)

    def _of_cells(self, name: str, namespace: Mapping[str, Any]) -> Found | None:
        texts = tuple(_cells(namespace))
        if not texts:
            return None
        at = (name, texts)
        if at not in self._known:
            self._known[at] = _parsed(list(texts))
        body = self._known[at]
        return None if body is None else Found(body, trusted=True, compiled=True)


def _read(text: ModuleText, namespace: Mapping[str, Any]) -> Body | None:
    """Return the body of a module's file, which has not changed while it was read."""
    loader: Any = namespace.get("__loader__")
    # What `python -m` runs out of an archive is called __main__, which its loader does not know.
    name = getattr(namespace.get("__spec__"), "name", None) or text.name
    found: Body | None
    try:
        if text.path.endswith((".py", ".pyw")) and Path(text.path).is_file():
            found = Body(text.said.digest, (Path(text.path).read_bytes(),))
        elif getattr(loader, "get_source", None) is not None and (source := loader.get_source(name)):
            found = Body(text.said.digest, (source,))
        else:
            code = loader.get_code(name) if hasattr(loader, "get_code") else None
            found = body_of_code(code) if code is not None else None
    except (OSError, ImportError):
        return None
    return found if stamp_of(text.stamped) == text.stamp else None


def _parsed(texts: list[str | bytes]) -> Body | None:
    try:
        return body_of_cells(texts)
    except _UNPARSED:
        return None


@lru_cache(maxsize=1_000)
def _is_python(text: str) -> bool:
    return _parsed([text]) is not None


def _cells(namespace: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a notebook's cells, in the order in which they ran."""
    ran = namespace.get("In")
    if isinstance(ran, list) and "get_ipython" in namespace:
        yield from (text for text in ran if isinstance(text, str) and _is_python(text))
        return
    seen: set[str] = set()
    for value in list(namespace.values()):
        if type(value) is FunctionType and value.__globals__ is namespace:
            name = value.__code__.co_filename
            cached = linecache.cache.get(name)
            if name not in seen and cached is not None and len(cached) > 1:
                seen.add(name)
                yield "".join(cached[2])


BODIES = Bodies()
"""The bodies of this process's modules."""
