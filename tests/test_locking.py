"""Single flight in real task runs, counted on the wire."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import cloudpickle
import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.locking.protocol import LockManager
from prefect.transactions import IsolationLevel, transaction

from s3kv_flows import LeaseLockManager, S3KVStore, caching
from s3kv_flows.store.clients import shared_keeper
from s3kv_flows.store.errors import KeyLockedError, LeaseTimeoutError, UnsupportedByServerError
from tests.lake import WEEK, Lake, adding_task, in_flow
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    keeper = shared_keeper()
    until(lambda: keeper._thread is None)
    assert keeper._entries == {}
    assert keeper.turns._lines == {}


def lease_objects(lake: Lake) -> list[str]:
    bucket = lake.block.lease_bucket_name or lake.block.bucket_name
    return [item.name for item in lake.results.client.list_objects(bucket, lake.block.lease_namespace.prefix)]


def ready(lake: Lake) -> None:
    """Let the process know what the server can do, as after its first lease."""
    lake.block.leases()


# --- what it costs --------------------------------------------------------------------------------


def test_a_miss_is_five_requests_and_a_hit_one(lake: Lake) -> None:
    ready(lake)
    add_one = adding_task(lake, single_flight=True)
    miss = lake.count(lambda: add_one(1))
    assert dict(miss.requests) == {"GET": 2, "PUT": 2, "DELETE": 1}
    assert dict(lake.count(lambda: add_one(1)).requests) == {"GET": 1}
    assert lake.ran == [1]
    assert lease_objects(lake) == []


def test_it_is_the_same_on_a_bucket_with_object_lock(locked_lake: Lake) -> None:
    ready(locked_lake)
    add_one = adding_task(locked_lake, single_flight=True)
    assert sum(locked_lake.count(lambda: add_one(1)).requests.values()) == 5
    assert dict(locked_lake.count(lambda: add_one(1)).requests) == {"GET": 1}
    prefix = locked_lake.block.lease_namespace.prefix
    left = list(locked_lake.results.client.list_versions(locked_lake.results.bucket_name, prefix))
    assert left == [], "no versions pile up"
