"""Eight processes on a sealed store, and a seventh of all requests gets a fault."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows.store import S3KV, SigningKey, errors
from tests.fire.proxy import Fault, FireProxy
from tests.fire.random_faults import choosing
from tests.fire.store_worker import COUNTER, LIMIT
from tests.servers.moto import moto
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.fire

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
SEED = 20261128
PROCESSES, BATCH = 8, 10
LEAST_OPERATIONS, LEAST_FAULTS, LEAST_OF_A_KIND = 3_000, 500, 50
MOST_OPERATIONS = 20_000
SHARE = 1 / 6
"""The share of requests that get a fault."""

REQUESTS = 5
"""The most requests of an operation, each with its own limit, that may be late one after the other."""
SLACK = 30.0
"""Seconds that a busy machine may add."""


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate("fire")


@pytest.fixture
def clean(key: SigningKey) -> Iterator[S3KV]:
    with moto() as server:
        bucket = f"bucket-{uuid.uuid4().hex[:16]}"
        store = S3KV(server.url, bucket, enable_local_cache=False, signing_key=key.reveal())
        store.create_bucket()
        yield store


def start(url: str, bucket: str, number: int, key: SigningKey) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fire.store_worker", url, bucket, str(number)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "S3KV_SIGNING_KEY": key.reveal()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class Work:
    """The processes, which do one batch after the other until it is enough."""

    def __init__(self, proxy: FireProxy) -> None:
        self.proxy, self.operations = proxy, 0
        self.give_up_at = time.monotonic() + PATIENCE

    def drive(self, worker: subprocess.Popen[str]) -> dict[str, Any]:
        """Let one process do batches; return what they came to."""
        report: dict[str, Any] = {}
        assert worker.stdin
        assert worker.stdout
        while self.operations < MOST_OPERATIONS and not is_enough(self.proxy, self.operations):
            assert time.monotonic() < self.give_up_at
            worker.stdin.write(f"{BATCH}\n")
            worker.stdin.flush()
            report = json.loads(worker.stdout.readline())
            self.operations += BATCH
        return report


def is_enough(proxy: FireProxy, operations: int) -> bool:
    counts = proxy.by_fault
    return (
        operations >= LEAST_OPERATIONS
        and counts.total() >= LEAST_FAULTS
        and all(counts[fault] >= LEAST_OF_A_KIND for fault in Fault)
    )


def test_no_value_is_wrong_and_every_failure_has_its_name(
    clean: S3KV, key: SigningKey, started: list[subprocess.Popen[str]]
) -> None:
    with FireProxy(clean.config.endpoint_url or "", seed=SEED, pause=0.02) as proxy:
        workers = [start(proxy.url, clean.bucket_name, number, key) for number in range(PROCESSES)]
        started += workers
        proxy.choose = choosing(proxy, SHARE)
        work, began = Work(proxy), time.monotonic()
        with ThreadPoolExecutor(PROCESSES) as pool:
            reports = list(pool.map(work.drive, workers))
        operations = work.operations
        proxy.pass_all()
        counts = proxy.by_fault
    found = sum((Counter(report["found"]) for report in reports), Counter[str]())
    logger.warning(
        "%d operations, %d requests, %d faults, %.0f s, slowest %.1f s; faults: %s; outcomes: %s",
        *(operations, proxy.asked.total(), counts.total(), time.monotonic() - began),
        *(max(report["slowest"] for report in reports), dict(counts), dict(found)),
    )
    assert is_enough(proxy, operations), f"too few faults: {counts}"
    assert [line for report in reports for line in report["wrong"]] == []
    assert all(name.split(":")[0] == "ok" or name.split(":")[0] in errors.__all__ for name in found)
    assert max(report["slowest"] for report in reports) < REQUESTS * LIMIT + SLACK
    confirmed, possible = (sum(report["counted"][which] for report in reports) for which in (0, 1))
    assert confirmed <= clean.get(COUNTER, 0) <= possible
