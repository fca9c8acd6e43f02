"""Modules that functions import when they run, digested by their files.

To look up a result must not import a module that only the computation needs. So such a module counts by its
file as a whole, with the project's modules that the file imports. This is the one place where a text counts
that was not compared with running code. Where a module was loaded before its file was first read, and the
file changed after this process started, the two may differ: then :attr:`ModuleText.trusted` is false, and the
contents of the loaded module count as well.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from s3kv_flows._keys.code.syntax.bytecode import bytecode_digest, nested_codes, uses_of
from s3kv_flows._keys.code.syntax.canonical import canonical_file
from s3kv_flows._keys.code.syntax.sources import TEXTS, TextStamp, parsing, stamp_of
from s3kv_flows._keys.code.syntax.texts import FileText, Import
from s3kv_flows._keys.errors import Unkeyable

__all__ = ["MODULES", "ModuleText", "ModuleTexts", "absolute_names"]


@dataclass(frozen=True)
class ModuleText:
    """The text of a module's file.

    Attributes:
        name: Of the module.
        digest: Of the file's text, or of its code where there is no text.
        imports: What it imports, wherever in the file.
        constants: Names that it binds once, to a literal.
        path: The file; the archive that it is in, or the file itself, has the stamp when it was read.
        trusted: Whether the module, if it is loaded, was loaded from this text.
    """

    name: str
    digest: bytes
    imports: Sequence[Import]
    constants: Mapping[str, str]
    path: str
    stamped: str
    stamp: TextStamp | None
    trusted: bool


def absolute_names(imported: Import, package: str) -> list[str]:
    """Return the modules that an import statement may load, each after the packages it is in.

    Args:
        imported: The statement.
        package: Which one the statement stands in; empty for none.
    """
    name = imported.name
    if imported.level:
        parents = package.split(".") if package else []
        kept = len(parents) - imported.level + 1
        if kept < 1:
            return []
        name = ".".join([*parents[:kept], *([name] if name else [])])
    parts = name.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    return names + [f"{name}.{one}" for one in imported.names if one != "*"]


class ModuleTexts:
    """The texts of modules' files: one object for the process, :data:`MODULES`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._said: dict[tuple[str, TextStamp | None], FileText] = {}
        self._seen_unloaded: dict[str, tuple[str, TextStamp]] = {}
        self._confirmed: dict[str, tuple[object, ModuleText]] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self._lock = threading.RLock()

    def look_at(self, name: str, counts: Callable[[str], bool] = bool) -> ModuleText | None:
        """Return the text of a module's file; None for an unknown module, or one without a file.

        Args:
            name: Of the module.
            counts: Called with the path of the file: whether it is to be read at all.

        Raises:
            Unkeyable: It has a file that cannot be read.
        """
        with self._lock:
            loaded = sys.modules.get(name)
            own = vars(loaded) if isinstance(loaded, ModuleType) else {}
            spec = own.get("__spec__")
            confirmed = self._confirmed.get(name)
            if loaded is not None and confirmed is not None and confirmed[0] is spec:
                return confirmed[1]  # whatever became of the file since
            if loaded is None:
                spec = _find(name)
            path = own.get("__file__") or getattr(spec, "origin", None)
            loader = getattr(spec, "loader", None) or own.get("__loader__")
            if not isinstance(path, str) or path in ("built-in", "frozen", "namespace") or not counts(path):
                return None
            file = path if Path(path).exists() else getattr(loader, "archive", path)
            stamp = stamp_of(str(file))
            said = self._said.get((path, stamp)) if stamp is not None else None
            if said is None:
                said = self._said[path, stamp] = self._text(name, path, stamp, loader, loaded)
            trusted = True
            if loaded is None:
                if stamp is not None:
                    self._seen_unloaded[name] = (path, stamp)
            elif stamp is None or self._seen_unloaded.get(name) != (path, stamp):
                trusted = stamp is not None and max(stamp.modified_ns, stamp.changed_ns) <= _STARTED_NS
            text = ModuleText(
                name, said.digest, said.imports, said.constants, path, str(file), stamp, trusted
            )
            if loaded is not None and trusted and spec is not None:
                self._confirmed[name] = (spec, text)
            return text

    @staticmethod
    def _text(name: str, path: str, stamp: TextStamp | None, loader: Any, loaded: object) -> FileText:
        known = TEXTS.file(path, stamp) if loaded is not None and path.endswith(".py") else None
        return known if known is not None else _read(name, path, loader)

    def within(self, name: str) -> list[str]:
        """Return the names of the modules in a package."""
        places = getattr(_find(name), "submodule_search_locations", None)
        return sorted(one.name for one in pkgutil.iter_modules(places)) if places else []


def _find(name: str) -> Any:
    """Find a module as the import system does, without importing the packages it is in."""
    found: Any = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        part = ".".join(parts[:end])
        path = None if end == 1 else getattr(found, "submodule_search_locations", None)
        if end > 1 and path is None:
            return None
        loaded = sys.modules.get(part)
        found = vars(loaded).get("__spec__") if isinstance(loaded, ModuleType) else None
        if found is not None:
            continue
        for finder in list(sys.meta_path):
            find: Callable[..., Any] | None = getattr(finder, "find_spec", None)
            found = find(part, path, None) if find is not None else None
            if found is not None:
                break
        if found is None:
            return None
    return found


def _read(name: str, path: str, loader: Any) -> FileText:
    text: str | bytes | None = None
    try:
        if path.endswith((".py", ".pyw")) and Path(path).is_file():
            text = Path(path).read_bytes()
        elif hasattr(loader, "get_source"):
            text = loader.get_source(name)
        if text is not None:
            with parsing():
                return canonical_file(ast.parse(text, path))[0]
        code = loader.get_code(name) if hasattr(loader, "get_code") else None
        if code is not None:
            return FileText(bytecode_digest(code), _imports(code), {})
        return FileText(sha256(Path(path).read_bytes()).digest(), (), {})
    except SyntaxError:
        return FileText(sha256(text.encode() if isinstance(text, str) else text or b"").digest(), (), {})
    except (OSError, ValueError, ImportError, RecursionError) as failure:
        raise Unkeyable(
            f"the module {name} is imported by a task when it runs, and {path} cannot be read ({failure})",
            "import it at the top of the task's module",
        ) from failure


def _imports(code: CodeType) -> list[Import]:
    found = list(uses_of(code).imports)
    for inner in nested_codes(code):
        found += _imports(inner)
    return list(dict.fromkeys(found))


def _started_ns() -> int:
    """Return when this process started, by the clock of files; 0 where that is not known.

    A process that was forked has code that its parent loaded, at a time that nobody knows.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        flags, started = int(fields[6]), int(fields[19])
        if flags & 0x40:  # forked, and went on without exec
            return 0
        age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started * 10**9 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0
    return time.time_ns() - age_ns + _TICKS_NS


_TICKS_NS = 20_000_000
"""The two clocks are of some milliseconds each; no module is loaded so soon after its process started."""

_STARTED_NS = _started_ns()

MODULES = ModuleTexts()
"""The texts of the files of this process's modules."""
