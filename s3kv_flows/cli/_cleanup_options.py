"""What the commands about cleanup rules have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["CleanupOptions"]


def _require_duration(_: object, value: str) -> None:
    """Raise ValueError, which names the option, for what is no duration."""
    from s3kv_flows.store._durations import parse_duration

    parse_duration(value)


@Parameter(name="*")
@dataclass(frozen=True)
class CleanupOptions:
    """The rules, and what they spare."""

    rules: Annotated[Path, Parameter(help="A file with cleanup rules, in YAML or JSON.")]
    grace: Annotated[
        str, Parameter(validator=_require_duration, help="What is younger is not touched: 90min, 1h, 2d.")
    ] = "1h"
    protect_tag: Annotated[
        str,
        Parameter(help="What carries this tag, with any value, is not touched. S3 itself cannot heed it."),
    ] = "keep"
    no_protect_tag: Annotated[bool, Parameter(negative="", help="Say that no object carries such a tag.")] = (
        False
    )

    @property
    def spared(self) -> str | None:
        """The protect tag; None for no such tag."""
        return None if self.no_protect_tag else self.protect_tag
