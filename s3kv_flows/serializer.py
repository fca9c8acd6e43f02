"""The serializer of cached results, and what travels from it to the object that is written.

Prefect hands what ``dumps`` returns to the storage untouched, wherever and whenever the transaction
commits, and knows nothing of tags or locks. So ``dumps`` returns more than bytes: a :class:`Payload`
with the frame and a :class:`WriteOptions`, what to put into the same PUT.
"""

from __future__ import annotations

import base64
import binascii
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.serializers import Serializer
from prefect.states import is_state_iterable
from pydantic import Field, PrivateAttr
from typing_extensions import Self

from s3kv_flows.runs import automatic_tags, run_logger, with_automatic_tags
from s3kv_flows.store._layout.marks import FENCE
from s3kv_flows.store._layout.ttl import ttl_tags
from s3kv_flows.store._leases.renewer import KeptLease
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store._values.codecs import codec_named
from s3kv_flows.store._values.frames import is_frame
from s3kv_flows.store.errors import CorruptValueError, S3KVError

__all__ = [
    "CacheAttempt",
    "DecodedValue",
    "FrameSerializer",
    "Payload",
    "ResultOptions",
    "WriteOptions",
    "fence_of",
]


@dataclass(frozen=True)
class ResultOptions:
    """What the user asked of ``caching()`` or ``finalizing()``: configuration, nothing else.

    Attributes:
        scope: Whose results the options are meant for. Prefect lets the tasks within a flow, and the
            flows and tasks within a task, inherit a serializer: they must not inherit a lock.
        is_named: Whether the key is a name.
    """

    scope: Literal["task", "flow"] = "task"
    object_tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    legal_hold: bool = False
    is_named: bool = False

    @property
    def locks(self) -> bool:
        """Whether results are to be locked."""
        return self.retention is not None or self.legal_hold


@dataclass
class CacheAttempt:
    """One attempt of a task run to come to a cached result: what it is after, and what it has found so far.

    Attributes:
        key: The cache key of the run; a result under another name is not this run's.
        tags: The automatic tags.
        started: When the run began to look for its result.
        cache_expiration: The task's, with what ``with_options`` made of it.
        refreshes: Whether the run computes and overwrites whatever the cache holds.
        task_run: Prefect's own account of the run, as long as it lives.
        inputs: What the result is made of, where the key is a name and does not say it.
        finalizes: Whether the result is to be locked.
        refusal: Why there can be no key, which fails the run before it computes.
        expected: What the run found under its key, as the mode of a write: ``"create"`` for nothing, an
            ETag, or ``"overwrite"`` where that is not known.
        fence: The fencing number of what it found.
        found_delete_marker: Whether the server said that the result is not absent, but deleted.
        lease: The lease under which the run computes.
    """

    key: str
    tags: dict[str, str]
    started: datetime
    cache_expiration: timedelta | None
    refreshes: bool
    task_run: weakref.ref[TaskRun]
    inputs: str | None = None
    finalizes: bool = False
    refusal: Exception | None = None
    expected: str = field(default="overwrite", init=False)
    fence: int = field(default=0, init=False)
    found_delete_marker: bool = field(default=False, init=False)
    lease: KeptLease | None = field(default=None, init=False)
    _miss: S3KVError | None = field(default=None, init=False)
    _release: Callable[[], object] | None = field(default=None, init=False)
    _return_lease: Callable[[], object] | None = field(default=None, init=False)

    def found(self, info: ObjectInfo) -> None:
        """Note what is under the key, usable or not: a write replaces that, and nothing else."""
        self.expected, self.fence = info.etag, fence_of(info.metadata)

    def found_nothing(self, *, deleted: bool = False) -> None:
        """Note that the key is absent.

        Args:
            deleted: Whether there is a delete marker, and thus versions beneath, which may be locked.
        """
        self.expected, self.fence, self.found_delete_marker = "create", 0, deleted

    def keep_miss(self, miss: S3KVError) -> None:
        """Keep the outcome of a lookup before Prefect's own, so that Prefect's need not ask again."""
        self._miss = miss

    def take_miss(self) -> S3KVError | None:
        """Return the outcome that was kept; it holds once."""
        miss, self._miss = self._miss, None
        return miss

    def entered(self, *, release: Callable[[], object], return_lease: Callable[[], object]) -> None:
        """Note how to leave again what a lock manager has let the run into.

        Args:
            release: Gives back what the run holds; does nothing where it holds nothing.
            return_lease: Gives the lease back, and lets the run read without one.
        """
        self._release, self._return_lease = release, return_lease

    def took_lease(self, lease: KeptLease) -> None:
        """Note the lease that the run computes under."""
        self.lease = lease

    def returns_lease(self) -> None:
        """Give the lease back, if there is one, because a valid result turned up after all."""
        if self.lease is not None and self._return_lease is not None:
            self.lease = None
            self._return_lease()

    def interrupted(self) -> None:
        """Give back what the run holds: it ends before Prefect would release it."""
        if self._release is not None:
            self._release()

    def __reduce__(self) -> tuple[Any, ...]:
        # An attempt does not leave its process: copies and pickles of the serializer are without it.
        return (_no_attempt, ())


@dataclass(frozen=True)
class WriteOptions:
    """What goes into the PUT beside the frame.

    Attributes:
        key: The name that these options are for; None for any.
        expires: When the result expires, by this machine's clock.
        seconds: How long the task took.
        legal_hold: Whether it is to be held.
        probably_new: Whether the run found no result under this name.
        inputs: What the result is made of, where its key is a name.
        was_absent: Whether the run saw that there is nothing under the name.
        attempt: The attempt, where it computes under a lease.
        forbidden_key: A name that it must not be written under: of a run whose result this is not.
    """

    key: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    expires: datetime | None = None
    seconds: float | None = None
    legal_hold: bool = False
    probably_new: bool = True
    inputs: str | None = None
    was_absent: bool = False
    attempt: CacheAttempt | None = None
    forbidden_key: str | None = None

    @property
    def locks(self) -> bool:
        """Whether the object is to be locked."""
        return self.retention is not None or self.legal_hold

    def for_name(self, name: str) -> WriteOptions:
        """Return the options for a name: for another one than its own, the flow's tag and nothing else."""
        if self.key is None or self.key == name:
            return self
        return WriteOptions(tags={key: value for key, value in self.tags.items() if key == "flow"})


def fence_of(metadata: Mapping[str, str]) -> int:
    """Return the fencing number that a result was written under; 0 where it has none."""
    number = metadata.get(FENCE, "")
    return int(number) if number.isdecimal() else 0


class Payload(bytes):
    """A frame on its way to the storage of the run that made it.

    As bytes it is the frame in base64 where it was made for an inherited serializer: then it may end
    in another storage, or in a record of Prefect's own, which is JSON. Otherwise it is empty, for
    only :class:`~s3kv_flows.blocks.S3KVStore` will get it.
    """

    frame: Body
    content_type: str
    options: WriteOptions

    def __new__(cls, frame: Body, content_type: str, options: WriteOptions, *, inherited: bool) -> Self:
        """Return the payload of a frame."""
        payload = super().__new__(cls, base64.b64encode(bytes(frame)) if inherited else b"")
        payload.frame, payload.content_type, payload.options = frame, content_type, options
        return payload


@dataclass(frozen=True)
class DecodedValue:
    """A value that was fetched, verified and decoded already."""

    value: Any


class FrameSerializer(Serializer):
    """Encodes results as frames (see :mod:`s3kv_flows.store._values.codecs`).

    What a record of Prefect shows of it is its type and codec. Options and the run are private: they
    are for the writing process alone.
    """

    type: str = Field(default="s3kv", frozen=True)
    codec: Literal["cloudpickle"] = "cloudpickle"

    _options: ResultOptions = PrivateAttr(default_factory=ResultOptions)
    _attempt: CacheAttempt | None = PrivateAttr(default=None)

    def __init__(
        self, *, options: ResultOptions | None = None, attempt: CacheAttempt | None = None, **fields: Any
    ) -> None:
        super().__init__(**fields)
        if options is not None:
            self._options = options
        self._attempt = attempt

    @property
    def options(self) -> ResultOptions:
        """What the user asked for."""
        return self._options

    @property
    def attempt(self) -> CacheAttempt | None:
        """The attempt of a task run that this instance was made for."""
        return self._attempt

    def for_attempt(self, attempt: CacheAttempt) -> FrameSerializer:
        """Return a serializer with the same options, for one attempt of a task run."""
        return type(self)(codec=self.codec, options=self._options, attempt=attempt)

    def dumps(self, obj: Any) -> bytes:
        """Encode a value; return the payload that carries the frame and what belongs to it.

        Raises:
            EncodingError: The codec cannot hold the value.
            ValueError: The result is not to be saved: of a run that ended badly, or of a task with a
                retention whose cache policy is not that of ``caching()`` any more.
        """
        try:
            return self._payload(obj)
        except Exception as exc:
            # Prefect's own line names the type of the value, and not the reason.
            run_logger().error("The result of this run was not saved: %s", str(exc) or repr(exc))
            raise

    def loads(self, blob: Any) -> Any:
        """Return the value of a frame, of its base64, or of what the record face decoded already."""
        if isinstance(blob, DecodedValue):
            return blob.value
        body = bytearray(blob)
        if not is_frame(body):
            try:
                body = bytearray(base64.b64decode(body, validate=True))
            except binascii.Error as exc:
                raise CorruptValueError("this is no frame of s3kv_flows") from exc
        return codec_named(self.codec).decode(body)

    def _payload(self, obj: Any) -> Payload:
        codec = codec_named(self.codec)
        options = self._task_options(obj) if self._options.scope == "task" else self._flow_options(obj)
        frame = codec.encode(obj)
        if options is None:
            # Prefect saves None under the run's own key where it tries again a run that returned a
            # failed state.
            forbidden = self._attempt.key if self._attempt is not None else None
            options = WriteOptions(tags=automatic_tags(), forbidden_key=forbidden)
            return Payload(frame, codec.content_type, options, inherited=True)
        return Payload(frame, codec.content_type, options, inherited=False)

    def _task_options(self, obj: Any) -> WriteOptions | None:
        """Return what belongs to the result of this instance's run, None for anything else."""
        attempt, options = self._attempt, self._options
        task_run = attempt.task_run() if attempt is not None else None
        if attempt is None or task_run is None or task_run.state is None:
            if (options.locks or options.is_named) and not isinstance(obj, BaseException):
                raise ValueError(_NEEDS_POLICY)
            return None
        state = task_run.state
        if not state.is_final() or getattr(state.data, "result", None) is not obj:
            return None  # an exception, or the result of a task that inherited this serializer
        if not state.is_completed():
            raise ValueError(f"the run ended as {state.name}: that is no result to cache")
        # The record that Prefect is about to hand to the record face is this state's.
        expires = getattr(state.data, "expiration", None)
        ttl = None if expires is None else expires - datetime.now(timezone.utc)
        return WriteOptions(
            key=attempt.key,
            tags=with_automatic_tags(options.object_tags, ttl_tags(ttl) | attempt.tags),
            retention=options.retention,
            legal_hold=options.legal_hold,
            expires=expires,
            seconds=(state.timestamp - attempt.started).total_seconds(),
            probably_new=not attempt.refreshes and not attempt.found_delete_marker,
            inputs=attempt.inputs,
            was_absent=not attempt.refreshes and attempt.expected == "create",
            attempt=attempt if attempt.lease is not None else None,
        )

    def _flow_options(self, obj: Any) -> WriteOptions | None:
        """Return what belongs to the result of this instance's flow, None for anything else."""
        run, task_run = FlowRunContext.get(), TaskRunContext.get()
        if run is None or run.flow is None or run.flow_run is None or _is_failure(obj):
            return None
        within_task = task_run is not None and task_run.task_run.flow_run_id == run.flow_run.id
        if within_task or run.flow.result_serializer is not self:
            return None
        return WriteOptions(
            tags=with_automatic_tags(self._options.object_tags, automatic_tags()),
            retention=self._options.retention,
            legal_hold=self._options.legal_hold,
        )


_NEEDS_POLICY = (
    "a result with a retention, a hold or a key needs the cache policy that caching() gave its task"
)


def _is_failure(obj: Any) -> bool:
    """Tell what a failed flow leaves behind (an exception, or states) from a result."""
    if isinstance(obj, State) or is_state_iterable(obj):
        states = [obj] if isinstance(obj, State) else list(obj)
        return not all(state.is_completed() for state in states)
    return isinstance(obj, BaseException)


def _no_attempt() -> None:
    return None
