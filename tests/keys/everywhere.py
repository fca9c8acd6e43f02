"""A project whose tasks reach all kinds of code, and processes that run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.lake import Lake
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]

PIPELINE = '''\
"""A pipeline whose tasks reach what tasks usually reach."""
import asyncio
import enum
import json
import os
from dataclasses import dataclass, field
from functools import partial, wraps

import cloudpickle
from prefect import flow, task
from s3kv_flows import caching

import helpers
from helpers import rounded

CACHED = caching(os.environ["LAKE"])
RATE = 3
WEIGHTS = {"low": 1, "high": (2, 3)}
NAMES = frozenset({"a", "b", "c"})
STEPS = {"twice": lambda x: 2 * x, "thrice": partial(helpers.times, 3)}


class Mode(enum.Enum):
    """How to scale."""

    PLAIN = "plain"
    DOUBLE = "double"

    def times(self):
        """Say how often."""
        return 2 if self is Mode.DOUBLE else 1


class Scaler:
    """Scales numbers."""

    base = 1

    def __init__(self, factor):
        self.factor = factor

    @property
    def both(self):
        """Both factors."""
        return self.factor * self.base

    @classmethod
    def usual(cls):
        return cls(RATE)

    @staticmethod
    def twice(x):
        return 2 * x

    def scale(self, x):
        """Scale a number."""
        assert x is not None, "a number"
        return self.twice(x) * self.both


class Outer:
    class Inner:
        """A class in a class."""

        size = 1


class Offset(Scaler):
    """Scales, and adds."""

    def scale(self, x):
        if __debug__ and x is None:
            raise ValueError("no number")
        return super().scale(x) + 1


@dataclass(frozen=True)
class Order:
    """So many, for prices."""

    number: int
    prices: tuple = (1.0, 2.0)
    notes: list = field(default_factory=list)

    def total(self):
        return sum(self.prices) * self.number


def added(number):
    """Make a decorator."""

    def decorate(function):
        @wraps(function)
        def call(*args):
            return function(*args) + number

        return call

    return decorate


@added(len(NAMES))
def known(x):
    """Return it, with what the decorator adds."""
    return x


@task(**CACHED)
def scale(x):
    """Scale, with a class and constants."""
    return Offset.usual().scale(x) * WEIGHTS["high"][1]


@task(**CACHED)
def steps(x):
    """Call what containers hold, and what a decorator made."""
    return STEPS["twice"](x) + STEPS["thrice"](x) + known(x)


@task(**CACHED)
def nested(x):
    return Outer.Inner.size + x


@task(**CACHED)
def price(order, mode):
    """Count a dataclass and an enum."""
    try:
        return rounded(order.total() * mode.times())
    except (TypeError, ArithmeticError):
        return None


def make(factor):
    """Make a task in a closure."""

    def scaled(x):
        return [x * factor + helpers.SHIFT for x in range(x)]

    return task(scaled, **CACHED)


by_four, by_five = make(4), make(5)


@task(**CACHED)
async def fetch(name):
    await asyncio.sleep(0)
    return [letter async for letter in letters(name)]


async def letters(name):
    for letter in name:
        yield letter.upper()


@task(**CACHED)
def lazy(x):
    import late

    return late.added(x)


CALLS = {
    "scale": (scale, 2),
    "steps": (steps, 2),
    "nested": (nested, 2),
    "price": (price, Order(3), Mode.DOUBLE),
    "by_four": (by_four, 3),
    "by_five": (by_five, 3),
    "fetch": (fetch, "ab"),
    "lazy": (lazy, 1),
}


def outcomes():
    """Return the state and the value of each task; a result of the cache has the state ``Cached``."""
    found = {}
    for name, (one, *arguments) in CALLS.items():
        state = one(*arguments, return_state=True)
        if asyncio.iscoroutine(state):
            state = asyncio.run(state)
        found[name] = [state.name, state.result()]
    return found


def submitted(runner):
    """Return the same, of tasks that a runner sends to other processes."""

    @flow(task_runner=runner)
    def submit_all():
        futures = {name: one.submit(*arguments) for name, (one, *arguments) in CALLS.items()}
        for future in futures.values():
            future.wait()
        return {name: [future.state.name, future.result()] for name, future in futures.items()}

    return submit_all()


@flow
def everything():
    return outcomes()


def pickle_to(path):
    """Pickle all of it by value, as for workers of Dask or Ray."""
    with open(path, "wb") as file:
        cloudpickle.dump(outcomes, file)


if __name__ == "__main__":
    if "PICKLED" in os.environ:
        pickle_to(os.environ["PICKLED"])
    if os.environ.get("RUNNER") == "dask":
        from prefect_dask import DaskTaskRunner

        cluster = {"n_workers": 1, "threads_per_worker": 2, "processes": True, "dashboard_address": ":0"}
        print("OUTCOMES", json.dumps(submitted(DaskTaskRunner(cluster_kwargs=cluster))))
    elif os.environ.get("RUNNER") == "processes":
        from prefect.task_runners import ProcessPoolTaskRunner

        print("OUTCOMES", json.dumps(submitted(ProcessPoolTaskRunner(max_workers=2))))
    else:
        print("OUTCOMES", json.dumps(outcomes()))
'''

HELPERS = '''\
"""Helpers."""
SHIFT = 10


def rounded(x):
    """Round."""
    return round(x, 1) + 0 * SHIFT


def times(factor, x):
    return factor * x
'''

LATE = '''\
"""Imported when a task runs."""
import deeper

FIRST = 5


def added(x):
    """Add."""
    return x + FIRST + deeper.SECOND
'''

DEEPER = "SECOND = 6\n"

VALUES = {
    "scale": (2 * 2 * 3 + 1) * 3,
    "steps": 4 + 6 + 5,
    "nested": 3,
    "price": 18.0,
    "by_four": [10, 14, 18],
    "by_five": [10, 15, 20],
    "fetch": ["A", "B"],
    "lazy": 12,
}
"""What the tasks return."""

PROJECT = {"pipeline.py": PIPELINE, "helpers.py": HELPERS, "late.py": LATE, "deeper.py": DEEPER}

Outcomes = dict[str, tuple[str, Any]]


def write(directory: Path, files: Mapping[str, str] = PROJECT) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def environment(lake: Lake, api: str, *paths: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process that runs the project."""
    return {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "",  # as users have it: of a file that is new, its compiled one tells
        "LAKE": lake.name,
        "PREFECT_API_URL": api,
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT])),
        **more,
    }


def run(
    *arguments: str, env: Mapping[str, str], cwd: Path, python: str = sys.executable
) -> dict[str, Outcomes]:
    """Run a process; return the outcomes that it printed, by the way."""
    done = subprocess.run(
        [python, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("OUTCOMES"):
            way = line.partition(" ")[0].removeprefix("OUTCOMES").lstrip(":")
            found[way] = json.loads(line.partition(" ")[2])
    assert found, done.stdout + done.stderr
    return found
