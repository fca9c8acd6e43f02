"""What an object says of itself: who wrote it, and whether it was born under a lock.

The lock lies beside the object, and can be lifted; what is written into the metadata stays with the
version. So an audit can tell what was finalized and is not locked (any more) from what never was, and a
reader what this package wrote, which lies on top of nothing locked, from what came from outside. Copies
take metadata along: a mark holds the fingerprint of the name it was made for, and means nothing under
another one. Marks tell accidents; who forges them is found by audits of what S3 itself keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from s3kv_flows.store.keys import fingerprint
from s3kv_flows.store.s3_types import ObjectInfo, ObjectLock

__all__ = [
    "FinalMark",
    "final_mark",
    "is_own",
    "mark_of",
    "name_mark",
    "supersedes",
    "superseding",
]

_FINAL = "s3kv-final"
_NAME = "s3kv-name"
_SUPERSEDES = "s3kv-supersedes"
_NO_DATE = "-"


@dataclass(frozen=True)
class FinalMark:
    """What lock a version was born under.

    Attributes:
        until: The end of its retention; None for a legal hold alone.
    """

    until: datetime | None


def final_mark(name: str, lock: ObjectLock | None, *, held: bool) -> dict[str, str]:
    """Return the metadata that marks an object as finalized; none where it is not to be locked."""
    if lock is None and not held:
        return {}
    until = lock.until.astimezone(timezone.utc).isoformat(timespec="seconds") if lock else _NO_DATE
    return {_FINAL: f"{fingerprint(name)} {until}"}


def mark_of(info: ObjectInfo) -> FinalMark | None:
    """Return the mark of a version; None where it has none, or came by it in a copy."""
    whose, _, until = info.metadata.get(_FINAL, "").partition(" ")
    if whose != fingerprint(info.name):
        return None
    try:
        return FinalMark(None if until == _NO_DATE else datetime.fromisoformat(until))
    except ValueError:
        return None


def name_mark(name: str) -> dict[str, str]:
    """Return the metadata that says that this package wrote an object, under this name."""
    return {_NAME: fingerprint(name)}


def is_own(info: ObjectInfo) -> bool:
    """Tell whether this package wrote a version, under its name: no copy, and nothing of others."""
    return info.metadata.get(_NAME) == fingerprint(info.name)


def superseding(version_id: str) -> dict[str, str]:
    """Return the metadata by which a version says that it was written over another one on purpose."""
    return {_SUPERSEDES: fingerprint(version_id)}


def supersedes(info: ObjectInfo) -> bool:
    """Tell whether a version was born locked, and written over what was locked on purpose."""
    return _SUPERSEDES in info.metadata and mark_of(info) is not None
