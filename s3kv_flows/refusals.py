"""What a run would compute in vain: refused before it computes."""

from __future__ import annotations

import asyncio

from prefect.context import TaskRunContext

from s3kv_flows.blocks import S3KVStore
from s3kv_flows.runs import is_refreshing
from s3kv_flows.serializer import FrameSerializer

__all__ = ["RetentionGuard", "refuse_what_cannot_be_saved"]


class RetentionGuard:
    """Refuses a run that could not save what it computes. Excludes nobody.

    Prefect logs an exception of a commit and lets the task complete, with a value that was not saved.
    An exception here fails the task, before it computes. So a task that finalizes its result takes
    Prefect's lock from this manager: a hit or a miss costs no request more, a refresh two.
    """

    def acquire_lock(
        self,
        key: str,
        holder: str,  # noqa: ARG002  # Prefect's protocol
        acquire_timeout: float | None = None,  # noqa: ARG002
        hold_timeout: float | None = None,  # noqa: ARG002
    ) -> bool:
        """Return True, or refuse.

        Raises:
            KeyLockedError: The run would refresh a result that is under retention.
            UnsupportedByServerError: The bucket has no Object Lock.
            ValueError: The task was given an expiration beside the retention.
        """
        refuse_what_cannot_be_saved(key)
        return True

    async def aacquire_lock(
        self,
        key: str,
        holder: str,  # noqa: ARG002  # Prefect's protocol
        acquire_timeout: float | None = None,  # noqa: ARG002
        hold_timeout: float | None = None,  # noqa: ARG002
    ) -> bool:
        """Do as :meth:`acquire_lock`, in a worker thread."""
        await asyncio.to_thread(refuse_what_cannot_be_saved, key)
        return True

    def release_lock(self, key: str, holder: str) -> None:
        """Do nothing: nothing is held."""

    def is_locked(self, key: str) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return False: nobody is excluded."""
        return False

    def is_lock_holder(self, key: str, holder: str) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return True: everybody may read and write."""
        return True

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return True: there is nothing to wait for."""
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return True: there is nothing to wait for."""
        return True


def refuse_what_cannot_be_saved(key: str) -> None:
    """Refuse the current run where it could not save what it computes under a key: no request for a miss.

    Raises:
        KeyLockedError: It would refresh a result that is under retention.
        UnsupportedByServerError: It is to lock its result, and the bucket has no Object Lock.
        ValueError: The task was given an expiration beside the retention.
    """
    run = TaskRunContext.get()
    if run is None:
        return
    store, serializer = run.result_store.result_storage, run.result_store.serializer
    if not isinstance(store, S3KVStore) or not isinstance(serializer, FrameSerializer):
        return
    info = serializer.run
    # Prefect lets tasks within this one inherit the manager: their results are not to be locked.
    if info is not None and info.key == key and serializer.options.retention is not None:
        if info.cache_expiration is not None:
            raise ValueError("a result under retention cannot expire: the task has a cache_expiration, too")
        store.results.objects.require_object_lock()
    if is_refreshing(run):
        results = store.results
        results.objects.refuse_if_retained(results.namespace.name_of(key), "refresh")
