"""What is compared: each keeps a value under a key, and gives it back to a run that asks for it.

For those of Prefect, a hit is what a task run asks of its ResultStore, ``exists`` and then ``read``, and
a miss is ``exists``, then the result is written. The run itself, which costs the same with all of them,
is not in the figures. A ResultStore of Prefect keeps what it read in memory; each run here has a new one,
as a run in another process has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol
from uuid import uuid4

import joblib
import s3kv.s3kv as seed
from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, StateType, TaskRun
from prefect.context import TaskRunContext
from prefect.results import ResultStore
from prefect.serializers import CompressedSerializer, PickleSerializer, Serializer
from prefect.transactions import CommitMode, transaction
from prefect.types import DateTime
from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket
from pydantic import SecretStr

from s3kv_flows import S3KVStore, caching
from s3kv_flows._cache.policies import ResultPolicy
from s3kv_flows.store import S3KV, SigningKey
from s3kv_flows.store._values.codecs import CODECS
from tests.benchmarks.place import Place
from tests.benchmarks.results.cases import Case

__all__ = ["OURS", "PEERS", "Peer", "Run"]

OURS = "s3kv_flows"


class Run(Protocol):
    """One that asks for a value."""

    def hit(self) -> Any:
        """Return the value, which is there."""

    def miss(self, value: Any) -> None:
        """Find nothing, and keep the value, which was made meanwhile."""


class Peer(Protocol):
    """One way to keep values."""

    def __init__(self, place: Place, value: Any) -> None: ...

    @staticmethod
    def takes(case: Case) -> bool:
        """Tell whether it can keep the value of a case."""

    @contextmanager
    def run(self, key: str) -> Iterator[Run]:
        """Begin what is to ask for a key; this is not measured."""
        ...

    def forget(self, key: str) -> None:
        """Remove a value that is not in the bucket."""


# --- of Prefect --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _PrefectRun:
    store: ResultStore
    key: str
    task_run: TaskRun

    def hit(self) -> Any:
        assert self.store.exists(self.key)
        return self.store.read(self.key).result

    def miss(self, value: Any) -> None:
        assert not self.store.exists(self.key)
        with transaction(commit_mode=CommitMode.EAGER):  # as of a task that is called by no other
            record = self.store.create_result_record(value, key=self.key)
        self.task_run.state = State(type=StateType.COMPLETED, name="Completed", data=record)
        self.store.persist_result_record(record)


def _task_run() -> TaskRun:
    return TaskRun(id=uuid4(), task_key="bench", dynamic_key="0", run_count=1, name="bench")


@dataclass
class _Key(CachePolicy):
    key: str = ""

    def compute_key(
        self,
        task_ctx: TaskRunContext,  # noqa: ARG002
        inputs: dict[str, Any],  # noqa: ARG002
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> str:
        return self.key


def _bench() -> None:
    """Stand for the function of a task."""


class OurResults:
    """A task with ``caching()``."""

    def __init__(self, place: Place, value: Any) -> None:  # noqa: ARG002  # of all peers
        self.block = S3KVStore(
            bucket_name=place.bucket,
            endpoint_url=place.url,
            region_name="us-east-1",
            aws_access_key_id=place.access_key,
            aws_secret_access_key=place.secret_key,
            signing_key=SecretStr(SigningKey.generate("bench").reveal()),  # as saving it would make one
        )

    @staticmethod
    def takes(case: Case) -> bool:  # noqa: ARG004
        return True

    @contextmanager
    def run(self, key: str) -> Iterator[Run]:
        options = caching("bench", cache_policy=_Key(key=key))
        task: Task[[], None] = Task(_bench, **options)
        policy = task.cache_policy
        assert isinstance(policy, ResultPolicy)
        store = ResultStore(
            result_storage=self.block,
            serializer=options["result_serializer"],
            metadata_storage=policy.key_storage,
            cache_result_in_memory=False,
        )
        task_run = _task_run()
        context = TaskRunContext.model_construct(
            task=task,
            task_run=task_run,
            result_store=store,
            parameters={},
            client=None,  # type: ignore[arg-type]  # nobody asks the API
            start_time=DateTime.now("UTC"),
        )
        with context:
            assert policy.compute_key(context, {}, {}) == key
            # The run has a store of its own now, with the serializer of this attempt.
            yield _PrefectRun(context.result_store, key, task_run)

    def forget(self, key: str) -> None:
        pass


class OurResultsKept(OurResults):
    """The same with the local cache of the store: a hit asks whether the copy is current."""

    def __init__(self, place: Place, value: Any) -> None:
        super().__init__(place, value)
        self.block.enable_local_cache = True


class PrefectAws:
    """A task with the S3Bucket of prefect-aws as its storage, all else by default."""

    serializer: Serializer = PickleSerializer()

    def __init__(self, place: Place, value: Any) -> None:  # noqa: ARG002
        self.bucket = S3Bucket(
            bucket_name=place.bucket,
            credentials=AwsCredentials(
                aws_access_key_id=place.access_key,
                aws_secret_access_key=place.secret_key,
                region_name="us-east-1",
                aws_client_parameters=AwsClientParameters(endpoint_url=place.url),
            ),
        )

    @staticmethod
    def takes(case: Case) -> bool:  # noqa: ARG004
        return True

    @contextmanager
    def run(self, key: str) -> Iterator[Run]:
        store = ResultStore(result_storage=self.bucket, serializer=self.serializer)
        yield _PrefectRun(store, key, _task_run())

    def forget(self, key: str) -> None:
        pass


class PrefectAwsCompressed(PrefectAws):
    """The same with ``result_serializer="compressed/pickle"``, which compresses by lzma: 1 s per MiB."""

    @staticmethod
    def takes(case: Case) -> bool:
        return not case.is_large

    serializer = CompressedSerializer(serializer=PickleSerializer())


# --- others ------------------------------------------------------------------------------------


class _KeyValue(ABC):
    """A base of stores that are asked by key."""

    @staticmethod
    def takes(case: Case) -> bool:  # noqa: ARG004
        return True

    @contextmanager
    def run(self, key: str) -> Iterator[Run]:
        yield _KeyValueRun(self, key)

    def forget(self, key: str) -> None:  # noqa: B027  # most have nothing to forget
        pass

    @abstractmethod
    def read(self, key: str) -> Any: ...

    @abstractmethod
    def write(self, key: str, value: Any) -> None: ...


@dataclass(frozen=True)
class _KeyValueRun:
    peer: _KeyValue
    key: str

    def hit(self) -> Any:
        return self.peer.read(self.key)

    def miss(self, value: Any) -> None:
        self.peer.write(self.key, value)


class Raw(_KeyValue):
    """The bytes that this package makes of a value, by ``put_object`` and ``get_object``: the limit."""

    def __init__(self, place: Place, value: Any) -> None:
        self._client, self._bucket = place.boto3(), place.bucket
        self._body = bytes(CODECS["cloudpickle"].encode(value))

    def read(self, key: str) -> Any:
        return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def write(self, key: str, value: Any) -> None:  # noqa: ARG002
        self._client.put_object(Bucket=self._bucket, Key=key, Body=self._body)


class RawTransfer(Raw):
    """The same bytes by ``upload_fileobj`` and ``download_fileobj``, which go in parts (s3transfer)."""

    def read(self, key: str) -> Any:
        body = BytesIO()
        self._client.download_fileobj(Bucket=self._bucket, Key=key, Fileobj=body)
        return body.getvalue()

    def write(self, key: str, value: Any) -> None:  # noqa: ARG002
        self._client.upload_fileobj(Fileobj=BytesIO(self._body), Bucket=self._bucket, Key=key)


class Seed(_KeyValue):
    """The store of s3kv 0.1.5, without its local cache."""

    def __init__(self, place: Place, value: Any) -> None:  # noqa: ARG002
        self._store = seed.S3KV(
            place.url, place.bucket, place.access_key, place.secret_key, enable_local_cache=False
        )

    @staticmethod
    def takes(case: Case) -> bool:
        return case.is_json

    def read(self, key: str) -> Any:
        return self._store.get(key)

    def write(self, key: str, value: Any) -> None:
        self._store.add(key, value)


class OurValues(_KeyValue):
    """The store of this package, with JSON as s3kv has it."""

    def __init__(self, place: Place, value: Any) -> None:  # noqa: ARG002
        self._store = S3KV(
            place.url,
            place.bucket,
            place.access_key,
            place.secret_key,
            region_name="us-east-1",
            enable_local_cache=False,
        )

    @staticmethod
    def takes(case: Case) -> bool:
        return case.is_json

    def read(self, key: str) -> Any:
        return self._store.get(key)

    def write(self, key: str, value: Any) -> None:
        self._store.add(key, value)


class Joblib(_KeyValue):
    """joblib.Memory on the local disk: no network at all, and of use to one machine."""

    def __init__(self, place: Place, value: Any) -> None:  # noqa: ARG002
        self._call = joblib.Memory(place.directory, verbose=0).cache(_call, ignore=["made"])

    def read(self, key: str) -> Any:
        return self._call(key, None)

    def write(self, key: str, value: Any) -> None:
        self._call(key, value)

    def forget(self, key: str) -> None:
        self._call.call_and_shelve(key, None).clear()


def _call(key: str, made: Any) -> Any:
    return made


PEERS: dict[str, type[Peer]] = {
    OURS: OurResults,
    "s3kv_flows, local cache": OurResultsKept,
    "boto3, get and put": Raw,
    "boto3, s3transfer": RawTransfer,
    "prefect-aws": PrefectAws,
    "prefect-aws, compressed": PrefectAwsCompressed,
    "s3kv_flows.S3KV, JSON": OurValues,
    "s3kv 0.1.5, JSON": Seed,
    "joblib, local disk": Joblib,
}
