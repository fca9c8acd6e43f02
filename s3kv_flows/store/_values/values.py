"""Values as objects: encoded, checksummed, and read through the local cache."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import xxhash

from s3kv_flows.store._layout.marks import CHECKSUM, CODEC, OWN
from s3kv_flows.store._layout.tags import validate_tags
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._objects.bucket import GuardedBucket, NewObject
from s3kv_flows.store._s3.bodies import Buffer, Pieces
from s3kv_flows.store._s3.types import Fetched, ObjectInfo
from s3kv_flows.store._values.codecs import Codec
from s3kv_flows.store._values.local_cache import CachedObject, LocalCache
from s3kv_flows.store.errors import CorruptValueError, EncodingError, KeyNotFoundError, TamperedValueError

__all__ = ["Values", "codec_of", "user_metadata"]

logger = logging.getLogger(__name__)

_METADATA_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
"""Names that every server returns unchanged: some lower the case, and drop `_` or make it a `-`."""
_METADATA_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?")

_METADATA_BYTES = 2048 - 400
"""S3 accepts 2 KiB of user metadata, names and values together; the store needs some of it."""


@dataclass(frozen=True)
class Values:
    """The values in the objects of a bucket.

    Attributes:
        objects: The objects.
        codec: The codec of the values.
        cache: The local cache, or None.
        max_age: For how long a copy is used without asking the server.
    """

    objects: GuardedBucket
    codec: Codec
    cache: LocalCache | None
    max_age: timedelta

    def new_object(
        self,
        value: Any,
        *,
        metadata: Mapping[str, str],
        tags: Mapping[str, str],
        retention: Retention | None = None,
        legal_hold: bool = False,
    ) -> NewObject:
        """Return the object of a value.

        Raises:
            InvalidTagError: S3 does not accept the tags.
            EncodingError: The codec cannot encode the value, or S3 does not accept the metadata.
        """
        body = self.codec.encode(value)
        marks = {CODEC: self.codec.name}
        if not isinstance(body, Pieces):  # a frame contains its checksum
            marks[CHECKSUM] = _checksum(body)
        return NewObject(
            body=body,
            content_type=self.codec.content_type,
            metadata={**_validate_metadata(metadata), **marks},
            tags=validate_tags(tags),
            retention=retention,
            legal_hold=legal_hold,
        )

    def read(self, name: str, *, version_id: str | None = None) -> Fetched | None:
        """Return an object, or None where it does not exist; the requests of :meth:`fetch`."""
        try:
            return self.fetch(name, version_id=version_id)
        except KeyNotFoundError:
            return None

    def fetch(
        self,
        name: str,
        *,
        version_id: str | None = None,
        wanted: Callable[[ObjectInfo], bool] | None = None,
    ) -> Fetched:
        """Return an object.

        One request, without a body where the copy is current (and more for a large object, see
        :func:`s3kv_flows.store._objects.transfer.download`); none where the copy is young enough.

        Args:
            name: The object name.
            version_id: A version; None for the current one.
            wanted: Called with the headers; returns False to skip the body.

        Raises:
            KeyNotFoundError: There is no such object or version.
        """
        if self.cache is None or version_id is not None:
            return self.objects.get(name, version_id=version_id, wanted=wanted)
        cached, requested_at = self.local_copy(name), time.time()
        if cached and 0 <= requested_at - cached.confirmed < self.max_age.total_seconds():
            return Fetched(cached.info, cached.body)
        try:
            found = self._fetch_if_changed(name, cached, wanted)
        except KeyNotFoundError:
            self.cache.discard(name)
            raise
        if found is None and cached is not None:
            self.cache.confirm(name, requested_at)
            info = replace(cached.info, server_time=self.objects.client.capabilities.now())
            return Fetched(info, cached.body if wanted is None or wanted(info) else None)
        found = found or self.objects.get(name, wanted=wanted)
        if found.body is not None:
            self.cache.put(name, CachedObject(found.info, found.body, requested_at))
        return found

    def forget(self, name: str) -> None:
        """Forget the local copy of an object."""
        if self.cache is not None:
            self.cache.discard(name)

    def local_copy(self, name: str) -> CachedObject | None:
        """Return the local copy of an object, if it is of this codec, and its seal holds: no request.

        Raises:
            ValueError: Objects of these need keys, and there are none.
        """
        cached = self.cache.get(name) if self.cache else None
        # Equal bytes have the same ETag, whichever codec wrote them: a copy of another codec is not used.
        other_codec = cached and codec_of(cached.info.metadata) not in (None, self.codec.name)
        return None if cached is None or other_codec or not self._is_own(cached) else cached

    def _is_own(self, cached: CachedObject) -> bool:
        """Tell whether a copy is what its seal says; one that is not is dropped, and the server is asked.

        Nobody vouches for the date in a file. So a key that has ended is good for no copy.
        """
        try:
            check = self.objects.examine(replace(cached.info, last_modified=datetime.now(timezone.utc)))
            if check is not None:
                check.verify(cached.body)
        except TamperedValueError as exc:
            logger.warning("a local copy is not used: %s", exc)
            self.forget(cached.info.name)
            return False
        return True

    def _fetch_if_changed(
        self, name: str, cached: CachedObject | None, wanted: Callable[[ObjectInfo], bool] | None
    ) -> Fetched | None:
        """Return an object that differs from its cached copy, or None where it does not.

        A copy of an object onto itself changes its metadata, but not its ETag: S3 sends its date with the
        304. On a server that does not, such a change goes unnoticed.
        """
        if cached is None:
            return None
        response = self.objects.get_unless(name, cached.info.etag, wanted=wanted)
        if isinstance(response, Fetched):
            return response
        if response.last_modified in (None, _to_seconds(cached.info.last_modified)):
            return None
        return self.objects.get(name, wanted=wanted)  # the same bytes, with other metadata

    def decode(self, display_name: str, found: Fetched | CachedObject) -> Any:
        """Return the value, decoded by the codec that the object records (``s3kv`` 0.1.5 records none).

        Raises:
            CorruptValueError: The object is damaged, or another codec wrote it.
        """
        where = f"the value of {display_name!r} in bucket {self.objects.bucket!r}"
        body, metadata = found.body, found.info.metadata
        if body is None:
            raise CorruptValueError(f"{where} was not downloaded", reason="truncated")
        written_by = codec_of(metadata)
        if written_by is not None and written_by != self.codec.name:
            raise CorruptValueError(
                f"{where} was written with codec {written_by!r}, and this store reads {self.codec.name!r}: "
                f"use S3KV(..., codec={written_by!r})",
                reason="codec",
            )
        if metadata.get(CHECKSUM, checksum := _checksum(body)) != checksum:
            raise CorruptValueError(f"{where} is damaged: its checksum does not match", reason="checksum")
        try:
            return self.codec.decode(body)
        except CorruptValueError as exc:
            raise exc.located(where) from exc


def codec_of(metadata: Mapping[str, str]) -> str | None:
    """Return the codec that an object records, or None."""
    return metadata.get(CODEC)


def _checksum(body: Buffer) -> str:
    return xxhash.xxh3_64_hexdigest(body)


def _to_seconds(moment: datetime) -> datetime:
    """Return a moment with the precision of an HTTP date."""
    return moment.replace(microsecond=0)


def user_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of the user, without that of this package."""
    return {key: value for key, value in metadata.items() if not key.startswith(OWN)}


def _validate_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not _METADATA_NAME.fullmatch(key):
            raise EncodingError(
                f"metadata {key!r}: names consist of lower-case letters, digits, dots and hyphens; servers "
                "do not return others unchanged"
            )
        if not isinstance(value, str) or not _METADATA_VALUE.fullmatch(value):
            raise EncodingError(
                f"metadata {key!r}: values are printable ASCII without spaces around it, got {value!r}"
            )
        if key.startswith(OWN):
            raise EncodingError(f"metadata {key!r}: names that begin with {OWN!r} are reserved")
    if (size := sum(len(key) + len(value) for key, value in metadata.items())) > _METADATA_BYTES:
        raise EncodingError(f"metadata has {size} bytes, the limit is {_METADATA_BYTES}")
    return dict(metadata)
