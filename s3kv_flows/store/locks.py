"""Object Lock: what to ask for, and what protects a version.

Retention forbids to alter or delete a key until a date; a legal hold, which has no date, forbids to
delete it. S3 protects versions, not keys: a plain PUT or DELETE of a locked key succeeds there and
hides the version. What this project forbids is therefore more than what S3 refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from s3kv_flows.store.errors import KeyLockedError
from s3kv_flows.store.s3_types import ObjectInfo

__all__ = ["LockMode", "Protection", "Retention", "protection_of"]

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]


@dataclass(frozen=True)
class Retention:
    """For how long a value may not be altered or deleted.

    Attributes:
        days: Days from the moment of writing.
        until: A fixed moment, with a time zone. Exactly one of the two is given.
        mode: ``GOVERNANCE`` can be lifted by who may bypass it, ``COMPLIANCE`` by nobody.
    """

    days: float | None = None
    until: datetime | None = None
    mode: LockMode = "GOVERNANCE"

    def __post_init__(self) -> None:
        if (self.days is None) == (self.until is None):
            raise ValueError("a retention has either days or until")
        if self.days is not None and not self.days > 0:
            raise ValueError(f"a retention lasts longer than {self.days} days")
        if self.until is not None and self.until.tzinfo is None:
            raise ValueError(f"until={self.until} needs a time zone")
        if self.mode not in ("GOVERNANCE", "COMPLIANCE"):
            raise ValueError(f"mode is 'GOVERNANCE' or 'COMPLIANCE', got {self.mode!r}")

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

    def __str__(self) -> str:
        reasons = []
        if self.mode and self.until:
            reasons.append(f"under {self.mode} retention until {self.until.isoformat(timespec='seconds')}")
        if self.legal_hold:
            reasons.append("under legal hold")
        where = "" if self.is_current else f" (version {self.version_id}, which is not the current one)"
        return " and ".join(reasons) + where

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
