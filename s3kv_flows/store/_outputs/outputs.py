"""Finalized outputs: published once, under a name, locked from birth; verified, and brought back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3kv_flows.store._layout.keys import Namespace
from s3kv_flows.store._layout.tags import validate_tags
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._locks.visibility import require_visible
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store._outputs.publication import Publication
from s3kv_flows.store._outputs.receipts import Receipt, Verification
from s3kv_flows.store._outputs.repairs import Repair, repair
from s3kv_flows.store._outputs.verification import verify
from s3kv_flows.store._s3.types import Fetched
from s3kv_flows.store._values.values import Values

__all__ = ["FinalizedOutputs"]


class FinalizedOutputs:
    """The finalized outputs among the values of a store.

    Args:
        namespace: The names of the values.
        values: The values.
    """

    def __init__(self, namespace: Namespace, values: Values) -> None:
        self._namespace, self._values, self._objects = namespace, values, values.objects
        self._client, self._bucket = values.objects.client, values.objects.bucket

    def finalize(
        self,
        key: str,
        value: Any,
        retention: Retention | None,
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        legal_hold: bool = False,
        supersede: bool = False,
        accept_races: bool = False,
    ) -> Receipt:
        """Publish a value that nothing alters or deletes before its retention ends: four requests.

        Args:
            key: The key.
            value: What the codec of the store can hold.
            retention: Until when; None together with ``legal_hold``.
            metadata: User metadata of the object.
            tags: The tags of the object; where the content is there already, they stay as they are.
            legal_hold: Whether to forbid deletion until the hold is released, too.
            supersede: Write a new version where the key has another content. The old one stays, locked.
            accept_races: Publish also where the server's conditional PUTs exclude nobody: of writers that
                race there, more than one may be told that it has won, and its locked version stays.

        Returns:
            What was published, or was there. ``outcome`` says which.

        Raises:
            ValueError: Neither a retention nor a hold is asked for.
            ConflictError: The key has another content; AlreadyFinalizedError, which is also a KeyLockedError,
                where that is locked.
            HiddenOutputError: The key has a locked version, and somebody else's delete marker or object is on
                top of it: repair it first.
            KeyLockedError: Another writer was faster, and what was written could not be taken back.
            UnsupportedByServerError: The bucket has no Object Lock, or does not carry the condition.
            EncodingError: The codec cannot hold the value.
        """
        if retention is None and not legal_hold:
            raise ValueError(f"{key!r} is to be finalized with neither a retention nor a legal hold")
        name = self._namespace.name_of(key)
        new = self._values.new_object(
            value, metadata=metadata or {}, tags=tags or {}, retention=retention, legal_hold=legal_hold
        )
        return self._publish(
            Publication(self._objects, key, name, new, self._values.codec.name, supersede, accept_races)
        )

    def finalize_copy(
        self,
        source: Fetched,
        key: str,
        retention: Retention | None,
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        legal_hold: bool = False,
        accept_races: bool = False,
    ) -> Receipt:
        """Publish a copy of an object of the bucket, which S3 makes where it can lock copies (AWS).

        Elsewhere, and above 5 GiB, the bytes that were read are written again, as :meth:`finalize` does: a
        copy that is locked a moment later would not be locked for that moment.

        Args:
            source: The object, as it was read and verified.
            key: The key of the copy.
            retention: Until when; None together with ``legal_hold``.
            metadata: Metadata of the copy, instead of the source's.
            tags: Tags of the copy, instead of the source's.
            legal_hold: Whether to forbid deletion until the hold is released, too.
            accept_races: As for :meth:`finalize`; S3's copies need it nowhere.

        Raises:
            ValueError: Neither a retention nor a hold is asked for.
            S3KVError: As for :meth:`finalize`.
        """
        if retention is None and not legal_hold:
            raise ValueError(f"{key!r} is to be finalized with neither a retention nor a legal hold")
        new = NewObject(
            body=source.body or b"",
            content_type=source.info.content_type,
            metadata=metadata or {},
            tags=validate_tags(tags or {}),
            retention=retention,
            legal_hold=legal_hold,
        )
        name, codec = self._namespace.name_of(key), self._values.codec.name
        return self._publish(
            Publication(self._objects, key, name, new, codec, False, accept_races, source.info)
        )

    def verify(self, receipt: Receipt) -> Verification:
        """Check that exactly the version of a receipt is there, unchanged, locked and not hidden.

        It reads the version, lists the key, and asks for what lies on top of it: three requests or more.

        Raises:
            ValueError: The receipt is of another bucket.
        """
        if receipt.bucket != self._bucket:
            raise ValueError(
                f"the receipt is of bucket {receipt.bucket!r}, and this store of {self._bucket!r}"
            )
        return verify(self._client, receipt)

    def require_visible(self, key: str) -> None:
        """Raise HiddenOutputError where a locked version of a key is not what it reads as.

        One request, and one per version.
        """
        self._objects.require_object_lock()
        require_visible(self._client, self._bucket, self._namespace.name_of(key), key)

    def repair(self, key: str, *, dry_run: bool = False) -> Repair:
        """Let a key read as its locked version again, where somebody has hidden it.

        Delete markers go. A newer version is copied aside, and then goes, too; see
        :mod:`s3kv_flows.store._outputs.repairs`.

        Args:
            key: The key.
            dry_run: Say what would be done, and do nothing.

        Raises:
            KeyLockedError: What lies on top is locked itself.
        """
        name = self._namespace.name_of(key)
        self._objects.require_object_lock()
        try:
            return repair(self._objects, self._namespace, name, key, dry_run=dry_run)
        finally:
            self._values.forget(name)

    def _publish(self, publication: Publication) -> Receipt:
        try:
            return publication.run()
        finally:
            self._values.forget(publication.name)
