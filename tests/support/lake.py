"""A saved store behind a counting proxy, and small tasks that use it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from prefect import flow, task

from s3kv_flows import Retention, S3KVStore, caching
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.types import ObjectInfo
from tests.support.proxy import CountingProxy, Wire

WEEK = Retention(days=7)


class Lake:
    """A saved store behind a counting proxy, and the executions of tasks that use it."""

    def __init__(self, proxy: CountingProxy, *, object_lock: bool, enable_local_cache: bool = False) -> None:
        self.proxy = proxy
        self.name = f"lake-{uuid.uuid4().hex[:8]}"
        self.block = S3KVStore(
            bucket_name=f"bucket-{uuid.uuid4().hex[:16]}",
            endpoint_url=proxy.url,
            enable_local_cache=enable_local_cache,
        )
        self.block.values.create_bucket(object_lock=object_lock)
        self.block.save(self.name)
        self.ran: list[Any] = []

    @property
    def results(self) -> S3KV:
        return self.block.results

    def objects(self) -> list[ObjectInfo]:
        names = [self.results.namespace.name_of(key) for key in self.results.iter_keys()]
        return [self.results.objects.head(name) for name in names]

    def the_object(self) -> ObjectInfo:
        (info,) = self.objects()
        return info

    def put(self, info: ObjectInfo, body: bytes, **metadata: str) -> None:
        """Put an object of the results again with another body and metadata, sealed as the store would."""
        results = self.results
        options = {"content_type": info.content_type, "metadata": {**info.metadata, **metadata}}
        sealed = results.seals_of_objects.sealed(info.name, body, options)
        results.client.put_object(results.bucket_name, info.name, body, **sealed)

    def tags(self, info: ObjectInfo) -> dict[str, str]:
        return self.results.client.get_tags(self.results.bucket_name, info.name)

    def count(self, run: Callable[[], object]) -> Wire:
        with self.proxy.counting() as wire:
            run()
        return wire


def adding_task(lake: Lake, **options: Any) -> Any:
    @task(**caching(lake.name, **options))
    def add_one(number: int) -> int:
        lake.ran.append(number)
        return number + 1

    return add_one


def in_flow(body: Callable[[], Any]) -> Any:
    @flow(name="some flow")
    def run() -> Any:
        return body()

    return run()


def changeable(number: int) -> dict[str, Any]:
    """Return a result that can be changed in place: in its pickle, and in a buffer that a frame views."""
    return {"list": [number], "array": _noise(number)}


def _noise(number: int) -> Any:
    # What compresses is copied, and viewed by nothing.
    return np.random.default_rng(number).integers(0, 2**62, 100_000)


def change(value: dict[str, Any]) -> None:
    """Change the result of :func:`changeable`."""
    value["list"].append("changed")
    value["array"][:] = -1


def is_unchanged(value: dict[str, Any], number: int = 1) -> bool:
    return bool(value["list"] == [number] and (value["array"] == _noise(number)).all())
