"""The boundary between the project's code and installed packages.

The project is the code that its developers edit: everything outside of the standard library and of the
directories that packages are installed to, which includes editable installs, ``src/`` layouts, scripts and
notebooks; packages that were installed from a directory, a file or a repository, as PEP 610 records; and the
package that a task itself stands in. All other code counts by its name. Prefect and this package are never
the project.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

__all__ = [
    "RUNNING",
    "file_of_module",
    "is_loaded_by_prefect",
    "is_project_file",
    "is_project_function",
    "is_project_module",
    "is_script",
    "module_of",
    "own_package",
    "qualname_of",
    "stem_of_module",
]

_MODULE = vars(type)["__module__"]
_QUALNAME = vars(type)["__qualname__"]
_NEVER = {"prefect", "s3kv_flows"}
_LOADED_BY_PREFECT = "__prefect_loader_"

RUNNING = ("__main__", "__mp_main__")
"""Names of the module that ``python pipeline.py`` runs, here and in a child that multiprocessing spawned."""
_INSTALLED = ("/site-packages/", "/dist-packages/")


def is_script(name: str) -> bool:
    """Return whether a module has a name that does not tell its file.

    So are the running script's, and that which Prefect gives to the file of a deployment whose own name is
    taken.
    """
    return name in RUNNING or is_loaded_by_prefect(name)


def is_loaded_by_prefect(name: str) -> bool:
    """Return whether Prefect made up the name of a module, which is another one in each process."""
    return name.startswith(_LOADED_BY_PREFECT)


def stem_of_module(name: str, namespace: Mapping[str, Any] | None = None) -> str:
    """Return the last part of a module's name: the same for a script and for an import of it."""
    if is_script(name):
        if namespace is None:
            module: ModuleType | None = sys.modules.get(name)
            namespace = vars(module) if module is not None else {}
        file = namespace.get("__file__")
        return Path(file).stem if isinstance(file, str) else "main"
    return name.rpartition(".")[2]


def is_project_function(function: FunctionType, packages: Collection[str] = ()) -> bool:
    """Return whether a function is the project's, by where it was defined, whatever it says of itself.

    Args:
        function: Which one.
        packages: Installed packages that count as the project.
    """
    namespace = function.__globals__
    name, file = namespace.get("__name__"), namespace.get("__file__")
    if not isinstance(file, str):
        file = function.__code__.co_filename
    if not isinstance(name, str):
        return is_project_file(file)
    return _is_project(name, None if file.startswith("<") else file, packages)


def is_project_module(name: str, packages: Collection[str] = ()) -> bool:
    """Return whether a module that is loaded is the project's; one that is not loaded is taken to be."""
    return _is_project(name, None, packages)


def module_of(cls: type) -> str:
    """Return the name of the module of a class, whatever its metaclass or its slots say."""
    name: object = _MODULE.__get__(cls)
    return name if isinstance(name, str) else type.__repr__(cls).split("'")[1].rpartition(".")[0]


def qualname_of(cls: type) -> str:
    """Return the qualified name of a class, whatever its metaclass says."""
    return str(_QUALNAME.__get__(cls))


def file_of_module(module: ModuleType | None) -> str | None:
    """Return the path that a module was loaded from; None for one without, as built-in ones are."""
    file = _own(module, "__file__")
    return file if isinstance(file, str) else None


def _own(module: object, name: str) -> Any:
    # Never by getattr: that may call a __getattr__ of the user's.
    return vars(module).get(name) if isinstance(module, ModuleType) else None


def own_package(function: FunctionType) -> str | None:
    """Return the installed package that a task stands in; None where it is the project anyway.

    An installed package is taken for the user's own where the task's module uses Prefect or this package:
    ``task(pandas.read_csv)`` does not make pandas the project.
    """
    name = function.__globals__.get("__name__")
    if not isinstance(name, str) or is_project_function(function) or _is_standard(name):
        return None
    top = name.partition(".")[0]
    if top in _NEVER:
        return None
    return top if any(_is_of_prefect(value) for value in list(function.__globals__.values())) else None


def _is_of_prefect(value: Any) -> bool:
    kind = type(value)
    names = [kind.__module__]
    if issubclass(kind, ModuleType):
        names.append(value.__name__)
    elif kind is FunctionType or issubclass(kind, type):
        names.append(value.__module__)
    return any(isinstance(name, str) and name.partition(".")[0] in _NEVER for name in names)


def _is_project(name: str, file: str | None, packages: Collection[str]) -> bool:
    top = name.partition(".")[0]
    if top in _NEVER:
        return False
    if name in RUNNING or top in packages:
        return True
    if file is None:
        module = sys.modules.get(name)
        file = file_of_module(module)
        if file is None:
            # Namespace packages have a path and no file.
            places = list(_own(module, "__path__") or ())
            if places:
                return is_project_file(os.path.join(places[0], "x"))  # noqa: PTH118
            return not _is_standard(name) and top not in sys.builtin_module_names
    return is_project_file(file)


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


@cache
def is_project_file(file: str) -> bool:
    """Return whether a file is the project's, by where it is."""
    if file.startswith("<frozen"):
        return False
    if file.startswith("<"):
        return True
    path = _slashes(file)
    for mark in _INSTALLED:
        root, found, rest = path.rpartition(mark)
        if found:
            return _top_level(rest) in _installed_from_sources(root + mark)
    if any(path.startswith(place) for place in _standard_places()):
        return False
    for entry in sorted((_slashes(one).rstrip("/") + "/" for one in sys.path if one), key=len, reverse=True):
        if path.startswith(entry):  # `pip install --target` leaves records beside what it installs
            return _top_level(path[len(entry) :]) not in _installed_from_elsewhere(entry)
    return True


def _slashes(path: str) -> str:
    return os.path.abspath(path).replace("\\", "/")  # noqa: PTH100 -- as it is spelled, links and all


def _top_level(rest: str) -> str:
    return rest.partition("/")[0].partition(".")[0]


@lru_cache(maxsize=1)
def _standard_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    places = {paths["stdlib"], paths["platstdlib"], str(Path(os.__file__).parent)}
    places |= {os.path.realpath(place) for place in places}
    zipped = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    return tuple(
        sorted(
            {_slashes(place) + "/" for place in places}
            | {_slashes(e) for e in sys.path if e.endswith(zipped)}
        )
    )


@cache
def _installed_from_sources(root: str) -> frozenset[str]:
    """Return the top-level names in a directory of packages that came from a directory or a repository."""
    return frozenset(name for record in _records(root) if _is_local(record) for name in _names(record))


@cache
def _installed_from_elsewhere(root: str) -> frozenset[str]:
    return frozenset(name for record in _records(root) if not _is_local(record) for name in _names(record))


def _records(root: str) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(root) if entry.name.endswith(".dist-info")]
    except OSError:
        return []


def _is_local(record: Path) -> bool:
    try:
        said: dict[str, Any] = json.loads((record / "direct_url.json").read_bytes())
    except (OSError, ValueError):
        return False
    try:
        if (record / "INSTALLER").read_text().strip() == "conda":
            return False  # says where each package was built
    except (OSError, ValueError):
        pass
    return "dir_info" in said or "vcs_info" in said or str(said.get("url", "")).startswith("file:")


def _names(record: Path) -> set[str]:
    for name, separator in (("top_level.txt", "\n"), ("RECORD", ",")):
        try:
            lines = (record / name).read_text().splitlines()
        except (OSError, ValueError):
            continue
        return {_top_level(line.partition(separator)[0].strip()) for line in lines if line.strip()} - {""}
    return set()
