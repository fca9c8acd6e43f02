"""A process that runs tasks, plain, one at a time, and finalized ones, and says what came of them.

Each line of its input is a job, and it answers with a line: what was wrong, what failed and how, receipts.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import task

from s3kv_flows import Retention, S3KVStore, caching, tasks
from s3kv_flows.store.errors import S3KVError

__all__ = ["main", "value_of"]

_SIZE = 3_000


def value_of(kind: str, number: int) -> dict[str, Any]:
    """Return the value of a task: the same in each process."""
    return {"kind": kind, "number": number, "filled": f"{kind} {number} " * (number * 37 % _SIZE)}


def note(journal: str, **what: Any) -> None:
    """Append one line, which the system does not mix with those of others."""
    line = json.dumps({"pid": os.getpid(), "at": time.monotonic(), **what}) + "\n"
    file = os.open(journal, os.O_APPEND | os.O_WRONLY | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def make_tasks(lake: str, vault: str, journal: str, lease_seconds: float, seconds: float) -> dict[str, Any]:
    """Return the tasks by their kinds."""

    @task(**caching(lake))
    def plain(number: int) -> dict[str, Any]:
        return value_of("plain", number)

    @task(**caching(lake, single_flight=True, lease_seconds=lease_seconds))
    def single(number: int) -> dict[str, Any]:
        token = uuid.uuid4().hex
        note(journal, event="begin", key=number, token=token)
        threading.Event().wait(seconds)
        note(journal, event="end", key=number, token=token)
        return {**value_of("single", number), "token": token}

    @task(**caching(vault, retention=Retention(days=1)))
    def locked(number: int) -> dict[str, Any]:
        return value_of("locked", number)

    return {"plain": plain, "single": single, "locked": locked}


class Runs:
    """Runs tasks, and keeps what came of them."""

    def __init__(self, lake: str, vault: str, journal: str, lease_seconds: float, seconds: float) -> None:
        self.vault, self.journal = vault, journal
        self.tasks = make_tasks(lake, vault, journal, lease_seconds, seconds)
        block = S3KVStore.load(lake)
        assert isinstance(block, S3KVStore)
        self.block = block  # the client is that of the vault, too
        self.wrong: list[str] = []
        self.documented: list[str] = []
        self.receipts: list[str] = []
        self.count = 0

    def run(self, kind: str, number: int) -> None:
        """Run one task."""
        self.count += 1
        self.block.values.client._boto.breaker.heard()
        if kind == "output":
            self._outcome(kind, number, self._finalize(number))
        else:
            self._outcome(kind, number, lambda: self.tasks[kind](number))

    def _finalize(self, number: int) -> Callable[[], Any]:
        def finalize() -> Any:
            receipt = tasks.finalize_value.fn(
                self.vault,
                f"output-{number}",
                value_of("output", number),
                Retention(days=1),
                accept_races=True,
            )
            self.receipts.append(receipt.to_json())
            return value_of("output", number)

        return finalize

    def _outcome(self, kind: str, number: int, run: Callable[[], Any]) -> None:
        try:
            value = run()
        except S3KVError as exc:
            self.documented.append(f"{type(exc).__name__}: {exc}"[:300])
        except Exception as exc:  # noqa: BLE001  # what may escape is what this is about
            self.wrong.append(f"{kind} {number}: {exc!r}"[:500])
        else:
            token = value.pop("token", None)
            if token is not None:
                note(self.journal, event="returned", key=number, token=token)
            if value != value_of(kind, number):
                self.wrong.append(f"{kind} {number} is {value!r:.300}")

    def report(self) -> dict[str, Any]:
        """Return what all runs so far came to."""
        counts = self.block.results.client.counters.read()
        return {
            "count": self.count,
            "wrong": self.wrong,
            "documented": self.documented,
            "receipts": self.receipts,
            "misses": {
                name: counts[f"results.{name}"]
                for name in ("hits", "misses", *(f"misses.{one}" for one in OUTCOMES))
            },
            **resources(),
        }


OUTCOMES = ("expired", "absent", "undecodable", "unreachable")


def resources() -> dict[str, int]:
    """Return the memory in KiB, the open files and the threads of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    fds = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return {"rss": rss, "fds": fds, "threads": threading.active_count()}


def main() -> None:
    """Run the jobs of the standard input."""
    lake, vault, journal, lease_seconds, seconds = sys.argv[1:]
    runs = Runs(lake, vault, journal, float(lease_seconds), float(seconds))
    print("{}", flush=True)  # noqa: T201  # to the parent: it has begun
    for line in sys.stdin:
        for kind, number in json.loads(line):
            runs.run(kind, number)
        print(json.dumps(runs.report()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
