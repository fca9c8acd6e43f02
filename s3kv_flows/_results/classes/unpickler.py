"""Unpickling by the running script what a pickle names by the module of its file.

What wrote that pickle had imported the file: another program did, or Prefect for a deployment. To import it
once more would run the script again, and give a second class of each of its classes.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import re
import sys
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any

from s3kv_flows._keys.project import file_of_module
from s3kv_flows._results.classes.scripts import stem_of

__all__ = ["loads"]


def loads(pickled: bytes | memoryview, *, buffers: Iterable[Any] = ()) -> Any:
    """Return the value of a pickle, as ``pickle.loads`` does, but for what it names by the script's file."""
    stem = stem_of(sys.modules.get("__main__"))
    if not stem or not re.search(re.escape(stem.encode()), pickled):  # which spares a copy
        return pickle.loads(pickled, buffers=buffers)  # noqa: S301 -- results are trusted
    return _Unpickler(io.BytesIO(pickled), buffers=buffers).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if _is_running(module):
            try:
                return attrgetter(name)(sys.modules["__main__"])
            except AttributeError:  # it is not defined yet, or no more
                pass
        return super().find_class(module, name)


def _is_running(name: str) -> bool:
    """Return whether an import of this name would load the file of the running script."""
    main = sys.modules.get("__main__")
    file = file_of_module(main)
    if file is None or name in sys.modules or name.rpartition(".")[2] != stem_of(main):
        return False
    try:
        spec = importlib.util.find_spec(name)
        return spec is not None and spec.origin is not None and Path(spec.origin).samefile(file)
    except (ImportError, ValueError, OSError):
        return False
