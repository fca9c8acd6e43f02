"""Serializer of results: values to frames, and frames to values.

Prefect passes what ``dumps`` returns to the storage unchanged, wherever and whenever the transaction
commits, and knows nothing of tags or locks. So ``dumps`` returns more than bytes: a
:class:`~s3kv_flows._results.payload.Payload` with the frame and the options of the same PUT.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timezone
from typing import Any, Literal

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.serializers import Serializer
from prefect.states import is_state_iterable
from pydantic import Field, PrivateAttr

from s3kv_flows._prefect import automatic_tags, run_logger, with_automatic_tags
from s3kv_flows._results.codec import RESULT_CODEC
from s3kv_flows._results.payload import CacheAttempt, DecodedValue, Payload, ResultOptions, WriteOptions
from s3kv_flows.store._layout.ttl import ttl_tags
from s3kv_flows.store._values.frames import is_frame
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["FrameSerializer"]


class FrameSerializer(Serializer):
    """Encodes results as frames (see :mod:`s3kv_flows._results.codec`).

    Prefect's record holds its type and codec only. Options and attempt are private attributes: they stay
    in the process that writes.
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
        """The options that the user gave."""
        return self._options

    @property
    def attempt(self) -> CacheAttempt | None:
        """The attempt of a task run that this instance was made for."""
        return self._attempt

    def for_attempt(self, attempt: CacheAttempt) -> FrameSerializer:
        """Return a serializer with the same options, for one attempt of a task run."""
        return type(self)(codec=self.codec, options=self._options, attempt=attempt)

    def dumps(self, obj: Any) -> bytes:
        """Encode a value; return the payload with its frame and write options.

        Raises:
            EncodingError: The codec cannot hold the value.
            ValueError: The result must not be saved: the run did not complete, or the task has a
                retention and another cache policy than that of ``caching()``.
        """
        try:
            return self._payload(obj)
        except Exception as exc:
            # Prefect logs the type of the value, and not the reason.
            run_logger().error("The result of this run was not saved: %s", str(exc) or repr(exc))
            raise

    def loads(self, blob: Any) -> Any:
        """Return the value of a frame, of a frame in base64, or the one that the record storage decoded."""
        if isinstance(blob, DecodedValue):
            return blob.value
        body = bytearray(blob)
        if not is_frame(body):
            try:
                body = bytearray(base64.b64decode(body, validate=True))
            except binascii.Error as exc:
                raise CorruptValueError("this is no frame of s3kv_flows") from exc
        return RESULT_CODEC.decode(body)

    def _payload(self, obj: Any) -> Payload:
        codec = RESULT_CODEC
        options = self._task_options(obj) if self._options.scope == "task" else self._flow_options(obj)
        frame = codec.encode(obj)
        if options is None:
            # Prefect saves None under the key of the run when it retries a run that returned a failed
            # state.
            forbidden = self._attempt.key if self._attempt is not None else None
            options = WriteOptions(tags=automatic_tags(), forbidden_key=forbidden)
            return Payload(frame, codec.content_type, options, inherited=True)
        return Payload(frame, codec.content_type, options, inherited=False)

    def _task_options(self, obj: Any) -> WriteOptions | None:
        """Return the write options for the result of this serializer's run, None for any other value."""
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
            raise ValueError(f"the run ended as {state.name}, and only completed runs are cached")
        # Prefect passes the record of this state to the record storage next.
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
        """Return the write options for the result of this serializer's flow, None for any other value."""
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
    """Tell whether a value is an exception or the states of a failed flow, and no result."""
    if isinstance(obj, State) or is_state_iterable(obj):
        states = [obj] if isinstance(obj, State) else list(obj)
        return not all(state.is_completed() for state in states)
    return isinstance(obj, BaseException)
