"""Round times to live to classes, as a tag for lifecycle rules.

Lifecycle rules filter by the exact value of a tag, so that each value needs a rule. A time to live is
therefore rounded up to a class; the exact one is in the metadata.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import timedelta

from s3kv_flows.store._layout.marks import TTL
from s3kv_flows.store._layout.parsing import optional, parse_duration
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["TTL_CLASSES", "TTL_TAG", "least_ttl", "recorded_ttl", "ttl_class", "ttl_of_tags", "ttl_tags"]

TTL_TAG = "ttl_days"
"""The tag: the number of days after its writing when an object has certainly expired."""

TTL_CLASSES = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365, 730, 1825, 3650)
"""The classes, in days: S3 accepts 1,000 lifecycle rules per bucket, and only whole days."""

_BY_TEXT = {str(days): days for days in TTL_CLASSES}


def ttl_class(ttl: timedelta) -> int | None:
    """Return the smallest class that is not shorter than a time to live; None for over ten years."""
    at = bisect_left(TTL_CLASSES, ttl.total_seconds() / 86400)
    return TTL_CLASSES[at] if at < len(TTL_CLASSES) else None


def ttl_tags(ttl: timedelta | None) -> dict[str, str]:
    """Return the tag of a time to live; no tag for None, or for over ten years."""
    days = None if ttl is None else ttl_class(ttl)
    return {} if days is None else {TTL_TAG: str(days)}


def ttl_of_tags(tags: Mapping[str, str]) -> timedelta | None:
    """Return the class in the tags of an object as a time to live; None if there is none."""
    days = _BY_TEXT.get(tags.get(TTL_TAG, ""))
    return None if days is None else timedelta(days=days)


def recorded_ttl(metadata: Mapping[str, str]) -> timedelta | None:
    """Return the exact time to live in the metadata of an object, None if there is none that can be read."""
    try:
        return optional(metadata, TTL, parse_duration)
    except CorruptValueError:
        return None


def least_ttl(ttl: timedelta) -> timedelta:
    """Return the next smaller class: all times that were rounded up to ``ttl`` are longer."""
    at = bisect_left(TTL_CLASSES, ttl.total_seconds() / 86400)
    return timedelta(days=TTL_CLASSES[at - 1]) if at else timedelta(0)
