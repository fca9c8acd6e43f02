"""The identity of a task's code and inputs, for its key."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePath

from s3kv_flows._keys.code.code_identity import CodeIdentity, innermost
from s3kv_flows._keys.code.graph import CodeDigest
from s3kv_flows._keys.code.syntax.modules import NotLoaded
from s3kv_flows._keys.contents.encoder import ContentEncoder, Digest
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.project import own_package, stem_of_module

__all__ = ["CodeDigest", "Digest", "Identity", "NotLoaded", "identity_of", "place_of"]

_MOST_SHARED = 256


class Identity:
    """Digests the code of functions, and the inputs of their calls.

    The two need each other: an input of a class of the project counts with the code of its class, and a
    constant that code uses counts by its content. Safe for use by threads at once, and after a fork.

    Args:
        ignore: Names of globals and attributes (``"NAME"``, ``"module.NAME"``, ``"Class.method"``), and
            classes, whose code does not count.
        depends_on: Further dependencies of the code: modules, functions, classes, paths, distributions, and
            any other values.
        packages: Installed packages that count as the project, beside everything that is not installed.
        settings: Whether the settings that modules leave behind at import count.

    Attributes:
        codes: The identity of code.
        contents: The identity of contents.
    """

    def __init__(
        self,
        *,
        ignore: Collection[str | type] = (),
        depends_on: Iterable[object] = (),
        packages: Collection[str] = (),
        settings: bool = True,
    ) -> None:
        self.contents = ContentEncoder(
            lambda thing: self.codes.code_of(thing), [one for one in ignore if isinstance(one, type)]
        )
        self.codes = CodeIdentity(self.contents.digest, ignore, depends_on, packages, settings=settings)

    def code(self, function: Callable[..., object]) -> CodeDigest:
        """Return the digest of a function with everything that it reaches, and its parts by name.

        Raises:
            Unkeyable: A module that the function imports when it runs, or a path that it depends on, cannot
                be read.
        """
        return self.codes.examine(function)

    def dependencies(self) -> bytes:
        """Return the digest of what ``depends_on`` names alone, for a task whose code does not count.

        Raises:
            Unkeyable: A path among them cannot be read.
        """
        return self.codes.digest(_no_code)

    def inputs(self, values: Mapping[str, object]) -> dict[str, Digest]:
        """Return the digest of each input by its name, and whether it holds a secret.

        Raises:
            Unkeyable: An input, or a part of one, cannot be digested, as an iterator. The message names the
                input. No input was changed.
        """
        found: dict[str, Digest] = {}
        for name, value in values.items():
            try:
                found[name] = self.contents.examine(value)
            except Unkeyable as exc:  # noqa: PERF203 -- of one of a few inputs
                raise Unkeyable(f"input {name!r}: {exc.reason}", exc.remedy) from exc
        return found


def identity_of(
    function: Callable[..., object],
    *,
    ignore: Collection[str | type] = (),
    depends_on: Iterable[object] = (),
) -> Identity:
    """Return the identity that a task's code and inputs are digested with.

    Calls with equal options share one per process, so that what it learned is used again. The installed
    package that a task stands in counts as the project, for that task alone: no key depends on which other
    tasks this process has run.

    Args:
        function: The task's function.
        ignore: As for :class:`Identity`.
        depends_on: As for :class:`Identity`.
    """
    target = innermost(function)
    package = None if target is None else own_package(target)
    depends_on = tuple(depends_on)
    options = (frozenset(ignore), tuple(map(_option, depends_on)), package)
    with _SHARED.lock:
        known = _SHARED.identities.get(options)
        if known is None:
            packages = () if package is None else (package,)
            known = _SHARED.identities[options] = (
                Identity(ignore=ignore, depends_on=depends_on, packages=packages),
                depends_on,
            )
            if len(_SHARED.identities) > _MOST_SHARED:
                _SHARED.identities.popitem(last=False)
        _SHARED.identities.move_to_end(options)
    return known[0]


def place_of(function: Callable[..., object]) -> str:
    """Return where a function is defined: the stem of its file, and its qualified name."""
    target = innermost(function)
    if target is None:
        return type(function).__qualname__
    namespace = target.__globals__
    return f"{stem_of_module(str(namespace.get('__name__')), namespace)}.{target.__qualname__}"


def _no_code() -> None:
    """Stand for a task whose code does not count."""


def _option(thing: object) -> object:
    """Return a key for a dependency: its id, as equal ones may differ (1 and True) or have no hash."""
    return (type(thing), thing) if isinstance(thing, (str, PurePath)) else id(thing)


class _Shared:
    """The identities of this process, those that were used last."""

    def __init__(self) -> None:
        # Each with its dependencies, which keep their ids while they are in use.
        self.identities: OrderedDict[object, tuple[Identity, tuple[object, ...]]] = OrderedDict()
        self.unlock()

    def unlock(self) -> None:
        """Replace the lock in the child of a fork, where the thread that held it does not exist."""
        self.lock = threading.Lock()


_SHARED = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SHARED.unlock)
