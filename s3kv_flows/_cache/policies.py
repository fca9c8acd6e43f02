"""Cache policies: the key of a task run's result.

Prefect's ``INPUTS`` hashes the pickle of values that are not JSON. Equal objects may have different pickles:
two arrays that share a dtype object and two that do not, an array and the same array in another
memory layout. So the key of a task whose input comes from the cache would differ from the key that it
had when the input was computed, and the second run of a pipeline would compute. ``StableInputs``
hashes the content instead, and ``caching()`` replaces ``INPUTS`` with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any
from weakref import ref

from prefect.cache_policies import CachePolicy, CompoundCachePolicy, Inputs
from prefect.context import TaskRunContext
from prefect.exceptions import HashError
from prefect.serializers import JSONSerializer
from prefect.utilities.hashing import hash_objects

from s3kv_flows._cache.naming import format_key
from s3kv_flows._prefect import automatic_tags, is_refreshing
from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._values.digests import digest_or_none

__all__ = ["ResultPolicy", "StableInputs"]

_OF_NOTHING = "no inputs"
"""The digest of inputs if the policy makes no key: the result has its name nevertheless."""

_UNNAMED = "key-that-cannot-be-made"


@dataclass
class ResultPolicy(CachePolicy):
    """Makes the key of another policy, or a name, and binds the run's serializer to the cache attempt.

    Prefect computes the key once per run, in the context of the run, whether it then hits, misses or
    refreshes. So this is the one place to give the serializer its attempt: a lazily committed result is
    written after the run, outside of its context.
    """

    policy: CachePolicy = field(default_factory=Inputs)
    name: str | None = None

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """Return the name, or else the key of the policy, which may be None.

        A name that cannot be made raises no error here, because Prefect would log it and compute: the run
        is refused when it asks for its lock.

        Raises:
            ValueError: The task has another storage or serializer than ``caching()`` gave it, or S3 would
                refuse the key as a name (InvalidKeyError). Prefect logs it, and saves no result.
        """
        stable = _stable(self.policy)
        if self.name is None:
            key = stable.compute_key(task_ctx, inputs, flow_parameters, **kwargs)
            if key is not None:
                _bind(task_ctx, key)
            return key
        try:
            digest = stable.compute_key(task_ctx, inputs, flow_parameters, **kwargs) or _OF_NOTHING
            key = format_key(self.name, inputs)
            _bind(task_ctx, key, inputs=digest)
        except (ValueError, TypeError, LookupError, AttributeError, HashError) as exc:
            key = _UNNAMED
            _bind(task_ctx, key, refusal=ValueError(f"the key {self.name!r} cannot be made: {exc!r}"))
        return key

    def __add__(self, other: CachePolicy) -> CachePolicy:
        return replace(self, policy=self.policy + other)

    def __sub__(self, other: str) -> CachePolicy:
        return replace(self, policy=self.policy - other)


@dataclass
class StableInputs(CachePolicy):
    """Makes a key of the content of the inputs: equal values have equal keys, loaded or computed."""

    exclude: list[str] = field(default_factory=list)

    def compute_key(
        self,
        task_ctx: TaskRunContext,  # noqa: ARG002  # of Prefect
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> str | None:
        """Return the key, None for a task without inputs.

        Raises:
            HashError: An input can be neither written as JSON nor pickled.
        """
        if not inputs:
            return None
        kept = {name: _hashable(value) for name, value in inputs.items() if name not in self.exclude}
        return hash_objects(kept, raise_on_failure=True)


def _hashable(value: Any) -> tuple[str, Any]:
    """Return the JSON of a value, or else a digest of its content, for Prefect's hash."""
    text = _json(value)
    if text is not None:
        return "json", text
    digest = digest_or_none(value)
    # Without a digest, Prefect hashes the value itself, or raises the reason.
    return ("value", value) if digest is None else ("content", digest)


def _json(value: Any) -> str | None:
    try:
        return JSONSerializer(dumps_kwargs={"sort_keys": True}).dumps(value).decode()
    except Exception:  # noqa: BLE001  # as in Prefect's hash: the encoder of a class may raise anything
        return None


def _stable(policy: CachePolicy) -> CachePolicy:
    if isinstance(policy, Inputs):
        return StableInputs(exclude=policy.exclude)
    if isinstance(policy, CompoundCachePolicy):
        return replace(policy, policies=[_stable(part) for part in policy.policies])
    return policy


def _bind(
    run: TaskRunContext, key: str, *, inputs: str | None = None, refusal: Exception | None = None
) -> None:
    store = run.result_store
    if not isinstance(store.result_storage, S3KVStore) or not isinstance(store.serializer, FrameSerializer):
        raise ValueError(  # noqa: TRY004  # the combination is wrong, not a type
            f"task {run.task.name!r} has another result_storage or result_serializer than caching() gave it"
        )
    store.result_storage.results.namespace.name_of(key)  # or raise
    store.serializer = store.serializer.for_attempt(
        CacheAttempt(
            key=key,
            tags=automatic_tags(run.task.name),
            started=datetime.now(timezone.utc),
            cache_expiration=run.task.cache_expiration,
            refreshes=is_refreshing(run),
            task_run=ref(run.task_run),
            inputs=inputs,
            finalizes=store.serializer.options.locks,
            refusal=refusal,
        )
    )
