"""Tag search and deletion by tag, against s3kv 0.1.5, behind a round trip of 20 ms.

    python -m tests.benchmarks.tag_search [KEYS]

The seed sees only the first 1,000 keys of a bucket, so its work is given to it in parts: a bucket for
each 1,000. Both run against the same stand-in (:mod:`tests.benchmarks.standin`), in turns, in one run;
what counts are the ratios.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import s3kv.s3kv as seed
from rich.console import Console
from rich.table import Table

from s3kv_flows.store import S3KV
from tests.benchmarks.standin import running

ROUND_TRIP_SECONDS = 0.020
KEYS = 5000
PART = 1000


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(keys: int) -> dict[str, tuple[float, float]]:
    """Return the seconds of the seed and of ours, for each operation."""
    parts = {f"part{number}": PART for number in range(keys // PART)}
    with running(ROUND_TRIP_SECONDS, whole=keys, **parts) as url:
        ours = S3KV(url, "whole", "key", "secret", enable_local_cache=False, region_name="us-east-1")
        os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the seed leaves it to boto3
        seeds = [seed.S3KV(url, f"part{number}", "key", "secret") for number in range(keys // PART)]
        found: dict[str, tuple[float, float]] = {}
        all_keys = ours.list_keys()
        for operation, expected in (("find_keys_by_tag_value", all_keys), ("delete_by_tag", [])):
            results: list[list[str]] = []

            def run_seed(operation: str = operation) -> None:
                for part in seeds:
                    getattr(part, operation)("module", "users")

            def run_ours(operation: str = operation, results: list[list[str]] = results) -> None:
                result = getattr(ours, operation)("module", "users")
                results.append(result if isinstance(result, list) else ours.list_keys())

            found[operation] = (seconds(run_seed), seconds(run_ours))
            if results != [expected] or (
                operation == "delete_by_tag" and any(part.list_keys() for part in seeds)
            ):
                raise AssertionError(f"{operation} did not do its work")
    return found


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else KEYS
    table = Table("operation", "s3kv 0.1.5", "s3kv_flows", "times faster", title=f"{keys:,} keys, 20 ms away")
    for operation, (theirs, ours) in measure(keys).items():
        table.add_row(operation, f"{theirs:.1f} s", f"{ours:.1f} s", f"{theirs / ours:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
