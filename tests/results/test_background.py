"""Tasks that run in the background: Prefect keeps their parameters until a worker takes them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import TaskRunResult
from prefect.exceptions import SerializationError
from prefect.futures import PrefectDistributedFuture

from s3kv_flows import S3KVStore
from s3kv_flows.store._s3.types import ObjectInfo
from tests.support.background import tasks_of
from tests.support.other_server import other_server
from tests.support.waiting import PATIENCE

KINDS = ["add", "add_locked", "add_held", "add_named", "add_later", "add_again"]


class Pond:
    """A saved store, and the tasks of a worker that keep their results there."""

    def __init__(self, s3_url: str) -> None:
        self.name = f"lake-{uuid.uuid4().hex[:8]}"
        self.block = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
        self.block.values.create_bucket(object_lock=True)
        self.block.save(self.name)
        self.tasks = tasks_of(self.name)

    def objects(self, *, parameters: bool) -> list[ObjectInfo]:
        results = self.block.results
        return [
            results.objects.head(results.namespace.name_of(key))
            for key in results.iter_keys()
            if key.startswith("parameters/") is parameters
        ]


@pytest.fixture(scope="module")
def pond(s3_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pond]:
    """Return a store whose tasks a worker runs, with a server that tells how runs end."""
    home: Path = tmp_path_factory.mktemp("background")
    with other_server(home) as api:
        pond = Pond(s3_url)
        script = f"from tests.support.background import serve_tasks; serve_tasks({pond.name!r})"
        with (home / "worker.log").open("w") as log:
            worker = subprocess.Popen(
                [sys.executable, "-c", script],
                env=os.environ | {"PREFECT_HOME": str(home / "worker"), "PREFECT_API_URL": api},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield pond
        finally:
            worker.kill()
            worker.wait()


def outcome(future: Any) -> Any:
    return future.result(timeout=PATIENCE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_delayed_task_has_its_parameters_and_its_result(pond: Pond, kind: str) -> None:
    before = {info.name for info in pond.objects(parameters=False)}
    number = 100 * (1 + KINDS.index(kind))
    assert outcome(pond.tasks[kind].delay(number, b=2)) == number + 2
    (info,) = [info for info in pond.objects(parameters=False) if info.name not in before]
    is_locked = kind in ("add_locked", "add_later", "add_again")
    assert (info.lock_mode == "GOVERNANCE", info.legal_hold) == (is_locked, kind == "add_held")


def test_parameters_are_stored_where_prefect_wants_them_without_lock_and_tags(pond: Pond) -> None:
    before = {info.name for info in pond.objects(parameters=True)}
    assert outcome(pond.tasks["add_locked"].delay(1)) == 2
    (info,) = [info for info in pond.objects(parameters=True) if info.name not in before]
    results = pond.block.results
    assert info.name.startswith(results.namespace.name_of("parameters/"))
    assert (info.lock_mode, info.legal_hold) == (None, False)
    assert results.client.get_tags(results.bucket_name, info.name) == {}


def test_futures_and_dependencies_are_stored_with_the_parameters(pond: Pond) -> None:
    first = pond.tasks["add_locked"].delay(5)
    assert outcome(first) == 6  # a worker that begins to listen misses the end of a run of the same moment
    depends = {"a": {TaskRunResult(id=first.task_run_id)}}
    second = pond.tasks["add_held"].apply_async((first,), {"b": 10}, wait_for=[first], dependencies=depends)
    assert outcome(second) == 16


def test_a_flow_and_an_event_loop_delay_tasks_too(pond: Pond) -> None:
    named, later = pond.tasks["add_named"], pond.tasks["add_later"]

    @flow
    def delays() -> Any:
        assert pond.block.bucket_name  # the flow is stored with the parameters, and so is what it refers to
        return outcome(named.delay(7))

    async def adelays() -> Any:
        future = later.delay(8)
        await future.wait_async(timeout=PATIENCE)
        return await future.result_async()

    assert [delays(), asyncio.run(adelays())] == [8, 9]


def test_a_saved_store_is_stored_by_its_name_and_another_one_with_a_key_is_refused(pond: Pond) -> None:
    before = {info.name for info in pond.objects(parameters=True)}
    pond.tasks["add"].delay(S3KVStore.of(pond.block))
    (info,) = [info for info in pond.objects(parameters=True) if info.name not in before]
    stored = bytes(pond.block.results.objects.get(info.name).body or b"")
    assert pond.block.signing_key is not None
    secret = pond.block.signing_key.get_secret_value().encode()
    for text in (stored, base64.b64decode(json.loads(stored)["result"])):
        assert secret not in text
    edited = pond.block.model_copy(update={"namespace": "elsewhere"})
    with pytest.raises(SerializationError) as refused:
        pond.tasks["add"].delay(edited)
    assert "holds credentials" in str(refused.value.__cause__)


def test_a_task_that_is_cached_delays_another_one(pond: Pond) -> None:
    task_run_id = outcome(pond.tasks["delay_another"].delay(20))
    assert outcome(PrefectDistributedFuture(task_run_id)) == 21


def test_what_cannot_be_a_parameter_is_refused_where_it_is_given(pond: Pond) -> None:
    with pytest.raises(SerializationError):
        pond.tasks["add_locked"].delay(threading.Lock())
