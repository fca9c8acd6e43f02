"""S3KV: a key-value store in a bucket, with the interface of ``s3kv`` 0.1.5."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from s3kv_flows.store.bulk import concurrently
from s3kv_flows.store.codecs import Codec, codec_named
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    EncodingError,
    KeyLockedError,
    KeyNotFoundError,
    StoreUnavailableError,
)
from s3kv_flows.store.keys import Namespace, validate_bucket_name
from s3kv_flows.store.local_cache import CachedObject, LocalCache
from s3kv_flows.store.locks import LockMode, Retention
from s3kv_flows.store.objects import GuardedBucket, NewObject
from s3kv_flows.store.s3 import S3Client, shared_client
from s3kv_flows.store.s3_types import S3Config
from s3kv_flows.store.tags import validate_tags

__all__ = ["S3KV", "DeletedKeys"]


@dataclass(frozen=True)
class DeletedKeys:
    """What a bulk deletion did.

    Attributes:
        deleted: The keys that are gone.
        protected: The keys that stay because they are locked, each with the refusal.
    """

    deleted: list[str]
    protected: dict[str, KeyLockedError]


class S3KV:
    """A key-value store in the objects ``<prefix><key><suffix>`` of a bucket.

    With the defaults, it reads what ``s3kv`` 0.1.5 wrote, and the other way round. Clients are shared
    by all stores of one configuration in a process, and a store may be used by many threads.

    Request counts in this class hold for a bucket without Object Lock. With it, every write and
    deletion first looks for locked versions; :mod:`s3kv_flows.store.objects` says how. Whether a bucket
    has it is asked once per process, unless a PUT has already shown that it has not.

    Args:
        s3_endpoint_url: URL of the server; by default ``S3_ENDPOINT_URL`` or ``AWS_ENDPOINT_URL_S3``
            of the environment, else AWS.
        bucket_name: The bucket; by default ``S3_BUCKET`` of the environment.
        aws_access_key_id: By default, boto3's own chain: environment, profile, role.
        aws_secret_access_key: Goes with the access key id.
        enable_local_cache: Whether ``get`` keeps a copy on local disk, and asks the server only
            whether it is still current.
        region_name: Region, where the server has any.
        aws_session_token: Of temporary credentials.
        profile_name: A profile of the AWS configuration files.
        verify: Whether to verify TLS certificates, or the path of a CA bundle.
        addressing_style: ``path`` or ``virtual``; ``auto`` takes path style for a custom endpoint.
        prefix: What every object name begins with; ends with ``/``.
        suffix: What every object name ends with.
        codec: ``"json"``, ``"cloudpickle"``, or an object with the methods of :class:`Codec`.
        cache_directory: Where the local cache is; by default, below the user's cache directory.
        cache_max_bytes: The size of the local cache; the least recently used values go first.
        config: Server and credentials in one; in the place of all arguments about them, and of the
            environment.

    Raises:
        ValueError: No bucket is given and ``S3_BUCKET`` is not set, or an argument is malformed.
    """

    def __init__(
        self,
        s3_endpoint_url: str | None = None,
        bucket_name: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        enable_local_cache: bool = True,  # noqa: FBT001, FBT002  # the seed's signature
        *,
        region_name: str | None = None,
        aws_session_token: str | None = None,
        profile_name: str | None = None,
        verify: bool | str = True,
        addressing_style: Literal["auto", "path", "virtual"] = "auto",
        prefix: str = "s3kv/",
        suffix: str = ".json",
        codec: str | Codec = "json",
        cache_directory: Path | None = None,
        cache_max_bytes: int = 1 << 30,
        config: S3Config | None = None,
    ) -> None:
        self.config = config or S3Config(
            endpoint_url=s3_endpoint_url or endpoint_from_environment(),
            region_name=region_name,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            profile_name=profile_name,
            verify=verify,
            addressing_style=addressing_style,
        )
        bucket = bucket_name or os.environ.get("S3_BUCKET")
        if not bucket:
            raise ValueError("no bucket: pass bucket_name, or set S3_BUCKET in the environment")
        self.bucket_name = validate_bucket_name(bucket)
        self.namespace = Namespace(prefix, suffix)
        self.codec: Codec = codec_named(codec) if isinstance(codec, str) else codec
        self.local_cache = LocalCache(
            f"{self.config.server} {bucket}", directory=cache_directory, max_bytes=cache_max_bytes
        )
        self.enable_local_cache = enable_local_cache

    @property
    def client(self) -> S3Client:
        """The client that all stores of this configuration share in this process."""
        return shared_client(self.config)

    @property
    def objects(self) -> GuardedBucket:
        """The objects of the bucket, behind the guard of what is locked."""
        return GuardedBucket(self.client, self.bucket_name, self._label)

    def __repr__(self) -> str:
        return f"S3KV({self.config.server!r}, {self.bucket_name!r}, prefix={self.namespace.prefix!r})"

    # --- values --------------------------------------------------------------------------------

    def add(
        self,
        key: str,
        value: Any,
        metadata: Mapping[str, str] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        retention: Retention | None = None,
        legal_hold: bool = False,
    ) -> None:
        """Put a value, with its tags and lock, in one request; replace the one that was there.

        Args:
            key: The key.
            value: What the codec can hold.
            metadata: User metadata of the object: ASCII, 2 KiB in all.
            tags: The tags of the object; without them, it has none.
            retention: Until when nothing may alter or delete the value.
            legal_hold: Whether to forbid deletion until the hold is released.

        Raises:
            InvalidKeyError: S3 would not take the key.
            InvalidTagError: S3 would not take the tags.
            EncodingError: The codec cannot hold the value, or the metadata is not ASCII.
            KeyLockedError: The key is under retention.
            UnsupportedByServerError: A lock is asked for, and the bucket has no Object Lock.
        """
        name = self.namespace.name_of(key)
        new = NewObject(
            body=self.codec.encode(value),
            content_type=self.codec.content_type,
            metadata=_ascii(metadata or {}),
            tags=validate_tags(tags or {}),
            retention=retention,
            legal_hold=legal_hold,
        )
        self.objects.put(name, new)
        self.clear_cache_for_key(key)

    def get(self, key: str, default: Any = None, *, version_id: str | None = None) -> Any:
        """Return the value of a key: one request, without a body where the local cache is current.

        Args:
            key: The key.
            default: Returned where the key does not exist.
            version_id: A version of the key; None for the current one.

        Raises:
            CorruptValueError: The object is damaged, or of another codec.
            AccessDeniedError: Also where the key is missing and s3:ListBucket is not granted.
        """
        name = self.namespace.name_of(key)
        caches = self.enable_local_cache and version_id is None
        cached = self.local_cache.get(name) if caches else None
        try:
            fetched = self.objects.get(
                name, version_id=version_id, if_none_match=cached.etag if cached else None
            )
        except KeyNotFoundError:
            self.clear_cache_for_key(key)
            return default
        if fetched is None and cached is not None:
            return self._decode(key, cached.body)
        if fetched is None or fetched.body is None:  # neither 304 nor a body: no server of S3 does this
            raise CorruptValueError(f"the server sent nothing for {key!r}")
        if caches:
            self.local_cache.put(
                name, CachedObject(fetched.info.etag, fetched.info.content_type, fetched.body)
            )
        return self._decode(key, fetched.body)

    def delete(self, key: str) -> None:
        """Delete a key: one request; a missing key is no error. A versioned bucket keeps old versions.

        Raises:
            KeyLockedError: The key is under retention or a legal hold.
        """
        self.objects.delete(self.namespace.name_of(key))
        self.clear_cache_for_key(key)

    def exists(self, key: str) -> bool:
        """Tell whether a key exists: one request.

        Raises:
            AccessDeniedError: S3 does not say, for lack of a permission.
            StoreUnavailableError: The server or the bucket cannot be reached.
        """
        try:
            self.objects.head(self.namespace.name_of(key))
        except KeyNotFoundError:
            return False
        return True

    def key_exists(self, key: str) -> bool:
        """Tell whether a key exists: the seed's other name for :meth:`exists`."""
        return self.exists(key)

    def copy_key(self, source_key: str, destination_key: str) -> None:
        """Copy a value, its metadata and tags onto another key, on the server: one request.

        Raises:
            KeyNotFoundError: There is no source.
            KeyLockedError: The destination is under retention.
        """
        source, destination = map(self.namespace.name_of, (source_key, destination_key))
        if source == destination:  # S3 refuses that
            self.objects.head(source)
            return
        self.objects.copy(source, destination)
        self.clear_cache_for_key(destination_key)

    def merge_keys(self, source_keys: Iterable[str], destination_key: str) -> None:
        """Merge dicts into the dict of the destination, in order; missing ones count as empty.

        One request per source, and two for the destination.

        Raises:
            EncodingError: One of the values is no dict.
            KeyLockedError: The destination is under retention.
        """
        merged: dict[str, Any] = {}
        for key in (destination_key, *source_keys):
            value = self.get(key, {})
            if not isinstance(value, dict):
                raise EncodingError(f"only dicts can be merged, and {key!r} holds a {type(value).__name__}")
            merged.update(value)
        self.add(destination_key, merged)

    # --- lists ---------------------------------------------------------------------------------

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """Yield keys, in the order of their names: one request per 1,000."""
        for listed in self.client.list_objects(self.bucket_name, self.namespace.prefix_of(prefix)):
            if (key := self.namespace.key_of(listed.name)) is not None:
                yield key

    def list_keys(self) -> list[str]:
        """Return all keys: one request per 1,000."""
        return list(self.iter_keys())

    def list_keys_with_prefix(self, prefix: str) -> list[str]:
        """Return the keys that begin with ``test``; ``s3kv/test``, the seed's spelling, is the same."""
        return list(self.iter_keys(prefix))

    # --- tags ----------------------------------------------------------------------------------

    def tag_key(self, key: str, tags: Mapping[str, str]) -> None:
        """Replace the tags of a key: one request.

        Raises:
            InvalidTagError: S3 would not take them.
            KeyNotFoundError: There is no such key.
        """
        self.client.put_tags(self.bucket_name, self.namespace.name_of(key), validate_tags(tags))

    def get_tags(self, key: str) -> dict[str, str]:
        """Return the tags of a key, or of an object name such as ``s3kv/test.json``: one request.

        Raises:
            KeyNotFoundError: There is no such key.
        """
        name = self.namespace.name_of(self.namespace.key_in_either_spelling(key))
        return self.client.get_tags(self.bucket_name, name)

    def find_keys_by_tag_value(self, tag_key: str, tag_value: str) -> list[str]:
        """Return the keys with a tag: one request per 1,000 keys, and one per key, sixteen at a time."""
        validate_tags({tag_key: tag_value})
        keys = self.iter_keys()
        tagged = concurrently(partial(self._key_if_tagged, tag=(tag_key, tag_value)), keys)
        return [key for key in tagged if key is not None]

    def delete_by_tag(self, tag_key: str, tag_value: str) -> DeletedKeys:
        """Delete the keys with a tag. Locked keys stay, and do not keep the others from being deleted.

        The requests of :meth:`find_keys_by_tag_value`, and one per key that is found.
        """
        deleted: list[str] = []
        protected: dict[str, KeyLockedError] = {}
        for key, refusal in concurrently(
            self._delete_unless_locked, self.find_keys_by_tag_value(tag_key, tag_value)
        ):
            if refusal is None:
                deleted.append(key)
            else:
                protected[key] = refusal
        return DeletedKeys(deleted, protected)

    # --- locks ---------------------------------------------------------------------------------

    def place_retention_lock(
        self, key: str, retention_days: float, *, mode: LockMode = "GOVERNANCE"
    ) -> datetime:
        """Forbid to alter or delete a key for a number of days; return when that ends.

        Raises:
            KeyNotFoundError: There is no such key.
            KeyLockedError: It is under a longer or stricter retention already.
            UnsupportedByServerError: The bucket has no Object Lock.
        """
        return self.objects.place_retention(
            self.namespace.name_of(key), Retention(days=retention_days, mode=mode)
        )

    # --- local cache ---------------------------------------------------------------------------

    def clear_cache(self) -> None:
        """Forget all local copies of values of this bucket."""
        self.local_cache.clear()

    def clear_old_cache(self, max_days: float = 7) -> int:
        """Forget local copies that were not used for this many days; return how many."""
        return self.local_cache.clear_older_than(max_days * 86400)

    def clear_cache_for_key(self, key: str) -> None:
        """Forget the local copy of one key."""
        self.local_cache.discard(self.namespace.name_of(key))

    # --- bucket --------------------------------------------------------------------------------

    def create_bucket(self, *, object_lock: bool = False) -> bool:
        """Create the bucket where it is missing; return whether it was.

        Args:
            object_lock: Whether values can be locked. S3 enables versioning with it, for good.

        Raises:
            ConflictError: The bucket exists without the Object Lock that is asked for, or it is
                somebody else's.
        """
        if self.client.bucket_exists(self.bucket_name):
            if object_lock and not self.client.has_object_lock(self.bucket_name):
                raise ConflictError(f"bucket {self.bucket_name!r} exists, without Object Lock")
            return False
        self.client.create_bucket(self.bucket_name, object_lock=object_lock)
        return True

    def server_time(self) -> datetime:
        """Return the server's time: one request.

        Raises:
            StoreUnavailableError: There is no such server, or no such bucket.
        """
        if not self.client.bucket_exists(self.bucket_name):
            raise StoreUnavailableError(f"bucket {self.bucket_name!r} does not exist at {self.config.server}")
        return self.client.capabilities.now()

    # --- how -----------------------------------------------------------------------------------

    def _label(self, name: str) -> str:
        return self.namespace.key_of(name) or name

    def _decode(self, key: str, body: bytearray) -> Any:
        try:
            return self.codec.decode(body)
        except CorruptValueError as exc:
            raise CorruptValueError(f"the value of {key!r} in bucket {self.bucket_name!r}: {exc}") from exc

    def _key_if_tagged(self, key: str, *, tag: tuple[str, str]) -> str | None:
        try:
            tags = self.client.get_tags(self.bucket_name, self.namespace.name_of(key))
        except KeyNotFoundError:  # deleted since it was listed
            return None
        return key if tags.get(tag[0]) == tag[1] else None

    def _delete_unless_locked(self, key: str) -> tuple[str, KeyLockedError | None]:
        try:
            self.delete(key)
        except KeyLockedError as refusal:
            return key, refusal
        return key, None


def endpoint_from_environment() -> str | None:
    """Return the endpoint that the environment names, None for AWS."""
    return os.environ.get("S3_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3") or None


def _ascii(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str) or not f"{key}{value}".isascii():
            raise EncodingError(f"metadata is ASCII text, got {key!r}: {value!r}")
    return dict(metadata)
