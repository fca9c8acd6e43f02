"""The key that the tests' stores sign with."""

from __future__ import annotations

__all__ = ["TEST_KEY"]

TEST_KEY = "s3kv-sk1:tests:" + "A" * 42 + "E"
