"""Scripts whose functions and classes cloudpickle copies, as it does for ``__main__``."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import cloudpickle

from s3kv_flows._keys.project import is_script

__all__ = ["copying_scripts"]


class _Registry:
    """Guards cloudpickle's list of modules, which is one per process."""

    def __init__(self) -> None:
        self.unlock()

    def unlock(self) -> None:
        """Replace the lock in the child of a fork, where the thread that held it does not exist."""
        self.lock = threading.RLock()


_REGISTRY = _Registry()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_REGISTRY.unlock)


@contextmanager
def copying_scripts() -> Iterator[None]:
    """Have cloudpickle copy what belongs to any script: no other process could import it by its name."""
    with _REGISTRY.lock:
        registered = cloudpickle.list_registry_pickle_by_value()
        added = {  # by name, as multiprocessing has one module under two
            module.__name__: module
            for name, module in list(sys.modules.items())
            if is_script(name) and isinstance(module, ModuleType) and module.__name__ not in registered
        }.values()
        for module in added:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)
