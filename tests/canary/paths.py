"""All ways by which what lies in a bucket comes into a program."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect._internal.result_records import ResultRecordMetadata
from prefect.client.schemas.objects import State, StateType
from prefect.results import ResultStore
from prefect.serializers import JSONSerializer, PickleSerializer, Serializer
from prefect.task_worker import read_parameters, store_parameters
from pydantic import SecretStr

from s3kv_flows import Checkpoint, Retention, S3KVStore, caching
from s3kv_flows._cache.record_storage import RecordStorage
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.checkpoints._promotion import promote_state
from s3kv_flows.checkpoints._snapshots import Snapshots
from s3kv_flows.store import S3KV
from s3kv_flows.store._seals.tree import LEAF_BYTES
from tests.canary.attacks import ALIAS, OURS, Stored, stored
from tests.canary.watch import GENUINE

__all__ = ["MISSES", "RAISES", "REFUSED_ANYWAY", "SERIALIZERS", "TRIED_WITH_ALL", "Path", "World"]

_NOISE = random.Random(1).randbytes(2 * LEAF_BYTES + 1000)  # which is not compressed

SERIALIZERS: dict[str, Callable[[], Serializer[Any]]] = {
    "frames": FrameSerializer,
    "pickle": PickleSerializer,
    "json": JSONSerializer,
}

TASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "must be saved": {"on_unsaved": "fail"},
    "single flight": {"single_flight": True},
}


class World:
    """A saved store, and what programs do with it."""

    def __init__(self, s3_url: str, **fields: Any) -> None:
        self.name = f"canary-{uuid.uuid4().hex[:8]}"
        self.ran: list[str] = []
        keys: dict[str, Any] = {"signing_key": SecretStr(OURS.reveal()), "trusted_keys": [ALIAS]}
        self.block = S3KVStore(
            bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url, **(keys | fields)
        )
        self.block.values.create_bucket()
        self.originals: dict[tuple[str, bool], Stored] = {}
        self.tasks = {what: self._task(options) for what, options in TASKS.items()}
        self.atasks = {"plain, async": self._atask()}

    @property
    def values(self) -> S3KV:
        """Values that are pickles, or JSON where the store allows none."""
        block = self.block
        return S3KV(
            config=block.results.config,
            bucket_name=block.bucket_name,
            codec="cloudpickle" if block.allow_pickle else "json",
            signing_key=block.signing_key.get_secret_value() if block.signing_key else None,
            trusted_keys=block.trusted_keys,
            accept_unsealed=block.accept_unsealed,
            enable_local_cache=False,
        )

    def prefects(self, serializer: str = "frames") -> ResultStore:
        return ResultStore(result_storage=self.block, serializer=SERIALIZERS[serializer]())

    def original(self, path: Path, *, is_large: bool) -> Stored:
        """Return what a store has written for a path, as it lies in the bucket; once."""
        at = (path.written_by, is_large)
        if at not in self.originals:
            self.originals[at] = path.write(self, is_large)
        return self.originals[at]

    def state(self, original: Stored) -> State[Any]:
        """Return a state as the API returns it, of a run whose result is the object."""
        key = self.block.results.namespace.key_of(original.name)
        metadata = ResultRecordMetadata(storage_key=key, serializer=FrameSerializer())
        metadata.storage_block_id = self.block._block_document_id
        return State(type=StateType.COMPLETED, data=metadata)

    def result_of(self, state: State[Any]) -> Stored:
        data: Any = state.data
        key = data.metadata.storage_key
        return stored(self.block.results, self.block.results.namespace.name_of(key))

    def _task(self, options: dict[str, Any]) -> Any:
        @task(**caching(self.name, **options))
        def produce(is_large: bool, options: str = str(options)) -> Any:  # noqa: FBT001
            self.ran.append(options)
            return value(is_large)

        return produce

    def _atask(self) -> Any:
        @task(**caching(self.name))
        async def produce(is_large: bool) -> Any:  # noqa: FBT001
            self.ran.append("async")
            return value(is_large)

        return produce


def value(is_large: bool) -> dict[str, Any]:  # noqa: FBT001
    return {"mark": GENUINE, **({"noise": _NOISE} if is_large else {})}


@dataclass(frozen=True)
class Path:
    """A way to read.

    Attributes:
        written_by: What all paths have in common that read the same object.
        write: Has a store write the object, and returns it as it lies in the bucket.
        read: Reads it.
    """

    written_by: str
    write: Callable[[World, bool], Stored]
    read: Callable[[World, Stored, bool], Any]


def _value(world: World, is_large: bool) -> Stored:  # noqa: FBT001
    key = f"key-{is_large}"
    world.values.add(key, value(is_large))
    return stored(world.values, world.values.namespace.name_of(key))


def _key(world: World, original: Stored) -> str:
    key = original.store.namespace.key_of(original.name)
    assert key is not None
    return key


def _of_value(read: Callable[[S3KV, str], Any]) -> Path:
    return Path("value", _value, lambda world, one, _: read(world.values, _key(world, one)))


def _copied(store: S3KV, key: str) -> Any:
    store.copy_key(key, "copy")
    return store.get("copy")


def _merged_from(store: S3KV, key: str) -> Any:
    store.merge_keys([key], f"merged-{uuid.uuid4().hex}")


def _merged_into(store: S3KV, key: str) -> Any:
    store.merge_keys([], key)


def _of_task(what: str) -> Path:
    def write(world: World, is_large: bool) -> Stored:  # noqa: FBT001
        return world.result_of(world.tasks[what](is_large, return_state=True))

    return Path(what, write, lambda world, _, is_large: world.tasks[what](is_large))


def _of_async_task(what: str) -> Path:
    def write(world: World, is_large: bool) -> Stored:  # noqa: FBT001
        return world.result_of(asyncio.run(world.atasks[what](is_large, return_state=True)))

    return Path(what, write, lambda world, _, is_large: asyncio.run(world.atasks[what](is_large)))


def _of_result(read: Callable[[World, str], Any]) -> Path:
    plain = MISSES["a cached task, plain"]
    return Path(plain.written_by, plain.write, lambda world, one, _: read(world, _key(world, one)))


def _read_with(serializer: str) -> Path:
    return _of_result(lambda world, key: world.prefects(serializer).read(key).result)


def _parameters(world: World, is_large: bool) -> Stored:  # noqa: FBT001
    identifier = uuid.uuid4()
    asyncio.run(store_parameters(world.prefects(), identifier, {"parameters": value(is_large)}))
    return stored(world.block.results, world.block.results.namespace.name_of(f"parameters/{identifier}"))


def _read_parameters(world: World, one: Stored, _: bool) -> Any:  # noqa: FBT001
    identifier = uuid.UUID(_key(world, one).removeprefix("parameters/"))
    return asyncio.run(read_parameters(world.prefects(), identifier))


def _checkpoint(world: World, is_large: bool) -> Stored:  # noqa: FBT001
    name = f"state-{is_large}"
    with Checkpoint(world.name, name, keep_on_success=True) as checkpoint:
        checkpoint.save(value(is_large))
    (snapshot,) = Snapshots(world.block.checkpoints, name).listed()
    return stored(world.block.checkpoints, world.block.checkpoints.namespace.name_of(snapshot.key))


def _loaded(policy: Any) -> Path:
    def read(world: World, one: Stored, _: bool) -> Any:  # noqa: FBT001
        name = _key(world, one).rpartition("/")[0]
        with Checkpoint(world.name, name, load_policy=policy, keep_on_success=True) as checkpoint:
            return checkpoint.load()

    return Path("checkpoint", _checkpoint, read)


def _promoted(world: World, one: Stored, _: bool) -> Any:  # noqa: FBT001
    states = Snapshots(world.block.checkpoints, _key(world, one).rpartition("/")[0])
    (snapshot,) = states.listed()
    return promote_state(world.block, states, snapshot, "promoted", Retention(days=1))


MISSES: dict[str, Path] = {
    **{f"a cached task, {what}": _of_task(what) for what in TASKS},
    "a cached task, async": _of_async_task("plain, async"),
}
"""What is refused here is computed anew."""

RAISES: dict[str, Path] = {
    "get": _of_value(lambda store, key: store.get(key)),
    "get_many": _of_value(lambda store, key: store.get_many([key])),
    "fetch": _of_value(lambda store, key: store.fetch(key)),
    "update": _of_value(lambda store, key: store.update(key, lambda old: old)),
    "merge_keys, from it": _of_value(_merged_from),
    "merge_keys, into it": _of_value(_merged_into),
    "copy_key": _of_value(_copied),
    **{f"ResultStore.read, {serializer}": _read_with(serializer) for serializer in SERIALIZERS},
    "ResultStore.aread": _of_result(lambda world, key: asyncio.run(world.prefects().aread(key)).result),
    "read_path": _of_result(lambda world, key: world.block.read_path(key, _sync=True)),
    "aread_path": _of_result(lambda world, key: asyncio.run(world.block.aread_path(key))),
    "the record": _of_result(
        lambda world, key: RecordStorage(store=f"s3kv-store/{world.name}").read_path(key, _sync=True)
    ),
    "state.result": Path(
        "plain",
        MISSES["a cached task, plain"].write,
        lambda world, one, _: world.state(one).result(retry_result_failure=False),
    ),
    "state.aresult": Path(
        "plain",
        MISSES["a cached task, plain"].write,
        lambda world, one, _: asyncio.run(world.state(one).aresult(retry_result_failure=False)),
    ),
    "parameters of a background task": Path("parameters", _parameters, _read_parameters),
    "a checkpoint, own": _loaded("own"),
    "a checkpoint, latest": _loaded("latest"),
    "a promoted checkpoint": Path("checkpoint", _checkpoint, _promoted),
}
"""What is refused here raises."""

TRIED_WITH_ALL = {"a cached task, plain", "get", "state.result", "a checkpoint, latest"}
"""One of each kind; the others lead to the same place, and are tried with some attacks of each kind."""

REFUSED_ANYWAY = {"ResultStore.read, pickle", "ResultStore.read, json", "a promoted checkpoint"}
"""What cannot be read as it was written: by another serializer; and in a bucket without Object Lock."""
