"""Scripts: modules under a name that no import of their file gives.

``python pipeline.py`` runs as ``__main__``, a child that multiprocessing spawned has the same file as
``__mp_main__``, and Prefect loads the file of a deployment as ``__prefect_loader_…__`` where its own name is
taken. Only modules that are loaded already are looked at: no name that comes from a bucket is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from s3kv_flows._keys.project import RUNNING, file_of_module, is_loaded_by_prefect

__all__ = ["modules_of_file", "stem_of"]


def stem_of(module: ModuleType | None) -> str:
    """Return the name of a module's file without its suffix; the empty text for a notebook."""
    file = file_of_module(module)
    return "" if file is None else Path(file).stem


def modules_of_file(stem: str) -> Iterator[ModuleType]:
    """Yield the loaded modules whose file has this name, the running script first."""
    for module in _candidates(stem):
        if isinstance(module, ModuleType) and stem_of(module) == stem:
            yield module


def _candidates(stem: str) -> Iterator[object]:
    for name in (*RUNNING, stem):  # where most are: to look through all takes longer than the rest
        yield sys.modules.get(name)
    for name, module in list(sys.modules.items()):
        if is_loaded_by_prefect(name) or name.endswith(f".{stem}"):
            yield module
