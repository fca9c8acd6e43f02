"""Names of the metadata of objects, and the marks of who wrote them.

A lock lies beside its object, and can be lifted; what is written into the metadata stays with the
version. So an audit can tell what was finalized and is not locked (any more) from what never was, and a
reader what this package wrote, which lies on top of nothing locked, from what came from outside. Copies
take metadata along: a mark holds the fingerprint of the name it was made for, and means nothing under
another one. Marks tell accidents; who forges them is found by audits of what S3 itself keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from s3kv_flows.store._layout.keys import fingerprint

__all__ = [
    "CHECKSUM",
    "CODEC",
    "EXPIRES",
    "FENCE",
    "INPUTS",
    "OWN",
    "POSITION",
    "PREFECT_VERSION",
    "RUN",
    "SECONDS",
    "TASK_RUN",
    "TTL",
    "WRITER",
    "WRITE_ID",
    "FinalMark",
    "final_mark",
    "is_own",
    "mark_of",
    "name_mark",
    "supersedes",
    "superseding",
]

OWN = "s3kv-"
"""How the names begin that are the package's own."""

_FINAL = "s3kv-final"
_NAME = "s3kv-name"
_SUPERSEDES = "s3kv-supersedes"

WRITE_ID = "s3kv-write-id"
"""By what a writer knows its own version again, also where it was sent twice."""
CODEC = "s3kv-codec"
"""The codec of a value."""
CHECKSUM = "s3kv-xxh3"
"""The checksum of a body that holds none itself: not every server verifies what it is sent."""

PREFECT_VERSION = "s3kv-prefect"
"""The version of Prefect that wrote a result."""
EXPIRES = "s3kv-expires"
"""When a result expires, by the clock of the machine that wrote it."""
TTL = "s3kv-ttl"
"""The same as seconds from the moment of writing: the exact time to live."""
SECONDS = "s3kv-seconds"
"""How long the task took."""
INPUTS = "s3kv-inputs"
"""A digest of the inputs of a result, where its key is a name."""
FENCE = "s3kv-fence"
"""The fencing number of the lease that a result was written under."""

POSITION = "s3kv-position"
"""How far the loop of a checkpoint was."""
WRITER = "s3kv-writer"
"""Which writer saved a state of a checkpoint."""
RUN = "s3kv-run"
"""A fingerprint of the run that saved a state, the same in all its attempts."""
TASK_RUN = "s3kv-task-run"
"""A fingerprint of the task run that saved it."""

_NO_DATE = "-"


@dataclass(frozen=True)
class FinalMark:
    """What lock a version was born under.

    Attributes:
        until: The end of its retention; None for a legal hold alone.
    """

    until: datetime | None


def final_mark(name: str, until: datetime | None) -> dict[str, str]:
    """Return the metadata that marks an object as finalized.

    Args:
        name: The object name.
        until: The end of its retention; None for a legal hold alone.
    """
    date = until.astimezone(timezone.utc).isoformat(timespec="seconds") if until else _NO_DATE
    return {_FINAL: f"{fingerprint(name)} {date}"}


def mark_of(name: str, metadata: Mapping[str, str]) -> FinalMark | None:
    """Return the mark of a version; None where it has none, or came by it in a copy."""
    whose, _, until = metadata.get(_FINAL, "").partition(" ")
    if whose != fingerprint(name):
        return None
    try:
        return FinalMark(None if until == _NO_DATE else datetime.fromisoformat(until))
    except ValueError:
        return None


def name_mark(name: str) -> dict[str, str]:
    """Return the metadata that says that this package wrote an object, under this name."""
    return {_NAME: fingerprint(name)}


def is_own(name: str, metadata: Mapping[str, str]) -> bool:
    """Tell whether this package wrote a version, under its name: no copy, and nothing of others."""
    return metadata.get(_NAME) == fingerprint(name)


def superseding(version_id: str) -> dict[str, str]:
    """Return the metadata by which a version says that it was written over another one on purpose."""
    return {_SUPERSEDES: fingerprint(version_id)}


def supersedes(name: str, metadata: Mapping[str, str]) -> bool:
    """Tell whether a version was born locked, and written over what was locked on purpose."""
    return _SUPERSEDES in metadata and mark_of(name, metadata) is not None
