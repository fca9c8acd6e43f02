"""One publication: a value under a key, once, locked in the request that writes it.

::

    PUT If-None-Match, with its lock   the key is new: written
    same content                       unchanged; locked longer where more than it has is asked for; written
                                       anew, locked from birth, where it was not locked
    other content                      ConflictError, or with supersede a new version on top; the old one
                                       stays locked, and is named by the new one

The two LISTs around the PUT are those of :mod:`s3kv_flows.store._objects.bucket`. Of writers that race,
exactly one wins where the server's conditional PUTs exclude the others; elsewhere nothing is written,
unless the caller accepts that several may be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from s3kv_flows.store._layout.marks import mark_of, superseding
from s3kv_flows.store._locks.chains import current_of
from s3kv_flows.store._locks.retention import protection_of, strengthened
from s3kv_flows.store._locks.visibility import require_visible
from s3kv_flows.store._objects.bucket import GuardedBucket, NewObject
from s3kv_flows.store._outputs.receipts import Outcome, Receipt
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.types import Fetched, ListedVersion, ObjectInfo, Written
from s3kv_flows.store._values.digests import same_content, sha256_of
from s3kv_flows.store.errors import (
    AlreadyFinalizedError,
    ConflictError,
    HiddenOutputError,
    KeyLockedError,
    KeyNotFoundError,
    UnsupportedByServerError,
)

__all__ = ["Publication"]

_ATTEMPTS = 3
"""Of one that finds a key, and then finds it changed."""


@dataclass(frozen=True)
class Publication:
    """What is to be published, where, and what may be in the way.

    Attributes:
        objects: The objects.
        key: The key, as messages and the receipt call it.
        name: The object name.
        new: The object, with its lock.
        codec: The name of the codec that made its body.
        supersede: Whether another content may be under the key, and stay beneath.
        accept_races: Whether to write where the server excludes no second writer.
        source: The object that the content comes from, which S3 copies where it can lock copies.
    """

    objects: GuardedBucket
    key: str
    name: str
    new: NewObject
    codec: str
    supersede: bool
    accept_races: bool
    source: ObjectInfo | None = None

    def run(self) -> Receipt:
        """Publish; the errors are those of :meth:`FinalizedOutputs.finalize`."""
        self.objects.require_object_lock()
        if not self.accept_races and not self._is_copied():
            self._require_exclusion()
        return self._attempt(_ATTEMPTS)

    def _attempt(self, left: int) -> Receipt:
        try:
            written = self._create()
        except (ConflictError, KeyLockedError) as taken:
            return self._meet(taken, left - 1)
        return self._receipt(self.new.body, written.version_id, "written")

    def _is_copied(self) -> bool:
        return self.source is not None and self.objects.copies_locked(self.source)

    def _create(self) -> Written:
        if self.source is not None and self._is_copied():
            return self.objects.create_copy(self.source, self.name, self.new)
        return self.objects.put(self.name, self.new, mode="create", accept_races=self.accept_races)

    def _meet(self, taken: ConflictError | KeyLockedError, left: int) -> Receipt:
        """Deal with a key that is there; begin again where it has changed meanwhile."""
        if isinstance(taken, KeyLockedError) and taken.left_behind is not None:
            raise taken  # what reads there now is what this call has written, and is not to stand
        objects = self.objects
        try:
            require_visible(objects.client, objects.bucket, self.name, self.key)
        except HiddenOutputError:
            if left and self.accept_races:  # by a writer that has lost, and is about to take its version back
                return self._attempt(left)
            raise
        current = current_of(objects.versions(self.name))
        if current is None:
            if left:
                return self._attempt(left)
            raise taken
        try:
            there = objects.get(self.name, version_id=current.version_id)
            if there.body is not None and same_content(self.codec, self.new.body, there.body):
                return self._keep(there, current)
            if self.supersede:
                return self._put_on_top(current)
        except (ConflictError, KeyNotFoundError):
            if left:
                return self._attempt(left)
            raise
        raise self._conflict(current, taken) from taken

    def _keep(self, there: Fetched, current: ListedVersion) -> Receipt:
        """Leave the content as it is; lock it longer where it is locked for less than asked for.

        What was not born locked is written anew, so that the version which is published was.
        """
        info, new, client, bucket = there.info, self.new, self.objects.client, self.objects.bucket
        if protection_of(info) is None and mark_of(info.name, info.metadata) is None:
            written = self.objects.put(self.name, new, mode=current.etag, accept_races=self.accept_races)
            return self._receipt(new.body, written.version_id, "written")
        outcome: Outcome = "unchanged"
        now = client.capabilities.now()
        if new.retention is not None and (lock := strengthened(info, new.retention, now)):
            client.put_retention(bucket, self.name, lock, version_id=current.version_id)
            outcome = "locked"
        if new.legal_hold and not info.legal_hold:
            client.put_legal_hold(bucket, self.name, version_id=current.version_id)
            outcome = "locked"
        return self._receipt(there.body or b"", current.version_id, outcome)

    def _put_on_top(self, current: ListedVersion) -> Receipt:
        """Write a new version on top of what is there, which it names."""
        new = replace(self.new, metadata={**self.new.metadata, **superseding(current.version_id)})
        written = self.objects.put(
            self.name, new, mode=current.etag, accept_races=self.accept_races, over_locked=True
        )
        receipt = self._receipt(new.body, written.version_id, "superseded")
        return replace(receipt, superseded_version_id=current.version_id)

    def _receipt(self, body: Body, version_id: str | None, outcome: Outcome) -> Receipt:
        """Return the receipt of a version, by what the server says of it: one request.

        Raises:
            UnsupportedByServerError: The server took the request, and dropped the lock.
        """
        new, client = self.new, self.objects.client
        info = self.objects.head(self.name, version_id=version_id)
        if (new.retention and info.lock_mode is None) or (new.legal_hold and not info.legal_hold):
            client.capabilities.require_visible_locks(self.objects.bucket, self.name, version_id)
            raise UnsupportedByServerError(
                f"{client.server} took {self.key!r} with a lock, and does not show it: version "
                f"{version_id} is there, and not locked as it was to be"
            )
        return Receipt(
            bucket=self.objects.bucket,
            endpoint=client.server,
            key=self.key,
            object_name=self.name,
            version_id=version_id or "null",
            sha256=sha256_of(body),
            size=len(body),
            mode=info.lock_mode,
            retain_until=info.retain_until,
            legal_hold=info.legal_hold,
            written_at=info.last_modified,
            outcome=outcome,
        )

    def _conflict(self, there: ListedVersion, taken: ConflictError | KeyLockedError) -> ConflictError:
        """Return the error for a key that has another content, which tells the lock that it may have."""
        message = (
            f"{self.key!r} is there with another content, as version {there.version_id} of "
            f"{there.last_modified.isoformat(timespec='seconds')} ({taken}). Take another key, or "
            "supersede=True, which leaves that version as it is and writes a new one on top"
        )
        if not isinstance(taken, KeyLockedError):
            return ConflictError(message)
        return AlreadyFinalizedError(
            message,
            key=self.key,
            mode=taken.mode,
            retain_until=taken.retain_until,
            legal_hold=taken.legal_hold,
            version_id=taken.version_id,
        )

    def _require_exclusion(self) -> None:
        """Raise where nothing would keep two writers from publishing the same key."""
        try:
            self.objects.require_condition("create")
        except UnsupportedByServerError as exc:
            raise UnsupportedByServerError(
                f"{self.key!r} was not written: {exc}. Two writers could publish it at once; "
                "accept_races=True (--accept-races) publishes nevertheless"
            ) from exc
