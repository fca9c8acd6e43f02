"""RunStore: a run's result store, which encodes when the task ends.

Prefect encodes a result when its transaction commits. Within a task, a flow of a task or a ``transaction()``,
that is after the caller got the value, and may have changed it. So the value is encoded at the one moment at
which Prefect tells its result store about it before the caller sees it: ``create_result_record``.
"""

from __future__ import annotations

import sys
from types import GeneratorType
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.results import ResultStore
from prefect.transactions import CommitMode, IsolationLevel, get_transaction
from prefect.types import DateTime

from s3kv_flows._prefect import returned_value, run_logger
from s3kv_flows._results.refused import YIELDS, YIELDS_REMEDY, returned_generator
from s3kv_flows._results.serializer import NEEDS_POLICY, FrameSerializer, returned_failure
from s3kv_flows._results.storage import ResultStorage

__all__ = ["RunStore", "bind_serializer", "require_policy"]


_ENDED = (None, StopIteration, StopAsyncIteration)
"""What is being handled where a run has ended well: nothing, or the end of a task that yields."""


class RunStore(ResultStore):
    """Prefect's result store, which encodes the value of its run when the task ends.

    A result that must be saved is written then, too: an error of Prefect's own write, in the commit, would be
    logged, and the run would complete. Within a transaction the result is written at its commit, for it may
    still be rolled back.
    """

    def supports_isolation_level(self, level: IsolationLevel) -> bool:
        """Return whether a lock manager is there that the level needs.

        It is the first that a transaction asks of its store, before it looks the result up.

        Raises:
            Exception: What the run is refused for: it fails before it computes.
        """
        serializer = self.serializer
        if isinstance(serializer, FrameSerializer) and serializer.attempt is not None:
            refusal = serializer.attempt.refusal
            if refusal is not None:
                raise refusal
        return super().supports_isolation_level(level)

    def create_result_record(
        self, obj: Any, key: str | None = None, expiration: DateTime | None = None
    ) -> Any:
        """Return the record of a value, after it was encoded, and written if it must be saved.

        Raises:
            EncodingError: The value cannot be encoded, or is no result, and must be saved. Prefect fails the
                run, and retries it as the task says.
            S3KVError: It cannot be written, and must be saved.
        """
        record = super().create_result_record(obj, key, expiration)
        serializer, run = self.serializer, TaskRunContext.get()
        # Tasks and flows within the run inherit its store from Prefect, and exceptions have other keys.
        if (
            isinstance(serializer, FrameSerializer)
            and run is not None
            and key is not None
            and serializer.belongs_to(run.task_run, key)
            and not returned_failure()
        ):
            if _is_generator_returned():
                serializer.refuse(returned_generator())
            else:
                self._save(serializer, obj, key, expiration)
        return record

    def _save(self, serializer: FrameSerializer, obj: Any, key: str, expiration: DateTime | None) -> None:
        later = _commits_later()
        serializer.encode_ahead(obj, keeps_for_long=later)
        if serializer.options.must_save and not later and isinstance(self.result_storage, ResultStorage):
            payload = serializer.payload_ahead(obj, expiration)
            serializer.saved_ahead(obj, self.result_storage.write_result(key, payload))


def bind_serializer(run: TaskRunContext, serializer: FrameSerializer, **fields: Any) -> None:
    """Give a run a result store of its own, with this serializer, and with other fields if there are any."""
    fields = {**dict(run.result_store), "serializer": serializer, **fields}
    run.result_store = RunStore.model_construct(**fields)


def require_policy(storage: object) -> None:
    """Refuse the result of a run that must be saved, and whose cache policy Prefect has dropped.

    It does so with ``cache_policy=NO_CACHE``, with ``persist_result=False``, and where caching is disabled.
    Then no key is made, and Prefect asks this package for the id of its storage alone, when the task ends.

    Args:
        storage: The storage whose id is asked for.

    Raises:
        ValueError: The current run must save its result, and has no key. Prefect fails the run.
    """
    run, flow_run = TaskRunContext.get(), FlowRunContext.get()
    if run is None or run.result_store.result_storage is not storage or sys.exc_info()[0] not in _ENDED:
        return
    if flow_run is not None and flow_run.flow_run and flow_run.flow_run.id != run.task_run.flow_run_id:
        return  # a flow within the task
    serializer, bound = run.task.result_serializer, run.result_store.serializer
    if not isinstance(serializer, FrameSerializer) or not isinstance(bound, FrameSerializer):
        return
    if bound.attempt is not None or serializer.options.scope != "task" or returned_value() is None:
        return
    if returned_failure():
        return
    if serializer.options.must_save:
        reason = f"{YIELDS}; {YIELDS_REMEDY}" if run.task.isgenerator else NEEDS_POLICY
        raise ValueError(f"the result was not saved: {reason}")
    if serializer.options.excludes:
        run_logger().warning("Caching is disabled: other runs may compute the same at the same time")


def _is_generator_returned() -> bool:
    returned = returned_value()
    return returned is not None and isinstance(returned[0], GeneratorType)


def _commits_later() -> bool:
    """Return whether the current run's result is written after its caller got the value."""
    transaction = get_transaction()
    if transaction is None or transaction.commit_mode == CommitMode.EAGER:
        return transaction is None
    return transaction.commit_mode == CommitMode.OFF or transaction.get_parent() is not None
