"""Finalized outputs: publish, verify and repair them."""

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
from s3kv_flows.store._outputs.sealed_receipts import sealed
from s3kv_flows.store._outputs.verification import verify
from s3kv_flows.store._s3.types import Fetched
from s3kv_flows.store._seals.policy import SealPolicy
from s3kv_flows.store._values.values import Values

__all__ = ["FinalizedOutputs"]


class FinalizedOutputs:
    """The finalized outputs among the values of a store.

    Args:
        namespace: The names of the values.
        values: The values.
        policy: The seals of receipts.
    """

    def __init__(self, namespace: Namespace, values: Values, policy: SealPolicy) -> None:
        self._namespace, self._values, self._objects = namespace, values, values.objects
        self._policy = policy
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
        """Publish a value that nothing can alter or delete before its retention ends: four requests.

        Where the server's ETags are no digests of bodies (SSE-KMS, SSE-C), the version is read back, too.

        Args:
            key: The key.
            value: A value that the codec of the store can encode.
            retention: The retention; None together with ``legal_hold``.
            metadata: User metadata of the object.
            tags: The tags of the object; where the key has the same content already, its tags stay unchanged.
            legal_hold: Whether to forbid deletion until the hold is released, too.
            supersede: Write a new version where the key has other content. The old one stays, locked.
            accept_races: Publish even where the server's conditional PUTs exclude no second writer: of
                concurrent writers, more than one may succeed there, and each locked version stays.

        Returns:
            The receipt of the published or existing version; ``outcome`` says which.

        Raises:
            ValueError: Neither a retention nor a hold is requested.
            ConflictError: The key has other content; AlreadyFinalizedError, which is also a KeyLockedError,
                where that is locked.
            HiddenOutputError: The key has a locked version, and somebody else's delete marker or object is on
                top of it: repair it first.
            KeyLockedError: Another writer was faster, and the version of this call could not be deleted.
            StoreUnavailableError: The value was damaged on its way, and deleted again.
            CorruptValueError: The value was damaged on its way, and could not be deleted.
            UnsupportedByServerError: The bucket has no Object Lock, or does not support the condition.
            EncodingError: The codec cannot encode the value.
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
        """Publish a copy of an object of the bucket, made by the server where it can lock copies (AWS).

        Elsewhere, and above 5 GiB, the downloaded bytes are written again, as by :meth:`finalize`: a copy
        that is locked afterwards would be unprotected until then.

        Args:
            source: The object, as it was read and verified.
            key: The key of the copy.
            retention: The retention; None together with ``legal_hold``.
            metadata: Metadata of the copy, instead of the source's.
            tags: Tags of the copy, instead of the source's.
            legal_hold: Whether to forbid deletion until the hold is released, too.
            accept_races: As for :meth:`finalize`; copies made by the server never need it.

        Raises:
            ValueError: Neither a retention nor a hold is requested.
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
        """Check that the version of a receipt still exists, unchanged, locked and not hidden.

        Reads the version, lists the key, and sends a HEAD for each version: three requests or more. Where the
        store has keys, one of them must have sealed the receipt.

        Raises:
            ValueError: The receipt is of another bucket.
        """
        if receipt.bucket != self._bucket:
            raise ValueError(
                f"the receipt is of bucket {receipt.bucket!r}, and this store of {self._bucket!r}"
            )
        return verify(self._client, receipt, self._policy)

    def sealed(self, receipt: Receipt) -> Receipt:
        """Return a receipt with a seal over all that it says by now, if the store has a key for it."""
        return sealed(receipt, self._policy)

    def require_visible(self, key: str) -> None:
        """Raise HiddenOutputError where somebody else has hidden a locked version of a key.

        One request, and one per version.
        """
        self._objects.require_object_lock()
        require_visible(self._client, self._bucket, self._namespace.name_of(key), key)

    def repair(self, key: str, *, dry_run: bool = False) -> Repair:
        """Make a hidden locked version the current one of its key again.

        Delete markers on top of it are deleted. A newer version is copied aside, and then deleted; see
        :mod:`s3kv_flows.store._outputs.repairs`.

        Args:
            key: The key.
            dry_run: Return what would be done, without doing it.

        Returns:
            What was done; without a version id where no locked version is hidden.

        Raises:
            KeyNotFoundError: There is no such key, and no locked version of it is hidden.
            KeyLockedError: A version on top of it is locked itself.
        """
        name = self._namespace.name_of(key)
        self._objects.require_object_lock()
        try:
            return repair(self._objects, self._namespace, name, key, dry_run=dry_run)
        finally:
            self._values.forget(name)

    def _publish(self, publication: Publication) -> Receipt:
        try:
            return sealed(publication.run(), self._policy)
        finally:
            self._values.forget(publication.name)
