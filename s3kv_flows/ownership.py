"""Whether what a run finds under its key is its own result: asked where a refusal still fails the run.

A key that is a name, given with ``key=``, may hold the result of other inputs. A finalized result may be
hidden by what somebody else has put on top of it. In both cases the run would compute in vain, or give out
what is not its result.
"""

from __future__ import annotations

from s3kv_flows._results.payload import CacheAttempt
from s3kv_flows._results.records import FoundResult, Record
from s3kv_flows._runs import run_logger
from s3kv_flows.store import S3KV
from s3kv_flows.store._locks.visibility import require_uncovered
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import ConflictError, CorruptValueError, KeyNotFoundError

__all__ = ["require_own", "require_replaceable", "require_unhidden"]


def require_own(results: S3KV, attempt: CacheAttempt, found: FoundResult) -> None:
    """Refuse a result that is not the run's: no request, unless the run finalizes and it is not locked.

    Raises:
        ConflictError: It was made of other inputs.
        HiddenOutputError: It lies on top of a locked one.
    """
    if attempt.inputs is not None and found.record.inputs != attempt.inputs:
        raise _of_others(attempt)
    if attempt.finalizes and not found.was_locked:
        require_uncovered(
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
        require_uncovered(results.client, results.bucket_name, name, attempt.key)
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
    require_uncovered(
        results.client, results.bucket_name, results.namespace.name_of(attempt.key), attempt.key
    )
