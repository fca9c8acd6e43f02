"""A process that runs a task when it is told to, for tests with many of them.

It reads a job per line, as JSON, and answers each with a line. It notes on a shared file when its
computations begin and end.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event
from typing import Any

import time_machine
from prefect import task

from s3kv_flows import caching


def note(journal: str, **what: Any) -> None:
    """Append one line, which the system does not mix with those of others."""
    line = json.dumps({"pid": os.getpid(), "at": time.monotonic(), **what}) + "\n"
    file = os.open(journal, os.O_APPEND | os.O_WRONLY | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def make_task(lake: str, journal: str, seconds: float) -> Any:
    @task(**caching(lake, single_flight=True, lease_seconds=seconds, cache_expiration=timedelta(hours=1)))
    def compute(key: str) -> str:
        value = f"{key} {uuid.uuid4()}"
        note(journal, event="begin", key=key, value=value)
        body = json.loads(Path(f"{journal}.body").read_text())
        Event().wait(body["seconds"])
        while body["until"] and not Path(body["until"]).exists():
            Event().wait(0.01)
        note(journal, event="end", key=key, value=value)
        return value

    return compute


def clock(shift: float) -> AbstractContextManager[object]:
    """Let this process believe in another time."""
    if not shift:
        return nullcontext()
    return time_machine.travel(datetime.now(timezone.utc) + timedelta(seconds=shift), tick=True)


def main() -> None:
    lake, journal, seconds, shift = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    with clock(shift):
        compute = make_task(lake, journal, seconds)
        print(json.dumps({"pid": os.getpid(), "time": time.time()}), flush=True)  # noqa: T201  # to the parent
        for line in sys.stdin:
            job = json.loads(line)
            options: dict[str, Any] = {}
            if job.get("refresh"):
                options["refresh_cache"] = True
            if job.get("expired"):
                options["cache_expiration"] = timedelta(microseconds=1)
            state = compute.with_options(**options)(job["key"], return_state=True)
            answer = {"state": state.name, "value": state.result(raise_on_failure=False)}
            print(json.dumps(answer, default=repr), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
