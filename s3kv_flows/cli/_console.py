"""Ask for confirmation before a command removes anything."""

from __future__ import annotations

import sys

__all__ = ["is_confirmed"]


def is_confirmed(question: str) -> bool:
    """Ask a question, and return whether the answer is yes; without a terminal, it is no."""
    if not sys.stdin.isatty():
        print("s3kv: no terminal to ask for confirmation: give --yes", file=sys.stderr)  # noqa: T201
        return False
    return input(question).strip().lower() in ("y", "yes")
