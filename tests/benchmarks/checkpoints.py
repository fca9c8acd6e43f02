"""What saving a state of 64 MiB every two seconds costs the loop that it is the state of.

    python -m tests.benchmarks.checkpoints [ROUNDS]

The loop is numpy's, over the whole state in each step; the server is Ceph, on the same two cores. In each
round the loop runs for about two seconds in each of three ways, in an order that rotates: without saving,
with a save in the background that begins with it, and with one that it waits for. What is under way at the
end has ended before the next way is measured. The figures are medians of the ratios within a round.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

import numpy as np  # after its threads are told
from rich.console import Console
from rich.table import Table

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from tests.servers import SERVERS

MIB = 1 << 20
SIZE = 64 * MIB
SECONDS = 2.0
RESULTS = Path(__file__).parents[2] / "docs/benchmarks/checkpoints.json"
WAYS = ("nothing saved", "in the background", "waited for")


def step(state: Any, gradient: Any) -> None:
    """Descend: a pass over the state that no cache holds, and some arithmetic."""
    state *= 0.999
    state += np.tanh(gradient) * 0.001


def timed(items: Iterable[int], state: Any, gradient: Any) -> float:
    started = time.perf_counter()
    for _ in items:
        step(state, gradient)
    return time.perf_counter() - started


def run(way: str, checkpoint: Checkpoint, steps: int, state: Any, gradient: Any) -> float:
    """Return how long some steps took, with the save that belongs to them."""
    started = time.perf_counter()
    if way != WAYS[0]:
        checkpoint.save(state, wait=way == "waited for")
    timed(range(steps), state, gradient)
    seconds = time.perf_counter() - started
    checkpoint._states.saving.wait()
    return seconds


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 45
    dice = np.random.default_rng(0)
    state, gradient = (dice.random(SIZE // 8) for _ in range(2))
    one = min(timed(range(10), state, gradient) for _ in range(3)) / 10
    steps = round(SECONDS / one)
    found: list[dict[str, float]] = []
    with SERVERS["ceph"]() as server:
        os.environ.update(AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key)
        block = S3KVStore(
            bucket_name=f"bench-{uuid.uuid4().hex[:12]}", endpoint_url=server.url, region_name="us-east-1"
        )
        block.values.create_bucket()
        with Checkpoint(block, "loop", keep=1) as checkpoint:
            checkpoint.save(state)  # it finds out what the server can do
            for number in range(rounds):
                order = [WAYS[(number + place) % len(WAYS)] for place in range(len(WAYS))]
                found.append({way: run(way, checkpoint, steps, state, gradient) for way in order})
            checkpoint.save(state)
            if not np.array_equal(checkpoint.load(), state):
                raise AssertionError("what was saved is not the state of the loop")
    table = Table(
        "",
        "seconds",
        "times as long",
        title=f"{steps} steps over {SIZE // MIB} MiB, {rounds} rounds, quartiles",
    )
    rows = {}
    for way in WAYS:
        ratios = [one[way] / one[WAYS[0]] for one in found]
        seconds, times = statistics.median(one[way] for one in found), statistics.median(ratios)
        quarters = statistics.quantiles(ratios)
        table.add_row(way, f"{seconds:.2f}", f"{times:.3f} ({quarters[0]:.3f} to {quarters[2]:.3f})")
        rows[way] = {"seconds": seconds, "times": times, "quartiles": [quarters[0], quarters[2]]}
    Console().print(table)
    RESULTS.write_text(
        json.dumps({"mib": SIZE // MIB, "every_seconds": SECONDS, "ways": rows}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
