"""The demo pipeline as a project, which is edited between runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

__all__ = ["DemoProject", "demo_project"]

_NAME = "flight_delays"


class DemoProject:
    """A copy of the pipeline in a folder of its own.

    In keys, the code of an installed package counts by its name, and that of a project by its text.

    Args:
        folder: Where the copy is written.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"{_NAME}.py"
        self.file.write_text(_source("s3kv_flows._demo.pipeline"))

    def load(self) -> ModuleType:
        """Import the pipeline as it is now, as a new process would."""
        spec = importlib.util.spec_from_file_location(_NAME, self.file)
        assert spec is not None  # noqa: S101  # of a file that ends in .py
        assert spec.loader is not None  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
        return module

    def edit(self, old: str, new: str) -> None:
        """Replace a part of the pipeline's text.

        Raises:
            ValueError: The text does not occur exactly once.
        """
        text = self.file.read_text()
        if text.count(old) != 1:
            raise ValueError(f"{old!r} occurs {text.count(old)} times in the pipeline")
        self.file.write_text(text.replace(old, new))


@contextmanager
def demo_project() -> Iterator[DemoProject]:
    """Yield a copy of the pipeline, which is removed afterwards."""
    with TemporaryDirectory(prefix="s3kv-demo-") as folder:
        try:
            yield DemoProject(Path(folder))
        finally:
            sys.modules.pop(_NAME, None)


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None  # noqa: S101  # of this package
    source: str | None = spec.loader.get_source(module)  # type: ignore[union-attr]  # of every loader of source
    if source is None:
        raise ModuleNotFoundError(f"the text of {module} is not installed")
    return source
