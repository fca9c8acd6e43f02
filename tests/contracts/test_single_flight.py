"""Single flight between processes that share a bucket and nothing else; some of them die, or are stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows import S3KVStore
from tests.support.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 8.0
"""For those that die. Those that live could lose theirs on a machine that is busy for as long."""

LONG = 300.0

pytestmark = [pytest.mark.usefixtures("prefect_api"), pytest.mark.timeout(1800)]  # many processes


class Worker:
    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.contracts.flight_worker", *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, key: str, **options: bool) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"key": key, **options}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        return json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        self.signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()


class Crew:
    """Workers on one store, and what they note."""

    def __init__(self, block: S3KVStore, api: str, directory: Path, stack: ExitStack) -> None:
        self.lake = f"lake-{uuid.uuid4().hex[:8]}"
        block.save(self.lake)
        self.block, self._directory, self._stack = block, directory, stack
        self.journal = directory / f"{self.lake}.jsonl"
        self.journal.touch()
        self.environment = os.environ | {"PREFECT_API_URL": api, "PYTHONPATH": str(ROOT)}
        self.body()

    def body(self, *, seconds: float = 0, until: Path | None = None) -> None:
        """Say what a computation is to last."""
        what = {"seconds": seconds, "until": str(until) if until else None}
        Path(f"{self.journal}.body").write_text(json.dumps(what))

    def workers(self, count: int, *, seconds: float = LONG, shifts: Sequence[float] = ()) -> list[Worker]:
        made = []
        for number in range(count):
            log = self._directory / f"{self.lake}-{uuid.uuid4().hex[:4]}.log"
            shift = shifts[number] if shifts else 0.0
            arguments = [self.lake, str(self.journal), str(seconds), str(shift)]
            made.append(Worker(arguments, self.environment, log))
            self._stack.callback(made[-1].stop)
        for worker, shift in zip(made, shifts or [0.0] * count, strict=True):
            assert abs(worker.answer()["time"] - time.time() - shift) < 150
        return made

    def notes(self, event: str) -> list[Any]:
        return [
            one for one in map(json.loads, self.journal.read_text().splitlines()) if one["event"] == event
        ]

    def run(self, workers: list[Worker], key: str, **options: bool) -> list[str]:
        """Let all workers run a key at the same moment; return what they got."""
        for worker in workers:
            worker.ask(key, **options)
        answers = [worker.answer() for worker in workers]
        assert all(answer["state"] in ("Completed", "Cached") for answer in answers), answers
        return [answer["value"] for answer in answers]

    def stored(self) -> dict[str, str]:
        """Return what is in the bucket, by the key of the computation."""
        values = (self.block.results.get(key) for key in self.block.results.iter_keys())
        return {value.split()[0]: value for value in values}

    def free(self) -> bool:
        """Tell whether nobody holds a lease; what was given back stays on some servers until it is swept."""
        leases, namespace = self.block.leases(), self.block.lease_namespace
        keys = self.block.results.list_keys()
        return all(leases.holder_of(namespace.name_of(key)) is None for key in keys)

    def leases(self) -> list[str]:
        bucket = self.block.lease_bucket_name or self.block.bucket_name
        names = self.block.results.client.list_objects(bucket, self.block.lease_namespace.prefix)
        return [listed.name for listed in names]


MakeCrew = Callable[..., Crew]


@pytest.fixture
def make_crew(
    s3_url: str, prefect_api: str, make_store: Callable[..., Any], tmp_path: Path
) -> Iterator[MakeCrew]:
    """Make a crew on a plain bucket; or with Object Lock, and leases in a plain one beside it."""
    with ExitStack() as stack:

        def make(*, object_lock: bool = False) -> Crew:
            bucket = make_store(object_lock=object_lock).bucket_name
            beside = make_store().bucket_name if object_lock else None
            block = S3KVStore(bucket_name=bucket, endpoint_url=s3_url, lease_bucket_name=beside)
            return Crew(block, prefect_api, tmp_path, stack)

        yield make


def check_all_alike(crew: Crew, workers: list[Worker], keys: list[str], **options: bool) -> None:
    for key in keys:
        (value,) = set(crew.run(workers, key, **options))
        assert value.split()[0] == key


@pytest.mark.slow
def test_three_processes_compute_each_key_once(make_crew: MakeCrew) -> None:
    crew = make_crew()
    crew.body(seconds=0.1)
    keys = [f"key-{number}" for number in range(4)]
    check_all_alike(crew, crew.workers(3), keys)
    assert Counter(one["key"] for one in crew.notes("begin")) == Counter(keys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("object_lock", "expired"),
    [
        pytest.param(False, False, id="absent, plain"),
        # A minute; the leases are in a plain bucket then, too.
        pytest.param(True, True, id="expired, object lock and leases beside it", marks=pytest.mark.long),
    ],
)
def test_eight_processes_compute_fifty_keys_fifty_times(
    make_crew: MakeCrew,
    object_lock: bool,  # noqa: FBT001
    expired: bool,  # noqa: FBT001
) -> None:
    crew = make_crew(object_lock=object_lock)
    keys = [f"key-{number}" for number in range(50)]
    workers = crew.workers(8)
    if expired:
        for key in keys:
            crew.run(workers[:1], key, expired=True)
        assert len(crew.notes("end")) == 50
        crew.journal.write_text("")
    crew.body(seconds=0.1)  # more than ten round trips
    check_all_alike(crew, workers, keys)
    assert Counter(one["key"] for one in crew.notes("begin")) == Counter(keys)
    assert len(crew.stored()) == 50


@pytest.mark.slow
@pytest.mark.parametrize(
    "object_lock",
    [
        pytest.param(False, id="plain"),
        # Half a minute; the leases are in a plain bucket then, too.
        pytest.param(True, id="object lock, leases beside it", marks=pytest.mark.long),
    ],
)
def test_eight_processes_that_refresh_are_never_two_at_once(
    make_crew: MakeCrew,
    object_lock: bool,  # noqa: FBT001
) -> None:
    crew = make_crew(object_lock=object_lock)
    crew.body(seconds=0.05)
    workers = crew.workers(8)
    keys = [f"key-{number}" for number in range(6)]
    for key in keys:
        assert len(set(crew.run(workers, key, refresh=True))) == 8
    assert len(crew.notes("begin")) == 8 * len(keys)
    spans = defaultdict(list)
    for begin in crew.notes("begin"):
        (end,) = [one for one in crew.notes("end") if one["value"] == begin["value"]]
        spans[begin["key"]].append((begin["at"], end["at"], begin["value"]))
    for key, of_key in spans.items():
        of_key.sort()
        for (_, end, _), (begin, _, _) in pairwise(of_key):
            assert end <= begin, "never two at once"
        assert crew.stored()[key] == of_key[-1][2], "the last one's"


# --- those that die, or are stopped -----------------------------------------------------------------


def begun(crew: Crew, count: int) -> Callable[[], bool]:
    return lambda: len(crew.notes("begin")) == count


def renewed_often(crew: Crew) -> Callable[[], bool]:
    """Tell whether the lease that is held has been renewed for longer than its time: four times a third."""
    leases, tokens = crew.block.leases(), set[str]()

    def so_often() -> bool:
        tokens.update(record.token for record in map(leases.holder_of, crew.leases()) if record)
        return len(tokens) > 4

    return so_often


@pytest.mark.slow
def test_a_killed_holder_is_replaced(make_crew: MakeCrew, tmp_path: Path) -> None:
    crew = make_crew()
    crew.body(until=tmp_path / "done")
    holder, heir = crew.workers(2, seconds=LEASE_SECONDS)
    holder.ask("key")
    until(begun(crew, 1))
    heir.ask("key")
    until(lambda: crew.block.leases().holder_of(crew.leases()[0]))
    holder.signal(signal.SIGKILL)
    until(begun(crew, 2))
    (tmp_path / "done").touch()
    assert heir.answer()["value"] == crew.stored()["key"]
    assert len(crew.block.results.list_keys()) == 1


@pytest.mark.slow
def test_a_stopped_holder_does_not_replace_what_its_heir_wrote(make_crew: MakeCrew, tmp_path: Path) -> None:
    crew = make_crew()
    crew.body(until=tmp_path / "done")
    stopped, heir = crew.workers(2, seconds=1.5)
    stopped.ask("key")
    until(begun(crew, 1))
    stopped.signal(signal.SIGSTOP)
    heir.ask("key")
    until(begun(crew, 2))
    (tmp_path / "done").touch()
    theirs = heir.answer()["value"]
    stopped.signal(signal.SIGCONT)
    late = stopped.answer()
    assert (late["state"], late["value"]) == ("Completed", crew.notes("begin")[0]["value"])
    assert crew.stored()["key"] == theirs != late["value"]
    assert "StaleWriterError" in stopped.log.read_text()


@pytest.mark.slow
@pytest.mark.long  # half a minute; the lease's own tests turn clocks, too
def test_clocks_ten_minutes_apart_change_nothing(make_crew: MakeCrew, tmp_path: Path) -> None:
    crew = make_crew()
    crew.body(seconds=0.1)
    ahead, behind = crew.workers(2, shifts=[300, -300], seconds=LEASE_SECONDS)
    keys = [f"key-{number}" for number in range(3)]
    check_all_alike(crew, [ahead, behind], keys)
    assert Counter(one["key"] for one in crew.notes("begin")) == Counter(keys)
    check_all_alike(crew, [behind, ahead], keys)
    assert len(crew.notes("begin")) == 3, "hits"
    for number, (holder, other) in enumerate(((ahead, behind), (behind, ahead))):
        crew.body(until=tmp_path / f"long-{number}")
        holder.ask(f"long-{number}")
        until(begun(crew, 4 + number))
        other.ask(f"long-{number}")
        until(renewed_often(crew))
        (tmp_path / f"long-{number}").touch()
        assert holder.answer()["value"] == other.answer()["value"]
    assert len(crew.notes("begin")) == 5, "nobody is replaced who is alive"
    crew.body(until=tmp_path / "done")
    ahead.ask("dead")
    until(begun(crew, 6))
    behind.ask("dead")
    ahead.signal(signal.SIGKILL)
    until(begun(crew, 7))  # in less time than their clocks are apart
    (tmp_path / "done").touch()
    assert behind.answer()["state"] == "Completed"


DASK = """
import json, sys
from prefect import flow
from prefect_dask import DaskTaskRunner
from tests.contracts.flight_worker import make_task

if __name__ == "__main__":
    lake, journal = sys.argv[1:]
    compute = make_task(lake, journal, 300)
    cluster = {"n_workers": 2, "threads_per_worker": 3, "processes": True, "dashboard_address": ":0"}

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=cluster))
    def run():
        futures = [compute.submit(f"key-{number % 3}") for number in range(18)]
        return [future.result() for future in futures]

    print("VALUES", json.dumps(run()))
"""


@pytest.mark.slow
@pytest.mark.long  # half a minute; processes show the same, and Dask is in tests/cache
def test_workers_of_a_dask_cluster_compute_each_key_once(make_crew: MakeCrew, tmp_path: Path) -> None:
    crew = make_crew()
    crew.body(seconds=0.5)
    script = tmp_path / "script.py"
    script.write_text(DASK)
    done = subprocess.run(
        [sys.executable, str(script), crew.lake, str(crew.journal)],
        env=crew.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("VALUES")] or [done.stderr]
    values = json.loads(line.removeprefix("VALUES"))
    assert len(values) == 18
    assert len(set(values)) == 3
    begins = crew.notes("begin")
    assert Counter(one["key"] for one in begins) == Counter(["key-0", "key-1", "key-2"])
    assert crew.free()
