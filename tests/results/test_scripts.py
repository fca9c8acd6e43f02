"""Scripts that run one after another, and share results with instances of their own classes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from s3kv_flows import S3KVStore
from tests.support import kinds
from tests.support.waiting import PATIENCE

Run = Callable[..., dict[str, list[str]]]

PROGRAM = """
import sys, pipeline
pipeline.show(sys.argv[1:])
"""

DEPLOYMENT = """
import sys, types
from pathlib import Path
from prefect.utilities.importtools import import_object

if sys.argv[1] == "taken":  # by another module of this name
    sys.modules["pipeline"] = types.ModuleType("pipeline")
show = import_object(f"{Path.cwd()}/pipeline.py:show")
assert show.__module__.startswith({"free": "pipeline", "taken": "__prefect_loader_"}[sys.argv[1]])
show(sys.argv[2:])
"""


@pytest.fixture
def run(tmp_path: Path, s3_url: str, prefect_api: str) -> Run:
    """Run a script in a directory with ``pipeline.py``; return what it printed."""
    lake = f"lake-{uuid.uuid4().hex[:8]}"
    store = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    store.values.create_bucket()
    store.save(lake)
    text = Path(kinds.__file__).read_text()
    (tmp_path / "pipeline.py").write_text(text)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "deployment.py").write_text(DEPLOYMENT)

    def run_script(script: str, *arguments: str) -> dict[str, list[str]]:
        done = subprocess.run(
            [sys.executable, script, *arguments],
            cwd=tmp_path,
            env=os.environ
            | {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": prefect_api, "LAKE": lake},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run_script


def test_a_script_that_runs_again_gets_instances_of_its_own_classes(run: Run) -> None:
    assert run("pipeline.py", "once") == {"once": ["computed"]}
    assert run("pipeline.py", "once") == {"once": []}


@pytest.mark.slow
def test_whatever_runs_a_script_gets_instances_of_its_own_classes(run: Run) -> None:
    ways = [("pipeline.py",), ("program.py",), ("deployment.py", "free"), ("deployment.py", "taken")]
    names = ["first", "second", "third", "fourth"]
    for (script, *how), name in zip(ways, names, strict=True):
        assert run(script, *how, name) == {name: ["computed"]}
    for script, *how in ways:
        assert run(script, *how, *names) == {name: [] for name in names}, (script, how)
