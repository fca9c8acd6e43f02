"""Unpickling what a pickle names by the module of a script's file.

What wrote that pickle had imported the file: another program did, or Prefect for a deployment. To import it
here would run the script again, and give a second class of each of its classes; or it fails, where the file
was loaded under another name. Such names have no digest of code: they mean what the file holds now.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

from s3kv_flows._keys.project import file_of_module
from s3kv_flows._results.classes.scripts import modules_of_file, stem_of

__all__ = ["loads"]


def loads(pickled: bytes | memoryview, *, buffers: Sequence[Any] = ()) -> Any:
    """Return the value of a pickle, as ``pickle.loads`` does, but for what it names by a script's file."""
    stem = stem_of(sys.modules.get("__main__"))
    if not stem or not re.search(re.escape(stem.encode()), pickled):  # which spares a copy of the pickle
        try:
            return pickle.loads(pickled, buffers=buffers)  # noqa: S301 -- results are trusted
        except (ImportError, AttributeError):
            pass
    return _Unpickler(io.BytesIO(pickled), buffers=buffers).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if _is_running(module):
            try:
                return attrgetter(name)(sys.modules["__main__"])
            except AttributeError:  # it is not defined yet, or no more
                pass
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError):
            for script in modules_of_file(module.rpartition(".")[2]):
                with suppress(AttributeError):
                    return attrgetter(name)(script)
            raise


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
