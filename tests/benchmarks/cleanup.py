"""Plan and sweep of 50,000 objects, against the loop that people write: list, get tags, delete, one by one.

    python -m tests.benchmarks.cleanup [OBJECTS]

Both run against the same stand-in (:mod:`tests.benchmarks.standin`), next to it and 20 ms away. The loop is
given a part of the objects, and its figures are multiplied: it would take an hour for all.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import boto3
from rich.console import Console
from rich.table import Table

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import plan, survey, sweep
from s3kv_flows.store import S3KV
from tests.benchmarks.standin import running

OBJECTS = 50_000
PART = 2000
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/benchmarks/cleanup.json"
ZERO = timedelta(0)
RULES = [CleanupRule("users", tags={"module": "users"}, older_than=ZERO)]


@dataclass
class Cost:
    """What something took."""

    seconds: float
    requests: int


def cost(url: str, work: Callable[[], object]) -> Cost:
    def requests() -> int:
        with urllib.request.urlopen(f"{url}/requests") as answer:  # noqa: S310  # our own server
            return int(answer.read())

    before, started = requests(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - started, requests() - before)


def naive(url: str) -> None:
    """Do as the scripts do that people have in their cron tables."""
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="part", Prefix="s3kv/"):
        for item in page["Contents"]:
            tags = client.get_object_tagging(Bucket="part", Key=item["Key"])["TagSet"]
            if {"Key": "module", "Value": "users"} in tags:
                client.delete_object(Bucket="part", Key=item["Key"])


def ours(url: str, objects: int) -> None:
    store = S3KV(url, "whole", "key", "secret", enable_local_cache=False, region_name="us-east-1")
    now = store.server_time()
    made = plan(survey(store, RULES, now, ZERO), RULES, now, ZERO)
    report = sweep(store, made)
    if len(report.removed) != objects or store.list_keys():
        raise AssertionError(f"the sweep did not do its work: {len(report.removed)} removed")


def main() -> None:
    objects = int(sys.argv[1]) if len(sys.argv) > 1 else OBJECTS
    title = f"plan and sweep of {objects:,} objects; the loop on {PART:,}, multiplied"
    table = Table("away", "", "time", "requests", "times faster", title=title)
    found = []
    for away in (0.0, 0.020):
        with running(away, whole=objects, part=PART) as url:
            whole, part = cost(url, lambda url=url: ours(url, objects)), cost(url, lambda url=url: naive(url))  # type: ignore[misc]
        loop = Cost(part.seconds * objects / PART, part.requests * objects // PART)
        times = loop.seconds / whole.seconds
        table.add_row(f"{away * 1000:.0f} ms", "loop", f"{loop.seconds:,.0f} s", f"{loop.requests:,}", "")
        table.add_row("", "s3kv_flows", f"{whole.seconds:,.1f} s", f"{whole.requests:,}", f"{times:.1f}")
        found.append({"away_ms": away * 1000, "loop": loop.__dict__, "ours": whole.__dict__, "times": times})
    Console().print(table)
    RESULTS.write_text(json.dumps({"objects": objects, "part": PART, "rows": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
