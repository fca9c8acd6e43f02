"""Digests the tasks of many small projects in one process: reads what to do as JSON, and prints the digests."""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

from tests.keys.standin import identity

LOADERS = {"import": "m", "main": "__main__", "loader": "__prefect_loader_123__"}


def load(directory: Path, how: str) -> Any:
    if how == "import":
        importlib.invalidate_caches()
        return importlib.import_module("m")
    name, path = LOADERS[how], directory / "m.py"
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102
    return module


def digest(directory: Path, how: str, options: dict[str, Any]) -> str:
    known = set(sys.modules)
    main = sys.modules["__main__"]
    sys.path.insert(0, str(directory))
    try:
        task = load(directory, how).t
        made = identity(**options)
        first = made.digest(task)
        # A second look at the same finds the same, also where nothing is kept.
        assert made.digest(task) == first == identity(**options).digest(task), directory
        return first.hex()
    except ImportError as failure:
        return f"skipped: {failure}"
    finally:
        sys.path.remove(str(directory))
        sys.modules["__main__"] = main
        for name in set(sys.modules) - known:
            module = vars(sys.modules[name])
            places = [module.get("__file__") or "", *map(str, module.get("__path__", ()))]
            if any(place.startswith(str(directory)) for place in places) or name in LOADERS.values():
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
