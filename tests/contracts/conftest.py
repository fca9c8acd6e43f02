"""Buckets of each kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3kv_flows.store import S3KV
from tests.contracts.helpers import enable_versions


@pytest.fixture(params=["plain", "with versions", "with Object Lock"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def bucket(kind: str, make_store: Callable[..., S3KV]) -> S3KV:
    store = make_store(object_lock=kind == "with Object Lock")
    if kind == "with versions":
        enable_versions(store)
    return store
