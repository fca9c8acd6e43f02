"""Digests the tasks of many small projects in one process: reads what to do as JSON, and prints the digests.

How a project is loaded:

- ``import``: as a module;
- ``main``, ``loader``: as a script, and as an entry point of a deployment;
- ``old``: as a module, with all its other modules; then its files become those of the edited project;
- ``compiled``: as a module, from compiled files alone;
- ``zip``: as a module, from an archive;
- ``notebook``: as a cell.
"""

from __future__ import annotations

import compileall
import contextlib
import importlib
import json
import linecache
import shutil
import sys
import types
from pathlib import Path
from typing import Any

from s3kv_flows._keys.identity import Identity

LOADERS = {"main": "__main__", "loader": "__prefect_loader_123__", "notebook": "__main__"}


def load(directory: Path, how: str) -> Any:
    if how not in LOADERS:
        importlib.invalidate_caches()
        return importlib.import_module("m")
    name, path = LOADERS[how], directory / "m.py"
    module = types.ModuleType(name)
    sys.modules[name] = module
    text, filename = path.read_text(), str(path)
    if how == "notebook":
        filename = f"<ipython-input-1-{abs(hash(directory))}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    else:
        module.__file__ = filename
    exec(compile(text, filename, "exec", dont_inherit=True), vars(module))  # noqa: S102
    return module


def prepare(directory: Path, how: str) -> Path:
    if how == "compiled":
        compileall.compile_dir(directory, quiet=1, legacy=True)
        for file in directory.rglob("*.py"):
            file.unlink()
    if how == "zip":
        return directory.with_suffix(".zip")
    return directory


def edit(directory: Path) -> None:
    for file in sorted(directory.rglob("*.py")):
        name = ".".join(file.relative_to(directory).with_suffix("").parts).removesuffix(".__init__")
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    shutil.copytree(directory.with_name(f"{directory.name}-edited"), directory, dirs_exist_ok=True)


def digest(directory: Path, how: str, options: dict[str, Any]) -> str:
    known = set(sys.modules)
    main = sys.modules["__main__"]
    place = prepare(directory, how)
    sys.path.insert(0, str(place))
    try:
        task = load(directory, how).t
        if how == "old":
            edit(directory)
        made = Identity(**options)
        first = made.code(task).digest
        # The digest is the same the second time, also where nothing was kept.
        assert made.code(task).digest == first == Identity(**options).code(task).digest, directory
        return first.hex()
    except ImportError as failure:
        return f"skipped: {failure}"
    finally:
        sys.path.remove(str(place))
        sys.modules["__main__"] = main
        for name in set(sys.modules) - known:
            module = vars(sys.modules[name])
            places = [module.get("__file__") or "", *map(str, module.get("__path__", ()))]
            if any(one.startswith(str(place)) for one in places) or name in LOADERS.values():
                del sys.modules[name]
        sys.path_importer_cache.clear()


def run() -> None:
    wanted = json.load(sys.stdin)
    found = {
        name: digest(Path(directory), wanted["how"], options) for name, directory, options in wanted["cases"]
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    run()
