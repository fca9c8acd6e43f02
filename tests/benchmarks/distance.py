"""A server as seen from a distance: a counting proxy in a process of its own.

    python -m tests.benchmarks.distance TARGET ROUND_TRIP_SECONDS

It prints its URL, and then, for each line it reads, what has passed so far.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.proxy import CountingProxy

__all__ = ["DistantServer", "Traffic", "at_distance"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Traffic:
    """What went over the wire; bytes are all of both directions, headers included."""

    requests: int
    wire_bytes: int
    connections: int

    def __sub__(self, before: Traffic) -> Traffic:
        return Traffic(
            self.requests - before.requests,
            self.wire_bytes - before.wire_bytes,
            self.connections - before.connections,
        )


class DistantServer:
    """The near end of the line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._answer()

    def traffic(self) -> Traffic:
        """Return what has passed since the start."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Traffic(**json.loads(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextmanager
def at_distance(target: str, round_trip: float) -> Iterator[DistantServer]:
    """Put a server at a distance of so many seconds there and back."""
    command = [sys.executable, "-m", "tests.benchmarks.distance", target, str(round_trip)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield DistantServer(process)
        finally:
            process.communicate(timeout=20)


def main() -> None:
    proxy = CountingProxy(sys.argv[1], round_trip=float(sys.argv[2]))
    print(proxy.url, flush=True)  # noqa: T201  # to the parent
    for _ in sys.stdin:
        wire = proxy.read()
        traffic = Traffic(wire.requests.total(), wire.bytes_sent + wire.bytes_received, wire.connections)
        print(json.dumps(traffic.__dict__), flush=True)  # noqa: T201
    proxy.close()


if __name__ == "__main__":
    main()
