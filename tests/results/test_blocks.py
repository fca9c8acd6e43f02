from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import re
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from prefect import flow, task
from prefect.blocks.core import Block
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.context import TaskRunContext, hydrated_context, serialize_context
from prefect.exceptions import ParameterTypeError
from prefect.filesystems import LocalFileSystem
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import BaseModel, SecretStr, ValidationError, model_validator

from s3kv_flows import LeaseLockManager, S3KVStore, caching
from s3kv_flows._cache.record_storage import RecordStorage
from s3kv_flows.cli._saved_stores import saved_store
from s3kv_flows.store import Encryption
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store.errors import ConflictError, KeyLockedError, KeyNotFoundError
from tests.support.lake import Lake, adding_task
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("prefect_api")


class TestS3KVStoreIsAGoodBlock(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return S3KVStore

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Do without the download of the suite's own test: tests reach loopback alone."""
        assert re.fullmatch(r"https://.*\.png", str(block._logo_url))


def make_block(s3_url: str, *, object_lock: bool = False) -> S3KVStore:
    block = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    block.values.create_bucket(object_lock=object_lock)
    return block


def test_values_and_results_are_siblings(s3_url: str) -> None:
    block = S3KVStore(bucket_name="some-bucket", endpoint_url=s3_url, prefix="team/a/")
    assert block.values.namespace.name_of("k") == "team/a/k.json"
    assert block.results.namespace.name_of("k") == "team/a-results/k"
    assert block.values.client is block.results.client


def test_what_is_written_is_read(s3_url: str) -> None:
    block = make_block(s3_url)
    block.write_path("a/b", b"content")
    assert block.read_path("a/b") == b"content"

    async def both() -> bytes:
        await block.awrite_path("async", b"content")
        content: bytes = await block.aread_path("async")
        return content

    assert asyncio.run(both()) == b"content"


async def write_and_read(storage: Any, written: bytes = b"content") -> Any:
    """Use a storage as one of Prefect's own is used in an event loop."""
    await storage.write_path("in a loop", written)
    return await storage.read_path("in a loop")


def test_in_an_event_loop_paths_are_written_and_read_by_awaiting(s3_url: str, tmp_path: Path) -> None:
    for storage in (make_block(s3_url), LocalFileSystem(basepath=str(tmp_path))):
        assert asyncio.run(write_and_read(storage)) == b"content"
        assert storage.read_path("in a loop") == b"content"

        async def blocking(storage: Any = storage) -> Any:
            storage.write_path("in a loop", b"other", _sync=True)
            return storage.read_path("in a loop", _sync=True)

        assert asyncio.run(blocking()) == b"other"


@pytest.mark.parametrize("runs", [flow, task], ids=["flow", "task"])
def test_in_a_run_its_function_decides_as_for_prefects_own_storages(
    s3_url: str, tmp_path: Path, runs: Any
) -> None:
    for storage in (make_block(s3_url), LocalFileSystem(basepath=str(tmp_path))):

        @runs(persist_result=False)  # type: ignore[untyped-decorator]  # flow or task
        def blocking(storage: Any) -> Any:
            storage.write_path("in a run", b"blocking")
            return storage.read_path("in a run")

        @runs(persist_result=False)  # type: ignore[untyped-decorator]  # flow or task
        async def awaiting(storage: Any) -> Any:
            return await write_and_read(storage), blocking(storage)

        assert blocking(storage) == b"blocking"
        assert asyncio.run(awaiting(storage)) == (b"content", b"blocking")


def test_a_record_storage_works_both_ways_too(lake: Lake) -> None:
    adding_task(lake, code="none")(1)
    (key,) = lake.results.iter_keys()
    records: Any = RecordStorage(store=S3KVStore.reference_to(lake.name))

    async def read() -> tuple[bytes, bytes]:
        return records.read_path(key, _sync=True), await records.read_path(key)

    async def write() -> None:
        written = records.write_path(key, b'{"serializer": {}}')
        await written

    blocking, awaited = asyncio.run(read())
    assert json.loads(blocking)["storage_key"] == key
    assert (awaited, records.read_path(key)) == (blocking, blocking)
    with pytest.raises(ConflictError, match="just written"):
        asyncio.run(write())


def listed(api: str, module: str) -> str:
    """Register the blocks of a module, as a user does; return the types of blocks that there are."""
    prefect = [sys.executable, "-m", "prefect", "--no-prompt", "block"]
    for command in (["register", "-m", module], ["type", "ls"]):
        done = subprocess.run(
            [*prefect, *command],
            env=os.environ | {"PREFECT_API_URL": api, "COLUMNS": "160"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    return done.stdout


def test_the_store_is_in_the_catalogue_of_blocks_and_the_record_storage_is_not(prefect_url: str) -> None:
    types = listed(prefect_url, RecordStorage.__module__)  # which holds both
    assert "s3kv-store" in types
    assert "s3kv-record" not in types


def test_a_task_elsewhere_finds_the_record_storage_in_the_context_of_its_caller(lake: Lake) -> None:
    context: Any = task(**caching(lake.name, code="none"))(lambda: serialize_context())
    with hydrated_context(context()):
        run = TaskRunContext.get()
        assert run is not None
        assert isinstance(run.result_store.metadata_storage, RecordStorage)


@pytest.mark.parametrize("how", ["blocking", "awaited", "twin"])
def test_a_missing_path_is_the_error_of_a_mapping_and_of_a_file_system(
    s3_url: str, tmp_path: Path, how: str
) -> None:
    def read(storage: Any) -> Any:
        async def awaited() -> Any:
            return await (storage.read_path("none") if how == "awaited" else storage.aread_path("none"))

        return storage.read_path("none") if how == "blocking" else asyncio.run(awaited())

    for storage in (make_block(s3_url), LocalFileSystem(basepath=str(tmp_path))):
        with pytest.raises(ValueError, match="none does not exist"):
            read(storage)
    with pytest.raises(KeyNotFoundError):
        read(make_block(s3_url))


def test_a_plain_task_keeps_prefects_help_for_inputs_without_a_hash(
    s3_url: str, logged: pytest.LogCaptureFixture
) -> None:
    block = make_block(s3_url)
    block.save(f"lake-{uuid.uuid4().hex[:8]}")

    @task(result_storage=block, persist_result=True, cache_policy=INPUTS)
    def take(lock: Any) -> int:
        return 1

    assert take(threading.Lock()) == 1
    assert "task inputs contain objects that cannot be cached" in logged.text


def test_plain_writes_respect_locks_too(s3_url: str) -> None:
    block = make_block(s3_url, object_lock=True)
    block.results.add("final", 1, retention=Retention(days=1))
    with pytest.raises(KeyLockedError):
        block.write_path("final", b"content")
    assert block.results.get("final") == 1


def test_secrets_are_hidden_and_used(s3_url: str) -> None:
    block = S3KVStore(
        bucket_name="some-bucket",
        endpoint_url=s3_url,
        aws_access_key_id="id",
        aws_secret_access_key=SecretStr("hush"),
        aws_session_token=SecretStr("hush"),
    )
    assert "hush" not in repr(block)
    assert "hush" not in block.model_dump_json()
    assert block.values.config.aws_secret_access_key == "hush"
    assert block.values.config.aws_session_token == "hush"


SECRET = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


def shows_secret(text: object) -> bool:
    """Tell whether any four characters of the secret are in a text."""
    return any(SECRET[at : at + 4] in str(text) for at in range(len(SECRET) - 3))


class Subclass(S3KVStore):
    _block_type_slug = "s3kv-test-subclass"

    @model_validator(mode="after")
    def _refuse(self) -> Subclass:
        raise ValueError("refused by the subclass")


class Parameters(BaseModel):
    store: S3KVStore


MAKERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "constructor": lambda fields: S3KVStore(**fields),
    "validation": S3KVStore.model_validate,
    "json": lambda fields: S3KVStore.model_validate_json(json.dumps(fields)),
    "subclass": lambda fields: Subclass(**fields),
    "nested": lambda fields: Parameters.model_validate({"store": fields}),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket_name": 3},
        {"bucket_name": None},
        {"bucket_name": "Not A Bucket"},
        {},
        {"bucket_name": "some-bucket", "kms_key_id": "key-id"},
        {"bucket_name": "some-bucket", "customer_key": SECRET},
        {"bucket_name": "some-bucket", "customer_key": f"{SECRET}é"},
        {"bucket_name": "some-bucket", "aws_session_token": [SECRET]},
        {"bucket_name": "some-bucket", "aws_secret_access_key": {"value": SECRET}},
        {"bucket_name": "some-bucket", "boto_config": f"http://user:{SECRET}@proxy"},
        {"bucket_name": "some-bucket", "verify": {"a": SECRET}, "cache_max_age_seconds": -1},
    ],
)
def test_an_error_shows_no_part_of_a_secret(
    wrong: dict[str, Any], make: Callable[[dict[str, Any]], object]
) -> None:
    fields = {"aws_access_key_id": "id", "aws_secret_access_key": SECRET, **wrong}
    with pytest.raises(ValidationError) as caught:
        make(fields)
    error: BaseException | None = caught.value
    assert isinstance(error, ValidationError)
    assert error.errors()[0]["msg"]
    assert not shows_secret(f"{error.errors()} {error.json()}")
    while error is not None:
        assert not shows_secret(f"{error} {error!r} {getattr(error, 'errors', list)()}")
        error = error.__cause__ or error.__context__


def test_an_error_still_says_what_is_wrong_and_where() -> None:
    with pytest.raises(ValidationError) as caught:
        S3KVStore(bucket_name="Not A Bucket", cache_max_age_seconds=-1)
    found = {one["loc"]: (one["type"], one["msg"]) for one in caught.value.errors()}
    assert found[("bucket_name",)][0] == "value_error"
    assert "S3 accepts 3 to 63" in found[("bucket_name",)][1]
    assert found[("cache_max_age_seconds",)][0] == "greater_than_equal"


def save_invalid(name: str) -> None:
    """Save a store as one whose fields are not valid any more."""
    S3KVStore(bucket_name="some-bucket").save(name)
    data = {"bucket_name": 3, "aws_access_key_id": "id", "aws_secret_access_key": SECRET}
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(name, "s3kv-store")
        client.update_block_document(document.id, BlockDocumentUpdate(data=data, merge_existing_data=False))


def test_loading_what_is_not_valid_shows_no_part_of_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"lake-{uuid.uuid4().hex[:8]}"
    save_invalid(name)
    for load in (S3KVStore.load, saved_store):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            load(name)
        assert not shows_secret("".join(traceback.format_exception(caught.value)))
    assert str(caught.value) == (
        f"the store that is saved as {name!r} is not valid: bucket_name: Input should be a valid string"
    )


def test_a_flow_that_is_given_malformed_fields_says_no_part_of_a_secret() -> None:
    @flow
    def using(store: S3KVStore) -> None:
        raise AssertionError("it ran")

    given: Any = {"bucket_name": 3, "aws_access_key_id": "id", "aws_secret_access_key": SECRET}
    with pytest.raises(ParameterTypeError) as caught:
        using(given)
    assert not shows_secret("".join(traceback.format_exception(caught.value)))


def test_no_repr_shows_a_secret() -> None:
    block = S3KVStore(
        bucket_name="some-bucket",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="id",
        aws_secret_access_key=SecretStr(SECRET),
        aws_session_token=SecretStr(SECRET),
        customer_key=SecretStr(base64.b64encode(SECRET[:32].encode()).decode()),
        boto_config={"proxies": {"https": f"http://user:{SECRET}@proxy"}},
    )
    config = block.values.config
    for one in (
        block,
        config,
        config.encryption,
        block.values,
        block.results.client,
        LeaseLockManager(block),
    ):
        assert not shows_secret(f"{one} {one!r}")
    assert base64.b64encode(SECRET[:32].encode()).decode()[:8] not in repr(block)


def test_a_block_copies_and_pickles_and_finds_its_client_again(s3_url: str) -> None:
    block = make_block(s3_url)
    block.values.add("key", 1)
    for twin in (copy.deepcopy(block), cloudpickle.loads(cloudpickle.dumps(block))):
        assert twin.values.get("key") == 1
        assert twin.values.client is block.values.client


@pytest.mark.parametrize(
    "fields", [{"bucket_name": "Not A Bucket"}, {"prefix": "no-slash"}, {"addressing_style": "other"}]
)
def test_malformed_fields_are_refused_where_they_are_given(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        S3KVStore(**{"bucket_name": "some-bucket", **fields})


def test_the_environment_makes_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="S3_BUCKET is not set"):
        S3KVStore.from_env()
    monkeypatch.setenv("S3_BUCKET", "some-bucket")
    assert S3KVStore.from_env().endpoint_url is None
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:1")
    assert S3KVStore.from_env().endpoint_url == "http://127.0.0.1:1"


def test_a_saved_store_is_found_by_its_name_and_its_reference(s3_url: str) -> None:
    block = make_block(s3_url)
    name = f"lake-{uuid.uuid4().hex[:8]}"
    block.save(name)
    assert S3KVStore.of(block) is block
    assert S3KVStore.of(name).bucket_name == block.bucket_name
    assert S3KVStore.of(f"s3kv-store/{name}").bucket_name == block.bucket_name
    assert Block.load(f"s3kv-store/{name}").bucket_name == block.bucket_name  # type: ignore[union-attr]


def test_encryption_and_options_of_boto3_reach_the_client() -> None:
    store = S3KVStore(
        bucket_name="some-bucket",
        server_side_encryption="aws:kms",
        kms_key_id="key-id",
        boto_config={"read_timeout": 7, "proxies": {"https": "http://127.0.0.1:1"}},
        cache_max_age_seconds=90,
    )
    for part in (store.values, store.results):
        assert part.config.encryption == Encryption("aws:kms", "key-id")
        assert part.client._boto.client.meta.config.read_timeout == 7
        assert part.client._boto.client.meta.config.proxies == {"https": "http://127.0.0.1:1"}
    assert store.values.client is store.results.client
    assert store.values.cache_max_age == timedelta(seconds=90)
    key = base64.b64encode(b"k" * 32).decode()
    own = S3KVStore(bucket_name="some-bucket", customer_key=SecretStr(key))
    assert own.values.config.encryption == Encryption.customer(b"k" * 32)
    assert key not in repr(own)
    with pytest.raises(ValueError, match="either an algorithm or a customer key"):
        S3KVStore(bucket_name="some-bucket", kms_key_id="key-id")


def test_the_schema_is_made_once_and_everybody_gets_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = S3KVStore.model_json_schema()
    assert "aws_secret_access_key" in schema["secret_fields"]
    schema["secret_fields"].clear()

    def made_again(*_: Any, **__: Any) -> Any:
        raise AssertionError("the schema is made again")

    monkeypatch.setattr(Block, "model_json_schema", made_again)
    assert "aws_secret_access_key" in S3KVStore.model_json_schema()["secret_fields"]
