"""Whether what a run finds under its key is its own result: asked where a refusal still fails the run.

A key that is a name, given with ``key=``, may hold the result of other inputs. A finalized result may be
hidden by what somebody else has put on top of it. In both cases the run would compute in vain, or give out
what is not its result.
"""

from __future__ import annotations

from prefect.context import TaskRunContext

from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows._results.records import ExpiredResultError, FoundResult, Record, look_up
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows._runs import run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store import S3KV
from s3kv_flows.store._locks.visibility import require_visible
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    HiddenOutputError,
    KeyLockedError,
    KeyNotFoundError,
    S3KVError,
)

__all__ = ["current_attempt", "lookup", "prefetch", "require_own", "require_replaceable", "require_unhidden"]


def require_own(results: S3KV, attempt: CacheAttempt, found: FoundResult) -> None:
    """Refuse a result that is not the run's: no request, unless the run finalizes and it is not locked.

    Raises:
        ConflictError: It was made of other inputs.
        HiddenOutputError: It lies on top of a locked one.
    """
    if attempt.inputs is not None and found.record.inputs != attempt.inputs:
        raise _of_others(attempt)
    if attempt.finalizes and not found.was_locked:
        require_visible(
            results.client, results.bucket_name, results.namespace.name_of(attempt.key), attempt.key
        )
        run_logger().warning(
            "The result %r is there, and not locked: it was written without a retention, or that was lifted",
            attempt.key,
        )


def require_replaceable(results: S3KV, attempt: CacheAttempt, info: ObjectInfo) -> None:
    """Refuse to compute what could not be written over what is there, and cannot be used.

    No request, unless the run finalizes.

    Raises:
        ConflictError: The key is a name, and what is there is of other inputs, or no result.
        HiddenOutputError: A locked result is beneath.
        KeyLockedError: What is there is locked itself.
    """
    if attempt.inputs is not None:
        try:
            inputs = Record.from_info(info).inputs
        except CorruptValueError:
            inputs = None
        if inputs != attempt.inputs:
            raise _of_others(attempt)
    if attempt.finalizes:
        name = results.namespace.name_of(attempt.key)
        require_visible(results.client, results.bucket_name, name, attempt.key)
        results.objects.refuse_if_retained(name, "replace what cannot be read of")


def _of_others(attempt: CacheAttempt) -> ConflictError:
    return ConflictError(
        f"{attempt.key!r} holds the result of other inputs, of another version of the task, or something "
        "else: give it another key, delete it, or replace it with refresh_cache=True"
    )


def require_unhidden(results: S3KV, attempt: CacheAttempt, absent: KeyNotFoundError) -> None:
    """Refuse to compute what is there, locked and hidden: one request, where the answer leaves it open.

    Raises:
        HiddenOutputError: There is a locked result under a delete marker.
    """
    if not attempt.finalizes:
        return
    if not absent.is_deleted and results.client.capabilities.declared.tells_delete_markers:
        return
    require_visible(results.client, results.bucket_name, results.namespace.name_of(attempt.key), attempt.key)


def lookup(store: S3KVStore, path: str) -> FoundResult | None:
    """Return a valid result, and count the hit; None where there is none, which is not counted.

    Raises:
        ConflictError: It is not the current run's own.
        HiddenOutputError: It is there, and locked, and somebody else has hidden it.
        StoreUnavailableError: It cannot be told.
    """
    attempt = _attempt_for(path)
    seen: list[ObjectInfo] = []
    try:
        found = look_up(store.results, path, seen=seen.append)
    except (KeyNotFoundError, CorruptValueError) as exc:
        if attempt is not None:
            _require_free(store.results, attempt, exc, seen)
        return None
    if attempt is not None:
        require_own(store.results, attempt, found)
    _count_hit(store.results.client.counters, found)
    return found


def prefetch(store: S3KVStore, attempt: CacheAttempt) -> FoundResult | None:
    """Look the result of a run up before Prefect does, which takes every error for an absence.

    What is not there, or cannot be used, is left for Prefect's own look, so that nobody asks twice.

    Raises:
        ConflictError: It is not the run's own.
        HiddenOutputError: It is there, and locked, and somebody else has hidden it.
        KeyLockedError: It cannot be used, and not be replaced.
    """
    try:
        found = _find(store, attempt.key)
    except (ConflictError, HiddenOutputError, KeyLockedError):
        raise
    except S3KVError as exc:
        attempt.keep_miss(exc)
        return None
    return found


def _find(store: S3KVStore, path: str) -> FoundResult:
    """Look a result up, count the outcome, and say aloud what Prefect takes for a plain absence."""
    results, attempt = store.results, _attempt_for(path)
    miss = attempt.take_miss() if attempt is not None else None
    if miss is not None:
        raise miss
    counters = results.client.counters
    seen: list[ObjectInfo] = []
    try:
        found = look_up(results, path, seen=seen.append)
    except S3KVError as exc:
        if attempt is not None and seen:
            attempt.found(seen[0])
        elif attempt is not None and isinstance(exc, KeyNotFoundError):
            attempt.found_nothing(deleted=exc.is_deleted)
        outcome = _count_miss(counters, exc)
        if outcome == "undecodable":
            run_logger().warning("The cached result %r cannot be used and is computed anew: %s", path, exc)
        elif outcome == "unreachable":
            run_logger().error("Cannot tell whether %r is cached, so it is computed: %s", path, exc)
        if attempt is not None:
            _require_free(results, attempt, exc, seen)
        raise
    if attempt is not None:
        require_own(results, attempt, found)
        attempt.returns_lease()
    _count_hit(counters, found)
    return found


def _require_free(results: S3KV, attempt: CacheAttempt, exc: S3KVError, seen: list[ObjectInfo]) -> None:
    """Refuse to compute what is there after all, or could not be written."""
    if isinstance(exc, ExpiredResultError):
        return
    if isinstance(exc, KeyNotFoundError):
        require_unhidden(results, attempt, exc)
    elif isinstance(exc, CorruptValueError) and seen:
        require_replaceable(results, attempt, seen[0])


def _attempt_for(key: str) -> CacheAttempt | None:
    """Return the attempt of the current run where this is its key, not that of an inner transaction."""
    attempt = current_attempt()
    return attempt if attempt is not None and attempt.key == key else None


def current_attempt() -> CacheAttempt | None:
    """Return the attempt of the current run, None where it is no run of ``caching()``."""
    run = TaskRunContext.get()
    serializer = run.result_store.serializer if run is not None else None
    return serializer.attempt if isinstance(serializer, FrameSerializer) else None


def _count_hit(counters: Counters, found: FoundResult) -> None:
    counters.add("results.hits")
    counters.add("results.hit_bytes", found.size)
    counters.add("results.seconds_saved", found.record.seconds or 0)


def _count_miss(counters: Counters, exc: S3KVError) -> str:
    outcome = {
        ExpiredResultError: "expired",
        KeyNotFoundError: "absent",
        CorruptValueError: "undecodable",
    }.get(type(exc), "unreachable")
    counters.add("results.misses")
    counters.add(f"results.misses.{outcome}")
    return outcome
