"""Options that the commands for cleanups and lifecycle rules share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["CleanupOptions"]


def _require_duration(_: object, value: str) -> None:
    """Raise ValueError for an invalid duration; cyclopts names the option."""
    from s3kv_flows.store._durations import parse_duration

    parse_duration(value)


@Parameter(name="*")
@dataclass(frozen=True)
class CleanupOptions:
    """The rules, the grace period and the protect tag."""

    rules: Annotated[Path, Parameter(help="A file with cleanup rules, in YAML or JSON.")]
    grace: Annotated[
        str, Parameter(validator=_require_duration, help="Younger objects stay: 90min, 1h, 2d.")
    ] = "1h"
    protect_tag: Annotated[
        str,
        Parameter(help="Objects with this tag stay, whatever its value. Lifecycle rules do not support it."),
    ] = "keep"
    no_protect_tag: Annotated[bool, Parameter(negative="", help="No object carries a protect tag.")] = False

    @property
    def spared(self) -> str | None:
        """The protect tag; None for no such tag."""
        return None if self.no_protect_tag else self.protect_tag
