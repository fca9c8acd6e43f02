"""What saving a state of 64 MiB every two seconds costs the loop that it is the state of.

    python -m tests.benchmarks.checkpoints [ROUNDS]

The loop is numpy's, over the whole state in each step. In each round it runs for about two seconds in each of
three ways, in an order that rotates: without saving, with a save in the background that begins with it, and
with one that it waits for. What is under way at the end has ended before the next way is measured. The
figures are medians of the ratios within a round.

It is measured twice: with Ceph, a whole server on the same two cores as the loop, and with a stand-in
(:mod:`tests.benchmarks.standin`) that drops what it is sent, so that little of what it costs is the server's.
The stand-in is spoken to as AWS is, in parts, and Ceph 16 with one PUT; both over plain HTTP.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

import numpy as np  # after its threads are told
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.store import S3KV, SigningKey
from tests.benchmarks.standin import running
from tests.servers import SERVERS, Server

MIB = 1 << 20
SIZE = 64 * MIB
SECONDS = 2.0
RESULTS = Path(__file__).parents[2] / "docs/benchmarks/checkpoints.json"
BUCKET = "bench"
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


def measure(server: Server, rounds: int, steps: int, state: Any, gradient: Any) -> list[dict[str, float]]:
    """Return the seconds of each way, round by round."""
    os.environ.update(AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key)
    key = SecretStr(SigningKey.generate("benchmark").reveal())
    block = S3KVStore(bucket_name=BUCKET, endpoint_url=server.url, region_name="us-east-1", signing_key=key)
    found: list[dict[str, float]] = []
    if server.name == "stand-in":
        block.checkpoints.client.capabilities.server = "aws"
    with Checkpoint(block, "loop", keep=1) as checkpoint:
        checkpoint.save(state)  # it finds out what the server can do
        for number in range(rounds):
            order = [WAYS[(number + place) % len(WAYS)] for place in range(len(WAYS))]
            found.append({way: run(way, checkpoint, steps, state, gradient) for way in order})
        if [one.size for one in checkpoint.history()] < [SIZE]:
            raise AssertionError("the state was not saved")
    return found


@contextmanager
def ceph() -> Iterator[Server]:
    """Run Ceph, with a bucket."""
    with SERVERS["ceph"]() as server:
        S3KV(
            server.url, BUCKET, server.access_key, server.secret_key, region_name="us-east-1"
        ).create_bucket()
        yield server


@contextmanager
def standin() -> Iterator[Server]:
    """Run the stand-in, with a bucket."""
    with running(0, **{BUCKET: 0}) as url:
        yield Server("stand-in", url, "key", "secret")


def summary(found: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Return medians and quartiles."""
    rows = {}
    for way in WAYS:
        ratios = [one[way] / one[WAYS[0]] for one in found]
        low, middle, high = statistics.quantiles(ratios)
        seconds = statistics.median(one[way] for one in found)
        rows[way] = {"seconds": seconds, "times": middle, "quartiles": [low, high]}
    return rows


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 45
    dice = np.random.default_rng(0)
    state, gradient = (dice.random(SIZE // 8) for _ in range(2))
    one = min(timed(range(10), state, gradient) for _ in range(3)) / 10
    steps = round(SECONDS / one)
    servers = {}
    for name, started in (("stand-in", standin), ("ceph", ceph)):
        with started() as server:
            servers[name] = summary(measure(server, rounds, steps, state, gradient))
    title = f"{steps} steps over {SIZE // MIB} MiB, {rounds} rounds, quartiles"
    table = Table("server", "", "seconds", "times as long", title=title)
    for name, rows in servers.items():
        for way, row in rows.items():
            low, high = row["quartiles"]
            table.add_row(name, way, f"{row['seconds']:.2f}", f"{row['times']:.3f} ({low:.3f} to {high:.3f})")
    Console().print(table)
    RESULTS.write_text(
        json.dumps({"mib": SIZE // MIB, "every_seconds": SECONDS, "servers": servers}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
