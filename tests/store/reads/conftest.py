from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.clients import new_client
from s3kv_flows.store._s3.config import S3Config
from tests.support.faults import FaultyServer, Respond

BUCKET = "some-bucket"


@pytest.fixture
def faulty() -> Iterator[Callable[[Respond], FaultyServer]]:
    """Start servers that answer with prepared bytes."""
    servers: list[FaultyServer] = []

    def start(respond: Respond) -> FaultyServer:
        servers.append(FaultyServer(respond))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def impatient(**options: Any) -> dict[str, Any]:
    """Return options of boto3 with one attempt for each request of the full client."""
    return {"retries": {"total_max_attempts": 1}, **options}


def client_of(url: str | None, **options: Any) -> S3Client:
    options = {"region_name": "us-east-1", "boto_config": impatient(), **options}
    return new_client(S3Config(url, aws_access_key_id="id", aws_secret_access_key="secret", **options))


def store_of(url: str | None, **options: Any) -> S3KV:
    """Return a store that reads bytes, and has no copies."""
    options = {"boto_config": impatient(), "codec": "bytes", **options}
    return S3KV(url, BUCKET, "id", "secret", enable_local_cache=False, **options)
