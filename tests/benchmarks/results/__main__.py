"""Measure what a cached result costs, with this package and with what else people use.

    python -m tests.benchmarks.results [--help]

All of it takes about twenty minutes.
"""

from __future__ import annotations

import logging
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.place import Place, make_home

_HOME = make_home()  # before Prefect or boto3 are imported

import cyclopts  # noqa: E402
from rich.console import Console  # noqa: E402

from tests.benchmarks.distance import at_distance  # noqa: E402
from tests.benchmarks.results.cases import CASES, Case  # noqa: E402
from tests.benchmarks.results.memory import is_measurable, peaks  # noqa: E402
from tests.benchmarks.results.peers import OURS, PEERS, Peer  # noqa: E402
from tests.benchmarks.results.report import Report  # noqa: E402
from tests.benchmarks.results.rounds import compare, remove_objects  # noqa: E402
from tests.servers import SERVERS  # noqa: E402

_MEMORY_CASES = ("array 16 MiB", "array 256 MiB", "flights DataFrame")
_BUCKET = "s3kv-bench"


def main(
    *,
    server: str = "ceph",
    round_trips_ms: tuple[float, ...] = (0, 20),
    only: tuple[str, ...] = (),
    budget: float = 4,
    memory: bool = True,
    output: Path = Path("docs/benchmarks"),
) -> None:
    """Measure what a cached result costs.

    Args:
        server: The S3 server: ceph, moto or endpoint.
        round_trips_ms: The distances, in milliseconds there and back.
        only: The values whose names contain one of these; all by default.
        budget: Seconds after which a peer sits out the rest of an operation's rounds, of which there are
            three at least.
        memory: Whether to measure the peaks of memory, too.
        output: Where to write Markdown, JSON and plot.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the servers, too
    logging.disable(logging.ERROR)  # prefect-aws reports each absent object
    console = Console()
    cases = [case for case in CASES.values() if not only or any(part in case.name for part in only)]
    with _place(server) as (near, name):
        report = Report(name)
        for milliseconds in round_trips_ms:
            for case in cases:
                _measure(report, console, case, near, milliseconds / 1000, budget)
        if memory and is_measurable():
            for case in (case for case in cases if case.name in _MEMORY_CASES):
                console.print(f"[dim]memory, {case.name}")
                report.memory[case.name] = {
                    peer: peaks(case, peer, near) for peer in PEERS if PEERS[peer].takes(case)
                }
                remove_objects(near)
    report.write(output)
    print(report.markdown())  # noqa: T201  # as it is, for pasting
    console.print(f"written to {output}/")


def _measure(
    report: Report, console: Console, case: Case, near: Place, round_trip: float, budget: float
) -> None:
    peers: dict[str, type[Peer]] = PEERS
    with at_distance(near.url, round_trip) as line:
        found = compare(case, peers, line, near, replace(near, url=line.url), budget=budget)
    for cell in report.add(round_trip, case, case.size(case.make()), found):
        if cell.peer != OURS:
            console.print(
                f"[dim]{round_trip * 1000:.0f} ms, {case.name}, {cell.operation}, {cell.peer}:"
                f" {cell.ratio.median:.2f} times as long as {OURS}",
                soft_wrap=True,
            )


@contextmanager
def _place(server: str) -> Iterator[tuple[Place, str]]:
    """Start a server with a bucket; name it."""
    try:
        with SERVERS[server]() as running:
            directory = _HOME / "joblib"
            place = Place(running.url, running.access_key, running.secret_key, _BUCKET, directory)
            place.boto3().create_bucket(Bucket=_BUCKET)
            answer = place.boto3().list_buckets()["ResponseMetadata"]["HTTPHeaders"]
            try:
                yield place, answer.get("server", server)
            finally:
                remove_objects(place)
                place.boto3().delete_bucket(Bucket=_BUCKET)
    finally:
        shutil.rmtree(_HOME, ignore_errors=True)


if __name__ == "__main__":
    cyclopts.run(main)
