"""RunStore: a run's result store, which encodes when the task ends.

Prefect encodes a result when its transaction commits. Within a task, a flow of a task or a ``transaction()``,
that is after the caller got the value, and may have changed it. So the value is encoded at the one moment at
which Prefect tells its result store about it before the caller sees it: ``create_result_record``.
"""

from __future__ import annotations

from typing import Any

from prefect.context import TaskRunContext
from prefect.results import ResultStore
from prefect.transactions import CommitMode, get_transaction
from prefect.types import DateTime

from s3kv_flows._results.serializer import FrameSerializer

__all__ = ["RunStore", "bind_serializer"]


class RunStore(ResultStore):
    """Prefect's result store, which has the run's serializer encode the value when the task ends."""

    def create_result_record(
        self, obj: Any, key: str | None = None, expiration: DateTime | None = None
    ) -> Any:
        """Return the record of a value, after the serializer has encoded it, if it is the run's.

        Raises:
            EncodingError: The value cannot be encoded, and is to be saved under a lock or a name. Prefect
                fails the run, and retries it as the task says.
        """
        record = super().create_result_record(obj, key, expiration)
        serializer, run = self.serializer, TaskRunContext.get()
        # Tasks and flows within the run inherit its store from Prefect, and exceptions have other keys.
        if isinstance(serializer, FrameSerializer) and run is not None and key is not None:
            serializer.encode_ahead(obj, key, run.task_run, keeps_for_long=_commits_later())
        return record


def bind_serializer(run: TaskRunContext, serializer: FrameSerializer) -> None:
    """Give a run a result store of its own, with this serializer."""
    fields = {**dict(run.result_store), "serializer": serializer}
    run.result_store = RunStore.model_construct(**fields)


def _commits_later() -> bool:
    """Return whether the current run's result is written after its caller got the value."""
    transaction = get_transaction()
    return transaction is None or transaction.commit_mode != CommitMode.EAGER
