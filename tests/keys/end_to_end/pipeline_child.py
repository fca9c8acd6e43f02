"""Runs a pipeline from many directories, and prints which tasks computed."""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from prefect import Task
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings


def run_pipeline(directory: str) -> list[str]:
    sys.path.insert(0, directory)
    computed = []

    def note(task: Any, _: object, state: Any) -> None:
        if state.name != "Cached":
            computed.append(task.name)

    try:
        module = importlib.import_module("project.pipeline")
        for value in list(vars(module).values()):
            if isinstance(value, Task):
                value.on_completion(note)
        module.pipeline()
    finally:
        sys.path.remove(directory)
        for name in [name for name in sys.modules if name.partition(".")[0] == "project"]:
            del sys.modules[name]
        sys.path_importer_cache.clear()
    return computed


def run() -> None:
    wanted = json.load(sys.stdin)
    os.environ["S3KV_TEST_STORE"] = wanted["store"]
    # At the end of a flow, Prefect waits up to a second for the thread of its heartbeat.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        json.dump([run_pipeline(directory) for directory in wanted["directories"]], sys.stdout)


if __name__ == "__main__":
    run()
