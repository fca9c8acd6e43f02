"""Source texts of running code, verified by compiling them.

A process runs the code that it loaded, whatever happened to the file since. So a text is used only where it
compiles, here and now, to exactly the running code. Its digest is then the same on each version of Python,
and for a script, a module and a cell of a notebook.

Where code arrives without its file, as in a pickle by value, a table that was exported from the process with
the file gives the same digests: see :meth:`SourceTexts.export` and :meth:`SourceTexts.adopt`.
"""

from __future__ import annotations
import __future__

import ast
import importlib.util
import linecache
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.syntax.bytecode.codes import code_key, nested_codes
from s3kv_flows._keys.code.syntax.canonical import Scope, canonical_file
from s3kv_flows._keys.code.syntax.parsing import parse, parsing
from s3kv_flows._keys.code.syntax.texts import CodeText, Documentation
from s3kv_flows._keys.quiet import compile_quietly, parse_quietly

__all__ = ["TEXTS", "SourceTexts", "Table", "TextStamp", "is_same_code", "stamp_of"]


class TextStamp(NamedTuple):
    """Attributes of a file that change when it is written or replaced."""

    modified_ns: int
    changed_ns: int
    size: int
    inode: int

    @property
    def newest_ns(self) -> int:
        """The time of the last change of its content or its status."""
        return max(self.modified_ns, self.changed_ns)


def stamp_of(path: str) -> TextStamp | None:
    """Return the stamp of a file; None where it cannot be looked at."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- a tenth of the time of a Path, for each task run
    except (OSError, ValueError):
        return None
    return TextStamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


_INHERITED = __future__.annotations.compiler_flag
"""Of a ``__future__`` import: a cell of a notebook has it of the cells before."""

_COMPARES_ALL = sys.version_info[:2] != (3, 11)
"""Whether code objects that are equal have equal tables of exceptions, too."""


class Table:
    """The functions of one text, by the code that they compile to.

    Attributes:
        file: What the text says as a whole.
        flags: Of the compiled text.
    """

    def __init__(self, text: str | bytes, flags: int = 0) -> None:
        self._by_code: dict[object, CodeText] = {}
        self._by_name: dict[str, list[tuple[CodeType, CodeText]]] = {}
        self._by_key: dict[str, dict[bytes, CodeText]] = {}
        with parsing():
            module = compile_quietly(text, flags)
            self.flags = module.co_flags
            self.file, scopes = canonical_file(parse(text))
            for code, said in _match(text, scopes, module):
                self._by_code.setdefault(_alike(code), said)
                self._by_name.setdefault(code.co_name, []).append((code, said))

    def find(self, code: CodeType) -> CodeText | None:
        """Return what the text says of code that runs; None where it does not compile to that."""
        found = self._by_code.get(_alike(code))
        if found is not None:
            return found
        keys = self._by_key.get(code.co_name)
        if keys is None:
            keys = {}
            for own, said in self._by_name.get(code.co_name, ()):
                key = code_key(own)
                # Texts that differ and compile to the same: one of them, whatever their order.
                keys[key] = min(keys.get(key, said), said, key=lambda one: one.digest)
            self._by_key[code.co_name] = keys
        return keys.get(code_key(code)) if keys else None

    def all(self) -> Iterator[tuple[CodeType, CodeText]]:
        """Yield each function's code, with what the text says of it."""
        for found in self._by_name.values():
            yield from found


def is_same_code(one: CodeType, other: CodeType) -> bool:
    """Return whether two code objects run alike, and stand on the same lines."""
    return _alike(one) == _alike(other)


def _alike(code: CodeType) -> object:
    """Return what is equal for code objects that run alike, and stand on the same lines."""
    return code if _COMPARES_ALL else (code, _handlers(code))


def _handlers(code: CodeType) -> object:
    """Return how code handles exceptions, with all that is nested in it."""
    table: bytes = getattr(code, "co_exceptiontable", b"")
    return table, tuple(map(_handlers, nested_codes(code)))


def _match(
    source: str | bytes, scopes: Sequence[tuple[Scope, CodeText]], module: CodeType
) -> Iterator[tuple[CodeType, CodeText]]:
    """Yield each function's code with what its text says."""
    said: dict[tuple[str, int], dict[bytes, CodeText]] = {}
    for scope, text in scopes:
        said.setdefault(_place(scope), {})[text.digest] = text
    compiled = list(_functions(module))
    several = {place for place, texts in said.items() if len(texts) > 1}
    numbered: dict[int, CodeText] = {}
    if any((code.co_name, code.co_firstlineno) in several for code in compiled):
        numbered = _match_by_number(source, compiled)
    for code in compiled:
        texts = said.get((code.co_name, code.co_firstlineno), {})
        if len(texts) == 1:
            yield code, next(iter(texts.values()))
        elif id(code) in numbered:
            yield code, numbered[id(code)]


def _match_by_number(source: str | bytes, compiled: Sequence[CodeType]) -> dict[int, CodeText]:
    """Match several functions of one name on one line, by a tree of its own with running numbers as lines."""
    tree = parse_quietly(source)
    _, scopes = canonical_file(tree)
    for number, (scope, _) in enumerate(scopes, 1):
        for node in (scope, *getattr(scope, "decorator_list", ())):
            node.lineno = node.end_lineno = number
            node.col_offset, node.end_col_offset = 0, 1
    with parsing():
        again = list(_functions(compile_quietly(tree)))
    if [code.co_name for code in again] != [code.co_name for code in compiled]:
        return {}
    texts = dict(enumerate((text for _, text in scopes), 1))
    return {
        id(code): texts[other.co_firstlineno]
        for code, other in zip(compiled, again, strict=True)
        if other.co_firstlineno in texts
    }


def _place(scope: Scope) -> tuple[str, int]:
    if isinstance(scope, ast.Lambda):
        return "<lambda>", scope.lineno
    return scope.name, scope.decorator_list[0].lineno if scope.decorator_list else scope.lineno


def _functions(code: CodeType) -> Iterator[CodeType]:
    for inner in nested_codes(code):
        yield inner
        yield from _functions(inner)


class SourceTexts:
    """The source texts of this process's code.

    There is one for the process, :data:`TEXTS`: a text is parsed once, whoever asks. Threads may ask at
    once; after a fork, the child goes on with what the parent knew.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tables: dict[tuple[str, object, int], Table | None] = {}
        self._adopted: dict[bytes, CodeText] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self._lock = threading.RLock()  # a thread that held it is not in the child

    def find(self, code: CodeType, namespace: Mapping[str, Any]) -> CodeText | None:
        """Return the record of the text of code; None where no text compiles to it.

        Args:
            code: That runs.
            namespace: The globals of its function, which know where the module came from.
        """
        with self._lock:
            for table in self._candidates(code, namespace):
                said = table.find(code)
                if said is not None:
                    return said
            return self._adopted.get(code_key(code)) if self._adopted else None

    def export(self, code: CodeType, namespace: Mapping[str, Any]) -> dict[bytes, bytes]:
        """Return the digests of the functions in the file of some code, for a process without the file."""
        with self._lock:
            for table in self._candidates(code, namespace):
                if table.find(code) is not None:
                    return {code_key(own): _packed(said) for own, said in table.all()}
        return {}

    def table(self, path: str, stamp: TextStamp, read: Callable[[], str | bytes | None]) -> Table | None:
        """Return the functions of a loaded module's text; None where it cannot be read.

        Args:
            path: The file.
            stamp: Of the file, or of the archive that it is in.
            read: Returns the text.
        """
        with self._lock:
            return self._table(path, stamp, read)

    def adopt(self, exported: Mapping[bytes, bytes]) -> None:
        """Use the digests that another process exported, for code that came from there."""
        with self._lock:
            for key, packed in exported.items():
                self._adopted.setdefault(key, _unpacked(packed))

    def _candidates(self, code: CodeType, namespace: Mapping[str, Any]) -> Iterator[Table]:
        filename = code.co_filename
        flags = code.co_flags & _INHERITED
        for path in _paths(filename, namespace):
            table = self._table(path, stamp_of(path), lambda path=path: Path(path).read_bytes(), flags)
            if table is not None:
                yield table
        # A notebook's cell, a doctest, or what somebody read before the file was written again.
        cached = linecache.cache.get(filename)
        lines: Sequence[str] = ()
        if cached is not None and len(cached) > 1:
            lines = cached[2]
        elif cached is not None or filename.startswith("<"):
            lines = linecache.getlines(filename, dict(namespace))
        if lines:
            text = "".join(lines)
            table = self._table(filename, text, lambda: text, flags)
            if table is not None:
                yield table
        loader = namespace.get("__loader__")
        # What `python -m` runs out of an archive is called __main__, which its loader does not know.
        name = getattr(namespace.get("__spec__"), "name", None) or namespace.get("__name__")
        if hasattr(loader, "get_source") and isinstance(name, str) and stamp_of(filename) is None:
            table = self._table(filename, name, lambda: _loaded_source(loader, name), flags)
            if table is not None:
                yield table

    def _table(self, path: str, version: object, read: Any, flags: int = 0) -> Table | None:
        if version is None:
            return None
        table = self._compiled(path, version, read, 0)
        if table is None or not flags & ~table.flags:
            return table
        return self._compiled(path, version, read, flags)

    def _compiled(self, path: str, version: object, read: Any, flags: int) -> Table | None:
        at = (path, version, flags)
        if at not in self._tables:
            try:
                text = read()
                self._tables[at] = Table(text, flags) if text else None
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, ImportError):
                self._tables[at] = None
        return self._tables[at]


def _paths(filename: str, namespace: Mapping[str, Any]) -> list[str]:
    paths = [] if filename.startswith("<") else [filename]
    known = namespace.get("__file__")
    if isinstance(known, str):
        if known.endswith(".pyc"):
            try:
                known = importlib.util.source_from_cache(known)
            except ValueError:
                known = known[:-1]
        # A script's path may be relative to the directory where its process started; cloudpickle drops paths.
        if known != filename and (not paths or Path(known).name == Path(filename).name):
            paths.append(known)
    return paths


def _loaded_source(loader: Any, name: str) -> str | None:
    source = loader.get_source(name)
    return source if isinstance(source, str) else None


def _packed(said: CodeText) -> bytes:
    names, writes = " ".join(sorted(said.names)), " ".join(sorted(map(".".join, said.writes)))
    documentation = said.documentation
    documented = " ".join([documentation.digest.hex(), *sorted(documentation.names)])
    return said.digest + f"{names}\n{writes}\n{documented}".encode()


def _unpacked(packed: bytes) -> CodeText:
    names, writes, documented = packed[32:].decode().split("\n")
    digest, _, documented_names = documented.partition(" ")
    return CodeText(
        packed[:32],
        frozenset(names.split()),
        frozenset(tuple(one.split(".")) for one in writes.split()),
        Documentation(bytes.fromhex(digest), frozenset(documented_names.split())),
    )


TEXTS = SourceTexts()
"""The source texts of this process's code."""


def text_of(function: FunctionType) -> CodeText | None:
    """Return the record of a function's text; None where no text compiles to its code."""
    return TEXTS.find(function.__code__, function.__globals__)
