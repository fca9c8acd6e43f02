"""The identity of code: one digest for a function and everything that it reaches in the project."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from s3kv_flows._keys.classes import is_project_class
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.first_seen import FirstSeen
from s3kv_flows._keys.project import is_project_function, is_project_module, own_package
from s3kv_flows._keys.reach import CODES
from s3kv_flows._keys.sources import TEXTS, stamp_of
from s3kv_flows._keys.walk import Found, Isolated, Rules, Token, Walk
from s3kv_flows._keys.watch import Watch

__all__ = ["CodeIdentity", "adopt_table", "export_table"]

_KEPT = 512
_FIRST_SEEN = FirstSeen()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_FIRST_SEEN.unlock)


class CodeIdentity:
    """Digests functions by what their code does: the same in each process, other after each edit that counts.

    What a function reaches counts, wherever it stands in the project: helpers, constants, classes, closures,
    defaults, decorators. Comments, docstrings, formatting, annotations of functions, and what it does not
    reach, do not; installed packages count by name. The names of the project's own modules do not enter, so a
    script and an import of it are one.

    After the first time, a digest costs a look whether everything that was reached is still the same object:
    what names, cells and attributes are bound to, members of containers, files' sizes and times. Instances
    of installed classes, arrays and frames are digested again each time. What the reached code itself writes
    (``global``, ``CACHE[k] = v``, ``.append``) counts as this process first saw it.

    Instances may be used by threads at once, and after a fork.

    Args:
        value_digest: Returns 32 bytes for a value's content. Raises Unkeyable for what has none, which
            then counts by its type. May call :meth:`code_of`.
        ignore: What does not count: names of globals and attributes (``"NAME"``, ``"module.NAME"``,
            ``"Class.method"``), and classes.
        depends_on: What counts besides: modules, functions and classes of the project, with what they
            reach; an installed module, by the version of its distribution; a path, by the content of the
            file, or of all files in the directory; any other value, by content.
    """

    def __init__(
        self,
        value_digest: Callable[[object], bytes],
        ignore: Collection[str | type] = (),
        depends_on: Iterable[object] = (),
    ) -> None:
        self._rules = Rules(
            value_digest=value_digest,
            isolated=self._isolated,
            first_seen=_FIRST_SEEN,
            ignored_names=frozenset(one for one in ignore if isinstance(one, str)),
            ignored_types=frozenset(one for one in ignore if isinstance(one, type)),
            packages=set(),
        )
        self._depends_on = tuple(depends_on)
        self._kept: OrderedDict[tuple[int, bool], tuple[object, Found]] = OrderedDict()
        self._local = _Stack()

    def digest(self, function: Callable[..., object]) -> bytes:
        """Return 32 bytes for a function, all that it reaches, and what it depends on besides.

        Args:
            function: Anything that can be called. A package that is installed counts as the project where it
                is the function's own, from then on.

        Raises:
            Unkeyable: A module that it imports when it runs, or a path it depends on, cannot be read.
        """
        return self._found(function).digest

    def parts(self, function: Callable[..., object]) -> Mapping[str, bytes]:
        """Return a digest of each thing that a function reaches, by its name: ``helpers.scale``.

        A name has the same part in each process, and another where that thing itself changed; what it
        refers to has parts of its own.

        Raises:
            Unkeyable: As of :meth:`digest`.
        """
        return dict(self._found(function).parts)

    def notes(self, function: Callable[..., object]) -> tuple[str, ...]:
        """Return what a user may want to know: what counts by its type alone.

        Raises:
            Unkeyable: As of :meth:`digest`.
        """
        return self._found(function).notes

    def code_of(self, thing: object) -> bytes | None:
        """Return 32 bytes for a class, function or module among a task's values, without ``depends_on``.

        Returns:
            None for what is installed, and counts by its name.

        Raises:
            Unkeyable: A module that it imports when it runs cannot be read.
        """
        packages = self._rules.packages
        if isinstance(thing, type):
            if not is_project_class(thing, packages):
                return None
        elif isinstance(thing, FunctionType):
            # What a package made for a function of the project counts as both.
            if not is_project_function(thing, packages) and not (thing.__closure__ or thing.__dict__):
                return None
        elif isinstance(thing, ModuleType) and not is_project_module(thing.__name__, packages):
            return None
        return self._isolated(thing).digest

    def _found(self, function: Callable[..., object]) -> Found:
        target = getattr(function, "__func__", function)
        if isinstance(target, FunctionType):
            own = own_package(target)
            if own is not None:
                self._rules.packages.add(own)
        return self._look(function, whole=True)[0]

    def _isolated(self, value: object) -> Isolated:
        if id(value) in self._local.active:
            # It reaches itself by way of a value: what it reaches counts where it was entered.
            self._local.cut(id(value))
            name = getattr(value, "__qualname__", type(value).__qualname__)
            return Isolated(sha256(f"cycle {name}".encode()).digest(), Watch(), complete=False)
        found, complete = self._look(value, whole=False)
        return Isolated(found.digest, found.watch, complete)

    def _look(self, value: object, *, whole: bool) -> tuple[Found, bool]:
        at = (id(value), whole)
        stack = self._local
        depth = stack.enter(id(value))
        try:
            known = self._kept.get(at)
            if known is not None and known[0] is value and known[1].watch.unchanged(self._rules.value_digest):
                return known[1], True
            others = [_DependsOn(one) for one in self._depends_on] if whole else []
            found = Walk(self._rules).run(value, others)
        finally:
            complete = stack.leave(depth)
        if complete and isinstance(value, (FunctionType, type)):
            self._keep(at, value, found)
        return found, complete

    def _keep(self, at: tuple[int, bool], value: object, found: Found) -> None:
        self._kept[at] = (value, found)
        with contextlib.suppress(KeyError):  # another thread was first
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


class _Stack(threading.local):
    """What is being digested by this thread, so that a digest that needs itself ends."""

    def __init__(self) -> None:
        self.active: dict[int, int] = {}
        self._reached = sys.maxsize

    def enter(self, identity: int) -> int:
        depth = len(self.active)
        self.active.setdefault(identity, depth)
        return depth

    def cut(self, identity: int) -> None:
        """Say that a digest stands for one that is not complete yet: those in between are not kept."""
        self._reached = min(self._reached, self.active[identity])

    def leave(self, depth: int) -> bool:
        """Tell whether what was entered at a depth is complete in itself."""
        self.active = dict(list(self.active.items())[:depth])
        complete = self._reached >= depth
        if complete:
            self._reached = sys.maxsize
        return complete


class _DependsOn:
    """One thing that a function depends on besides what it reaches."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __call__(self, walk: Walk) -> Token:
        thing = self._thing
        if isinstance(thing, Path):
            digest = digest_of_path(thing)
            walk.watch.call(lambda: _stamps(thing), _stamps(thing))
            walk.parts[f"depends_on {thing.name}"] = digest
            return b"path " + digest
        if isinstance(thing, importlib.metadata.Distribution):
            return f"version {thing.metadata['Name']} {thing.version}".encode()
        if isinstance(thing, ModuleType) and not is_project_module(thing.__name__, walk.rules.packages):
            return f"version {thing.__name__} {_version(thing.__name__)}".encode()
        return walk.token(thing, "depends_on")


def digest_of_path(path: Path) -> bytes:
    """Return the digest of a file's content; of a directory, of all files in it, by their names.

    Raises:
        Unkeyable: It is not there, or cannot be read.
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


def export_table(function: Callable[..., object]) -> dict[bytes, bytes]:
    """Return what the text of a function's file says, for a process that gets the function without the file.

    The keys are digests of code objects of this version of Python. Empty where no text compiles to what runs.
    """
    target: Any = function
    while not isinstance(target, FunctionType):
        inner = (
            getattr(target, "__func__", None)
            or getattr(target, "func", None)
            or getattr(target, "__wrapped__", None)
        )
        if inner is None:
            return {}
        target = inner
    return TEXTS.export(target.__code__, target.__globals__)


def adopt_table(table: Mapping[bytes, bytes]) -> None:
    """Take what :func:`export_table` returned elsewhere for what the text of the same code says here."""
    CODES.adopt(table)
