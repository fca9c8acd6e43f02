"""ResultPolicy: the cache policy of tasks with caching()."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any
from weakref import ref

from prefect.cache_policies import CachePolicy, Inputs
from prefect.context import TaskRunContext
from prefect.filesystems import NullFileSystem

from s3kv_flows._cache.content_policy import ContentPolicy, KeyOptions, TaskKey
from s3kv_flows._cache.naming import format_key
from s3kv_flows._cache.preflight import NO_KEY, OTHER_STORAGE
from s3kv_flows._cache.store_reference import bind_store
from s3kv_flows._keys.by_value import adopt_tables, export_tables
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._prefect import automatic_tags, is_refreshing, run_logger
from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows._results.refused import YIELDS, YIELDS_REMEDY
from s3kv_flows._results.run_store import bind_serializer
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store.errors import InvalidKeyError

__all__ = ["ResultPolicy"]

_OF_NOTHING = "no inputs"
"""Stands for the key of code and inputs if the policy makes none: the result has its name nevertheless."""


@dataclass
class ResultPolicy(CachePolicy):
    """Makes the key of a run, or its name, and binds the run's serializer to the cache attempt.

    Prefect computes the key once per run, in the context of the run, whether it then hits, misses or
    refreshes. So this is the one place to give the serializer its attempt: a lazily committed result is
    written after the run, outside of its context.

    Attributes:
        policy: The policy that the user gave.
        options: What else the user said of keys.
        name: The template of a name, instead of the key.
        is_required: Whether a run that has no key fails, as its result is to be locked, named or computed
            once; other runs compute, and are not cached.
        tables: Digests of code that came with this policy out of a pickle: they go on with it, as this
            process has no text to find them in.
    """

    policy: CachePolicy = field(default_factory=Inputs)
    options: KeyOptions = field(default_factory=KeyOptions)
    name: str | None = None
    is_required: bool = False
    tables: Mapping[bytes, bytes] = field(default_factory=dict, repr=False, compare=False)

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,  # noqa: ARG002  # of Prefect
    ) -> str | None:
        """Return the name, or else the key of code and inputs; None where the run is not cached.

        A key that is required and cannot be made raises no error here, because Prefect would log it and
        compute: the run is refused when it asks for its lock.

        Raises:
            ValueError: The task has another storage or serializer than ``caching()`` gave it, or S3 would
                refuse the key as a name (InvalidKeyError). Prefect logs it, and saves no result.
        """
        try:
            bind_store(task_ctx)
        except Exception as exc:  # Prefect would log it, compute, and fail when it saves
            bound = task_ctx.result_store.serializer
            if isinstance(bound, FrameSerializer):
                # Nothing more is asked of a store that cannot be loaded, such as its id for the failed state.
                return _refuse(task_ctx, bound, exc, result_storage=NullFileSystem())
            if self.is_required:
                return NO_KEY
            raise
        store, serializer = task_ctx.result_store.result_storage, task_ctx.result_store.serializer
        if not isinstance(store, S3KVStore) or not isinstance(serializer, FrameSerializer):
            if self.is_required:
                return NO_KEY  # there is no serializer of ours that could keep the reason
            raise ValueError(OTHER_STORAGE.format(task=task_ctx.task.name))  # of their combination
        refusal = _unsafe(store, serializer)
        if refusal is not None:
            return _refuse(task_ctx, serializer, refusal)
        try:
            return self._bind(task_ctx, inputs, flow_parameters, store, serializer)
        except Exception as exc:  # a user's policy, or the code of a value, may raise anything
            if not self.is_required:
                if not isinstance(exc, Unkeyable):
                    raise
                if isinstance(exc, _Yields):
                    _warn_once(f"The task {task_ctx.task.name!r} is not cached: {exc}")
                else:
                    run_logger().warning("This run is computed, and not cached: %s", exc)
                return None
            return _refuse(task_ctx, serializer, _refusal(self.name, exc))

    def _bind(
        self,
        run: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        store: S3KVStore,
        serializer: FrameSerializer,
    ) -> str | None:
        """Make the key of a run, and bind its serializer to the attempt."""
        made = self._make_key(run, inputs, flow_parameters, store.namespace)
        if made is None:
            return None
        key = made.key if self.name is None else format_key(self.name, inputs)
        store.results.namespace.name_of(key)  # or raise
        attempt = replace(
            _attempt_of(run, key),
            inputs=made.key if self.name is not None else None,
            parts=made.parts.to_metadata() if made.parts is not None else None,
            code=made.code.parts if made.code is not None else {},
            not_loaded=made.not_loaded,
            finalizes=serializer.options.locks,
            needs_store=serializer.options.needs_store,
            allow_pickle=store.allow_pickle,
        )
        bind_serializer(run, serializer.for_attempt(attempt))
        return key

    def _make_key(
        self,
        run: TaskRunContext,
        inputs: Mapping[str, Any],
        flow_parameters: Mapping[str, Any],
        namespace: str,
    ) -> TaskKey | None:
        if run.task.isgenerator:
            raise _Yields(YIELDS, YIELDS_REMEDY)
        made = ContentPolicy(self.policy, self.options).make_key(run, inputs, flow_parameters, namespace)
        if made is not None:
            _say_once(made.code.notes if made.code is not None else ())
        elif self.name is not None:
            return TaskKey(_OF_NOTHING)
        elif self.is_required:
            raise ValueError("its cache policy makes no key for this call")
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> ResultPolicy:
        return replace(self)  # of parts that nobody changes; a copy is no pickle

    def __getstate__(self) -> dict[str, Any]:
        # Where a pickled task arrives, nothing tells the text of code that was pickled with it.
        return {**self.__dict__, "tables": {**self.tables, **export_tables()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        adopt_tables(self.tables)

    def __add__(self, other: CachePolicy) -> CachePolicy:
        return replace(self, policy=self.policy + other)

    def __sub__(self, other: str) -> CachePolicy:
        return replace(self, policy=self.policy - other)


def _refuse(run: TaskRunContext, serializer: FrameSerializer, refusal: Exception, **fields: Any) -> str:
    """Have a run fail when its transaction begins, before it computes."""
    refused = serializer.for_attempt(replace(_attempt_of(run, NO_KEY), refusal=refusal))
    bind_serializer(run, refused, **fields)
    return NO_KEY


def _unsafe(store: S3KVStore, serializer: FrameSerializer) -> ValueError | None:
    """Return why results of a store cannot be used safely, for a run that would else compute in vain."""
    seals = store.results.seals_of_objects
    try:
        seals.require_keys()
        if serializer.options.must_save or serializer.options.excludes:
            seals.require_can_seal()
    except ValueError as exc:
        return exc
    return None


def _refusal(name: str | None, exc: Exception) -> InvalidKeyError:
    what = "the key" if name is None else f"the key {name!r}"
    refusal = InvalidKeyError(f"{what} cannot be made: {exc if isinstance(exc, Unkeyable) else repr(exc)}")
    refusal.__cause__ = exc
    return refusal


class _Yields(Unkeyable):
    """Raised for every run of a task that yields."""


_said: set[str] = set()


def _warn_once(message: str) -> None:
    """Log a warning once per process: it is about a task, and not about one of its runs."""
    if message not in _said:
        _said.add(message)
        run_logger().warning("%s", message)


def _say_once(notes: tuple[str, ...]) -> None:
    """Log the notes on a task's code once per process."""
    for note in notes:
        if note not in _said:
            _said.add(note)
            run_logger().info("What counts in keys: %s", note)


def _attempt_of(run: TaskRunContext, key: str) -> CacheAttempt:
    return CacheAttempt(
        key=key,
        tags=automatic_tags(run.task.name),
        started=datetime.now(timezone.utc),
        cache_expiration=run.task.cache_expiration,
        refreshes=is_refreshing(run),
        task_run=ref(run.task_run),
    )
