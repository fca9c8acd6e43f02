"""What is known to be wrong of keys, and why."""

from __future__ import annotations

HOLES = {
    "name of the module": "stale: an imported module's key is that of a script, whatever __name__ says",
}
"""By the names of edits: a repair of one fails the test, and takes it from this list."""
