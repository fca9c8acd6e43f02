"""What seals cost: a store with keys beside one without, on one server.

Both write and read the same values in turn, in pairs, so that a busy machine hits both. The processor time is
that of this process alone, all its threads; the server's is not in it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from s3kv_flows.store import S3KV, SigningKey
from tests.servers import SERVERS, Server

KIB, MIB = 1 << 10, 1 << 20
ROUNDS = {1 * KIB: 200, 16 * MIB: 15, 64 * MIB: 15}
RESULTS = Path(__file__).parents[2] / "docs/benchmarks/seals.json"

Costs = dict[tuple[str, int, str], list[float]]
"""Milliseconds of processor time, by operation, size and whether there are keys."""


def store(server: Server, bucket: str, *, sealed: bool) -> S3KV:
    keys: dict[str, Any] = {"accept_unsealed": True}
    if sealed:
        keys = {"signing_key": SigningKey.generate("benchmark").reveal()}
    return S3KV(
        server.url,
        bucket,
        server.access_key,
        server.secret_key,
        enable_local_cache=False,
        region_name="us-east-1",
        codec="cloudpickle",
        prefix=f"{'sealed' if sealed else 'plain'}/",
        suffix="",
        **keys,
    )


def cpu(run: Callable[[], object]) -> float:
    """Return the milliseconds of processor time of this process."""
    before = time.process_time()
    run()
    return 1000 * (time.process_time() - before)


def measure(stores: dict[str, S3KV]) -> tuple[Costs, dict[str, int]]:
    costs: Costs = defaultdict(list)
    requests: dict[str, int] = {}
    for size, rounds in ROUNDS.items():
        value = np.random.default_rng(size).bytes(size)
        for number in range(rounds + 2):
            for name, one in sorted(stores.items(), reverse=number % 2 == 1):
                before = one.client.counters.read().requests
                written = cpu(lambda one=one, value=value: one.add("key", value))  # type: ignore[misc]
                read = cpu(lambda one=one: one.get("key"))  # type: ignore[misc]
                requests[f"{name} {size}"] = one.client.counters.read().requests - before
                if number > 1:  # what is only once is not counted
                    costs["write", size, name].append(written)
                    costs["hit", size, name].append(read)
    return costs, requests


def report(costs: Costs, requests: dict[str, int]) -> list[dict[str, Any]]:
    rows = []
    for operation in ("hit", "write"):
        for size in ROUNDS:
            plain, sealed = costs[operation, size, "plain"], costs[operation, size, "sealed"]
            rows.append(
                {
                    "operation": operation,
                    "bytes": size,
                    "plain_ms": median(plain),
                    "sealed_ms": median(sealed),
                    "more_ms": median(b - a for a, b in zip(plain, sealed, strict=True)),
                    "requests_of_both": [requests[f"{name} {size}"] for name in ("plain", "sealed")],
                }
            )
    return rows


def show(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Processor time of this process, in ms: medians, and the median of the differences")
    for column in ("operation", "size", "without keys", "with keys", "more", "requests, write and hit"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    for row in rows:
        size = f"{row['bytes'] // MIB} MiB" if row["bytes"] >= MIB else f"{row['bytes'] // KIB} KiB"
        times = (f"{row[name]:.2f}" for name in ("plain_ms", "sealed_ms", "more_ms"))
        table.add_row(row["operation"], size, *times, " and ".join(map(str, row["requests_of_both"])))
    console.print(table)


def main() -> None:
    """Measure on Ceph, print a table, and keep it in docs/benchmarks."""
    with SERVERS["ceph"]() as server:
        bucket = f"bench-{uuid.uuid4().hex[:12]}"
        stores = {"plain": store(server, bucket, sealed=False), "sealed": store(server, bucket, sealed=True)}
        stores["plain"].create_bucket()
        rows = report(*measure(stores))
    show(rows, Console())
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
