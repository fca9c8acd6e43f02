"""Names of metadata, and marks that identify the writer of a version.

A lock can be lifted, but metadata stays with its version. So an audit can distinguish an output that was
finalized and is not locked (any more) from an object that never was; and a reader can distinguish versions
of this package, which never hide a locked version, from those of other writers. Copies keep metadata: a mark
holds the fingerprint of its object name, and is not valid under another name. Marks detect accidents; forged
marks are found by audits of what S3 itself stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from s3kv_flows.store._layout.keys import fingerprint
from s3kv_flows.store._layout.parsing import parse_date
from s3kv_flows.store.errors import CorruptValueError

__all__ = [
    "CHECKSUM",
    "CODEC",
    "ENDS",
    "EXPIRES",
    "FENCE",
    "INPUTS",
    "OWN",
    "PARTS",
    "POSITION",
    "PREFECT_VERSION",
    "RUN",
    "SEAL",
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
"""The prefix of the metadata names of this package."""

_FINAL = "s3kv-final"
_NAME = "s3kv-name"
_SUPERSEDES = "s3kv-supersedes"

WRITE_ID = "s3kv-write-id"
"""Identifies the version of a writer, also if its request was sent twice."""
CODEC = "s3kv-codec"
"""The codec of a value."""
CHECKSUM = "s3kv-xxh3"
"""The checksum of a body that contains none: not every server verifies uploads."""
SEAL = "s3kv-seal"
"""Who wrote an object, and that it is unchanged; see :mod:`s3kv_flows.store._seals`."""

PREFECT_VERSION = "s3kv-prefect"
"""The version of Prefect that wrote a result."""
EXPIRES = "s3kv-expires"
"""When a result expires, by the clock of the machine that wrote it."""
TTL = "s3kv-ttl"
"""The exact time to live, in seconds from the moment of writing."""
ENDS = "s3kv-ends"
"""When a result expires, by the server's clock: whoever writes it back later makes it live no longer."""
SECONDS = "s3kv-seconds"
"""How long the task took, in seconds."""
INPUTS = "s3kv-inputs"
"""The key that code and inputs of a result make, if its own key is a name."""
PARTS = "s3kv-parts"
"""Short digests of what the key of a result was made of."""
FENCE = "s3kv-fence"
"""The fencing number of the lease under which a result was written."""

POSITION = "s3kv-position"
"""The position of the loop of a checkpoint."""
WRITER = "s3kv-writer"
"""The writer that saved a state of a checkpoint."""
RUN = "s3kv-run"
"""A fingerprint of the run that saved a state, the same for all its attempts."""
TASK_RUN = "s3kv-task-run"
"""A fingerprint of the task run that saved a state."""

_NO_DATE = "-"


@dataclass(frozen=True)
class FinalMark:
    """The lock that a version was written with.

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
    """Return the final mark of a version; None if it has none, or one copied from another name.

    None also where its date cannot be read: one such version must not end the audit of all others.
    """
    marked_name, _, until = metadata.get(_FINAL, "").partition(" ")
    if marked_name != fingerprint(name):
        return None
    if until == _NO_DATE:
        return FinalMark(None)
    try:
        return FinalMark(parse_date(until))
    except CorruptValueError:
        return None


def name_mark(name: str) -> dict[str, str]:
    """Return the metadata that marks an object as written by this package under this name."""
    return {_NAME: fingerprint(name)}


def is_own(name: str, metadata: Mapping[str, str]) -> bool:
    """Tell whether this package wrote a version under this name: not a copy, and no other writer."""
    return metadata.get(_NAME) == fingerprint(name)


def superseding(version_id: str) -> dict[str, str]:
    """Return the metadata that marks a version as written over another one on purpose."""
    return {_SUPERSEDES: fingerprint(version_id)}


def supersedes(name: str, metadata: Mapping[str, str]) -> bool:
    """Tell whether a version was written with a lock, and over a locked version on purpose."""
    return _SUPERSEDES in metadata and mark_of(name, metadata) is not None
