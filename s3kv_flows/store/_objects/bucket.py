"""Guarded reads and writes of one bucket, which respect Object Lock.

Values, results and copies are written through :class:`GuardedBucket`, and deleted by
:mod:`s3kv_flows.store._objects.deletions` in the same manner. On a bucket without Object Lock a write is one
request. With Object Lock, S3 protects versions but lets a plain PUT or DELETE hide them, so a write checks
the whole version history of the key, before and after::

    LIST versions of the key     a locked version may also lie under a newer one or a delete marker
    HEAD of each                 under retention: KeyLockedError; a hold on the current one is kept
    PUT, with a condition        If-None-Match where there was none, If-Match where there was one
    ETag                         of a locked version: is it the digest of the body? Else it is read back
    LIST, HEAD of new versions   a version that was written meanwhile, or the newest one before, is locked
                                 now: our version is deleted again, KeyLockedError

The second LIST protects a lock that is placed at the same instant, on every server: some servers ignore
conditions in a race, or always, and where they honour them, an ETag is a digest of the value, which a newer
and locked version may share.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from s3kv_flows.store._layout.marks import WRITE_ID, final_mark, name_mark
from s3kv_flows.store._layout.tags import tagging_header
from s3kv_flows.store._locks.chains import ChainGuard, OwnWrite, current_of
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._objects.stored import is_stored
from s3kv_flows.store._objects.transfer import download
from s3kv_flows.store._objects.uploads import Uploads
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.capabilities import Copies
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Fetched, ListedVersion, NotModified, ObjectInfo, ObjectLock, Written
from s3kv_flows.store._seals.check import BodyCheck
from s3kv_flows.store._seals.objects import NO_SEALS, ObjectSeals
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    CorruptValueError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

__all__ = ["GuardedBucket", "NewObject", "validate_mode"]

_COPY_LIMIT = 5 << 30  # bytes, of CopyObject
_ATTEMPTS = 5  # of a write, against other writers
_ETAG = re.compile(r'"[^"]+"|[0-9a-f]{32}(-\d+)?')


@dataclass(frozen=True)
class NewObject:
    """An object to write: body, metadata, tags and lock."""

    body: Body
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    legal_hold: bool = False


class GuardedBucket:
    """Reads and guarded writes of the objects of one bucket.

    Args:
        client: The shared client.
        bucket: The bucket name.
        display_name: Returns the name of an object in messages; by default its object name.
        prefix: The prefix under which probes may write objects.
        seals: Seals what is written, and verifies what is read.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        display_name: Callable[[str], str] = str,
        *,
        prefix: str = "",
        seals: ObjectSeals = NO_SEALS,
    ) -> None:
        self.client = client
        self.bucket = bucket
        self.guard = ChainGuard(client, bucket, display_name)
        self._display_name = display_name
        self._seals = seals
        self._uploads = Uploads(client, bucket, display_name, prefix=prefix, seals=seals)
        self.prefix = prefix

    @property
    def has_object_lock(self) -> bool:
        """Whether objects can be locked: one request, once per client."""
        return self.client.has_object_lock(self.bucket)

    def examine(self, info: ObjectInfo) -> BodyCheck | None:
        """Verify the seal of an object that is kept elsewhere; return the check of its body, if it has one.

        Raises:
            TamperedValueError: The object is not to be read.
        """
        return self._seals.examine(info)

    # --- reads ---------------------------------------------------------------------------------

    def get(
        self,
        name: str,
        *,
        version_id: str | None = None,
        wanted: Callable[[ObjectInfo], bool] | None = None,
    ) -> Fetched:
        """Read an object; see :func:`s3kv_flows.store._objects.transfer.download`."""
        response = download(
            self.client, self.bucket, name, version_id=version_id, wanted=wanted, seals=self._seals
        )
        if isinstance(response, NotModified):  # to a request without a condition: no S3 server does this
            raise CorruptValueError(
                f"the server sent no object for {self._display_name(name)!r}", reason="truncated"
            )
        return response

    def get_unless(
        self, name: str, etag: str, *, wanted: Callable[[ObjectInfo], bool] | None = None
    ) -> Fetched | NotModified:
        """Read an object unless it still has this ETag."""
        return download(self.client, self.bucket, name, if_none_match=etag, wanted=wanted, seals=self._seals)

    def head(self, name: str, *, version_id: str | None = None) -> ObjectInfo:
        """Return the headers of an object: one HEAD."""
        return self.client.head_object(self.bucket, name, version_id=version_id)

    def versions(self, name: str) -> list[ListedVersion]:
        """Return all versions and delete markers of exactly this object, the current one first."""
        return self.guard.versions(name)

    # --- writes --------------------------------------------------------------------------------

    def put(
        self,
        name: str,
        new: NewObject,
        *,
        mode: str = "overwrite",
        probably_new: bool = False,
        accept_races: bool = False,
        over_locked: bool = False,
    ) -> Written:
        """Write an object, unless it would hide a locked version.

        Args:
            name: The object name.
            new: The object.
            mode: ``"overwrite"``; ``"create"``, only where the key is absent; or the ETag that the object
                must still have.
            probably_new: The caller has just found the key absent, and the body is unlike any other:
                first try one PUT with ``If-None-Match: *``, without any request before; with the mode
                ``"create"``, try only that. Used only on servers that are known to honour the condition, and
                never for an object that is to be locked. This cannot detect a delete marker that others put
                over a locked version: the new object would lie on top of both.
            accept_races: Write even where the server does not support the condition of ``mode``, which is
                then checked only by listings, and by the lock of a version that another writer adds
                meanwhile.
            over_locked: Write on top of a locked version, which stays as an older one: for a version that is
                locked itself, and names the version that it supersedes.

        Raises:
            KeyLockedError: A version of the key is under retention.
            ConflictError: The condition of ``mode`` does not hold, or other writers won five times.
            UnsupportedByServerError: A lock is requested, and the bucket has no Object Lock; or the server
                does not support the condition in this bucket.
        """
        if mode != "overwrite" and not accept_races:
            self.require_condition(mode)
        if new.retention or new.legal_hold:
            self.require_object_lock()
        elif self.client.capabilities.knows_no_object_lock(self.bucket):
            return self._put_unlocked(name, new, mode)
        elif probably_new and self._has_atomic_create():
            if mode == "create":
                return self._put_if(name, new, mode)[0]
            with suppress(ConflictError, UnsupportedByServerError):
                return self._put(name, new, if_none_match=True)
        if not self.has_object_lock:
            return self._put_unlocked(name, new, mode)
        return self._put_guarded(
            name, new, mode, optional=mode == "overwrite" or accept_races, over_locked=over_locked
        )

    def copy(
        self,
        source: str,
        target: str,
        *,
        source_version: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Written:
        """Copy an object on the server with its metadata, unless the target is locked.

        The tags of the source are copied, or replaced by ``tags``: in the same request where the server
        supports that, otherwise in one more.
        """
        action = "restore" if source == target else "copy onto"
        chain: list[ListedVersion] = []
        hold = False
        # Where a copy returns no version id, it cannot show that the bucket got Object Lock since.
        no_version_id = self.client.capabilities.locks_travel
        if self.client.has_object_lock(self.bucket, surely=no_version_id):
            chain = self.versions(target)
            hold = self.guard.require_unlocked(target, chain, action)
        written = self.client.copy_object(
            self.bucket,
            source,
            target,
            source_version=source_version,
            tagging=None if tags is None else tagging_header(tags),
            legal_hold=hold and self._copies().locks,
            **self._resealed_as_it_is(source, target, source_version),
        )
        self.client.capabilities.learn_version(self.bucket, written.version_id)
        if self.has_object_lock:
            written = self.guard.verify_after(target, chain, OwnWrite(written, held=hold), action)
            if hold and not self._copies().locks:
                self.client.put_legal_hold(self.bucket, target, version_id=written.version_id)
        if tags is not None and not self._copies().replace_tags:
            self.client.put_tags(self.bucket, target, tags, version_id=written.version_id)
        return written

    def copies_locked(self, source: ObjectInfo) -> bool:
        """Return whether the server can copy an object and lock the copy in one request."""
        return source.size <= _COPY_LIMIT and self._copies().locks

    def create_copy(self, source: ObjectInfo, name: str, new: NewObject) -> Written:
        """Copy an object on the server to an absent key, with other metadata and tags, under a lock.

        S3 has no copy on the condition that the target is absent. The two listings around it suffice, because
        the copy is locked: of two concurrent copies, the later one finds the other beneath.

        Args:
            source: The version to copy.
            name: The object name of the copy.
            new: The copy, with the body of the source as it was read.

        Raises:
            ConflictError: The key exists.
            KeyNotFoundError: The source was deleted.
            KeyLockedError: A version of the key is locked; a copy that was made is deleted again.
        """
        chain = self.versions(name)
        self.guard.require_unlocked(name, chain, "copy onto")
        self._require_mode(name, current_of(chain), "create")
        write_id = secrets.token_hex(8)
        written = self.client.copy_object(
            self.bucket,
            source.name,
            name,
            source_version=source.version_id,
            source_etag=source.etag if self._seals.has_keys else None,
            # By the body that was read: the source may have been sealed for another purpose.
            **self._seals.sealed(name, new.body, self._options(name, new, write_id=write_id)),
        )
        write = OwnWrite(written, write_id, new.legal_hold, new.retention is not None)
        self._require_stored(name, new, chain, write)
        return self.guard.verify_after(name, chain, write, "copy onto")

    def restore(self, name: str, version_id: str) -> Written:
        """Make an older version the current one again, by copying it on top."""
        current = current_of(self.versions(name))
        if current is not None and current.version_id == version_id:
            return Written(current.etag, version_id)
        return self.copy(name, name, source_version=version_id)

    def amend(self, name: str, written: Written, metadata: Mapping[str, str], content_type: str) -> Written:
        """Replace the metadata of an object that was just written, by copying it onto itself.

        On a versioned bucket, the version with the old metadata is deleted.

        Raises:
            ConflictError: Somebody else wrote the object since.
        """
        chain = self.versions(name) if self.has_object_lock else []
        if chain:
            self.guard.require_unlocked(name, chain, "amend")
        options: dict[str, Any] = {"metadata": metadata, "content_type": content_type}
        if self._seals.has_keys:
            options = self._seals.resealed(self.head(name, version_id=written.version_id), name, options)
        amended = self.client.copy_object(self.bucket, name, name, source_etag=written.etag, **options)
        if chain:
            amended = self.guard.verify_after(name, chain, OwnWrite(amended), "amend")
        if written.version_id not in (None, "null", amended.version_id):
            self.client.delete_object(self.bucket, name, version_id=written.version_id)
        return amended

    # --- locks ---------------------------------------------------------------------------------

    def require_object_lock(self) -> None:
        """Raise UnsupportedByServerError where the bucket has no Object Lock."""
        if not self.has_object_lock:
            raise UnsupportedByServerError(
                f"bucket {self.bucket!r} has no Object Lock, so nothing in it can be locked: use a bucket "
                "made by `s3kv init ... --object-lock` or create_bucket(object_lock=True)"
            )

    def refuse_if_retained(self, name: str, action: str) -> None:
        """Raise KeyLockedError where a version of the object is under retention."""
        if self.has_object_lock:
            self.guard.require_unlocked(name, self.versions(name), action)

    def require_condition(self, mode: str) -> None:
        """Raise UnsupportedByServerError where the bucket does not support the condition of a mode.

        Where this is not known yet, it is probed.
        """
        capabilities = self.client.capabilities
        puts = capabilities.known_conditional_puts(self.bucket) or capabilities.conditional_puts(
            self.bucket, self.prefix
        )
        if not (puts.create == "atomic" if mode == "create" else puts.carry_updates):
            action = "create a key only where it is absent" if mode == "create" else "compare and swap a key"
            raise UnsupportedByServerError(
                f"{self.client.server} cannot {action} in bucket {self.bucket!r}: conditional PUTs do "
                "not hold there, or could not be probed. On Ceph, use a bucket without versioning"
            )

    # --- private -------------------------------------------------------------------------------

    def _has_atomic_create(self) -> bool:
        known = self.client.capabilities.known_conditional_puts(self.bucket)
        return known is not None and known.create == "atomic"

    def _put_unlocked(self, name: str, new: NewObject, mode: str) -> Written:
        written, write_id = self._put_if(name, new, mode)
        if written.version_id is not None and self.has_object_lock:
            # The bucket got Object Lock since this process last asked.
            self.guard.verify_after(name, [], OwnWrite(written, write_id), "overwrite")
        return written

    def _put_if(self, name: str, new: NewObject, mode: str) -> tuple[Written, str | None]:
        """Write an object on the condition of a mode; return also its write id, if it has one."""
        write_id = None if mode == "overwrite" else secrets.token_hex(8)
        try:
            written = self._put(
                name,
                new,
                write_id=write_id,
                if_none_match=mode == "create",
                if_match=None if write_id is None or mode == "create" else mode,
            )
        except (ConflictError, KeyNotFoundError) as exc:
            return self._written_or_conflict(name, mode, write_id, exc), None
        return written, write_id

    def _written_or_conflict(self, name: str, mode: str, write_id: str | None, refusal: S3KVError) -> Written:
        """Return our version where a PUT that was sent twice has succeeded; else raise ConflictError."""
        if mode == "overwrite":
            raise refusal
        if getattr(refusal, "was_lost", False):
            with suppress(KeyNotFoundError):
                info = self.head(name)
                if write_id and info.metadata.get(WRITE_ID) == write_id:
                    return Written(info.etag, info.version_id)
            # Somebody may have overwritten our version: a retry might apply the same change twice.
            raise StoreUnavailableError(
                f"whether {self._display_name(name)!r} was written is not known: the response was lost, "
                "and the key has another value now"
            ) from refusal
        raise self._conflict(name, mode) from refusal

    def _conflict(self, name: str, mode: str) -> ConflictError:
        display_name = self._display_name(name)
        if mode == "create":
            return ConflictError(f"{display_name!r} exists already, and was to be created")
        return ConflictError(f"{display_name!r} was changed or deleted: its ETag is no longer {mode}")

    def _put_guarded(
        self, name: str, new: NewObject, mode: str, *, optional: bool, over_locked: bool
    ) -> Written:
        """Write an object, and check the versions that it hides before and after.

        Args:
            name: The object name.
            new: The object.
            mode: The mode of the write.
            optional: Whether the listings suffice where the server does not support the condition.
            over_locked: Whether the object may hide a locked version.
        """
        write_id = secrets.token_hex(8)
        chain = self.versions(name)
        known = {version.version_id for version in chain}
        refusals = 0
        for _ in range(_ATTEMPTS):
            hold = self.guard.require_unlocked(name, chain, "overwrite", refuse_retained=not over_locked)
            current = current_of(chain)
            self._require_mode(name, current, mode)
            # Some servers refuse every If-Match on versioned buckets: two refusals without a change show it.
            conditional = not optional or (not self.client.capabilities.ignores_conditions and refusals < 2)
            try:
                written = self._put(
                    name,
                    new,
                    hold=hold,
                    write_id=write_id,
                    if_none_match=conditional and current is None,
                    if_match=current.etag if current and conditional else None,
                    optional=optional,
                )
            except (ConflictError, KeyNotFoundError):
                after = self.versions(name)
                ours = self.guard.find_resent(after, known, write_id)
                if ours is None:
                    refusals = refusals + 1 if current_of(after) == current else 0
                    chain = after
                    continue
                written = ours
            except UnsupportedByServerError:
                if not optional:
                    raise
                # The listing is the only check that this server allows.
                written = self._put(name, new, hold=hold, write_id=write_id)
            write = OwnWrite(written, write_id, hold or new.legal_hold, new.retention is not None)
            self._require_stored(name, new, chain, write)
            if over_locked:
                return written
            return self.guard.verify_after(name, chain, write, "overwrite")
        raise ConflictError(f"{self._display_name(name)!r} was changed by others {_ATTEMPTS} times in a row")

    def _require_stored(
        self, name: str, new: NewObject, before: list[ListedVersion], write: OwnWrite
    ) -> None:
        """Take a locked version back where it does not hold the body that was sent.

        Raises:
            StoreUnavailableError: It did not, and was deleted again.
            CorruptValueError: It does not, and cannot be deleted.
        """
        if not (write.held or write.retained):  # a damaged value can be replaced, and its checksum shows it
            return
        try:
            if is_stored(self.client, self.bucket, name, write.written, new.body):
                return
        except (AccessDeniedError, KeyNotFoundError):  # these credentials may only write, or it is gone
            return
        except S3KVError:
            self.guard.take_back(name, before, write)
            raise
        message = f"{self._display_name(name)!r} was damaged on its way to {self.client.server}"
        if self.guard.take_back(name, before, write):
            raise StoreUnavailableError(f"{message}, and deleted again")
        raise CorruptValueError(
            f"{message}: version {write.written.version_id} is locked, and cannot be deleted",
            reason="checksum",
        )

    def _require_mode(self, name: str, current: ListedVersion | None, mode: str) -> None:
        """Raise ConflictError where the current version does not meet the mode of a write."""
        if mode == "create" and current is not None:
            raise self._conflict(name, mode)
        if mode not in ("create", "overwrite") and (
            current is None or current.etag.strip('"') != mode.strip('"')
        ):
            raise self._conflict(name, mode)

    def _put(
        self,
        name: str,
        new: NewObject,
        *,
        hold: bool = False,
        write_id: str | None = None,
        if_none_match: bool = False,
        if_match: str | None = None,
        optional: bool = False,
    ) -> Written:
        """Write an object.

        Args:
            name: The object name.
            new: The object.
            hold: Whether to put it under a legal hold that ``new`` does not request.
            write_id: Identifies the version as ours.
            if_none_match: Write only where there is no object.
            if_match: Write only where the object has this ETag.
            optional: Whether the conditions may be left out where the server would drop them.
        """
        options = self._options(name, new, hold=hold, write_id=write_id)
        conditions = {
            "if_none_match": if_none_match,
            "if_match": self._format_etag(if_match) if if_match else None,
        }
        return self._uploads.put(name, new.body, new.tags, options, conditions, optional=optional)

    def _options(
        self, name: str, new: NewObject, *, hold: bool = False, write_id: str | None = None
    ) -> dict[str, Any]:
        """Return the parameters of a write, except the body and the conditions."""
        retention = new.retention
        now = self.client.capabilities.now()
        lock = ObjectLock(retention.mode, retention.retain_until(now)) if retention else None
        return {
            "content_type": new.content_type,
            "metadata": {
                **new.metadata,
                **name_mark(name),
                **(final_mark(name, lock.until if lock else None) if lock or new.legal_hold else {}),
                **({WRITE_ID: write_id} if write_id else {}),
            },
            "tagging": tagging_header(new.tags),
            "lock": lock,
            "legal_hold": new.legal_hold or hold,
        }

    def _resealed_as_it_is(self, source: str, target: str, version_id: str | None) -> dict[str, Any]:
        """Return the parameters of a copy under another name, which needs a seal of its own: one HEAD."""
        if not self._seals.has_keys or source == target:
            return {}
        info = self.head(source, version_id=version_id)
        options = {"metadata": info.metadata, "content_type": info.content_type}
        return {"source_etag": info.etag, **self._seals.resealed(info, target, options)}

    def _format_etag(self, etag: str) -> str:
        """Return an ETag as ``If-Match`` of this server expects it."""
        bare = etag.strip('"')
        # Only a write that requires its condition has probed this; others fall back where it is refused.
        known = self.client.capabilities.known_conditional_puts(self.bucket)
        return f'"{bare}"' if known is None or known.quoted else bare

    def _copies(self) -> Copies:
        return self.client.capabilities.copies(self.bucket, self.prefix)


def validate_mode(mode: str) -> str:
    """Return the mode of a write, or raise ValueError where it is malformed."""
    if mode in ("overwrite", "create") or _ETAG.fullmatch(mode):
        return mode
    raise ValueError(f"mode is 'overwrite', 'create' or an ETag as info() returns it, got {mode!r}")
