"""Whether what a run finds under its key is its own result: asked where a refusal still fails the run.

A key that is a name, given with ``key=``, may hold the result of other inputs. A finalized result may be
hidden by what somebody else has put on top of it. In both cases the run would compute in vain, or give out
what is not its result.
"""

from __future__ import annotations

from s3kv_flows.results import FoundResult, Record
from s3kv_flows.runs import run_logger
from s3kv_flows.serializer import RunInfo
from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import ConflictError, CorruptValueError, KeyNotFoundError
from s3kv_flows.store.s3_types import ObjectInfo
from s3kv_flows.store.visibility import require_uncovered

__all__ = ["require_own", "require_replaceable", "require_unhidden"]


def require_own(results: S3KV, run: RunInfo, found: FoundResult) -> None:
    """Refuse a result that is not the run's: no request, unless the run finalizes and it is not locked.

    Raises:
        ConflictError: It was made of other inputs.
        HiddenOutputError: It lies on top of a locked one.
    """
    if run.inputs is not None and found.record.inputs != run.inputs:
        raise _of_others(run)
    if run.finalizes and not found.was_locked:
        require_uncovered(results.client, results.bucket_name, results.namespace.name_of(run.key), run.key)
        run_logger().warning(
            "The result %r is there, and not locked: it was written without a retention, or that was lifted",
            run.key,
        )


def require_replaceable(results: S3KV, run: RunInfo, info: ObjectInfo) -> None:
    """Refuse to compute what could not be written over what is there, and cannot be used.

    No request, unless the run finalizes.

    Raises:
        ConflictError: The key is a name, and what is there is of other inputs, or no result.
        HiddenOutputError: A locked result is beneath.
        KeyLockedError: What is there is locked itself.
    """
    if run.inputs is not None:
        try:
            inputs = Record.from_info(info).inputs
        except CorruptValueError:
            inputs = None
        if inputs != run.inputs:
            raise _of_others(run)
    if run.finalizes:
        name = results.namespace.name_of(run.key)
        require_uncovered(results.client, results.bucket_name, name, run.key)
        results.objects.refuse_if_retained(name, "replace what cannot be read of")


def _of_others(run: RunInfo) -> ConflictError:
    return ConflictError(
        f"{run.key!r} holds the result of other inputs, of another version of the task, or something else: "
        "give it another key, delete it, or replace it with refresh_cache=True"
    )


def require_unhidden(results: S3KV, run: RunInfo, absent: KeyNotFoundError) -> None:
    """Refuse to compute what is there, locked and hidden: one request, where the answer leaves it open.

    Raises:
        HiddenOutputError: There is a locked result under a delete marker.
    """
    if not run.finalizes:
        return
    if not absent.is_deleted and results.client.capabilities.declared.tells_delete_markers:
        return
    require_uncovered(results.client, results.bucket_name, results.namespace.name_of(run.key), run.key)
