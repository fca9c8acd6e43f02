"""Dependencies that a user declares: files, versions of packages, values, code."""

from __future__ import annotations

import importlib.metadata
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from s3kv_flows._keys.code.graph import Graph, Token
from s3kv_flows._keys.code.syntax.sources import stamp_of
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.project import is_project_module

__all__ = ["Dependency", "digest_of_path"]


class Dependency:
    """One thing that the user declares a function to depend on."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __call__(self, graph: Graph) -> Token:
        thing = self._thing
        if isinstance(thing, Path):
            graph.watch.call(lambda: _stamps(thing), _stamps(thing))  # before it is read
            digest = digest_of_path(thing)
            graph.parts[f"depends_on {thing.name}"] = digest
            return b"path " + digest
        if isinstance(thing, importlib.metadata.Distribution):
            return f"version {thing.metadata['Name']} {thing.version}".encode()
        if isinstance(thing, ModuleType) and not is_project_module(thing.__name__, graph.rules.packages):
            return f"version {thing.__name__} {_version(thing.__name__)}".encode()
        return graph.token(thing, "depends_on")


def digest_of_path(path: Path) -> bytes:
    """Return the digest of a file's content; of a directory, of all files in it, by their names.

    Raises:
        Unkeyable: It does not exist, or cannot be read.
    """
    digest = sha256()
    try:
        for file in _files(path):
            name = file.relative_to(path).as_posix() if file != path else ""
            content = sha256(file.read_bytes()).hexdigest()
            digest.update(f"{name}\n{content}\n".encode("utf-8", "surrogateescape"))
    except OSError as failure:
        raise Unkeyable(
            f"depends_on names {path}, which cannot be read ({failure})", "correct the path"
        ) from failure
    return digest.digest()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(one for one in path.rglob("*") if one.is_file() and "__pycache__" not in one.parts)


def _stamps(path: Path) -> object:
    return [(str(file), stamp_of(str(file))) for file in _files(path)]


def _version(name: str) -> str:
    top = name.partition(".")[0]
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        pass
    named = importlib.metadata.packages_distributions().get(top, ())
    versions = sorted({f"{one} {importlib.metadata.version(one)}" for one in named})
    if versions:
        return ", ".join(versions)
    return "{}.{}.{}".format(*sys.version_info) if top in sys.stdlib_module_names else "unknown"
