"""Compare-and-swap: change an object without losing what others change at the same time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from s3kv_flows.store._objects.bucket import GuardedBucket, NewObject
from s3kv_flows.store._s3.types import Fetched, Written
from s3kv_flows.store.errors import ConflictError, KeyNotFoundError

__all__ = ["compare_and_swap"]

_PATIENCE_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.5


def compare_and_swap(
    objects: GuardedBucket, name: str, change: Callable[[Fetched | None], NewObject | None]
) -> Written:
    """Read an object, write what ``change`` makes of it, and begin again where others were faster.

    Two requests, and two more per attempt that is lost; between attempts it pauses, longer each time, by
    a random part ("full jitter", M. Brooker, AWS Architecture Blog, 2015).

    Args:
        objects: The objects.
        name: The object name.
        change: Given the object, None for an absent one; returns the new one, or None where it noticed
            itself that the object has changed since. May be called many times.

    Raises:
        UnsupportedByServerError: Conditional PUTs do not hold in this bucket; nothing was written.
        ConflictError: Others were faster for a minute on end.
        StoreUnavailableError: The answer to a write was lost, and somebody else wrote since: whether it
            arrived is not known.
    """
    started = time.monotonic()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        found = _found(objects, name)
        new = change(found)
        try:
            if new is not None:
                return objects.put(name, new, mode=found.info.etag if found else "create")
        except ConflictError as exc:
            if time.monotonic() - started > _PATIENCE_SECONDS:
                message = f"{name!r} was changed by others for {_PATIENCE_SECONDS:.0f} s: {exc}"
                raise ConflictError(message) from exc
        time.sleep(random.uniform(0, pause))  # noqa: S311  # no secret
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _found(objects: GuardedBucket, name: str) -> Fetched | None:
    try:
        return objects.get(name)
    except KeyNotFoundError:
        return None
