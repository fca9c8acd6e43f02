"""Projects of one test, imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.keys.code.cases import Edit

NUMBERS = count()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Write a project, and import its module."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(text: str) -> Any:
        Edit("", text, "", "", changes=False).write(tmp_path, edited=False)
        (tmp_path / "m.py").rename(tmp_path / (name := f"project{next(NUMBERS)}.py"))
        importlib.invalidate_caches()
        return importlib.import_module(name.removesuffix(".py"))

    yield load
    for name in set(sys.modules) - known:
        module = vars(sys.modules[name])
        places = [module.get("__file__") or "", *map(str, module.get("__path__", ()))]
        # What a project imported for the first time stays: numpy cannot be imported again.
        if any(Path(place).is_relative_to(tmp_path) for place in places):
            del sys.modules[name]
