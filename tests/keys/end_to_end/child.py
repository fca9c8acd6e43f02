"""Calls the tasks of many small projects through Prefect, in one process.

Reads as JSON which, how to load each and what to call it with, and prints for each whether it was computed
or came from the cache, its value, and what an uncached call gives where it came from the cache.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from s3kv_flows import caching
from tests.keys.end_to_end.loading import loaded


class Ear(logging.Handler):
    """Hears what the runs of tasks warn of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def finish(made: Any) -> Any:
    """Return what a call has made, once it is there: that of a coroutine, the items of a generator."""
    if inspect.iscoroutine(made):
        return asyncio.run(made)
    return list(made) if inspect.isgenerator(made) else made


def plain(value: object) -> str:
    """Return the text of a value, the same in all processes."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({sorted(map(plain, value))})"
    # The same class, whether its module was imported or is a script.
    return re.sub(r" at 0x[0-9a-f]+|\b(__main__|m)\.(?=[A-Z])", "", repr(value))


def call(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    made = finish(task(**options)(function)(*arguments, return_state=True))
    if made.name not in {"Completed", "Cached"}:
        return {"state": f"failed: {made.message}"}
    found = {"state": "hit" if made.name == "Cached" else "computed", "value": plain(made.result())}
    if made.name == "Cached":
        # After the cached call, which must be the first to see what the code leaves in its module.
        found["uncached"] = plain(finish(function(*arguments)))
    return found


def run_case(
    store: str, name: str, directory: Path, how: str, arguments: str, options: Any
) -> dict[str, Any]:
    ear = Ear()
    logger = logging.getLogger("prefect.task_runs")
    logger.addHandler(ear)
    try:
        with loaded(directory, how) as module:
            given = eval(arguments, {**vars(module), "sys": sys})  # noqa: S307  # of the tests' own table
            # Two projects may have equal tasks: what one has computed is no hit of another.
            found = call(module.t, given, caching(store, namespace=name, **options))
    except ImportError as failure:
        found = {"state": f"skipped: {failure}"}
    except Exception as failure:  # noqa: BLE001  # of any project: it is judged by the test
        found = {"state": f"failed: {failure!r}"}
    finally:
        logger.removeHandler(ear)
    return {**found, "said": ear.said}


def run() -> None:
    wanted = json.load(sys.stdin)
    found: dict[str, Any] = {}

    @flow
    def table() -> None:
        for name, directory, *others in wanted["cases"]:
            found[name] = run_case(wanted["store"], name, Path(directory), *others)

    # At the end of a flow, Prefect waits up to a second for the thread of its heartbeat.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        table()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    run()
