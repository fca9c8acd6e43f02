"""Tasks that a worker of Prefect runs in the background: ``python -c "... serve_tasks(lake)"``."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.runtime import task_run
from prefect.task_worker import serve

from s3kv_flows import caching
from tests.support.lake import WEEK


def tasks_of(lake: str) -> dict[str, Any]:
    """Return the tasks, by what is special about them; the same in each process."""

    @task(**caching(lake))
    def add(a: int, b: int = 1) -> int:
        return a + b

    @task(**caching(lake, retention=WEEK))
    def add_locked(a: int, b: int = 1) -> int:
        return a + b

    @task(**caching(lake, legal_hold=True))
    def add_held(a: int, b: int = 1) -> int:
        return a + b

    @task(**caching(lake, key="sums/{parameters[a]}"))
    def add_named(a: int, b: int = 1) -> int:
        return a + b

    @task(**caching(lake, retention=WEEK))
    async def add_later(a: int, b: int = 1) -> int:
        return a + b

    @task(retries=1, **caching(lake, retention=WEEK))
    def add_again(a: int, b: int = 1) -> int:
        if task_run.run_count == 1:
            raise RuntimeError("the first attempt")
        return a + b

    @task(**caching(lake, retention=WEEK))
    def delay_another(a: int) -> Any:
        return add_locked.delay(a).task_run_id

    made = (add, add_locked, add_held, add_named, add_later, add_again, delay_another)
    return {one.name: one for one in made}


def serve_tasks(lake: str) -> None:
    """Run the tasks of a lake as they are asked for, until this process ends."""
    serve(*tasks_of(lake).values())
