"""Publication: write a value once, locked in the same request.

::

    PUT If-None-Match, with its lock   the key is new: written
    same content                       unchanged; its lock is extended where a longer one is requested; where
                                       it was never locked, it is written again with the lock
    other content                      ConflictError, or with supersede a new version on top, which names the
                                       old one; that stays locked

The two LISTs around the PUT are those of :mod:`s3kv_flows.store._objects.bucket`. Of concurrent writers,
exactly one wins where the server's conditional PUTs exclude the others; elsewhere nothing is written, unless
the caller accepts that several may win.
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
"""Attempts, where the key changes between two requests."""


@dataclass(frozen=True)
class Publication:
    """The publication of one object under a key.

    Attributes:
        objects: The objects.
        key: The key, as named in messages and the receipt.
        name: The object name.
        new: The object, with its lock.
        codec: The name of the codec that encoded its body.
        supersede: Whether to write on top of other content, which stays beneath.
        accept_races: Whether to write where the server excludes no second writer.
        source: The object to copy on the server, where that can lock copies; or None.
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
        if not self.accept_races and not self._is_server_copy():
            self._require_exclusive_create()
        return self._attempt(_ATTEMPTS)

    def _attempt(self, attempts_left: int) -> Receipt:
        try:
            written = self._create()
        except (ConflictError, KeyLockedError) as refusal:
            return self._resolve_conflict(refusal, attempts_left - 1)
        return self._receipt_of_written(written, "written")

    def _is_server_copy(self) -> bool:
        return self.source is not None and self.objects.copies_locked(self.source)

    def _create(self) -> Written:
        if self.source is not None and self._is_server_copy():
            return self.objects.create_copy(self.source, self.name, self.new)
        return self.objects.put(self.name, self.new, mode="create", accept_races=self.accept_races)

    def _resolve_conflict(self, refusal: ConflictError | KeyLockedError, attempts_left: int) -> Receipt:
        """Handle a key that exists; try again where it has changed meanwhile."""
        if isinstance(refusal, KeyLockedError) and refusal.left_behind is not None:
            raise refusal  # the key reads as the version of this call, which should have been deleted
        objects = self.objects
        try:
            require_visible(objects.client, objects.bucket, self.name, self.key)
        except HiddenOutputError:
            # Where races are accepted, by a writer that lost, and is about to delete its version.
            if attempts_left and self.accept_races:
                return self._attempt(attempts_left)
            raise
        current = current_of(objects.versions(self.name))
        if current is None:
            if attempts_left:
                return self._attempt(attempts_left)
            raise refusal
        try:
            existing = objects.get(self.name, version_id=current.version_id)
            if existing.body is not None and same_content(self.codec, self.new.body, existing.body):
                return self._keep_existing(existing, current)
            if self.supersede:
                return self._put_superseding(current)
        except (ConflictError, KeyNotFoundError):
            if attempts_left:
                return self._attempt(attempts_left)
            raise
        raise self._conflict(current, refusal) from refusal

    def _keep_existing(self, existing: Fetched, current: ListedVersion) -> Receipt:
        """Keep an object with the same content; extend its lock where a longer one is requested.

        An object that was never locked is written again, so that the published version was locked throughout.
        """
        info, new, client, bucket = existing.info, self.new, self.objects.client, self.objects.bucket
        if protection_of(info) is None and mark_of(info.name, info.metadata) is None:
            written = self.objects.put(self.name, new, mode=current.etag, accept_races=self.accept_races)
            return self._receipt_of_written(written, "written")
        outcome: Outcome = "unchanged"
        now = client.capabilities.now()
        if new.retention is not None and (lock := strengthened(info, new.retention, now)):
            client.put_retention(bucket, self.name, lock, version_id=current.version_id)
            outcome = "locked"
        if new.legal_hold and not info.legal_hold:
            client.put_legal_hold(bucket, self.name, version_id=current.version_id)
            outcome = "locked"
        # What the key reads as by now: others may have overwritten it before it was locked.
        info = self.objects.head(self.name)
        if info.version_id != current.version_id:
            raise ConflictError(
                f"{self.key!r} was overwritten by others at the instant in which it was locked"
            )
        return self._receipt(existing.body or b"", info, outcome)

    def _put_superseding(self, current: ListedVersion) -> Receipt:
        """Write a new version on top of the current one, which it names."""
        new = replace(self.new, metadata={**self.new.metadata, **superseding(current.version_id)})
        written = self.objects.put(
            self.name, new, mode=current.etag, accept_races=self.accept_races, over_locked=True
        )
        receipt = self._receipt_of_written(written, "superseded")
        return replace(receipt, superseded_version_id=current.version_id)

    def _receipt_of_written(self, written: Written, outcome: Outcome) -> Receipt:
        """Return the receipt of the version that was written: one request."""
        info = self.objects.head(self.name, version_id=written.version_id)
        return self._receipt(self.new.body, info, outcome)

    def _receipt(self, body: Body, info: ObjectInfo, outcome: Outcome) -> Receipt:
        """Return the receipt of a version, from its headers.

        Raises:
            UnsupportedByServerError: The server accepted the request, and dropped the lock.
        """
        new, client, version_id = self.new, self.objects.client, info.version_id
        if (new.retention and info.lock_mode is None) or (new.legal_hold and not info.legal_hold):
            client.capabilities.require_visible_locks(self.objects.bucket, self.name, version_id)
            raise UnsupportedByServerError(
                f"{client.server} accepted {self.key!r} with a lock, but does not show the lock: version "
                f"{version_id} exists, and is not locked as requested"
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

    def _conflict(self, existing: ListedVersion, refusal: ConflictError | KeyLockedError) -> ConflictError:
        """Return the error for a key that has other content, with its lock where it has one."""
        message = (
            f"{self.key!r} exists with other content, as version {existing.version_id} of "
            f"{existing.last_modified.isoformat(timespec='seconds')} ({refusal}). Use another key, or "
            "supersede=True, which keeps that version and writes a new one on top"
        )
        if not isinstance(refusal, KeyLockedError):
            return ConflictError(message)
        return AlreadyFinalizedError(
            message,
            key=self.key,
            mode=refusal.mode,
            retain_until=refusal.retain_until,
            legal_hold=refusal.legal_hold,
            version_id=refusal.version_id,
        )

    def _require_exclusive_create(self) -> None:
        """Raise UnsupportedByServerError where two writers could publish the same key."""
        try:
            self.objects.require_condition("create")
        except UnsupportedByServerError as exc:
            raise UnsupportedByServerError(
                f"{self.key!r} was not written: {exc}. Two writers could publish it at once; "
                "accept_races=True (--accept-races) publishes it nevertheless"
            ) from exc
