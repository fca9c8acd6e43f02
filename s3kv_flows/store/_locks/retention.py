"""Object Lock: what to ask for, and what protects a version.

Retention forbids to alter or delete a key until a date; a legal hold, which has no date, forbids to
delete it. S3 protects versions, not keys: a plain PUT or DELETE of a locked key succeeds there and
hides the version. What this project forbids is therefore more than what S3 refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from s3kv_flows.store._s3.types import ObjectInfo, ObjectLock
from s3kv_flows.store.errors import KeyLockedError

__all__ = ["LockMode", "Protection", "Retention", "protection_of", "require_understanding", "strengthened"]

_UPLOAD = timedelta(minutes=5)
"""What the upload of a version may take."""

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]


@dataclass(frozen=True)
class Retention:
    """For how long a value may not be altered or deleted.

    Attributes:
        days: Days from the moment of writing.
        until: A fixed moment, with a time zone. Exactly one of the two is given.
        mode: ``GOVERNANCE`` can be lifted by who may bypass it, ``COMPLIANCE`` by nobody.
        i_understand: That nobody can lift a compliance retention, nor make it shorter: neither the owner of
            the account, nor the operator of the server. Has to be given with that mode.
    """

    days: float | None = None
    until: datetime | None = None
    mode: LockMode = "GOVERNANCE"
    i_understand: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.days is None) == (self.until is None):
            raise ValueError("a retention has either days or until")
        if self.days is not None and not self.days > 0:
            raise ValueError(f"a retention lasts longer than {self.days} days")
        if self.until is not None and self.until.tzinfo is None:
            raise ValueError(f"until={self.until} needs a time zone")
        if self.mode not in ("GOVERNANCE", "COMPLIANCE"):
            raise ValueError(f"mode is 'GOVERNANCE' or 'COMPLIANCE', got {self.mode!r}")
        require_understanding(self.mode, understood=self.i_understand)

    def retain_until(self, now: datetime) -> datetime:
        """Return the moment at which a retention that begins now ends.

        Raises:
            ValueError: ``until`` has passed.
        """
        until = self.until if self.until is not None else now + timedelta(days=self.days or 0)
        if until <= now:
            raise ValueError(f"a retention until {until} would have ended already")
        return until


@dataclass(frozen=True)
class Protection:
    """What protects one version of a key.

    Attributes:
        is_current: Whether this version is what the key reads as.
    """

    version_id: str | None
    mode: str | None = None
    until: datetime | None = None
    legal_hold: bool = False
    is_current: bool = True

    @property
    def retained(self) -> bool:
        """Whether a retention is in force; otherwise it is a legal hold alone."""
        return self.mode is not None

    @property
    def lock(self) -> str:
        """The lock in words, wherever the version lies."""
        reasons = []
        if self.mode and self.until:
            reasons.append(f"under {self.mode} retention until {self.until.isoformat(timespec='seconds')}")
        if self.legal_hold:
            reasons.append("under legal hold")
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


def require_understanding(mode: str | None, *, understood: bool) -> None:
    """Raise ValueError for a compliance retention that nobody said to have understood."""
    if mode == "COMPLIANCE" and not understood:
        raise ValueError(
            "nobody can lift a COMPLIANCE retention or make it shorter, whatever it was set for: give "
            "i_understand=True with it, or take the mode 'GOVERNANCE'"
        )


def strengthened(info: ObjectInfo, retention: Retention, now: datetime) -> ObjectLock | None:
    """Return the lock that a version needs to be under a retention, too; None where it is already.

    Of what is under a retention already, days count from the moment it was written: asking again does not
    extend it. Nothing is weakened: the later end and the stricter mode of both count.

    Raises:
        ValueError: A compliance retention would be extended, and that is not said to be understood.
    """
    held = protection_of(info)
    if held is None or held.mode is None or held.until is None:
        return ObjectLock(retention.mode, retention.retain_until(now))
    until, slack = retention.until, timedelta(0)
    if until is None:
        # The end was reckoned when the PUT began, and the version is as old as its end.
        until, slack = info.last_modified + timedelta(days=retention.days or 0), _UPLOAD
    mode = "COMPLIANCE" if "COMPLIANCE" in (held.mode, retention.mode) else "GOVERNANCE"
    if mode == held.mode and until.replace(microsecond=0) <= held.until + slack:
        return None
    require_understanding(mode, understood=retention.i_understand)
    return ObjectLock(mode, max(until, held.until))


def protection_of(info: ObjectInfo, *, is_current: bool = True) -> Protection | None:
    """Return what protects a version by its headers, None where nothing does any more."""
    retained = info.lock_mode and info.retain_until and info.retain_until > info.server_time
    if not retained and not info.legal_hold:
        return None
    return Protection(
        version_id=info.version_id,
        mode=info.lock_mode if retained else None,
        until=info.retain_until if retained else None,
        legal_hold=info.legal_hold,
        is_current=is_current,
    )
