"""What the digest of an input costs, beside what Prefect's own hash, joblib's and a plain pickle cost.

    python -m tests.benchmarks.keys

prints milliseconds of CPU, the best of three. Only the first column is of content alone.
"""

from __future__ import annotations

import hashlib
import importlib
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from prefect.utilities.hashing import hash_objects

from s3kv_flows._keys.identity import Identity

__all__ = ["CASES", "main"]


@dataclass
class Reading:
    """A record."""

    number: int
    name: str
    value: float


def _numbers(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(1).random(shape)


CASES: dict[str, Callable[[], Any]] = {
    "array, 256 MB": lambda: _numbers((32 * 2**20,)),
    "the same, transposed": lambda: _numbers((2**12, 2**13)).T,
    "frame of numbers, 160 MB": lambda: pd.DataFrame(_numbers((10**6, 20))),
    "frame of 1M texts": lambda: pd.DataFrame({"name": [f"name {number}" for number in range(10**6)]}),
    "column of 100k dicts": lambda: pd.DataFrame({"a": [{"a": number} for number in range(100_000)]}),
    "1M texts of Arrow": lambda: pa.array([f"name {number}" for number in range(10**6)]),
    "bytes, 256 MB": lambda: bytes(2**28),
    "1M integers": lambda: list(range(10**6)),
    "1M texts": lambda: [f"name {number}" for number in range(10**6)],
    "100k records": lambda: [{"id": n, "name": f"name {n}", "value": n / 3} for n in range(100_000)],
    "100k records with times": lambda: [
        {"id": n, "at": datetime.fromtimestamp(n, timezone.utc)} for n in range(100_000)
    ],
    "100k nested": lambda: [[n, [n, (n, {"a": [n]})]] for n in range(100_000)],
    "100k dataclasses": lambda: [Reading(n, f"name {n}", n / 3) for n in range(100_000)],
    "set of 100k texts": lambda: {f"name {number}" for number in range(100_000)},
    "small dict": lambda: {"a": 1, "b": [1, 2], "c": "text"},
}


def _best(function: Callable[[Any], object], value: Any) -> float:
    found = []
    for _ in range(3):
        started = time.thread_time()
        function(value)
        found.append(time.thread_time() - started)
    return min(found) * 1000


def _pickled(value: Any) -> bytes:
    return hashlib.sha256(pickle.dumps(value, 5)).digest()


def main() -> None:
    """Print the table."""
    joblib = importlib.import_module("joblib")
    ways: dict[str, Callable[[Any], object]] = {
        "content": Identity().contents.digest,
        "Prefect": hash_objects,
        "joblib": joblib.hash,
        "pickle": _pickled,
    }
    print(f"{'':26}" + "".join(f"{name:>10}" for name in ways))  # noqa: T201
    for name, make in CASES.items():
        value = make()
        costs = [_best(function, value) for function in ways.values()]
        print(f"{name:26}" + "".join(f"{cost:10.3f}" for cost in costs), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
