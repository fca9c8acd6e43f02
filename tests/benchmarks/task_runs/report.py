"""What was measured of task runs, as tables in Markdown and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.task_runs.peers import NO_OP, OURS

__all__ = ["RAW", "Measured", "table", "write"]

RAW = "boto3 get_object"


@dataclass
class Measured:
    """What one run of a task cost, round for round: seconds, seconds of CPU, requests to S3 and Prefect."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    s3_requests: list[float] = field(default_factory=list)
    api_requests: list[float] = field(default_factory=list)


def table(title: str, found: dict[str, dict[str, Measured]]) -> str:
    """Return a table in Markdown."""
    heads = ["ms", "CPU", "over no-op and GET", "CPU over no-op", "times ours", "S3", "API"]
    lines = [f"## {title}", "", f"| | | {' | '.join(heads)} |", "|---|---|" + "---:|" * len(heads)]
    for what, peers in found.items():
        plain = found[f"no-op, {what.partition(', ')[2]}"]
        lines += [f"| {what} | {peer} | {' | '.join(_cells(peer, peers, plain))} |" for peer in peers]
    return "\n".join(lines) + "\n"


def _cells(peer: str, peers: dict[str, Measured], plain: dict[str, Measured]) -> Iterator[str]:
    one, nothing, raw, ours = peers[peer], plain[NO_OP], plain.get(RAW), peers.get(OURS)
    yield f"{median(one.seconds) * 1000:.2f}"
    yield f"{median(one.cpu) * 1000:.2f}"
    is_plain = peer in (NO_OP, RAW)
    yield "" if is_plain or raw is None else f"{_over(one.seconds, nothing.seconds, raw.seconds):.2f}"
    yield "" if is_plain else f"{_over(one.cpu, nothing.cpu):.2f}"
    yield "" if ours is None else f"{_ratio(one.seconds, ours.seconds):.2f}"
    yield f"{median(one.s3_requests):.2f}"
    yield f"{median(one.api_requests):.2f}"


def _ratio(mine: list[float], others: list[float]) -> float:
    return float(median(one / other for one, other in zip(mine, others, strict=True)))


def _over(mine: list[float], *others: list[float]) -> float:
    """Return the median of what is left, round for round, in milliseconds."""
    return float(median(1000 * (a - sum(rest)) for a, *rest in zip(mine, *others, strict=True)))


_ABOUT = """# What a cached task run costs

![A hit on 1 KiB](task_runs.svg)

Made by `make bench`: a whole run of a task that returns 1 KiB, as a user waits for it, in milliseconds. In a
flow, 25 runs in a row, or a map; medians of the rounds. Prefect's own server, Ceph and the client share
{cores} cores; a counting proxy adds the round trip to S3. *no-op* is the same task without a cache, *boto3
get_object* a plain read of 1 KiB; *over no-op and GET* is what a run takes more than both together, within
the same round; *S3* and *API* are requests to S3 and to Prefect's API for each run.

Of a hit, Prefect's own part is all of the no-op (two states, three events, a dozen UUIDs; the
thread that sends the events needs the interpreter, too), a result store for the run, and three
readings of the record, which it takes from JSON each time. What this package adds is the key (of
code that has not changed, a check of what the task reaches), one GET, signed and sent on an open
connection, and the check and decoding of the frame.

[Results alone](results.md), without Prefect's run, are another benchmark.

"""


def write(directory: Path, found: dict[str, dict[str, dict[str, Measured]]]) -> None:
    """Write the tables and the figures."""
    directory.mkdir(parents=True, exist_ok=True)
    tables = "\n".join(table(f"{distance} away", one) for distance, one in found.items())
    (directory / "task_runs.md").write_text(_ABOUT.format(cores=os.cpu_count()) + tables)
    plain = {
        distance: {what: {peer: asdict(m) for peer, m in peers.items()} for what, peers in one.items()}
        for distance, one in found.items()
    }
    (directory / "task_runs.json").write_text(json.dumps(plain, indent=1) + "\n")
