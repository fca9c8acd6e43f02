"""Audit locks: what is locked, until when, and what should be."""

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
from s3kv_flows.store._layout.sheets import cell
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
hidden     locked, under a delete marker of another client
shadowed   locked, under a newer version of another client
lifted     finalized, and its retention was lifted before its end (for an extended one: before its first end,
           for only that is recorded)
unlocked   carries the tags of final objects, and was never locked
expiring   locked, and ends within the requested time
ended      finalized, and its retention has ended
released   written under a legal hold alone, and released from it
superseded locked, under a newer version of this package that supersedes it
held       under a legal hold alone
locked     locked, and the current version of its key; also by an event hold, or a lock that is not known
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
        is_current: Whether it is the current version of the key.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``, where a retention is in force.
        retain_until: The end of its retention, even a past one, or the original end of one that was lifted.
        days_left: Days until then; None where no retention is in force.
        legal_hold: Whether it is under a legal hold.
        size: The size in bytes.
        written_at: When it was written.
        by: The version id of the version or delete marker on top of it.
        other_locks: Event holds, and locks that this package does not know, in words.
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
    other_locks: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the row as a dict that JSON can encode."""
        data = asdict(self)
        return {key: item.isoformat() if isinstance(item, datetime) else item for key, item in data.items()}


@dataclass(frozen=True)
class LockAudit:
    """The result of an audit.

    Attributes:
        bucket: The bucket.
        audited_at: The time of the audit, by the server's clock.
        within_days: The days within which a retention counts as expiring.
        versions: The number of versions that were checked.
        rows: The versions that are locked or should be: problems first, then those whose retention ends
            first.
    """

    bucket: str
    audited_at: datetime
    within_days: float
    versions: int
    rows: list[AuditRow]

    @property
    def problems(self) -> list[AuditRow]:
        """The rows that are hidden, shadowed, lifted, or not locked although they are final."""
        return [row for row in self.rows if row.state in PROBLEMS]

    def in_state(self, state: LockState) -> list[AuditRow]:
        """Return the rows in one state."""
        return [row for row in self.rows if row.state == state]

    def as_json(self) -> str:
        """Return the audit as JSON."""
        data = {**asdict(self), "audited_at": self.audited_at.isoformat()}
        return json.dumps({**data, "rows": [row.as_dict() for row in self.rows]}, indent=2)

    def as_csv(self) -> str:
        """Return the rows as CSV, with a header; names are shown as :func:`~.sheets.cell` does.

        JSON has them as they are.
        """
        sheet = io.StringIO()
        writer = csv.DictWriter(sheet, [field.name for field in fields(AuditRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: cell(item) for key, item in row.as_dict().items()} for row in self.rows)
        return sheet.getvalue()


def audit(
    client: S3Client,
    bucket: str,
    prefixes: Sequence[str],
    *,
    within: DurationLike = timedelta(days=30),
    final_tags: Mapping[str, str] | None = None,
) -> LockAudit:
    """Audit every version under some prefixes.

    Requests: one LIST per 1,000 versions, one HEAD per version, and with ``final_tags`` one more for each
    object that is not locked. Nothing is written.

    Args:
        client: The client.
        bucket: The bucket.
        prefixes: The prefixes of the object names.
        within: Retentions that end within this time are ``expiring``: a timedelta, or text such as ``30d``.
        final_tags: Objects that carry all these tags should be locked.

    Raises:
        UnsupportedByServerError: The bucket has no Object Lock.
        AccessDeniedError: These credentials may not list versions, or not see locks.
        ValueError: A duration without a unit, or of months or years.
    """
    expiring_within = fixed_duration(within)
    if not client.has_object_lock(bucket, surely=True):
        raise UnsupportedByServerError(f"bucket {bucket!r} has no Object Lock: nothing in it is locked")
    auditor = _Auditor(client, bucket, expiring_within, validate_tags(final_tags or {}))
    listed = chained.from_iterable(client.list_versions(bucket, prefix) for prefix in prefixes)
    chains = (list(versions) for _, versions in groupby(listed, key=lambda version: version.name))
    rows: list[AuditRow] = []
    versions = 0
    for count, key_rows in map_concurrently(auditor.audit_key, chains):
        versions += count
        rows += key_rows
    rows.sort(key=lambda row: (_URGENCY.index(row.state), row.days_left or 0, row.object))
    now = client.capabilities.now()
    return LockAudit(bucket, now, expiring_within.total_seconds() / 86400, versions, rows)


@dataclass(frozen=True)
class _Auditor:
    client: S3Client
    bucket: str
    within: timedelta
    final_tags: Mapping[str, str]

    def audit_key(self, listed: list[ListedVersion]) -> tuple[int, list[AuditRow]]:
        """Return the number of versions of a key, and a row for each that is locked or should be."""
        chain = inspect_versions(self.client, self.bucket, listed)
        return len(chain), list(self._rows(chain))

    def _rows(self, chain: list[InspectedVersion]) -> Iterator[AuditRow]:
        for index, version in enumerate(chain):
            if version.info is None:
                continue
            state = self._state(chain, index, version.info)
            if state is not None:
                is_covered = state in ("hidden", "shadowed", "superseded")
                yield _row(state, version, version.info, chain[0].listed.version_id if is_covered else None)

    def _state(self, chain: list[InspectedVersion], index: int, info: ObjectInfo) -> LockState | None:
        protection = chain[index].protection
        if protection is None:
            return self._state_of_unlocked(chain[index], info)
        match visibility(chain, index):
            case "hidden" | "shadowed" | "superseded" as covered:
                return covered
        if not protection.retained:
            return "held"
        if protection.until is None or protection.legal_hold or protection.other_locks:
            return "locked"  # and when that ends is not known
        ends_soon = protection.until - info.server_time <= self.within
        return "expiring" if ends_soon else "locked"

    def _state_of_unlocked(self, version: InspectedVersion, info: ObjectInfo) -> LockState | None:
        mark = mark_of(info.name, info.metadata)
        until = (mark.until if mark else None) or info.retain_until
        if until is not None:
            return "ended" if until <= info.server_time else "lifted"
        if mark is not None:
            return "released"
        if self.final_tags and version.listed.is_latest:
            tags = self.client.search_tags(self.bucket, info.name) or {}
            if self.final_tags.items() <= tags.items():
                return "unlocked"
        return None


def _row(state: LockState, version: InspectedVersion, info: ObjectInfo, by: str | None) -> AuditRow:
    protection, mark = version.protection, mark_of(info.name, info.metadata)
    until = protection.until if protection else None
    days_left = (until - info.server_time).total_seconds() / 86400 if until else None
    return AuditRow(
        state=state,
        object=info.name,
        version_id=version.listed.version_id,
        is_current=version.listed.is_latest,
        mode=protection.mode if protection else None,
        retain_until=until or info.retain_until or (mark.until if mark else None),
        days_left=None if days_left is None else round(days_left, 3),
        legal_hold=info.legal_hold,
        size=info.size,
        written_at=info.last_modified,
        by=by,
        other_locks=", ".join(protection.other_locks) if protection else "",
    )
