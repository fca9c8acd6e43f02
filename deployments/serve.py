"""Serve the scheduled flows from this process: no work pool, no worker.

    python deployments/serve.py [STORE]

It runs until it is stopped, and schedules the deployments of deployments/prefect.yaml.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.flows import serve
from prefect.types.entrypoint import EntrypointType

from s3kv_flows import flows

_FILE = Path(__file__).with_name("prefect.yaml")


def deployments(store: str | None = None) -> list[RunnerDeployment]:
    """Return the deployments of prefect.yaml, for another store if one is named."""
    entries: list[dict[str, Any]] = yaml.safe_load(_FILE.read_text())["deployments"]
    return [_deployment(entry, store) for entry in entries]


def _deployment(entry: dict[str, Any], store: str | None) -> RunnerDeployment:
    flow = getattr(flows, entry["entrypoint"].rpartition(".")[2])
    deployment = flow.to_deployment(
        name=entry["name"],
        entrypoint_type=EntrypointType.MODULE_PATH,
        description=entry["description"],
        tags=entry["tags"],
        concurrency_limit=entry["concurrency_limit"],
        parameters=entry["parameters"] | ({"store": store} if store else {}),
        schedules=[
            CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
            for schedule in entry["schedules"]
        ],
    )
    deployment = cast("RunnerDeployment", deployment)  # a coroutine only within an event loop
    deployment.entrypoint = entry["entrypoint"]  # Prefect names the private module
    return deployment


if __name__ == "__main__":
    serve(*deployments(*sys.argv[1:2]))
