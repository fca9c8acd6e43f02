"""Eight processes run Prefect tasks in two passes, and requests get faults."""

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

from s3kv_flows import S3KVStore
from s3kv_flows.store import SigningKey
from s3kv_flows.store._outputs.receipts import Receipt
from tests.fire.pipeline_worker import OUTCOMES, value_of
from tests.fire.proxy import FireProxy
from tests.fire.random_faults import choosing
from tests.servers.moto import moto

pytestmark = [pytest.mark.fire, pytest.mark.usefixtures("prefect_api")]

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
SEED, SHARE = 20261128, 1 / 10
PROCESSES, PASSES = 8, 2
KINDS = ("plain", "single", "locked", "output")
NUMBERS = 5
"""How many tasks of each kind there are: all processes run the same ones, in another order."""

LIMIT = 1.5


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FireProxy]:
    monkeypatch.setenv("S3KV_SIGNING_KEY", SigningKey.generate("fire").reveal())
    with moto() as server, FireProxy(server.url, seed=SEED, pause=0.02) as proxy:
        yield proxy


@pytest.fixture
def block(proxy: FireProxy) -> S3KVStore:
    made = S3KVStore(
        bucket_name=f"bucket-{uuid.uuid4().hex[:16]}",
        endpoint_url=proxy.url,
        operation_timeout_seconds=LIMIT,
        boto_config={"read_timeout": LIMIT / 5},
    )
    made.values.create_bucket(object_lock=True)
    return made


def start(lake: str, journal: Path, api: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fire.pipeline_worker", lake, lake, str(journal), "30", "0"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": api},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def jobs(number: int) -> list[tuple[str, int]]:
    every = [(kind, one) for one in range(NUMBERS) for kind in KINDS]
    begin = number * len(every) // PROCESSES
    return every[begin:] + every[:begin]


def answer(worker: subprocess.Popen[str]) -> Any:
    assert worker.stdout
    line = worker.stdout.readline()
    assert line, "the process ended"
    return json.loads(line)


def passed(worker: subprocess.Popen[str], number: int) -> dict[str, Any]:
    """Let a process run its tasks twice; return what came of them."""
    report: dict[str, Any] = {}
    assert worker.stdin
    for _ in range(PASSES):
        worker.stdin.write(json.dumps(jobs(number)) + "\n")
        worker.stdin.flush()
        report = answer(worker)
    return report


def test_no_task_is_wrong_or_fails_for_a_reason_that_is_not_documented(
    block: S3KVStore,
    proxy: FireProxy,
    prefect_api: str,
    tmp_path: Path,
    started: list[subprocess.Popen[str]],
) -> None:
    lake = f"lake-{uuid.uuid4().hex[:8]}"
    block.save(lake)
    started += [start(lake, tmp_path / "journal", prefect_api) for _ in range(PROCESSES)]
    for worker in started:
        answer(worker)
    proxy.choose, began = choosing(proxy, SHARE), time.monotonic()
    with ThreadPoolExecutor(PROCESSES) as pool:
        reports = list(pool.map(passed, started, range(PROCESSES)))
    proxy.pass_all()
    failures = Counter(one.split(":")[0] for report in reports for one in report["documented"])
    runs = sum(report["count"] for report in reports)
    logger.warning(
        "%d runs, %d requests, %d faults, %.0f s; failed: %s",
        *(runs, proxy.asked.total(), proxy.by_fault.total(), time.monotonic() - began, dict(failures)),
    )
    assert [line for report in reports for line in report["wrong"]] == []
    assert runs == PROCESSES * PASSES * NUMBERS * len(KINDS)
    assert proxy.by_fault.total() >= runs / 10
    for report in reports:
        counts = report["misses"]
        assert counts["misses"] == sum(counts[f"misses.{one}"] for one in OUTCOMES)
    require_outputs(block, {text for report in reports for text in report["receipts"]})


def require_outputs(block: S3KVStore, receipts: set[str]) -> None:
    """Require that outputs are what their receipts say."""
    store = block.values
    store.client._boto.breaker.heard()
    known = [Receipt.from_json(text) for text in receipts]
    assert {one.key for one in known} == {f"output-{number}" for number in range(NUMBERS)}
    for one in {(one.key, one.version_id): one for one in known}.values():
        assert not store.outputs.verify(one).problems
    for number in range(NUMBERS):
        assert store.get(f"output-{number}") == value_of("output", number)
