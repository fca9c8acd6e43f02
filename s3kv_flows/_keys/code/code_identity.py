"""The identity of code: digests of functions with all they reach."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from types import FunctionType, ModuleType
from typing import Any

from s3kv_flows._keys.code.changes.first_seen import FirstSeen
from s3kv_flows._keys.code.classes.parts import is_project_class
from s3kv_flows._keys.code.depends_on import Dependency
from s3kv_flows._keys.code.graph import CodeDigest, Found, Rules
from s3kv_flows._keys.code.objects.order import label_of
from s3kv_flows._keys.code.syntax.facts import CODES
from s3kv_flows._keys.code.syntax.modules import NotLoaded
from s3kv_flows._keys.code.syntax.parsing import examining
from s3kv_flows._keys.code.syntax.sources import TEXTS
from s3kv_flows._keys.code.walk import Walk
from s3kv_flows._keys.code.watch import Content
from s3kv_flows._keys.errors import Unkeyable, changed_meanwhile, steady
from s3kv_flows._keys.project import is_project_function, is_project_module

__all__ = ["CodeIdentity", "adopt_table", "export_table", "innermost"]

_KEPT = 512
_FIRST_SEEN = FirstSeen()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_FIRST_SEEN.unlock)


class CodeIdentity:
    """Digests functions by the meaning of their code: equal in each process, changed by edits that count.

    Everything that a function reaches counts, wherever it stands in the project: helpers, constants, classes,
    closures, defaults, decorators. Comments, docstrings, formatting, annotations of functions, and code that
    is not reached do not count. Installed packages count by name. The names of the project's own modules do
    not enter, so a script and an import of it have one digest.

    After the first call, a digest costs a check that everything reached is still the same object: the values
    of names, cells and attributes, members of containers, sizes and times of files. Instances of installed
    classes, arrays and frames are digested again each time. Values that the reached code itself writes
    (``global``, ``CACHE[k] = v``, ``.append``) count as they were when this process first saw them.

    Safe for use by threads at once, and after a fork.

    Args:
        value_digest: Returns 32 bytes for the content of a value. Raises Unkeyable for a value without
            content, which then counts by its type. May call :meth:`code_of`.
        ignore: Names of globals and attributes (``"NAME"``, ``"module.NAME"``, ``"Class.method"``), and
            classes, that do not count.
        depends_on: Further dependencies: modules, functions and classes of the project, with everything that
            they reach; an installed module, by the version of its distribution; a path, by the content of
            the file, or of all files in the directory; any other value, by content.
        packages: Installed packages that count as the project.
        settings: Whether the settings that modules leave behind at import count.
    """

    def __init__(
        self,
        value_digest: Callable[[object], bytes],
        ignore: Collection[str | type] = (),
        depends_on: Iterable[object] = (),
        packages: Collection[str] = (),
        *,
        settings: bool = True,
    ) -> None:
        self._rules = Rules(
            content=self._content,
            first_seen=_FIRST_SEEN,
            ignored_names=frozenset(one for one in ignore if isinstance(one, str)),
            ignored_types=frozenset(one for one in ignore if isinstance(one, type)),
            packages=frozenset(packages),
            settings=settings,
        )
        self._value_digest = value_digest
        self._depends_on = tuple(depends_on)
        self._kept: OrderedDict[tuple[int, bool], tuple[object, Found]] = OrderedDict()
        self._local = _OfThread()

    def examine(self, function: Callable[..., object]) -> CodeDigest:
        """Return the digest of a function, of each thing that it reaches, and notes for the user.

        Args:
            function: Any callable.

        Raises:
            Unkeyable: A module that the function imports when it runs, or a path that it depends on, cannot
                be read.
        """
        return self._find(function, whole=True).code

    def digest(self, function: Callable[..., object]) -> bytes:
        """Return 32 bytes for a function, everything that it reaches, and its further dependencies.

        Raises:
            Unkeyable: As for :meth:`examine`.
        """
        return self.examine(function).digest

    @contextmanager
    def modules_not_loaded(self) -> Iterator[set[NotLoaded]]:
        """Yield a set that gets the modules whose texts count in the digests that this thread makes."""
        outer, found = self._local.not_loaded, set[NotLoaded]()
        self._local.not_loaded = found
        try:
            yield found
        finally:
            self._local.not_loaded = outer
            if outer is not None:
                outer |= found

    def code_of(self, thing: object) -> bytes | None:
        """Return 32 bytes for a class, function or module among a task's values, without ``depends_on``.

        Returns:
            None for an installed one, which counts by its name.

        Raises:
            Unkeyable: A module that it imports when it runs cannot be read.
        """
        packages = self._rules.packages
        if isinstance(thing, type):
            if not is_project_class(thing, packages):
                return None
        elif isinstance(thing, FunctionType):
            # A package's wrapper around a function of the project counts as both.
            if not is_project_function(thing, packages) and not (thing.__closure__ or thing.__dict__):
                return None
        elif isinstance(thing, ModuleType) and not is_project_module(thing.__name__, packages):
            return None
        met = self._local.met
        return met.name_of(thing) if met is not None else self._find(thing, whole=False).code.digest

    def _content(self, value: object) -> Content:
        """Return the content of a value in code: what code it holds is visited by the walk that asks."""
        outer, met = self._local.met, _Met()
        self._local.met = met
        try:
            return Content(self._value_digest(value), met.things)
        finally:
            self._local.met = outer

    def _find(self, value: object, *, whole: bool) -> Found:
        at, local = (id(value), whole), self._local
        known = self._kept.get(at)
        if known is not None and known[0] is value and known[1].watch.unchanged(self._content):
            with contextlib.suppress(KeyError):  # another thread was first
                self._kept.move_to_end(at)
            if local.not_loaded is not None:
                local.not_loaded |= known[1].not_loaded
            return known[1]
        others = [Dependency(one) for one in self._depends_on] if whole else []
        with examining():
            found = steady(lambda: self._walk(value, others))
        if local.not_loaded is not None:
            local.not_loaded |= found.not_loaded
        if isinstance(value, (FunctionType, type)):
            self._keep(at, value, found)
        return found

    def _walk(self, value: object, others: Sequence[Dependency]) -> Found:
        walk = Walk(self._rules)
        try:
            return walk.run(value, others)
        except (Unkeyable, MemoryError):
            raise
        except Exception as exc:
            if changed_meanwhile(exc):
                raise
            # The last resort: a class or a module of anybody may raise anything at any question.
            raise Unkeyable(
                f"{walk.visited or 'the code'} cannot be digested ({type(exc).__name__}: {exc})",
                'leave out what fails with ignore=, or use code="source"',
            ) from exc

    def _keep(self, at: tuple[int, bool], value: object, found: Found) -> None:
        self._kept[at] = (value, found)
        with contextlib.suppress(KeyError):  # another thread was first
            self._kept.move_to_end(at)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


class _OfThread(threading.local):
    """What this thread is doing.

    Attributes:
        not_loaded: Gets the modules whose texts count; None where nobody asks.
        met: Gets the code that is in a value; None where such code counts by its own digest.
    """

    not_loaded: set[NotLoaded] | None = None
    met: _Met | None = None


class _Met:
    """The code that is met in a value, by name: the walk that asks for the value visits it."""

    def __init__(self) -> None:
        self.things: list[object] = []
        self._names: dict[int, bytes] = {}
        self._counts: dict[bytes, int] = {}

    def name_of(self, thing: object) -> bytes:
        """Return what stands for a class, function or module: another thing than the last of its name."""
        name = self._names.get(id(thing))
        if name is None:
            label = label_of(thing)
            count = self._counts[label] = self._counts.get(label, 0) + 1
            name = self._names[id(thing)] = sha256(b"%d %s" % (count, label)).digest()
            self.things.append(thing)
        return name


def innermost(function: object) -> FunctionType | None:
    """Return the function inside of methods, partials and wrappers, as tasks are; None where none is."""
    target: Any = function
    while not isinstance(target, FunctionType):
        target = (
            getattr(target, "__func__", None)
            or getattr(target, "func", None)
            or getattr(target, "__wrapped__", None)
        )
        if target is None:
            return None
    return target


def export_table(function: Callable[..., object]) -> dict[bytes, bytes]:
    """Return the digests of the functions in a function's file, for a process without the file.

    The keys are digests of code objects of this version of Python. Empty where no text compiles to the
    function's code.
    """
    target = innermost(function)
    return {} if target is None else TEXTS.export(target.__code__, target.__globals__)


def adopt_table(table: Mapping[bytes, bytes]) -> None:
    """Use the digests that :func:`export_table` returned in another process for the same code here."""
    CODES.adopt(table)
