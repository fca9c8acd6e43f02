"""The serializer of cached results, and what travels from it to the object that is written.

Prefect hands what ``dumps`` returns to the storage untouched, wherever and whenever the transaction
commits, and knows nothing of tags or locks. So ``dumps`` returns more than bytes: a :class:`Payload`
with the frame and a :class:`Grant`, what to put into the same PUT.
"""

from __future__ import annotations

import base64
import binascii
import weakref
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.serializers import Serializer
from prefect.states import is_state_iterable
from pydantic import BaseModel, Field, PrivateAttr, model_serializer

from s3kv_flows.runs import automatic_tags, with_automatic_tags
from s3kv_flows.store.codecs import codec_named, is_frame
from s3kv_flows.store.errors import CorruptValueError
from s3kv_flows.store.locks import Retention

__all__ = ["DecodedValue", "FrameSerializer", "Grant", "Payload", "ResultOptions", "RunInfo"]


@dataclass(frozen=True)
class ResultOptions:
    """What the user asked of ``caching()`` or ``finalizing()``: configuration, nothing else.

    Attributes:
        scope: Whose results the options are meant for. Prefect lets the tasks within a flow, and the
            flows and tasks within a task, inherit a serializer: they must not inherit a lock.
    """

    scope: Literal["task", "flow"] = "task"
    object_tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None


@dataclass(frozen=True)
class RunInfo:
    """The task run whose result is to be cached.

    Attributes:
        key: The cache key of the run; a result under another name is not this run's.
        tags: The automatic tags.
        started: When the run began to look for its result.
        cache_expiration: The task's, with what ``with_options`` made of it.
        refreshes: Whether the run computes and overwrites whatever the cache holds.
        task_run: Prefect's own account of the run, as long as it lives.
    """

    key: str
    tags: dict[str, str]
    started: datetime
    cache_expiration: timedelta | None
    refreshes: bool
    task_run: weakref.ref[TaskRun]

    def __reduce__(self) -> tuple[Any, ...]:
        # A run does not leave its process: copies and pickles of the serializer are without it.
        return (_no_run, ())

    @property
    def completed(self) -> State[Any] | None:
        """The state in which the run ended, where it ended well."""
        task_run = self.task_run()
        state = task_run.state if task_run is not None else None
        return state if state is not None and state.is_completed() else None


@dataclass(frozen=True)
class Grant:
    """What goes into the PUT beside the frame.

    Attributes:
        key: The name the grant is for; None for any.
        expires: When the result expires, by this machine's clock.
        seconds: How long the task took.
        probably_new: Whether the run found no result under this name.
    """

    key: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    expires: datetime | None = None
    seconds: float | None = None
    probably_new: bool = True

    def for_name(self, name: str) -> Grant:
        """Return the grant for a name: for another one than its own, the flow's tag and nothing else."""
        if self.key is None or self.key == name:
            return self
        return Grant(tags={key: value for key, value in self.tags.items() if key == "flow"})


class Payload(BaseModel):
    """A frame on its way to the storage.

    Where Prefect puts a result into a record of its own (a JSON text, for a task that inherited the
    serializer), the payload shows itself as base64, and ``loads`` takes that, too.
    """

    _frame: bytes = PrivateAttr()
    _codec: str = PrivateAttr()
    _grant: Grant = PrivateAttr()

    def __init__(self, frame: bytes, codec: str, grant: Grant) -> None:
        super().__init__()
        self._frame, self._codec, self._grant = frame, codec, grant

    @property
    def frame(self) -> bytes:
        """The body of the object."""
        return self._frame

    @property
    def content_type(self) -> str:
        """The content type of the object."""
        return codec_named(self._codec).content_type

    @property
    def grant(self) -> Grant:
        """What to put beside it."""
        return self._grant

    @model_serializer
    def _as_text(self) -> str:
        return base64.b64encode(self._frame).decode()


@dataclass(frozen=True)
class DecodedValue:
    """A value that was fetched, verified and decoded already."""

    value: Any


class FrameSerializer(Serializer):
    """Encodes results as frames (see :mod:`s3kv_flows.store.codecs`).

    What a record of Prefect shows of it is its type and codec. Options and the run are private: they
    are for the writing process alone.
    """

    type: str = Field(default="s3kv", frozen=True)
    codec: Literal["cloudpickle"] = "cloudpickle"

    _options: ResultOptions = PrivateAttr(default_factory=ResultOptions)
    _run: RunInfo | None = PrivateAttr(default=None)

    def __init__(
        self, *, options: ResultOptions | None = None, run: RunInfo | None = None, **fields: Any
    ) -> None:
        super().__init__(**fields)
        if options is not None:
            self._options = options
        self._run = run

    @property
    def options(self) -> ResultOptions:
        """What the user asked for."""
        return self._options

    @property
    def run(self) -> RunInfo | None:
        """The task run this instance was made for."""
        return self._run

    def for_run(self, run: RunInfo) -> FrameSerializer:
        """Return a serializer with the same options, for one task run."""
        return type(self)(codec=self.codec, options=self._options, run=run)

    def dumps(self, obj: Any) -> Any:
        """Encode a value; return the payload that carries the frame and what belongs to it.

        Raises:
            EncodingError: The codec cannot hold the value.
        """
        grant = self._task_grant() if self._options.scope == "task" else self._flow_grant(obj)
        return Payload(codec_named(self.codec).encode(obj), self.codec, grant)

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

    def _task_grant(self) -> Grant:
        run = self._run
        if run is None:
            return Grant(tags=automatic_tags())
        state = run.completed
        return Grant(
            key=run.key,
            tags=with_automatic_tags(self._options.object_tags, run.tags),
            retention=self._options.retention,
            # The record that Prefect is about to hand to the record face is this state's.
            expires=getattr(state.data, "expiration", None) if state else None,
            seconds=(state.timestamp - run.started).total_seconds() if state else None,
            probably_new=not run.refreshes,
        )

    def _flow_grant(self, obj: Any) -> Grant:
        flow_run = FlowRunContext.get()
        own = (
            flow_run is not None
            and flow_run.flow is not None
            and flow_run.flow.result_serializer is self
            and TaskRunContext.get() is None
        )
        if not own or _is_failure(obj):
            return Grant(tags=automatic_tags())
        return Grant(
            tags=with_automatic_tags(self._options.object_tags, automatic_tags()),
            retention=self._options.retention,
        )


def _is_failure(obj: Any) -> bool:
    """Tell what a failed flow leaves behind (an exception, or states) from a result."""
    if isinstance(obj, State) or is_state_iterable(obj):
        states = [obj] if isinstance(obj, State) else list(obj)
        return not all(state.is_completed() for state in states)
    return isinstance(obj, BaseException)


def _no_run() -> None:
    return None
