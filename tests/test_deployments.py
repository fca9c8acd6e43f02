from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from prefect.client.orchestration import get_client

from s3kv_flows import S3KVStore
from s3kv_flows.flows import age_caches, audit_locks, maintain_store
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parent.parent


CLI = """
import json, os, runpy, sys
import prefect.cli.block, prefect.cli.deploy, prefect.cli.work_pool, prefect.client.orchestration

for arguments in json.loads(sys.argv[1]):
    sys.stdout.flush()
    if child := os.fork():  # a new process for each command, which finds most of Prefect imported
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(status)
    else:
        sys.argv = ["prefect", "--no-prompt", *arguments]
        runpy.run_module("prefect", run_name="__main__")
        sys.exit()
"""


def prefect(api: str, *commands: list[str]) -> str:
    """Run commands of Prefect one after another; return what they print."""
    done = subprocess.run(
        [sys.executable, "-c", CLI, json.dumps(commands)],
        cwd=ROOT,
        env=os.environ | {"PREFECT_API_URL": api, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def serve() -> ModuleType:
    spec = importlib.util.spec_from_file_location("serve", ROOT / "deployments/serve.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_block_registers_and_the_deployments_deploy(prefect_api: str) -> None:
    shown = prefect(
        prefect_api,
        ["block", "register", "-m", "s3kv_flows"],
        ["work-pool", "create", "default", "--type", "process", "--overwrite"],
        ["deploy", "--prefect-file", "deployments/prefect.yaml", "--all"],
    )
    assert "S3KV Store" in shown
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("maintain-store/nightly-cleanup")
        for name in ("audit-locks/weekly-lock-audit", "age-caches/hourly-cache-ageing"):
            assert client.read_deployment_by_name(name).schedules[0].active
    assert deployment.entrypoint == "s3kv_flows.flows.maintain_store"
    (schedule,) = deployment.schedules
    assert schedule.active
    assert schedule.schedule.cron == "0 3 * * *"  # type: ignore[union-attr]
    assert deployment.global_concurrency_limit is not None
    assert deployment.global_concurrency_limit.limit == 1


def test_serve_has_the_same_deployments_for_another_store(serve: ModuleType) -> None:
    cleanup, ageing, audit = serve.deployments("elsewhere")
    names = ["nightly-cleanup", "hourly-cache-ageing", "weekly-lock-audit"]
    assert [cleanup.name, ageing.name, audit.name] == names
    assert ageing.entrypoint == "s3kv_flows.flows.age_caches"
    assert cleanup.entrypoint == "s3kv_flows.flows.maintain_store"
    assert audit.entrypoint == "s3kv_flows.flows.audit_locks"
    assert cleanup.parameters["store"] == audit.parameters["store"] == "elsewhere"
    assert serve.deployments()[0].parameters["store"] == "lake"


@pytest.mark.usefixtures("prefect_api")
def test_the_parameters_of_the_deployment_run(serve: ModuleType, s3_url: str) -> None:
    store = S3KVStore(bucket_name="deployed-bucket", endpoint_url=s3_url)
    store.values.create_bucket(object_lock=True)
    store.save("deployed", overwrite=True)
    cleanup, ageing, audit = serve.deployments("deployed")
    report = maintain_store(**cleanup.parameters)
    assert (report.removed, report.failed) == ([], {})
    assert age_caches(**ageing.parameters) == 0
    assert audit_locks(**audit.parameters).rows == []
