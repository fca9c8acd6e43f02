"""What a command asks before it removes anything."""

from __future__ import annotations

import sys

__all__ = ["is_confirmed"]


def is_confirmed(question: str) -> bool:
    """Ask a question; tell whether the answer is yes. Where there is nobody to ask, it is no."""
    if not sys.stdin.isatty():
        print("nobody to ask: give --yes", file=sys.stderr)  # noqa: T201
        return False
    return input(question).strip().lower() in ("y", "yes")
