"""Retention and legal holds of existing objects: place, read, and lift them.

S3 locks a version, and has no condition that it is still the current one. So whoever locks looks again
afterwards, as whoever writes does (:mod:`s3kv_flows.store._objects.bucket`): of a lock and a write at the
same instant, at least one sees the other. A write that sees the lock takes itself back. A lock that sees the
write does, with what is on top by then::

    a delete marker         is deleted again: no value is lost with it, and the lock stands
    a version, and a hold   is put under the hold, too: holds stay on a key when its value changes
    a superseding version   is put under the retention, too
    any other version       stays, for its writer may have been told that it is saved: ConflictError, unless
                            the writer takes it back within some more looks. The version that was locked
                            stays locked, too

Where others write at the same instant, a lock takes more than its three requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from s3kv_flows.store._layout.marks import is_own, supersedes
from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store._locks.chains import inspect_versions
from s3kv_flows.store._locks.retention import (
    LockMode,
    Protection,
    Retention,
    length_of,
    protection_of,
    require_understanding,
)
from s3kv_flows.store._locks.visibility import require_visible
from s3kv_flows.store._objects.bucket import GuardedBucket
from s3kv_flows.store._s3.types import ObjectInfo, ObjectLock
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    KeyNotFoundError,
    UnsupportedByServerError,
)

__all__ = ["ObjectLocks"]

logger = loggable(__name__)

_ATTEMPTS = 5  # of a lock, against other writers
_LOOKS = 8  # more, while another writer may be about to take its version back
_MARGINS = [timedelta(seconds=seconds) for seconds in (1, 3, 10)]
_POLL_SECONDS = 0.1


class ObjectLocks:
    """The locks of the current versions of objects.

    Every method raises KeyNotFoundError where there is no such object, HiddenOutputError where it hides a
    locked version, UnsupportedByServerError where the bucket has no Object Lock, and AccessDeniedError where
    these credentials may not see locks. For an object that this package did not write, all versions are
    checked.

    Args:
        objects: The objects.
        display_name: Returns the name of an object in messages.
    """

    def __init__(self, objects: GuardedBucket, display_name: Callable[[str], str] = str) -> None:
        self._objects = objects
        self._client, self._bucket = objects.client, objects.bucket
        self._display_name = display_name

    def place(self, name: str, retention: Retention) -> datetime:
        """Put an object under retention; return the moment it ends: three requests.

        Raises:
            KeyLockedError: It is under a longer or stricter retention already.
            ConflictError: It was overwritten at the same instant, and reads as another version now.
        """
        until = retention.retain_until(self._client.capabilities.now())
        return self._retain(name, lambda _: ObjectLock(retention.mode, until))

    def extend(self, name: str, days: float, *, understood: bool = False) -> datetime:
        """Make a retention end this many days from now, in the mode it has: three requests.

        Raises:
            ValueError: It is a compliance retention, which nobody can lift, and ``understood`` does not
                confirm it; or these are no days that a retention can last.
            ConflictError: The object is under no retention, or was overwritten at the same instant.
            KeyLockedError: It ends later already.
        """
        length = length_of(days)

        def extended(held: Protection | None) -> ObjectLock:
            if held is None or not held.retained:
                raise ConflictError(
                    f"{self._display_name(name)!r} is under no retention that could be extended"
                )
            require_understanding(held.mode, understood=understood)
            return ObjectLock(held.mode or "GOVERNANCE", self._client.capabilities.now() + length)

        return self._retain(name, extended)

    def remove(self, name: str) -> None:
        """Lift a governance retention, by the permission s3:BypassGovernanceRetention: two requests.

        Where the server cannot remove it (Ceph 16), it is set to end within a few seconds, and this method
        waits for that. Without a retention, nothing happens.

        Raises:
            KeyLockedError: It is a compliance retention, which nobody can lift; or an event hold or a lock
                that is not known, which this package does not lift.
            AccessDeniedError: These credentials may not bypass governance.
        """
        _, held = self._current(name)
        if held is None or not held.retained:
            return
        if held.mode != "GOVERNANCE" or held.other_locks:
            raise held.refusal(self._display_name(name), "lift the retention of")
        try:
            self._client.put_retention(
                self._bucket, name, None, version_id=held.version_id, bypass_governance=True
            )
        except UnsupportedByServerError:
            self._end_soon(name, held)

    def retention(self, name: str) -> Retention | None:
        """Return the retention that is in force, or None: one request.

        Raises:
            AccessDeniedError: These credentials may not see locks.
            KeyLockedError: It is under an event hold or a lock that is not known, and has no date.
        """
        _, held = self._current(name)
        if held is not None and held.mode is None and held.other_locks:
            raise held.refusal(self._display_name(name), "tell the end of the retention of")
        if held is None or held.mode is None:
            return None
        mode: LockMode = "COMPLIANCE" if held.mode == "COMPLIANCE" else "GOVERNANCE"
        return Retention(until=held.until, mode=mode, i_understand=True)

    def hold(self, name: str) -> None:
        """Put an object under a legal hold: three requests.

        Raises:
            ConflictError: It was overwritten at the same instant again and again, or released.
        """
        info, _ = self._current(name)  # some servers fail for a missing object
        for _ in range(_ATTEMPTS):
            self._client.put_legal_hold(self._bucket, name, version_id=info.version_id)
            now = self._look_again(name, info)
            if now.version_id == info.version_id:
                self._require_shown(name, shown=now.legal_hold)
                return
            info = now
        raise self._lost(name)

    def release(self, name: str) -> None:
        """Release all versions of an object from their legal holds, including older values.

        One LIST, one HEAD per version, and one request for each that is held.
        """
        self._objects.require_object_lock()
        chain = inspect_versions(self._client, self._bucket, self._objects.versions(name))
        if not chain or chain[0].info is None or not is_own(chain[0].info.name, chain[0].info.metadata):
            self._current(name)  # raises where the object is missing or hides a locked version
        for version in reversed(chain):  # the current one last: it stays held if this breaks off
            if version.protection is not None and version.protection.legal_hold:
                version_id = version.listed.version_id
                self._client.put_legal_hold(self._bucket, name, version_id=version_id, on=False)

    def is_held(self, name: str) -> bool:
        """Return whether an object is under a legal hold: one request.

        Raises:
            AccessDeniedError: These credentials may not see locks.
        """
        _, held = self._current(name)
        return held is not None and held.legal_hold

    # --- private -------------------------------------------------------------------------------

    def _current(self, name: str) -> tuple[ObjectInfo, Protection | None]:
        """Return the headers and protection of an object, unless it hides a locked version."""
        self._objects.require_object_lock()
        try:
            info: ObjectInfo = self._objects.head(name)
        except KeyNotFoundError:
            require_visible(self._client, self._bucket, name, self._display_name(name))
            raise
        if not is_own(info.name, info.metadata):
            require_visible(self._client, self._bucket, name, self._display_name(name))
        protection = protection_of(info)
        if protection is None or not protection.legal_hold or protection.mode is None:
            self._client.capabilities.require_visible_locks(self._bucket, name, info.version_id)
        return info, protection

    def _retain(self, name: str, lock_for: Callable[[Protection | None], ObjectLock]) -> datetime:
        """Put the current version under retention, and look whether it still is the current one.

        Args:
            name: The object name.
            lock_for: Returns the retention for a version with this protection.
        """
        info, held = self._current(name)
        for _ in range(_ATTEMPTS):
            lock = lock_for(held)
            self._require_no_weaker(name, held, lock.mode, lock.until)
            self._client.put_retention(self._bucket, name, lock, version_id=info.version_id)
            now = self._look_until_settled(name, info)
            if now.version_id == info.version_id:
                self._require_shown(name, shown=_is_under(now, lock))
                return lock.until
            if not supersedes(now.name, now.metadata):
                raise self._overwritten(name, info, lock, now)
            info, held = now, protection_of(now)
        raise self._lost(name)

    def _look_until_settled(self, name: str, locked: ObjectInfo) -> ObjectInfo:
        """Return what a key reads as after a version was put under retention: one HEAD, or up to nine.

        A writer that has seen the lock is given the time to take its version back: the time of the requests
        that it needs for that.
        """
        now = self._look_again(name, locked)
        for _ in range(_LOOKS):
            if now.version_id == locked.version_id or supersedes(now.name, now.metadata):
                break
            now = self._look_again(name, locked)
        return now

    def _look_again(self, name: str, locked: ObjectInfo) -> ObjectInfo:
        """Return what a key reads as after a version was locked, without delete markers on top: one HEAD."""
        for _ in range(_ATTEMPTS):
            with suppress(KeyNotFoundError):
                return self._objects.head(name)
            self._uncover(name, locked)
        raise self._lost(name)

    def _uncover(self, name: str, locked: ObjectInfo) -> None:
        """Delete the delete marker on top of a locked version.

        The key read as that version a moment ago, so that the marker came at the same instant.

        Raises:
            KeyNotFoundError: The version itself was deleted.
            HiddenOutputError: These credentials may not delete the marker.
        """
        chain = self._objects.versions(name)
        if not any(version.version_id == locked.version_id for version in chain):
            raise KeyNotFoundError(f"{self._display_name(name)!r} was deleted at the instant of its lock")
        if not chain[0].is_delete_marker:
            return
        logger.warning("the deletion of %r is undone: it is locked", self._display_name(name))
        try:
            self._client.delete_object(self._bucket, name, version_id=chain[0].version_id)
        except AccessDeniedError:
            require_visible(self._client, self._bucket, name, self._display_name(name))
            raise

    def _require_shown(self, name: str, *, shown: bool) -> None:
        """Raise ConflictError where a version does not show the lock that it was given."""
        if not shown:
            raise ConflictError(
                f"{self._display_name(name)!r} is not under the lock that was placed: somebody else has "
                "lifted or replaced it at the same instant"
            )

    def _overwritten(self, name: str, info: ObjectInfo, lock: ObjectLock, now: ObjectInfo) -> ConflictError:
        until = lock.until.isoformat(timespec="seconds")
        return ConflictError(
            f"{self._display_name(name)!r} was overwritten at the instant in which it was locked: version "
            f"{info.version_id} is under {lock.mode} retention until {until}, and the key reads as version "
            f"{now.version_id}. `s3kv repair` makes it read as the locked version again, and keeps the other "
            "one aside"
        )

    def _lost(self, name: str) -> ConflictError:
        key = self._display_name(name)
        return ConflictError(f"{key!r} was changed by others {_ATTEMPTS} times in a row while it was locked")

    def _require_no_weaker(self, name: str, held: Protection | None, mode: str, until: datetime) -> None:
        if held is not None and held.other_locks:  # it is not known what a date would do to them
            raise held.refusal(self._display_name(name), "set the date of the lock of")
        if held is None or held.until is None:
            return
        if held.until > until or (held.mode == "COMPLIANCE" and mode == "GOVERNANCE"):
            raise held.refusal(
                self._display_name(name), f"weaken the lock to {until.isoformat(timespec='seconds')} of"
            )

    def _end_soon(self, name: str, held: Protection) -> None:
        for margin in _MARGINS:
            soon = ObjectLock(held.mode or "GOVERNANCE", self._client.capabilities.now() + margin)
            try:
                self._client.put_retention(
                    self._bucket, name, soon, version_id=held.version_id, bypass_governance=True
                )
                break
            except UnsupportedByServerError as exc:
                # The moment had passed when the request arrived: clocks are known to the second, and
                # machines may be slow.
                if exc.code != "InvalidArgument" or margin == _MARGINS[-1]:
                    raise
        while self._is_still_in_force(name, soon, held.version_id):
            time.sleep(_POLL_SECONDS)

    def _is_still_in_force(self, name: str, soon: ObjectLock, version_id: str | None) -> bool:
        held = protection_of(self._objects.head(name, version_id=version_id))
        # A later end is somebody else's new retention.
        return held is not None and held.until is not None and held.until <= soon.until + _MARGINS[0]


def _is_under(info: ObjectInfo, lock: ObjectLock) -> bool:
    """Return whether a version shows a retention, or a longer one. Servers cut dates to whole seconds."""
    until = info.retain_until
    return info.lock_mode is not None and until is not None and until >= lock.until.replace(microsecond=0)
