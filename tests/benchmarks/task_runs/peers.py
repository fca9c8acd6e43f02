"""The ways of caching that are compared, as tasks."""

from __future__ import annotations

from typing import Any, Literal

from prefect import task
from prefect.cache_policies import INPUTS
from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket

from s3kv_flows import S3KVStore, caching
from tests.benchmarks.place import Place

__all__ = ["NO_OP", "OURS", "Kind", "tasks_of"]

Kind = Literal["sync", "async"]
NO_OP = "no-op"
OURS = "s3kv_flows"
_STORE = "bench"


def _value(number: int) -> bytes:
    return number.to_bytes(8, "big") * 128  # 1 KiB


def tasks_of(place: Place) -> dict[str, dict[Kind, Any]]:
    """Return the tasks of each way, by its name; what they need is saved."""
    prefect_aws = _saved_bucket(place)
    S3KVStore(
        bucket_name=place.bucket,
        endpoint_url=place.url,
        region_name="us-east-1",
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
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


def _saved_bucket(place: Place) -> Any:
    credentials = AwsCredentials(
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
        region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=place.url),
    )
    credentials.save(_STORE, overwrite=True)
    saved = S3Bucket(bucket_name=place.bucket, credentials=credentials, bucket_folder="prefect-aws")
    saved.save(_STORE, overwrite=True)
    return saved
