"""Compare-and-swap: change an object without losing concurrent changes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from s3kv_flows.store._objects.bucket import GuardedBucket, NewObject
from s3kv_flows.store._s3.types import Fetched, Written
from s3kv_flows.store.errors import ConflictError, KeyNotFoundError

__all__ = ["compare_and_swap"]

_TIMEOUT_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.5


def compare_and_swap(
    objects: GuardedBucket, name: str, change: Callable[[Fetched | None], NewObject | None]
) -> Written:
    """Read an object, write what ``change`` returns, and retry where another writer was faster.

    Two requests, and two more per retry; the pauses between attempts grow, and are random ("full jitter",
    M. Brooker, AWS Architecture Blog, 2015).

    Args:
        objects: The objects.
        name: The object name.
        change: Called with the object, or None for an absent one; returns the new object, or None to retry
            because the object has changed since. May be called many times.

    Raises:
        UnsupportedByServerError: Conditional PUTs do not hold in this bucket; nothing was written.
        ConflictError: Other writers were faster for a whole minute.
        StoreUnavailableError: The response to a write was lost, and somebody else wrote since: whether it
            succeeded is not known.
    """
    started = time.monotonic()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        found = _get_or_none(objects, name)
        new = change(found)
        try:
            if new is not None:
                return objects.put(name, new, mode=found.info.etag if found else "create")
        except ConflictError as exc:
            if time.monotonic() - started > _TIMEOUT_SECONDS:
                message = f"{name!r} was changed by others for {_TIMEOUT_SECONDS:.0f} s: {exc}"
                raise ConflictError(message) from exc
        time.sleep(random.uniform(0, pause))  # noqa: S311  # no secret
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _get_or_none(objects: GuardedBucket, name: str) -> Fetched | None:
    try:
        return objects.get(name)
    except KeyNotFoundError:
        return None
