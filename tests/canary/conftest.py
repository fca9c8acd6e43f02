"""Who listens for the canary."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.canary.watch import Watch, watching


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch every way to unpickle."""
    with watching(monkeypatch) as watch:
        yield watch
