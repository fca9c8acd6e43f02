"""A value whose pickle leaves a mark where it is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["Canary"]


class Canary:
    """Makes a directory where it is unpickled.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)
