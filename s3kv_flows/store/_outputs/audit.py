"""The audit of locks: what is locked, until when, and what should be and is not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from itertools import chain as chained
from itertools import groupby
from typing import Any, Literal

from s3kv_flows.store._durations import DurationLike, fixed_duration
from s3kv_flows.store._layout.marks import mark_of
from s3kv_flows.store._layout.tags import validate_tags
from s3kv_flows.store._locks.chains import InspectedVersion, inspect_versions
from s3kv_flows.store._locks.visibility import visibility
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.types import ListedVersion, ObjectInfo
from s3kv_flows.store.errors import UnsupportedByServerError

__all__ = ["AuditRow", "LockAudit", "LockState", "audit"]

LockState = Literal[
    "hidden",
    "shadowed",
    "lifted",
    "unlocked",
    "expiring",
    "ended",
    "released",
    "superseded",
    "held",
    "locked",
]
"""In the order of their urgency; the first four are problems.

========== =================================================================================================
hidden     locked, under a delete marker that came from outside
shadowed   locked, under a newer version that came from outside
lifted     finalized, and its retention was taken off before its time (of one that was extended: before the
           time it was born with, for nothing keeps the other)
unlocked   carries the tags of what is final, and was never locked
expiring   locked, for less than was asked about
ended      finalized, and its time is over
released   born under a legal hold alone, and released from it
superseded locked, under a newer version of this package that says so
held       under a legal hold alone
locked     locked, and what its key reads as
========== =================================================================================================
"""

PROBLEMS: tuple[LockState, ...] = ("hidden", "shadowed", "lifted", "unlocked")
_URGENCY: tuple[LockState, ...] = (*PROBLEMS, "expiring", "ended", "released", "superseded", "held", "locked")


@dataclass(frozen=True)
class AuditRow:
    """One version that is locked, or should be.

    Attributes:
        state: See :data:`LockState`.
        object: The object name.
        version_id: The version.
        is_current: Whether it is what the key reads as.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``, where a retention is in force.
        retain_until: The end of its retention, also a past one, and, of one that was lifted, what it was.
        days_left: Days until then; None where no retention is in force.
        legal_hold: Whether it is under a legal hold.
        size: In bytes.
        written_at: When it was written.
        by: What lies on top of it: the version id.
    """

    state: LockState
    object: str
    version_id: str
    is_current: bool
    mode: str | None
    retain_until: datetime | None
    days_left: float | None
    legal_hold: bool
    size: int
    written_at: datetime
    by: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the row as what JSON can hold."""
        data = asdict(self)
        return {key: one.isoformat() if isinstance(one, datetime) else one for key, one in data.items()}


@dataclass(frozen=True)
class LockAudit:
    """What an audit found.

    Attributes:
        bucket: The bucket.
        audited_at: When, by the server's clock.
        within_days: What counts as expiring.
        versions: How many versions were looked at.
        rows: What is locked or should be: problems first, then what ends first.
    """

    bucket: str
    audited_at: datetime
    within_days: float
    versions: int
    rows: list[AuditRow]

    @property
    def problems(self) -> list[AuditRow]:
        """What is hidden, shadowed, lifted, or not locked although it is final."""
        return [row for row in self.rows if row.state in PROBLEMS]

    def in_state(self, state: LockState) -> list[AuditRow]:
        """Return the rows in one state."""
        return [row for row in self.rows if row.state == state]

    def as_json(self) -> str:
        """Return all of it as JSON."""
        data = {**asdict(self), "audited_at": self.audited_at.isoformat()}
        return json.dumps({**data, "rows": [row.as_dict() for row in self.rows]}, indent=2)

    def as_csv(self) -> str:
        """Return the rows as CSV, with a header."""
        sheet = io.StringIO()
        writer = csv.DictWriter(sheet, [one.name for one in fields(AuditRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.as_dict() for row in self.rows)
        return sheet.getvalue()


def audit(
    client: S3Client,
    bucket: str,
    prefixes: Sequence[str],
    *,
    within: DurationLike = timedelta(days=30),
    final_tags: Mapping[str, str] | None = None,
) -> LockAudit:
    """Look at every version under some prefixes.

    Requests: one LIST per 1,000 versions, one HEAD per version, and with ``final_tags`` one more for each
    object that is not locked. Nothing is written.

    Args:
        client: The client.
        bucket: The bucket.
        prefixes: What the object names begin with.
        within: Retentions that end so soon are ``expiring``: a timedelta, or text such as ``30d``.
        final_tags: What carries all these tags should be locked.

    Raises:
        UnsupportedByServerError: The bucket has no Object Lock.
        AccessDeniedError: These credentials may not list versions, or not see locks.
        ValueError: A duration without a unit, or of months or years.
    """
    soon = fixed_duration(within)
    if not client.has_object_lock(bucket, surely=True):
        raise UnsupportedByServerError(f"bucket {bucket!r} has no Object Lock: nothing in it is locked")
    auditor = _Auditor(client, bucket, soon, validate_tags(final_tags or {}))
    listed = chained.from_iterable(client.list_versions(bucket, prefix) for prefix in prefixes)
    chains = (list(versions) for _, versions in groupby(listed, key=lambda version: version.name))
    rows: list[AuditRow] = []
    versions = 0
    for count, found in map_concurrently(auditor.look, chains):
        versions += count
        rows += found
    rows.sort(key=lambda row: (_URGENCY.index(row.state), row.days_left or 0, row.object))
    now = client.capabilities.now()
    return LockAudit(bucket, now, soon.total_seconds() / 86400, versions, rows)


@dataclass(frozen=True)
class _Auditor:
    client: S3Client
    bucket: str
    within: timedelta
    final_tags: Mapping[str, str]

    def look(self, listed: list[ListedVersion]) -> tuple[int, list[AuditRow]]:
        """Return how many versions a key has, and the rows of those that matter."""
        chain = inspect_versions(self.client, self.bucket, listed)
        return len(chain), list(self._rows(chain))

    def _rows(self, chain: list[InspectedVersion]) -> Iterator[AuditRow]:
        for at, seen in enumerate(chain):
            if seen.info is None:
                continue
            state = self._state(chain, at, seen.info)
            if state is not None:
                covered = state in ("hidden", "shadowed", "superseded")
                yield _row(state, seen, seen.info, chain[0].listed.version_id if covered else None)

    def _state(self, chain: list[InspectedVersion], at: int, info: ObjectInfo) -> LockState | None:
        protection = chain[at].protection
        if protection is None:
            return self._state_of_unlocked(chain[at], info)
        match visibility(chain, at):
            case "hidden" | "shadowed" | "superseded" as covered:
                return covered
        if protection.until is None:
            return "held"
        ends_soon = protection.until - info.server_time <= self.within and not protection.legal_hold
        return "expiring" if ends_soon else "locked"

    def _state_of_unlocked(self, seen: InspectedVersion, info: ObjectInfo) -> LockState | None:
        mark = mark_of(info.name, info.metadata)
        until = (mark.until if mark else None) or info.retain_until
        if until is not None:
            return "ended" if until <= info.server_time else "lifted"
        if mark is not None:
            return "released"
        if self.final_tags and seen.listed.is_latest:
            tags = self.client.search_tags(self.bucket, info.name) or {}
            if self.final_tags.items() <= tags.items():
                return "unlocked"
        return None


def _row(state: LockState, seen: InspectedVersion, info: ObjectInfo, by: str | None) -> AuditRow:
    protection, mark = seen.protection, mark_of(info.name, info.metadata)
    in_force = protection.until if protection else None
    left = (in_force - info.server_time).total_seconds() / 86400 if in_force else None
    return AuditRow(
        state=state,
        object=info.name,
        version_id=seen.listed.version_id,
        is_current=seen.listed.is_latest,
        mode=protection.mode if protection else None,
        retain_until=in_force or info.retain_until or (mark.until if mark else None),
        days_left=None if left is None else round(left, 3),
        legal_hold=info.legal_hold,
        size=info.size,
        written_at=info.last_modified,
        by=by,
    )
