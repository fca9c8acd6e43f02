"""Serializer of results: values to frames, and frames to values.

Prefect passes what ``dumps`` returns to the storage unchanged, wherever and whenever the transaction
commits, and knows nothing of tags or locks. So ``dumps`` returns more than bytes: a
:class:`~s3kv_flows._results.payload.Payload` with the frame and the options of the same PUT.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timezone
from functools import partial
from typing import Any, Literal

from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.serializers import Serializer
from prefect.states import is_state_iterable
from pydantic import Field, PrivateAttr

from s3kv_flows._keys.parts import pack_code
from s3kv_flows._prefect import (
    automatic_tags,
    is_storing_parameters,
    returned_value,
    run_logger,
    with_automatic_tags,
)
from s3kv_flows._results.codec import PLAIN_CODEC, RESULT_CODEC, ResultCodec, codec_of_frame, codec_of_results
from s3kv_flows._results.payload import (
    CacheAttempt,
    DecodedValue,
    EditedError,
    Payload,
    ResultOptions,
    WriteOptions,
)
from s3kv_flows._results.records import WrittenResult
from s3kv_flows._results.reporting import report_unsaved
from s3kv_flows._results.storage import ResultStorage
from s3kv_flows._results.verification import require_same
from s3kv_flows.store._layout.ttl import ttl_tags
from s3kv_flows.store._s3.bodies import Body, Pieces
from s3kv_flows.store._values.frames.frames import is_frame
from s3kv_flows.store.errors import CorruptValueError, EncodingError

__all__ = ["NEEDS_POLICY", "FrameSerializer", "returned_failure"]


class FrameSerializer(Serializer):
    """Encodes results as frames (see :mod:`s3kv_flows._results.codec`).

    Prefect's record holds its type and codec only. Options and attempt are private attributes: they stay
    in the process that writes.
    """

    type: str = Field(default="s3kv", frozen=True)
    codec: Literal["cloudpickle"] = "cloudpickle"

    _options: ResultOptions = PrivateAttr(default_factory=ResultOptions)
    _attempt: CacheAttempt | None = PrivateAttr(default=None)

    # No __init__ of its own: pydantic would call it whenever Prefect reads a record.
    @classmethod
    def with_options(cls, options: ResultOptions) -> FrameSerializer:
        """Return a serializer with what a user gave to ``caching()`` or ``finalizing()``."""
        made = cls()
        made._options = options
        return made

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
        made = self.model_copy()
        made._attempt = attempt  # noqa: SLF001  # of this class
        return made

    def belongs_to(self, task_run: TaskRun, key: str | None) -> bool:
        """Return whether this serializer was made for a run with this key, and not inherited from it."""
        attempt = self._attempt
        return attempt is not None and attempt.key == key and attempt.task_run() is task_run

    def encode_ahead(self, obj: Any, *, keeps_for_long: bool) -> None:
        """Encode what the run of this serializer returned, as it is now, for :meth:`dumps` to write.

        Args:
            obj: The value that the task returned.
            keeps_for_long: Whether the caller gets the value before it is written, so that the frame must
                not view its buffers.

        Raises:
            EncodingError: The codec cannot hold the value, and the result must be saved. Otherwise
                :meth:`dumps` raises it, whatever became of the value, and the run completes without a result.
            EditedError: The run used other code than its key names, and its result must be saved.
        """
        if self._attempt is None:
            return
        try:
            self._attempt.require_own_texts()
            frame = self._encode_own(obj, self._attempt)
        except Exception as exc:
            if self._options.must_save:
                raise
            # No reason to fail this run; but what its caller makes of the value must not be saved, either.
            self._attempt.unsavable = exc
            return
        if keeps_for_long and isinstance(frame, Pieces):
            frame = frame.copy_to(memoryview(bytearray(len(frame))))
        self._attempt.encoded = (obj, frame)

    def refuse(self, unsavable: EncodingError) -> None:
        """Refuse to save what the run of this serializer returned.

        Raises:
            EncodingError: The result must be saved. Otherwise :meth:`dumps` raises it.
        """
        if self._options.must_save:
            raise unsavable
        if self._attempt is not None:
            self._attempt.unsavable = unsavable

    def payload_ahead(self, obj: Any, expires: datetime | None) -> Payload:
        """Return the payload of what the run of this serializer returned, before its state is set.

        Args:
            obj: The value that the task returned, and that was encoded.
            expires: When the result expires.
        """
        attempt = self._attempt
        assert attempt is not None  # noqa: S101  # it was encoded ahead
        frame = self._encoded_ahead(obj)
        if frame is None:
            frame = self._encode_own(obj, attempt)
        options = self._write_options(attempt, expires, datetime.now(timezone.utc))
        return Payload(frame, self._codec.content_type, options, inherited=False)

    def saved_ahead(self, obj: Any, written: WrittenResult) -> None:
        """Record that a value was written when its task ended, so that Prefect's write sends nothing."""
        if self._attempt is not None:
            self._attempt.saved = (obj, written)

    def dumps(self, obj: Any) -> bytes:
        """Encode a value; return the payload with its frame and write options.

        The parameters of a background task are no result: they have no tags and no lock.

        Raises:
            EncodingError: The codec cannot hold the value.
            EditedError: The run used other code than its key names.
            ValueError: The result must not be saved: the run did not complete, or the task has a
                retention and another cache policy than that of ``caching()``.
        """
        if is_storing_parameters():
            return Payload(self._codec.encode(obj), self._codec.content_type, WriteOptions(), inherited=True)
        try:
            return self._payload(obj)
        except EditedError as exc:
            run_logger().warning("The result of this run was not saved: %s", exc)
            raise
        except Exception as exc:
            # Prefect logs the type of the value, and not the reason.
            storage = _storage_of_flow() if self._options.scope == "flow" else None
            if storage is not None:  # Prefect completes the flow, although its output is not there
                report_unsaved(storage.results, None, exc)
            else:
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
                raise CorruptValueError("this is no frame of s3kv_flows", reason="not_a_frame") from exc
        return codec_of_frame(body).decode(body)

    @property
    def _codec(self) -> ResultCodec:
        """The codec of the store that the result goes to, as far as it is known here."""
        if self._attempt is not None:
            return RESULT_CODEC if self._attempt.allow_pickle else PLAIN_CODEC
        storage = _storage_of_flow() if self._options.scope == "flow" else None
        return RESULT_CODEC if storage is None else codec_of_results(storage.results)

    def _payload(self, obj: Any) -> Payload:
        options = self._task_options(obj) if self._options.scope == "task" else self._flow_options(obj)
        codec, attempt = self._codec, self._attempt
        if options is None:
            # Prefect saves None under the key of the run when it retries a run that returned a failed
            # state.
            options = WriteOptions(tags=automatic_tags(), forbidden_key=attempt.key if attempt else None)
            return Payload(codec.encode(obj), codec.content_type, options, inherited=True)
        if attempt is not None and attempt.unsavable is not None:
            raise attempt.unsavable
        if attempt is not None and attempt.saved is not None and attempt.saved[0] is obj:
            payload = Payload(b"", codec.content_type, options, inherited=False)
            payload.written = attempt.saved[1]
            return payload
        if attempt is not None:
            attempt.require_own_texts()
        frame = self._encoded_ahead(obj)
        if frame is None:
            frame = self._encode_own(obj, attempt)
        return Payload(frame, codec.content_type, options, inherited=False)

    def _encode_own(self, obj: Any, attempt: CacheAttempt | None) -> Body:
        """Return the frame of the result of this serializer's run: what is locked is decoded once, too."""
        about = pack_code(attempt.code) if attempt is not None and attempt.code else b""
        verify = partial(require_same, obj) if self._options.locks else None
        return self._codec.encode(obj, about=about, verify=verify)

    def _encoded_ahead(self, obj: Any) -> Body | None:
        """Return the frame that was made when the task ended, once: it may be large."""
        if self._attempt is None or self._attempt.encoded is None:
            return None
        encoded, frame = self._attempt.encoded
        if encoded is not obj:
            return None
        self._attempt.encoded = None
        return frame

    def _task_options(self, obj: Any) -> WriteOptions | None:
        """Return the write options for the result of this serializer's run, None for any other value."""
        attempt = self._attempt
        task_run = attempt.task_run() if attempt is not None else None
        if attempt is None or task_run is None or task_run.state is None:
            if (self._options.locks or self._options.is_named) and not isinstance(obj, BaseException):
                raise ValueError(NEEDS_POLICY)
            return None
        state = task_run.state
        if not state.is_final() or getattr(state.data, "result", None) is not obj:
            return None  # an exception, or the result of a task that inherited this serializer
        if not state.is_completed():
            raise ValueError(f"the run ended as {state.name}, and only completed runs are cached")
        # Prefect passes the record of this state to the record storage next.
        return self._write_options(attempt, getattr(state.data, "expiration", None), state.timestamp)

    def _write_options(
        self, attempt: CacheAttempt, expires: datetime | None, ended: datetime
    ) -> WriteOptions:
        options = self._options
        ttl = None if expires is None else expires - datetime.now(timezone.utc)
        return WriteOptions(
            key=attempt.key,
            tags=with_automatic_tags(options.object_tags, ttl_tags(ttl) | attempt.tags),
            retention=options.retention,
            legal_hold=options.legal_hold,
            expires=expires,
            seconds=(ended - attempt.started).total_seconds(),
            probably_new=not attempt.refreshes and not attempt.found_delete_marker,
            inputs=attempt.inputs,
            parts=attempt.parts,
            was_absent=not attempt.refreshes and attempt.expected == "create",
            attempt=attempt if attempt.lease is not None else None,
        )

    def _flow_options(self, obj: Any) -> WriteOptions | None:
        """Return the write options for the result of this serializer's flow, None for any other value."""
        run, task_run = FlowRunContext.get(), TaskRunContext.get()
        if run is None or run.flow is None or run.flow_run is None or _is_failure(obj) or returned_failure():
            return None
        within_task = task_run is not None and task_run.task_run.flow_run_id == run.flow_run.id
        if within_task or run.flow.result_serializer is not self:
            return None
        return WriteOptions(
            tags=with_automatic_tags(self._options.object_tags, automatic_tags()),
            retention=self._options.retention,
            legal_hold=self._options.legal_hold,
        )


NEEDS_POLICY = (
    "a result with a retention, a hold or a key needs the cache policy that caching() gave its task"
)
"""Said of a result that has no key, as Prefect dropped the policy."""


def returned_failure() -> bool:
    """Return whether the run that is ending returned a state that is not completed, or several."""
    returned = returned_value()
    return returned is not None and not isinstance(returned[0], BaseException) and _is_failure(returned[0])


def _storage_of_flow() -> ResultStorage | None:
    run = FlowRunContext.get()
    storage = run.result_store.result_storage if run is not None else None
    return storage if isinstance(storage, ResultStorage) else None


def _is_failure(obj: Any) -> bool:
    """Tell whether a value is an exception or the states of a failed flow, and no result."""
    if isinstance(obj, State) or is_state_iterable(obj):
        states = [obj] if isinstance(obj, State) else list(obj)
        return not all(state.is_completed() for state in states)
    return isinstance(obj, BaseException)
