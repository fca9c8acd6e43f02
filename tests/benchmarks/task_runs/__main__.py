"""Measure whole task runs: hits and misses, one after another and mapped.

    python -m tests.benchmarks.task_runs [--help]

Prefect's server, Ceph and this process share the machine. Each has a counting proxy before it; that of Ceph
adds the round trip. A round gives each peer its turn; what counts are differences and ratios within a round.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.benchmarks.place import Place, make_home

_HOME = make_home()  # before Prefect or boto3 are imported
os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"  # lines of each run would cost all alike

import asyncio  # noqa: E402
import itertools  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

import cyclopts  # noqa: E402
from prefect import flow  # noqa: E402
from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: E402

from s3kv_flows._demo.servers import embedded_prefect  # noqa: E402
from tests.benchmarks.distance import DistantServer, at_distance  # noqa: E402
from tests.benchmarks.task_runs.peers import NO_OP, OURS, Kind, tasks_of  # noqa: E402
from tests.benchmarks.task_runs.plot import plot  # noqa: E402
from tests.benchmarks.task_runs.report import RAW, Measured, table, write  # noqa: E402
from tests.servers import SERVERS  # noqa: E402

_BUCKET = "s3kv-bench"
_IN_A_ROW = 25
_NUMBERS = itertools.count(1)
"""Inputs of runs: each that misses has another one, also from another distance."""


class Bench:
    """One server at one distance."""

    def __init__(self, place: Place, s3: DistantServer, api: DistantServer) -> None:
        self._place, self._s3, self._api = place, s3, api
        self._tasks = tasks_of(place)
        self._numbers = _NUMBERS
        self.found: dict[str, dict[str, Measured]] = {}

    def in_a_row(self, kind: Kind, rounds: int) -> None:
        """Measure runs one after another in one flow run: misses, then hits of the same."""
        client = self._place.boto3()
        client.put_object(Bucket=_BUCKET, Key="raw", Body=bytes(1024))
        run = _in_a_row if kind == "sync" else _in_a_row_later
        for warm in (True, *[False] * rounds):
            numbers = [next(self._numbers) for _ in range(_IN_A_ROW)]
            for peer, tasks in self._tasks.items():
                for operation in _operations(peer):
                    do = partial(run, tasks[kind], numbers)
                    self._measure(f"{operation}, {kind}", peer, _IN_A_ROW, do, warm=warm)
            self._measure(f"no-op, {kind}", RAW, _IN_A_ROW, partial(_raw, client), warm=warm)

    def mapped(self, size: int, rounds: int, peers: tuple[str, ...]) -> None:
        """Measure maps: misses, then hits of the same."""
        for warm in (True, *[False] * rounds):
            count = 50 if warm else size
            numbers = [next(self._numbers) for _ in range(count)]
            for peer in peers:
                for operation in _operations(peer):
                    do = partial(_mapped, self._tasks[peer]["sync"], numbers)
                    self._measure(f"{operation}, map of {size}", peer, count, do, warm=warm)

    def _measure(self, what: str, peer: str, count: int, run: Callable[[], Any], *, warm: bool) -> None:
        s3, api = self._s3.traffic(), self._api.traffic()
        seconds, cpu = run_timed(run)
        if warm:
            return
        measured = self.found.setdefault(what, {}).setdefault(peer, Measured())
        measured.seconds.append(seconds / count)
        measured.cpu.append(cpu / count)
        measured.s3_requests.append((self._s3.traffic() - s3).requests / count)
        measured.api_requests.append((self._api.traffic() - api).requests / count)


def _operations(peer: str) -> tuple[str, ...]:
    return ("miss", "hit") if peer != NO_OP else ("no-op",)


def _raw(client: Any) -> None:
    for _ in range(_IN_A_ROW):
        client.get_object(Bucket=_BUCKET, Key="raw")["Body"].read()


_timed: list[tuple[float, float]] = []


def run_timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds, and those of CPU, of what a flow timed within; else of all."""
    _timed.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return _timed[0] if _timed else (time.perf_counter() - wall, time.process_time() - cpu)


@contextmanager
def _timing() -> Iterator[None]:
    """Time a part of a flow: its own begin and end cost requests that are none of its tasks'."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    _timed.append((time.perf_counter() - wall, time.process_time() - cpu))


@flow(name="bench")
def _in_a_row(task: Any, numbers: list[int]) -> None:
    task(0)
    with _timing():
        for number in numbers:
            task(number)


@flow(name="bench later")
async def _later(task: Any, numbers: list[int]) -> None:
    await task(0)
    with _timing():
        for number in numbers:
            await task(number)


def _in_a_row_later(task: Any, numbers: list[int]) -> None:
    asyncio.run(_later(task, numbers))


@flow(name="bench map")
def _mapped(task: Any, numbers: list[int]) -> None:
    with _timing():
        task.map(numbers).wait()


def main(
    *,
    server: str = "ceph",
    round_trips_ms: tuple[float, ...] = (0, 20),
    rounds: int = 5,
    map_size: int = 1000,
    map_rounds: int = 2,
    output: Path = Path("docs/benchmarks"),
) -> None:
    """Measure whole task runs.

    Args:
        server: The S3 server: ceph, moto, seaweedfs.
        round_trips_ms: How far away it is.
        rounds: So many rounds of 25 runs in a row, for each kind.
        map_size: So many runs in a map; 0 for no maps.
        map_rounds: So many rounds of maps.
        output: Where to write ``task_runs.md``, ``task_runs.json`` and ``task_runs.svg``.
    """
    found: dict[str, dict[str, dict[str, Measured]]] = {}
    try:
        (_HOME / "server").mkdir()
        with (
            SERVERS[server]() as running,
            embedded_prefect(_HOME / "server") as prefect,
            at_distance(prefect, 0) as api,  # one for all: events go where the first run sent them
            temporary_settings({PREFECT_API_URL: f"{api.url}/api"}),
        ):
            for distance in round_trips_ms:
                with at_distance(running.url, distance / 1000) as s3:
                    place = Place(s3.url, running.access_key, running.secret_key, _BUCKET, _HOME)
                    place.boto3().create_bucket(Bucket=_BUCKET)
                    bench = Bench(place, s3, api)
                    for kind in ("sync", "async"):
                        bench.in_a_row(kind, rounds)
                    if map_size and not distance:
                        bench.mapped(map_size, map_rounds, (NO_OP, OURS))
                    found[f"{distance:g} ms"] = bench.found
                    print(table(f"{distance:g} ms away", bench.found), flush=True)  # noqa: T201
    finally:
        shutil.rmtree(_HOME, ignore_errors=True)
    write(output, found)
    plot(output / "task_runs.svg", found)
    sys.stdout.flush()
    os._exit(0)  # Prefect would wait for a server that has ended to take its last events


if __name__ == "__main__":
    cyclopts.run(main)
