"""Retention and legal holds, as requested and as in force.

Retention forbids altering or deleting a key until a date; a legal hold, which has no date, forbids deleting
it. An event hold of S3, and any lock that this package does not know, forbids both, without a date. S3
protects versions, not keys: a plain PUT or DELETE of a locked key succeeds there and hides the version. This
package therefore refuses more than S3 does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from numbers import Real
from typing import Literal

from s3kv_flows.store._s3.types import ObjectInfo, ObjectLock
from s3kv_flows.store.errors import KeyLockedError

__all__ = [
    "LockMode",
    "Protection",
    "Retention",
    "length_of",
    "protection_of",
    "require_understanding",
    "strengthened",
]

_LONGEST = timedelta(days=365_250)
"""1,000 years, as for all durations: Python's dates end with the year 9999."""

_UPLOAD_SLACK = timedelta(minutes=5)
"""The longest that the upload of a version may take."""

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]


@dataclass(frozen=True)
class Retention:
    """For how long a value may not be altered or deleted.

    Attributes:
        days: Days from the moment of writing: more than none, and at most 1,000 years.
        until: A fixed moment, with a time zone. Exactly one of the two is given.
        mode: ``GOVERNANCE`` can be lifted with a permission to bypass it, ``COMPLIANCE`` by nobody.
        i_understand: Confirms that nobody can lift a compliance retention or make it shorter: neither the
            owner of the account, nor the operator of the server. Required with that mode.
    """

    days: float | None = None
    until: datetime | None = None
    mode: LockMode = "GOVERNANCE"
    i_understand: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.days is None) == (self.until is None):
            raise ValueError("a retention has either days or until")
        if self.days is not None:
            length_of(self.days)
        if self.until is not None:
            _require_moment(self.until)
        if self.mode not in ("GOVERNANCE", "COMPLIANCE"):
            raise ValueError(f"mode is 'GOVERNANCE' or 'COMPLIANCE', got {self.mode!r}")
        require_understanding(self.mode, understood=self.i_understand)

    def retain_until(self, now: datetime) -> datetime:
        """Return the moment at which a retention that begins now ends.

        Raises:
            ValueError: ``until`` has passed, or is more than 1,000 years away.
        """
        until = self.until if self.until is not None else now + length_of(self.days or 0)
        if until <= now:
            raise ValueError(f"a retention until {until} would have ended already")
        if until - now > _LONGEST:
            raise ValueError(f"a retention lasts at most 1,000 years, and {until} is later")
        return until


@dataclass(frozen=True)
class Protection:
    """The locks in force for one version of a key.

    Attributes:
        version_id: The version.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``; None under a legal hold alone.
        until: The end of the retention; None under a legal hold alone.
        legal_hold: Whether it is under a legal hold.
        is_current: Whether it is the current version of the key.
        other_locks: Event holds, and locks that this package does not know, in words: a retention without
            a date.
    """

    version_id: str | None
    mode: str | None = None
    until: datetime | None = None
    legal_hold: bool = False
    is_current: bool = True
    other_locks: tuple[str, ...] = ()

    @property
    def retained(self) -> bool:
        """Whether a retention is in force, with or without a date; otherwise there is a legal hold alone."""
        return self.mode is not None or bool(self.other_locks)

    @property
    def lock(self) -> str:
        """The lock in words, whether or not the version is current."""
        reasons = []
        if self.mode and self.until:
            reasons.append(f"under {self.mode} retention until {self.until.isoformat(timespec='seconds')}")
        if self.legal_hold:
            reasons.append("under legal hold")
        reasons += [f"under {lock}" for lock in self.other_locks]
        return " and ".join(reasons)

    def __str__(self) -> str:
        where = "" if self.is_current else f" (version {self.version_id}, which is not the current one)"
        return self.lock + where

    def refusal(self, key: str, action: str) -> KeyLockedError:
        """Return the error for an action that this protection forbids."""
        return KeyLockedError(
            f"cannot {action} {key!r}: it is {self}",
            key=key,
            mode=self.mode,
            retain_until=self.until,
            legal_hold=self.legal_hold,
            version_id=self.version_id,
        )


def length_of(days: float) -> timedelta:
    """Return the length of a retention of so many days.

    Raises:
        ValueError: It is no number, not finite, not positive, or more than 1,000 years.
    """
    if isinstance(days, bool) or not isinstance(days, Real):
        raise ValueError(f"a retention lasts a number of days, got {days!r}")  # noqa: TRY004  # as for other values
    if not days > 0:  # nan is not, either
        raise ValueError(f"a retention lasts longer than {days} days")
    if days > _LONGEST.days:
        raise ValueError(f"a retention lasts at most 1,000 years (365,250 days), got {days} days")
    return timedelta(days=float(days))


def _require_moment(until: datetime) -> None:
    """Raise ValueError where ``until`` is no moment in UTC."""
    if not isinstance(until, datetime):
        raise ValueError(f"until is a datetime, got {until!r}")  # noqa: TRY004  # as for other values
    if until.tzinfo is None:
        raise ValueError(f"until={until} needs a time zone")
    try:
        until.astimezone(timezone.utc)
    except OverflowError as exc:
        raise ValueError(f"until={until} is outside the years that UTC has here") from exc


def require_understanding(mode: str | None, *, understood: bool) -> None:
    """Raise ValueError for a compliance retention without ``i_understand``."""
    if mode == "COMPLIANCE" and not understood:
        raise ValueError(
            "nobody can lift a COMPLIANCE retention or make it shorter, for whatever reason: pass "
            "i_understand=True with it, or use the mode 'GOVERNANCE'"
        )


def strengthened(info: ObjectInfo, retention: Retention, now: datetime) -> ObjectLock | None:
    """Return the lock that satisfies a version's own retention and a requested one; None if it has that lock.

    For a version under retention, the requested days count from the moment it was written: requesting the
    same again does not extend it. Nothing is weakened: the later end and the stricter mode of both apply.

    Raises:
        ValueError: A compliance retention would be extended, and ``i_understand`` does not confirm it.
        KeyLockedError: It is under an event hold, or a lock that this package does not know.
    """
    held = protection_of(info)
    if held is not None and held.other_locks:
        raise held.refusal(info.name, "set the date of the lock of")
    if held is None or held.mode is None or held.until is None:
        return ObjectLock(retention.mode, retention.retain_until(now))
    until, slack = retention.until, timedelta(0)
    if until is None:
        # The end was computed when the PUT began, and the version is dated when it ended.
        until, slack = info.last_modified + length_of(retention.days or 0), _UPLOAD_SLACK
    mode = "COMPLIANCE" if "COMPLIANCE" in (held.mode, retention.mode) else "GOVERNANCE"
    if mode == held.mode and until.replace(microsecond=0) <= held.until + slack:
        return None
    require_understanding(mode, understood=retention.i_understand)
    return ObjectLock(mode, max(until, held.until))


def protection_of(info: ObjectInfo, *, is_current: bool = True) -> Protection | None:
    """Return the protection of a version by its headers; None where no lock is in force."""
    retained = info.lock_mode and info.retain_until and info.retain_until > info.server_time
    if not retained and not info.legal_hold and not info.other_locks:
        return None
    return Protection(
        version_id=info.version_id,
        mode=info.lock_mode if retained else None,
        until=info.retain_until if retained else None,
        legal_hold=info.legal_hold,
        is_current=is_current,
        other_locks=info.other_locks,
    )
