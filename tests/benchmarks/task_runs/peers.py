"""The ways of caching that are compared, as tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import boto3
from prefect import task
from prefect.cache_policies import INPUTS
from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket

from s3kv_flows import S3KVStore, caching

__all__ = ["NO_OP", "OURS", "Bucket", "Kind", "tasks_of"]

Kind = Literal["sync", "async"]
NO_OP = "no-op"
OURS = "s3kv_flows"
_STORE = "bench"


@dataclass(frozen=True)
class Bucket:
    """A bucket, from a distance."""

    url: str
    access_key: str
    secret_key: str
    name: str

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )


def _value(number: int) -> bytes:
    return number.to_bytes(8, "big") * 128  # 1 KiB


def tasks_of(bucket: Bucket) -> dict[str, dict[Kind, Any]]:
    """Return the tasks of each way, by its name; what they need is saved."""
    prefect_aws = _saved_bucket(bucket)
    S3KVStore(
        bucket_name=bucket.name,
        endpoint_url=bucket.url,
        region_name="us-east-1",
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    ).save(_STORE, overwrite=True)
    by_prefect: dict[str, Any] = {
        "cache_policy": INPUTS,
        "persist_result": True,
        # A flow that asks for the same result twice would else get it from memory, as no other flow does.
        "cache_result_in_memory": False,
    }
    return {
        NO_OP: _tasks({"persist_result": False}),
        OURS: _tasks(caching(_STORE)),
        "prefect-aws, instance": _tasks({**by_prefect, "result_storage": prefect_aws}),
        "prefect-aws, by name": _tasks({**by_prefect, "result_storage": f"s3-bucket/{_STORE}"}),
        "Prefect, local disk": _tasks(by_prefect),
    }


def _tasks(options: dict[str, Any]) -> dict[Kind, Any]:
    @task(name="bench", **options)
    def compute(number: int) -> bytes:
        return _value(number)

    @task(name="bench later", **options)
    async def compute_later(number: int) -> bytes:
        return _value(number)

    return {"sync": compute, "async": compute_later}


def _saved_bucket(bucket: Bucket) -> Any:
    credentials = AwsCredentials(
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=bucket.url),
    )
    credentials.save(_STORE, overwrite=True)
    saved = S3Bucket(bucket_name=bucket.name, credentials=credentials, bucket_folder="prefect-aws")
    saved.save(_STORE, overwrite=True)
    return saved


def quietly(run: Callable[[], Any]) -> Any:
    """Run without the lines that Prefect logs for each run: they cost all alike."""
    logging.disable(logging.INFO)
    try:
        return run()
    finally:
        logging.disable(logging.NOTSET)
