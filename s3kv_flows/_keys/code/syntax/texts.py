"""Records of source texts: digest, names, writes, imports, constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "NO_DOCUMENTATION",
    "READERS",
    "READS_ANNOTATIONS",
    "READS_DOCS",
    "READS_SCHEMAS",
    "READS_SUBCLASSES",
    "Chain",
    "CodeText",
    "Documentation",
    "FileText",
    "Import",
    "constant",
    "encoded",
]

Chain = tuple[str, ...]
"""A name and the attributes that follow it."""

READS_DOCS = frozenset({"__doc__", "getdoc", "json_schema", "model_json_schema", "models_json_schema"})
"""Names by which code reads docstrings: they are in the schemas of pydantic, too."""
READS_SCHEMAS = frozenset({"schema", "schema_json", "schema_of", "schema_json_of"})
"""Older names of such schemas, which frames and tables have as well."""
READS_ANNOTATIONS = frozenset(
    [
        "__annotations__", "__signature__", "get_annotations", "get_type_hints", "getfullargspec",
        "signature", "TypeAdapter", "beartype", "typechecked", "validate_arguments", "validate_call",
    ]
)  # fmt: skip
READS_SUBCLASSES = frozenset({"__subclasses__"})
READERS = READS_DOCS | READS_SCHEMAS | READS_ANNOTATIONS | READS_SUBCLASSES
"""Names by which code reads what does not count otherwise."""


class Documentation(NamedTuple):
    """The docstrings of a text, and the annotations of the functions in it.

    They make a difference to code that reads them, and to no other.

    Attributes:
        digest: Of all of them.
        names: That occur in the annotations.
    """

    digest: bytes = b""
    names: frozenset[str] = frozenset()


NO_DOCUMENTATION = Documentation()


@dataclass(frozen=True)
class CodeText:
    """The text of one function.

    Attributes:
        digest: Of the tree, without the function's own name, decorators and defaults.
        names: That occur outside of annotations, nested functions included.
        writes: What is changed in place: ``CACHE[k] = v`` and ``CACHE.update(...)`` are ``("CACHE",)``,
            ``config.cache[k] = v`` is ``("config", "cache")``; what is bound anew, as by
            ``config.rate = 1``, ends with a sign: ``("config", "rate=")``.
        documentation: Of the function, and of what is nested in it.
    """

    digest: bytes
    names: frozenset[str]
    writes: frozenset[Chain]
    documentation: Documentation = NO_DOCUMENTATION


class Import(NamedTuple):
    """An import statement: the arguments of :func:`__import__`."""

    name: str
    level: int
    names: tuple[str, ...]


class FileText(NamedTuple):
    """The text of a file as a whole.

    Attributes:
        digest: Of the whole.
        imports: Wherever they stand, but for those for type checkers.
        documentation: Of all that is in it.
        readers: Those of :data:`READERS` that occur in it.
        as_imported: What it says where it is imported, and no script; None where that is the same.
    """

    digest: bytes
    imports: Sequence[Import]
    documentation: Documentation = NO_DOCUMENTATION
    readers: frozenset[str] = frozenset()
    as_imported: FileText | None = None

    def run_as(self, module: str) -> FileText:
        """Return what it says where it runs as a module of some name."""
        return self if module == "__main__" or self.as_imported is None else self.as_imported


def encoded(name: object) -> bytes:
    """Return bytes for a name: also for half a character, and for a key of a namespace that is no text."""
    text = name if isinstance(name, str) else f"<{type(name).__name__}> {name!r}"
    return text.encode("utf-8", "surrogatepass")


def constant(value: object) -> str:
    """Return a text for a constant of a code object or a tree, other for each that can be told apart."""
    if value is None or value is True or value is False or value is ...:
        return repr(value)
    if isinstance(value, int):
        return hex(value)  # repr refuses numbers of more than 4,300 digits
    if isinstance(value, str):
        return ascii(value)  # which characters repr escapes depends on the version of Python
    if isinstance(value, (bytes, float, complex)):
        return repr(value)
    raise TypeError(f"{type(value).__name__} is no constant")
