"""Processes that share nothing but the Prefect API and S3."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from s3kv_flows import S3KVStore
from tests.support.waiting import PATIENCE

PIPELINE = """
import os, sys
import numpy as np
from prefect import flow, task
from s3kv_flows import Retention, caching, finalizing

RAN = os.environ["RAN"]

@task(**caching("{lake}"))
def square(number):
    with open(RAN, "a") as file:
        file.write(f"square {{number}}\\n")
    return np.full(1000, number * number)

@task(**caching("{lake}", retention=Retention(days=3)))
def total(squares):
    with open(RAN, "a") as file:
        file.write("total\\n")
    return {{"result": int(sum(int(square[0]) for square in squares)), "x": 1}}

@flow(**finalizing("{lake}", Retention(days=3)))
def pipeline():
    return total(square.map([1, 2, 3]).result())

state = pipeline(return_state=True)
print("FLOW RUN", state.state_details.flow_run_id)
print("RESULT", state.result())
"""

READER = """
import prefect
import s3kv_flows
from prefect.client.orchestration import get_client

with get_client(sync_client=True) as client:
    state = client.read_flow_run("{flow_run_id}").state
    print("RESULT", state.result())
"""

Run = Callable[[str, str], str]


@pytest.fixture
def run(tmp_path: Path, prefect_api: str) -> Run:
    """Run a script in a process with a home and a cache of its own; return what it printed."""

    def run_script(name: str, script: str) -> str:
        home = tmp_path / name
        home.mkdir()
        (home / "script.py").write_text(script)
        done = subprocess.run(
            [sys.executable, "script.py"],
            cwd=home,
            env=os.environ
            | {
                "PREFECT_HOME": str(home / "prefect"),
                "XDG_CACHE_HOME": str(home / "cache"),
                "PREFECT_API_URL": prefect_api,
                "RAN": str(tmp_path / "ran.txt"),
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_script


def after(word: str, output: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith(word)]
    return line.removeprefix(word).strip()


@pytest.fixture
def lake(s3_url: str, prefect_api: str) -> str:
    name = f"lake-{uuid.uuid4().hex[:8]}"
    store = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    store.values.create_bucket(object_lock=True)
    store.save(name)
    return name


@pytest.mark.slow
def test_another_process_computes_nothing_and_a_third_reads_through_the_state(
    run: Run, lake: str, tmp_path: Path
) -> None:
    script = PIPELINE.format(lake=lake)
    first = run("first", script)
    assert after("RESULT", first) == "{'result': 14, 'x': 1}"
    ran = (tmp_path / "ran.txt").read_text().splitlines()
    assert sorted(ran) == ["square 1", "square 2", "square 3", "total"]
    assert after("RESULT", run("second", script)) == "{'result': 14, 'x': 1}"
    assert (tmp_path / "ran.txt").read_text().splitlines() == ran
    reader = READER.format(flow_run_id=after("FLOW RUN", first))
    assert after("RESULT", run("third", reader)) == "{'result': 14, 'x': 1}"


def test_the_store_is_imported_without_prefect() -> None:
    script = "import sys, s3kv_flows.store, s3kv_flows.maintenance; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_where_prefect_is_imported_the_serializer_registers_at_once() -> None:
    script = (
        "import prefect.serializers, s3kv_flows; print(prefect.serializers.Serializer(type='s3kv').codec); "
        "from prefect.blocks.core import Block; print('S3KVStore' in dir(s3kv_flows))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cloudpickle", "True"]
