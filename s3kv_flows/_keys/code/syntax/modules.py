"""Modules that functions import when they run, digested by their files.

To look up a result must not import a module that only the computation needs. So such a module counts by its
file as a whole, with the project's modules that the file imports, and where it is loaded, with what differs
from that text: see :mod:`s3kv_flows._keys.code.syntax.loaded`. Python may run a compiled file that is out of
date instead of a text: then the compiled code counts. And a file may be written between the key of a run and
the import: :class:`NotLoaded` tells.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.syntax.bindings import bindings_of
from s3kv_flows._keys.code.syntax.bytecode.codes import bytecode_digest, code_key, nested_codes
from s3kv_flows._keys.code.syntax.bytecode.names import uses_of
from s3kv_flows._keys.code.syntax.canonical import canonical_file
from s3kv_flows._keys.code.syntax.compiled import compiled_instead, is_compiled
from s3kv_flows._keys.code.syntax.loaded import Loaded
from s3kv_flows._keys.code.syntax.parsing import parse, parsing
from s3kv_flows._keys.code.syntax.sources import TEXTS, Table, TextStamp, is_same_code, stamp_of
from s3kv_flows._keys.code.syntax.texts import READERS, FileText, Import
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.project import is_project_file
from s3kv_flows._keys.provenance import was_loaded_from
from s3kv_flows._keys.quiet import compile_quietly

__all__ = [
    "MODULES",
    "ModuleText",
    "ModuleTexts",
    "NotLoaded",
    "absolute_names",
    "is_loading",
]

_TIMES = 10


@dataclass(frozen=True)
class ModuleText:
    """The text of a module's file.

    Attributes:
        name: Of the module.
        said: What the file's text says, or its code where that is what runs.
        path: The file.
        stamped: The file, or the archive that it is in.
        stamp: Of that, when it was read.
        loaded: The module with what its text binds; None where it is not loaded, or has no text.
        is_witnessed: Whether the module was loaded after its file was read, and the file is the same since.
        trusted: Whether the module, if it is loaded, is known to have been loaded from this text.
        compiled: Whether there is a sign of that, where nothing proves it.
    """

    name: str
    said: FileText
    path: str
    stamped: str
    stamp: TextStamp | None
    loaded: Loaded | None
    is_witnessed: bool
    trusted: bool
    compiled: bool = True


class NotLoaded(NamedTuple):
    """A module that was not loaded when a key was made, which names the text of its file.

    Attributes:
        name: Of the module.
        path: Its file; None where it was not found.
        stamped: The file, or the archive that it is in.
        stamp: Of that, when it was read.
    """

    name: str
    path: str | None = None
    stamped: str = ""
    stamp: TextStamp | None = None

    def is_other_now(self) -> bool:
        """Return whether the module was loaded since, maybe from another text."""
        module = sys.modules.get(self.name)
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if not isinstance(file, str):
            return False
        if self.path is None:
            return is_project_file(file)
        return file != self.path or stamp_of(self.stamped) != self.stamp


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


def is_loading(module: ModuleType | None) -> bool:
    """Return whether a thread is importing a module: what it has not bound yet will be."""
    return bool(getattr(vars(module).get("__spec__") if module else None, "_initializing", False))


class _File(NamedTuple):
    """Where the text of a module is."""

    name: str
    path: str
    stamped: str
    spec: Any
    loader: Any
    package: str

    def absolute(self, imported: Import) -> str:
        names = absolute_names(imported, self.package)
        return names[-1] if names else ""


class ModuleTexts:
    """The texts of modules' files: one object for the process, :data:`MODULES`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._said: dict[tuple[str, TextStamp | None, bool], FileText] = {}
        self._seen_unloaded: dict[str, tuple[str, TextStamp]] = {}
        self._compared: dict[str, tuple[object, TextStamp | None, Loaded]] = {}
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
            module = sys.modules.get(name)
            loads = isinstance(module, ModuleType) and is_loading(module)
            own = vars(module) if isinstance(module, ModuleType) else {}
            spec = own.get("__spec__")
            confirmed = self._confirmed.get(name)
            if module is not None and confirmed is not None and confirmed[0] is spec:
                return confirmed[1]  # whatever became of the file since
            if module is None:
                spec = _find(name)
            path = own.get("__file__") or getattr(spec, "origin", None)
            loader = getattr(spec, "loader", None) or own.get("__loader__")
            if not isinstance(path, str) or path in ("built-in", "frozen", "namespace") or not counts(path):
                return None
            stamped = path if Path(path).exists() else str(getattr(loader, "archive", path))
            is_package = Path(path).stem == "__init__"
            file = _File(name, path, stamped, spec, loader, name if is_package else name.rpartition(".")[0])
            if not isinstance(module, ModuleType) or loads:
                return self._not_loaded(file, loads=loads)
            return self._loaded(file, module)

    def _not_loaded(self, file: _File, *, loads: bool) -> ModuleText:
        stamp, said = self._text(file, is_loaded=False)
        # A thread that imports the module may have read the file before somebody wrote it.
        if stamp is not None and not loads:
            self._seen_unloaded[file.name] = (file.path, stamp)
        return ModuleText(file.name, said, file.path, file.stamped, stamp, None, False, True)

    def _loaded(self, file: _File, module: ModuleType) -> ModuleText:
        stamp, said = self._text(file, is_loaded=True)
        is_witnessed = stamp is not None and self._seen_unloaded.get(file.name) == (file.path, stamp)
        known = self._compared.get(file.name)
        if known is not None and known[0] is file.spec and known[1] == stamp and stamp is not None:
            loaded: Loaded | None = known[2]
        else:
            loaded = _compare(file, stamp, module)
            if loaded is not None:
                self._compared[file.name] = (file.spec, stamp, loaded)
        trusted = is_witnessed or (
            stamp is not None and was_loaded_from(file.name, file.stamped, stamp.newest_ns)
        )
        if loaded is not None:
            trusted = trusted and not loaded.first.is_of_other_text
        # An archive has no compiled files beside it, and its importer cannot read one that replaced it.
        compiled = (
            trusted
            or file.stamped != file.path
            or is_compiled(vars(module).get("__cached__"), file.path, stamp)
        )
        text = ModuleText(
            file.name, said, file.path, file.stamped, stamp, loaded, is_witnessed, trusted, compiled
        )
        if trusted and file.spec is not None:
            self._confirmed[file.name] = (file.spec, text)
        return text

    def _text(self, file: _File, *, is_loaded: bool) -> tuple[TextStamp | None, FileText]:
        """Return what a file says, with its stamp before and after it was read."""
        for _ in range(_TIMES):
            stamp = stamp_of(file.stamped)
            at = (file.path, stamp, is_loaded)
            said = self._said.get(at) if stamp is not None else None
            if said is not None:
                return stamp, said
            # It is parsed as it is for the module's functions, most of which are looked at, too.
            table = _table(file, stamp) if is_loaded else None
            said = table.file if table is not None else _read(file, stamp, is_loaded=is_loaded)
            if stamp_of(file.stamped) == stamp:
                self._said[at] = said
                return stamp, said
        raise Unkeyable(
            f"the module {file.name} is imported by a task when it runs, and {file.path} changes again and "
            "again",
            "import it at the top of the task's module",
        )

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


def _source(file: _File) -> str | bytes | None:
    if file.path.endswith((".py", ".pyw")) and Path(file.path).is_file():
        return Path(file.path).read_bytes()
    if not hasattr(file.loader, "get_source"):
        return None
    found = file.loader.get_source(getattr(file.spec, "name", None) or file.name)
    return found if isinstance(found, str) else None


def _read(file: _File, stamp: TextStamp | None, *, is_loaded: bool) -> FileText:
    text: str | bytes | None = None
    try:
        text = _source(file)
        if text is not None:
            with parsing():
                tree = parse(text)
                said = canonical_file(tree)[0]
                return said if is_loaded else _as_it_runs(file, text, tree, stamp) or said
        code = _code(file)
        if code is not None:
            return _compiled(code)
        return FileText(sha256(Path(file.path).read_bytes()).digest(), ())
    except SyntaxError:
        return FileText(sha256(text.encode() if isinstance(text, str) else text or b"").digest(), ())
    except (OSError, ValueError, ImportError, RecursionError) as failure:
        raise Unkeyable(
            f"the module {file.name} is imported by a task when it runs, and {file.path} cannot be read "
            f"({failure})",
            "import it at the top of the task's module",
        ) from failure


def _as_it_runs(file: _File, text: str | bytes, tree: ast.Module, stamp: TextStamp | None) -> FileText | None:
    """Return what a compiled file says, where Python would run that and the text compiles to other code."""
    if not isinstance(text, bytes):
        return None
    code = compiled_instead(file.spec, text, stamp)
    if code is None:
        return None
    own = compile_quietly(tree)
    if is_same_code(own, code) or code_key(own) == code_key(code):
        return None
    return _compiled(code)


def _code(file: _File) -> CodeType | None:
    if not hasattr(file.loader, "get_code"):
        return None
    found = file.loader.get_code(getattr(file.spec, "name", None) or file.name)
    return found if isinstance(found, CodeType) else None


def _compiled(code: CodeType) -> FileText:
    """Return what a file says of which there is no text: main blocks and docstrings count with the rest."""
    imports: dict[Import, None] = {}
    readers: set[str] = set()
    codes = [code]
    for one in codes:
        uses = uses_of(one)
        imports.update(dict.fromkeys(uses.imports))
        readers |= uses.names & READERS
        codes += nested_codes(one)
    return FileText(bytecode_digest(code), list(imports), readers=frozenset(readers))


def _compare(file: _File, stamp: TextStamp | None, module: ModuleType) -> Loaded | None:
    """Compare a loaded module with its text; None where it has none, or that cannot be read any more."""
    table = _table(file, stamp)
    if table is None or stamp is None:
        return None
    try:
        text = _source(file)
        if text is None or stamp_of(file.stamped) != stamp:
            return None
        bindings = bindings_of(parse(text), text, table.all())
    except (OSError, SyntaxError, ValueError, ImportError, RecursionError):
        return None
    return Loaded(module, bindings, file.path, lambda code: table.find(code) is not None, file.absolute)


def _table(file: _File, stamp: TextStamp | None) -> Table | None:
    return TEXTS.table(file.path, stamp, lambda: _source(file)) if stamp is not None else None


MODULES = ModuleTexts()
"""The texts of the files of this process's modules."""
