"""Preflight checks: fail runs, before they compute, whose results cannot be saved."""

from __future__ import annotations

import asyncio

from prefect.context import TaskRunContext

from s3kv_flows._cache.lookup import current_attempt, prefetch
from s3kv_flows._cache.record_storage import hand_over
from s3kv_flows._prefect import is_refreshing, loaded_store
from s3kv_flows._results.records import FoundResult
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.blocks import S3KVStore

__all__ = ["NO_KEY", "OTHER_STORAGE", "PreflightLockManager", "require_savable"]

OTHER_STORAGE = (
    "the result of task {task!r} is not saved: it has another result_storage or result_serializer than "
    "caching() gave it"
)
"""Said of a task whose storage or serializer ``with_options`` has replaced."""

NO_KEY = "key-that-cannot-be-made"
"""The key of a run that must have one, and has none: taking its lock fails the run."""


class PreflightLockManager:
    """Refuses a run that could not save its result. It is no lock: it excludes no other run.

    Prefect logs an exception of a commit and lets the task complete, with a value that was not saved, and
    takes an exception of a lookup for an absence. An exception here fails the task, before it computes. So
    a task that finalizes or names its result takes Prefect's lock from this manager, which makes the lookup
    instead of Prefect: a hit or a miss costs no request more (one for a finalized miss, if the server does
    not report delete markers), a refresh two.
    """

    def acquire_lock(
        self,
        key: str,
        holder: str,  # noqa: ARG002  # Prefect's protocol
        acquire_timeout: float | None = None,  # noqa: ARG002
        hold_timeout: float | None = None,  # noqa: ARG002
    ) -> bool:
        """Return True, or raise if the run could not save its result.

        Raises:
            KeyLockedError: The run would refresh a result that is under retention.
            ConflictError: The key is a name, and holds the result of other inputs.
            HiddenOutputError: The finalized result exists, and another writer has hidden it.
            UnsupportedByServerError: The bucket has no Object Lock.
            StoreUnavailableError: The store does not answer, and the run needs it.
            AccessDeniedError: The store denies access, and the run needs it.
            ValueError: The task has an expiration beside the lock; or its key cannot be made.
        """
        self._offer(key, self._check_or_prefetch(key))
        return True

    async def aacquire_lock(
        self,
        key: str,
        holder: str,  # noqa: ARG002  # Prefect's protocol
        acquire_timeout: float | None = None,  # noqa: ARG002
        hold_timeout: float | None = None,  # noqa: ARG002
    ) -> bool:
        """Do as :meth:`acquire_lock`, in a worker thread."""
        self._offer(key, await asyncio.to_thread(self._check_or_prefetch, key))
        return True

    @staticmethod
    def _check_or_prefetch(key: str) -> FoundResult | None:
        require_savable(key)
        context, attempt, store = TaskRunContext.get(), current_attempt(), loaded_store(S3KVStore)
        # Tasks within this one inherit the manager from Prefect: their results are not looked up.
        if (
            context is None
            or attempt is None
            or attempt.key != key
            or store is None
            or is_refreshing(context)
        ):
            return None
        return prefetch(store, attempt)

    @staticmethod
    def _offer(key: str, found: FoundResult | None) -> None:
        """Offer a result to the next calls of this run, in the context of the run."""
        store = loaded_store(S3KVStore)
        if found is not None and store is not None:
            hand_over(store, key, found)

    def release_lock(self, key: str, holder: str) -> None:
        """Do nothing: this manager holds no lock."""

    def is_locked(self, key: str) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return False: no run is excluded."""
        return False

    def is_lock_holder(self, key: str, holder: str) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return True: every run may read and write."""
        return True

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return True: no run waits for this manager."""
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:  # noqa: ARG002  # Prefect's protocol
        """Return True: no run waits for this manager."""
        return True


def require_savable(key: str) -> None:
    """Refuse the current run if it could not save a result under the key: no request for a miss.

    Raises:
        KeyLockedError: The run would refresh a result that is under retention.
        UnsupportedByServerError: The result is to be locked, and the bucket has no Object Lock.
        ValueError: The task has an expiration beside the lock; or its key cannot be made.
    """
    run = TaskRunContext.get()
    if run is None:
        return
    store, serializer = run.result_store.result_storage, run.result_store.serializer
    attempt = serializer.attempt if isinstance(serializer, FrameSerializer) else None
    # Tasks within this one inherit the manager from Prefect: their results are not locked.
    if attempt is not None and attempt.key == key and attempt.refusal is not None:
        raise attempt.refusal
    if not isinstance(store, S3KVStore) or not isinstance(serializer, FrameSerializer):
        if key == NO_KEY:
            raise ValueError(OTHER_STORAGE.format(task=run.task.name))
        return
    if attempt is not None and attempt.key == key and attempt.finalizes:
        if attempt.cache_expiration is not None:
            raise ValueError("a locked result cannot expire, and the task has a cache_expiration")
        store.results.objects.require_object_lock()
    if is_refreshing(run):
        results = store.results
        results.objects.refuse_if_retained(results.namespace.name_of(key), "refresh")
