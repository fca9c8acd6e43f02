"""Lookups of cached results, counted, and refused if not this run's.

A key that is a name, given with ``key=``, may hold the result of other inputs. A finalized result may be
hidden by a delete marker or a newer version of another writer. In both cases the run would compute in vain,
or return a result that is not its own; so it is refused while a refusal can still fail the run.
"""

from __future__ import annotations

from collections.abc import Callable

from prefect.context import TaskRunContext

from s3kv_flows._keys.parts import changed
from s3kv_flows._prefect import adopt_store, loaded_store, run_logger
from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows._results.records import ExpiredResultError, FoundResult, Record, fetch_result
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store import S3KV
from s3kv_flows.store._locks.visibility import require_visible
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    CorruptValueError,
    HiddenOutputError,
    KeyLockedError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
)

__all__ = [
    "attempt_for",
    "current_attempt",
    "lookup",
    "lookup_or_raise",
    "prefetch",
    "require_own",
    "require_replaceable",
    "require_unhidden",
]


def require_own(results: S3KV, attempt: CacheAttempt, found: FoundResult) -> None:
    """Refuse a result that was made of other inputs, or that hides a locked version.

    It makes a request only where this run finalizes its output and the result is not locked.

    Raises:
        ConflictError: The result was made of other inputs.
        HiddenOutputError: The result hides a locked version.
    """
    if attempt.inputs is not None and found.record.inputs != attempt.inputs:
        raise _conflict(attempt, found.record)
    if attempt.finalizes and not found.was_locked:
        require_visible(
            results.client, results.bucket_name, results.namespace.name_of(attempt.key), attempt.key
        )
        run_logger().warning(
            "The result %r exists, and is not locked: it was written without retention, or that was removed",
            attempt.key,
        )


def require_replaceable(results: S3KV, attempt: CacheAttempt, info: ObjectInfo) -> None:
    """Refuse to compute a result that could not replace the unusable object under its key.

    No request, unless the run finalizes.

    Raises:
        ConflictError: The key is a name, and the object is of other inputs, or no result.
        HiddenOutputError: The object hides a locked version.
        KeyLockedError: The object itself is locked.
    """
    if attempt.inputs is not None:
        try:
            record = Record.from_info(info)
        except CorruptValueError:
            record = None
        if record is None or record.inputs != attempt.inputs:
            raise _conflict(attempt, record)
    if attempt.finalizes:
        name = results.namespace.name_of(attempt.key)
        require_visible(results.client, results.bucket_name, name, attempt.key)
        results.objects.refuse_if_retained(name, "replace what cannot be read of")


def _conflict(attempt: CacheAttempt, record: Record | None) -> ConflictError:
    return ConflictError(
        f"{attempt.key!r} holds {_other(attempt, record)}: give it another key, delete it, or replace it "
        "with refresh_cache=True"
    )


def _other(attempt: CacheAttempt, record: Record | None) -> str:
    """Return in words what a name holds instead of the result of the run."""
    if record is None or record.inputs is None:
        return "something else than the result of this task"
    names = changed(record.parts, attempt.parts) if record.parts and attempt.parts else []
    if not names:
        return "the result of other inputs, or of another version of the task"
    return f"another result; what differs is {' and '.join(names)}"


def require_unhidden(results: S3KV, attempt: CacheAttempt, absent: KeyNotFoundError) -> None:
    """Refuse to compute a result that exists, locked and hidden: one request, if the GET left that open.

    Raises:
        HiddenOutputError: A delete marker hides a locked version.
    """
    if not attempt.finalizes:
        return
    if not absent.is_deleted and results.client.capabilities.declared.tells_delete_markers:
        return
    require_visible(results.client, results.bucket_name, results.namespace.name_of(attempt.key), attempt.key)


def lookup(store: S3KVStore, path: str) -> FoundResult | None:
    """Return a valid result, and count the hit; return None for a miss, which is not counted.

    Raises:
        ConflictError: The result is not of the current run's inputs.
        HiddenOutputError: The result is locked, and another writer has hidden it.
        StoreUnavailableError: The server does not answer.
    """
    attempt = attempt_for(path)
    infos: list[ObjectInfo] = []
    try:
        results, found = _fetch(store, path, infos.append)
    except (KeyNotFoundError, CorruptValueError) as exc:
        if attempt is not None:
            _require_computable(_adopted(store).results, attempt, exc, infos)
        return None
    if attempt is not None:
        require_own(results, attempt, found)
    _count_hit(results.client.counters, found)
    return found


def prefetch(store: S3KVStore, attempt: CacheAttempt) -> FoundResult | None:
    """Look the result of a run up before Prefect does, which takes every error for an absence.

    The attempt keeps a miss for Prefect's lookup, so that no request is sent twice.

    Raises:
        ConflictError: The result is not of the run's inputs.
        HiddenOutputError: The result is locked, and another writer has hidden it.
        KeyLockedError: The result can neither be used nor replaced.
        StoreUnavailableError: The run needs the store, which does not answer.
        AccessDeniedError: The run needs the store, which denies access.
    """
    try:
        found = lookup_or_raise(store, attempt.key)
    except (ConflictError, HiddenOutputError, KeyLockedError):
        raise
    except S3KVError as exc:
        if attempt.needs_store and _is_unknown(exc):
            raise
        attempt.keep_miss(exc)
        return None
    return found


def _is_unknown(exc: S3KVError) -> bool:
    """Tell whether nobody could find out if there is a result."""
    return isinstance(exc, (StoreUnavailableError, AccessDeniedError))


def lookup_or_raise(store: S3KVStore, path: str) -> FoundResult:
    """Return a result, or raise; count the outcome, and log errors that Prefect takes for absences."""
    attempt = attempt_for(path)
    miss = attempt.take_miss() if attempt is not None else None
    if miss is not None:
        raise miss
    infos: list[ObjectInfo] = []
    try:
        results, found = _fetch(store, path, infos.append)
    except S3KVError as exc:
        if attempt is not None and infos:
            attempt.found(infos[-1])
        elif attempt is not None and isinstance(exc, KeyNotFoundError):
            attempt.found_nothing(deleted=exc.is_deleted)
        results = _adopted(store).results
        outcome = _count_miss(results.client.counters, exc)
        if outcome == "undecodable":
            run_logger().warning(
                "The cached result %r cannot be used and is computed anew (%s): %s", path, _reason(exc), exc
            )
        elif outcome == "unreachable" and not (attempt is not None and attempt.fails_without_store):
            run_logger().error("Cannot tell whether %r is cached, so it is computed: %s", path, exc)
        if attempt is not None:
            _require_computable(results, attempt, exc, infos)
        raise
    if attempt is not None:
        require_own(results, attempt, found)
        attempt.returns_lease()
    _count_hit(results.client.counters, found)
    return found


def _require_computable(
    results: S3KV, attempt: CacheAttempt, exc: S3KVError, infos: list[ObjectInfo]
) -> None:
    """Refuse to compute a result that exists hidden, or that could not be written."""
    if isinstance(exc, ExpiredResultError):
        return
    if isinstance(exc, KeyNotFoundError):
        require_unhidden(results, attempt, exc)
    elif isinstance(exc, CorruptValueError) and infos:
        require_replaceable(results, attempt, infos[-1])


def _fetch(store: S3KVStore, path: str, on_info: Callable[[ObjectInfo], object]) -> tuple[S3KV, FoundResult]:
    """Fetch a result; where the store was refused, and is saved otherwise by now, from there."""
    results = store.results
    try:
        return results, fetch_result(results, path, on_info=on_info)
    except S3KVError as exc:
        renewed = store.renewed(exc)
        if renewed is None:
            raise
        adopt_store(store, renewed)
        return renewed.results, fetch_result(renewed.results, path, on_info=on_info)


def _adopted(store: S3KVStore) -> S3KVStore:
    """Return what the current run goes on with instead of a store that was refused, or the store itself."""
    loaded = loaded_store(S3KVStore)
    return loaded if loaded is not None and loaded.reference == store.reference else store


def attempt_for(key: str) -> CacheAttempt | None:
    """Return the attempt of the current run if this is its key, and not that of an inner transaction."""
    attempt = current_attempt()
    return attempt if attempt is not None and attempt.key == key else None


def current_attempt() -> CacheAttempt | None:
    """Return the attempt of the current run, None outside of tasks with ``caching()``."""
    run = TaskRunContext.get()
    serializer = run.result_store.serializer if run is not None else None
    return serializer.attempt if isinstance(serializer, FrameSerializer) else None


def _count_hit(counters: Counters, found: FoundResult) -> None:
    counters.add("results.hits")
    counters.add("results.hit_bytes", found.size)
    counters.add("results.seconds_saved", found.record.seconds or 0)


_OUTCOMES: tuple[tuple[type[S3KVError], str], ...] = (
    (ExpiredResultError, "expired"),
    (KeyNotFoundError, "absent"),
    (CorruptValueError, "undecodable"),
    (S3KVError, "unreachable"),
)


def _count_miss(counters: Counters, exc: S3KVError) -> str:
    """Count a miss, its outcome, and the reason of what cannot be decoded; return the outcome."""
    outcome = next(name for error, name in _OUTCOMES if isinstance(exc, error))
    counters.add("results.misses")
    counters.add(f"results.misses.{outcome}")
    if reason := _reason(exc):
        counters.add(f"results.misses.{reason}")
    return outcome


def _reason(exc: S3KVError) -> str | None:
    return exc.reason if isinstance(exc, CorruptValueError) else None
