"""Loads a small project as it is laid out, and forgets it."""

from __future__ import annotations

import importlib
import linecache
import os
import site
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from prefect.utilities.importtools import load_script_as_module

from tests.keys.code.child import LOADERS, load

__all__ = ["cells_of", "loaded"]

_NAMES = {*LOADERS.values(), "__main__"}


@contextmanager
def loaded(directory: Path, how: str) -> Iterator[Any]:
    """Load the module ``m`` of a project.

    Beside the ways of :func:`load`: ``cells``, as a notebook; ``entry point``, as a worker of Prefect's.
    """
    modules, path, finders = set(sys.modules), list(sys.path), list(sys.meta_path)
    main = sys.modules["__main__"]
    sys.path.insert(0, str(directory))
    if (directory / "target").is_dir():
        sys.path.insert(0, str(directory / "target"))
    if (directory / "site-packages").is_dir():
        site.addsitedir(str(directory / "site-packages"))
    importlib.invalidate_caches()
    try:
        if how == "cells":
            yield _run_cells((directory / "m.py").read_text())
        elif how == "entry point":
            yield load_script_as_module(str(directory / "m.py"))
        else:
            yield load(directory, how)
    finally:
        sys.path[:], sys.meta_path[:] = path, finders
        sys.modules["__main__"] = main
        for name in set(sys.modules) - modules:
            module = vars(sys.modules[name])
            places = [module.get("__file__") or "", *map(str, module.get("__path__", ()))]
            if any(place.startswith(str(directory)) for place in places) or name in _NAMES:
                del sys.modules[name]
        sys.modules["__main__"] = main
        sys.path_importer_cache.clear()


def _run_cells(text: str) -> Any:
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    run = _shell(module) or cells_of(module)
    for cell in text.split("# %%\n"):
        run(cell)
    return module


def _shell(module: types.ModuleType) -> Callable[[str], None] | None:
    """Return what runs a cell in IPython; None where it is not installed."""
    try:
        shell = importlib.import_module("IPython.core.interactiveshell").InteractiveShell
    except ImportError:
        return None
    made = shell(user_module=module)
    return lambda cell: made.run_cell(cell, store_history=True).raise_error()


def cells_of(module: types.ModuleType) -> Callable[[str], None]:
    """Return what runs a cell as ipykernel does: under the name of a file that only ``linecache`` has."""

    def run(cell: str) -> None:
        name = sha256(cell.encode()).hexdigest()[:10]
        filename = f"{tempfile.gettempdir()}/ipykernel_{os.getpid()}/{name}.py"
        linecache.cache[filename] = (len(cell), None, cell.splitlines(keepends=True), filename)
        exec(compile(cell, filename, "exec", dont_inherit=True), vars(module))  # noqa: S102

    return run
