"""What is known to be wrong of keys, and why."""

from __future__ import annotations

HOLES: dict[str, str] = {}
"""By the names of edits: a repair of one fails the test, and takes it from this list."""
