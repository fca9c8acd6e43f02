"""Values as objects: encoded, labelled with what encoded them, and read through the local cache."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from s3kv_flows.store.codecs import Codec
from s3kv_flows.store.errors import CorruptValueError, EncodingError, KeyNotFoundError
from s3kv_flows.store.local_cache import CachedObject, LocalCache
from s3kv_flows.store.locks import Retention
from s3kv_flows.store.objects import GuardedBucket, NewObject
from s3kv_flows.store.tags import validate_tags

__all__ = ["Values", "codec_of", "user_metadata"]

_OWN = "s3kv-"
_METADATA_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
"""Names that every server gives back as they are: upper case is lowered, and `_` lost or made a `-`."""
_METADATA_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?")

_METADATA_BYTES = 2048 - 256
"""S3 takes 2 KiB of user metadata, names and values together; some of it is for the store's own."""
_CODEC = "s3kv-codec"


@dataclass(frozen=True)
class Values:
    """The values in the objects of a bucket.

    Attributes:
        objects: The objects.
        codec: What encodes and decodes them.
        cache: Where copies are kept, None for nowhere.
        max_age: For how long a copy is believed without asking.
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
            InvalidTagError: S3 would not take the tags.
            EncodingError: The codec cannot hold the value, or S3 would not take the metadata.
        """
        return NewObject(
            body=self.codec.encode(value),
            content_type=self.codec.content_type,
            metadata={**_validated(metadata), _CODEC: self.codec.name},
            tags=validate_tags(tags),
            retention=retention,
            legal_hold=legal_hold,
        )

    def read(self, name: str, *, version_id: str | None = None) -> CachedObject | None:
        """Return what an object holds, None where there is none.

        One request, without a body where the copy is current; none where the copy is young enough.
        """
        cache = self.cache if version_id is None else None
        cached = cache.get(name) if cache else None
        if cached and cached.codec not in (None, self.codec.name):
            cached = None  # the same bytes have the same ETag, whatever wrote them: ask for all of it
        asked = time.time()
        if cached and 0 <= asked - cached.confirmed < self.max_age.total_seconds():
            return cached
        try:
            fetched = self.objects.get(
                name, version_id=version_id, if_none_match=cached.etag if cached else None
            )
        except KeyNotFoundError:
            if cache:
                cache.discard(name)
            return None
        if fetched is None and cached is not None and cache is not None:
            cache.confirm(name, asked)
            return cached
        if fetched is None or fetched.body is None:  # neither 304 nor a body: no server of S3 does this
            raise CorruptValueError(f"the server sent nothing for {name!r}")
        found = CachedObject(fetched.info.etag, codec_of(fetched.info.metadata), fetched.body, asked)
        if cache:
            cache.put(name, found)
        return found

    def decode(self, label: str, found: CachedObject) -> Any:
        """Return the value.

        Raises:
            CorruptValueError: It is damaged, or another codec wrote it.
        """
        return self.decode_body(label, found.codec, found.body)

    def decode_body(self, label: str, written_by: str | None, body: bytearray) -> Any:
        """Return the value of a body, by the codec that is recorded for it (the seed records none)."""
        where = f"the value of {label!r} in bucket {self.objects.bucket!r}"
        if written_by is not None and written_by != self.codec.name:
            raise CorruptValueError(
                f"{where} was written with codec {written_by!r}, and this store reads {self.codec.name!r}: "
                f"use S3KV(..., codec={written_by!r})"
            )
        try:
            return self.codec.decode(body)
        except CorruptValueError as exc:
            raise CorruptValueError(f"{where}: {exc}") from exc


def codec_of(metadata: Mapping[str, str]) -> str | None:
    """Return the codec that an object records, None where it records none."""
    return metadata.get(_CODEC)


def user_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that a user gave."""
    return {key: value for key, value in metadata.items() if not key.startswith(_OWN)}


def _validated(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not _METADATA_NAME.fullmatch(key):
            raise EncodingError(
                f"metadata {key!r}: names are of lower-case letters, digits, dots and hyphens; others do not "
                "come back as they were"
            )
        if not isinstance(value, str) or not _METADATA_VALUE.fullmatch(value):
            raise EncodingError(
                f"metadata {key!r}: values are printable ASCII without blanks around it, got {value!r}"
            )
        if key.startswith(_OWN):
            raise EncodingError(f"metadata {key!r}: names that begin with {_OWN!r} are the store's own")
    if (size := sum(len(key) + len(value) for key, value in metadata.items())) > _METADATA_BYTES:
        raise EncodingError(f"metadata of {size} bytes: there is room for {_METADATA_BYTES}")
    return dict(metadata)
