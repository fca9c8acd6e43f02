"""Results that the open transaction has staged, and not written yet.

A run holds its lease until then. So a second run with the same key, in the same transaction, would wait for a
lease that cannot be released before it has ended itself. It takes the staged result instead, as it was when
the first run ended: the frame that was encoded then is decoded anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import prefect
from prefect.transactions import BaseTransaction, get_transaction

from s3kv_flows._prefect import staged_record
from s3kv_flows._results.codec import codec_of_frame
from s3kv_flows._results.records import FoundResult, Record
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.store._s3.bodies import Body, Pieces
from s3kv_flows.store.errors import LeaseTimeoutError

__all__ = ["find_staged", "require_staged"]


def find_staged(key: str, is_same_lock: Callable[[object], bool]) -> FoundResult | None:
    """Return the result that a run of the same transaction has staged, if it can be used: no request.

    Args:
        key: The cache key.
        is_same_lock: Tells whether a lock manager takes the same lease for the key.
    """
    relative = _open_relative(key, is_same_lock)
    found = None if relative is None else _staged_result(relative)
    return found if isinstance(found, FoundResult) else None


def require_staged(
    key: str, is_same_lock: Callable[[object], bool], *, reads: bool = True
) -> FoundResult | None:
    """Do as :func:`find_staged`, and refuse to wait for a run whose result cannot be used.

    Such a run cannot release its lease before this one ends. Both are decided by one look, because the other
    run may stage its result at any time.

    Args:
        key: The cache key.
        is_same_lock: Tells whether a lock manager takes the same lease for the key.
        reads: Whether this run may use the result of another one.

    Raises:
        LeaseTimeoutError: There is such a run.
    """
    relative = _open_relative(key, is_same_lock)
    if relative is None:
        return None
    staged = _staged_result(relative)
    if reads and isinstance(staged, FoundResult):
        return staged
    reason = "and this run would compute it anew" if isinstance(staged, FoundResult) else staged
    raise LeaseTimeoutError(
        f"{key!r} is computed in the same transaction, which holds its lease until it commits, {reason}: "
        "this run would wait for itself"
    )


def _open_relative(key: str, is_same_lock: Callable[[object], bool]) -> BaseTransaction | None:
    """Return the transaction of this key around the current run, or within one of those, that is not over."""
    for relative in _relatives(get_transaction()):
        manager = relative.store.lock_manager if relative.store is not None else None
        is_over = relative.is_committed() or relative.is_rolled_back()
        if relative.key == key and is_same_lock(manager) and not is_over:
            return relative
    return None


def _staged_result(relative: BaseTransaction) -> FoundResult | str:
    """Return what a run has staged, decoded anew, or the reason why it cannot be used."""
    staged = staged_record(relative)
    if staged is None:
        return "by a run that has called this one"
    serializer = relative.store.serializer if relative.store is not None else None
    attempt = serializer.attempt if isinstance(serializer, FrameSerializer) else None
    if not isinstance(serializer, FrameSerializer) or attempt is None:
        return "and only tasks of caching() can read it before"
    value, frame = attempt.encoded or (None, None)  # a commit in another thread may take it
    if frame is None or value is not staged.result:
        return "and what it returned could not be encoded"
    expires = staged.expiration
    remaining = None if expires is None else expires - datetime.now(timezone.utc)
    if remaining is not None and remaining <= timedelta(0):
        return "and its result has expired since"
    body = _copy_of(frame)
    return FoundResult(
        record=Record(prefect.__version__, inputs=attempt.inputs, parts=attempt.parts),
        remaining=remaining,
        value=codec_of_frame(body).decode(body),
        size=len(frame),
        was_locked=attempt.finalizes,
    )


def _relatives(transaction: BaseTransaction | None) -> Iterator[BaseTransaction]:
    """Yield the open transactions around the current one, and those that they will commit."""
    seen: set[int] = set()
    # One that has ended, while a thread of it still runs, returns itself as its parent.
    while transaction is not None and id(transaction) not in seen:
        seen.add(id(transaction))
        yield from _with_children(transaction)
        transaction = transaction.get_parent()


def _with_children(transaction: BaseTransaction) -> Iterator[BaseTransaction]:
    yield transaction
    for child in list(transaction.children):  # runs in other threads add theirs
        yield from _with_children(child)


def _copy_of(frame: Body) -> bytearray:
    """Return a copy, which the decoded value may view: the frame itself is written at the commit."""
    pieces = frame if isinstance(frame, Pieces) else Pieces([frame])
    memory = bytearray(len(pieces))
    pieces.copy_to(memoryview(memory))
    return memory
