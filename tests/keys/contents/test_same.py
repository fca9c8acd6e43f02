"""What is one value has one digest: whatever its history, in every process, and after a pickle."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.keys.contents.objects import encoder
from tests.keys.contents.same import ways

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def processes() -> list[dict[str, list[str]]]:
    """Return what three processes print, each with a seed of its own for the hashes of texts."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.keys.contents.same"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2", "12345")
    ]
    return [json.loads(process.communicate()[0]) for process in started]


@pytest.mark.slow  # three processes that import pandas, arrow and scikit-learn
def test_one_value_has_one_digest_in_three_processes_and_after_a_pickle(
    processes: list[dict[str, list[str]]],
) -> None:
    several = {}
    for name in processes[0]:
        found = [process[name] for process in processes]
        ways_of_one = len(found[0]) // 3
        if (
            len({one for each in found for one in each[: 2 * ways_of_one]}) > 1
            or len({one for each in found for one in each[2 * ways_of_one :]}) > 1
        ):
            several[name] = [[one[:6] for one in each] for each in found]

    assert several == {}


def test_there_are_many_of_them() -> None:
    assert len(ways()) >= 95


def test_a_deep_copy_has_the_digest_of_the_original() -> None:
    values = {name: made[0]() for name, made in ways().items() if not name.startswith(("polars", "used"))}

    assert [
        name for name, one in values.items() if encoder().digest(one) != encoder().digest(copy.deepcopy(one))
    ] == []


def test_an_encoder_may_be_used_again() -> None:
    used, value = encoder(), {"a": [1, {2}]}
    first = used.digest(value)
    value["a"] = []

    assert used.digest(value) != first
    assert used.digest({"a": [1, {2}]}) == first
