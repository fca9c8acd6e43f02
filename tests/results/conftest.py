"""The environment of results: a key, for blocks that are saved nowhere."""

from __future__ import annotations

import pytest

from tests.support.signing import TEST_KEY


@pytest.fixture(autouse=True)
def _signing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process, and those that it starts, a key to sign with."""
    monkeypatch.setenv("S3KV_SIGNING_KEY", TEST_KEY)
