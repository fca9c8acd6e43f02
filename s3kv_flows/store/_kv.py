"""S3KV, a key-value store with the interface of ``s3kv`` 0.1.5.

CompatibleS3KV is the same for programs that were written for that package.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

from s3kv_flows.store._durations import DurationLike, fixed_duration, length_before, parse_duration
from s3kv_flows.store._iam import Access, apply_policy, statements
from s3kv_flows.store._layout.keys import Namespace, validate_bucket_name
from s3kv_flows.store._layout.marks import is_own, name_mark
from s3kv_flows.store._layout.tags import validate_tags
from s3kv_flows.store._locks.retention import LockMode, Retention
from s3kv_flows.store._locks.visibility import require_visible
from s3kv_flows.store._objects.bucket import GuardedBucket, NewObject, validate_mode
from s3kv_flows.store._objects.deletions import Deletions
from s3kv_flows.store._objects.locking import ObjectLocks
from s3kv_flows.store._objects.search import tagged
from s3kv_flows.store._objects.updates import compare_and_swap
from s3kv_flows.store._outputs.outputs import FinalizedOutputs
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.clients import shared_client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.config import AWS, Encryption, S3Config, refuse_bucket_in_endpoint
from s3kv_flows.store._s3.transport.client_errors import raising_client_errors
from s3kv_flows.store._s3.types import Fetched, ListedObject, ListedVersion, ObjectInfo, Written
from s3kv_flows.store._seals.config import SealConfig
from s3kv_flows.store._seals.objects import ObjectSeals
from s3kv_flows.store._seals.purposes import Purpose, parse_purpose
from s3kv_flows.store._values.codecs import Codec, LenientJsonCodec, codec_named, executes_code
from s3kv_flows.store._values.key_info import DeletedKeys, KeyInfo
from s3kv_flows.store._values.local_cache import CachedObject, LocalCache
from s3kv_flows.store._values.rereading import is_damage, read_and_decode
from s3kv_flows.store._values.values import Values, user_metadata
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    CorruptValueError,
    EncodingError,
    KeyLockedError,
    KeyNotFoundError,
    StoreUnavailableError,
)

__all__ = ["S3KV", "CompatibleS3KV"]


class S3KV:
    """A key-value store in the objects ``<prefix><key><suffix>`` of a bucket.

    With the defaults, it reads values that ``s3kv`` 0.1.5 wrote, and the other way round. Clients are shared
    by all stores of one configuration in a process, and a store may be used by many threads.

    Request counts in this class hold for a bucket without Object Lock. With Object Lock, every write and
    deletion first checks for locked versions; :mod:`s3kv_flows.store._objects.bucket` says how. Each process
    asks once whether a bucket has Object Lock, unless a PUT has already shown that it has not.

    Args:
        s3_endpoint_url: URL of the server; by default ``S3_ENDPOINT_URL`` of the environment, else the one
            that boto3 finds (``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, the profile), else AWS.
        bucket_name: The bucket; by default ``S3_BUCKET`` of the environment.
        aws_access_key_id: The access key id; by default boto3's credential chain: environment, profile, role.
        aws_secret_access_key: The secret of the access key id.
        enable_local_cache: Whether ``get`` keeps a copy on local disk, and asks the server only
            whether it is still current.
        region_name: The region, where the server has any.
        aws_session_token: The session token of temporary credentials.
        profile_name: A profile of the AWS configuration files.
        verify: Whether to verify TLS certificates, or the path of the only CA bundle to trust. True leaves
            that to boto3's chain: ``AWS_CA_BUNDLE``, ``ca_bundle`` of the profile, ``REQUESTS_CA_BUNDLE``, or
            boto3's own bundle.
        addressing_style: ``path`` or ``virtual``; ``auto`` takes path style for a custom endpoint.
        prefix: The beginning of every object name; ends with ``/``.
        suffix: The end of every object name.
        codec: ``"json"``, ``"cloudpickle"``, ``"bytes"``, or an object with the methods of
            :class:`Codec`. Each object records its codec, and no other codec reads it.
        encryption: How the server is to encrypt objects; None leaves it to the bucket.
        boto_config: Options of ``botocore.config.Config``, as a dict: ``proxies``, ``connect_timeout``,
            ``read_timeout``, ``retries``, ``s3``, ...
        operation_timeout_seconds: For how long a small operation may take in all, with its retries; see
            :class:`~s3kv_flows.store._s3.config.S3Config`.
        requester_pays: Whether the owner of the credentials pays for the requests, as buckets of some others
            require.
        cache_directory: Directory of the local cache; by default, below the user's cache directory.
        cache_max_age: For how long ``get`` may return a local copy without asking the server: it can be
            that stale. Zero, the default, asks each time. A timedelta, or text such as ``30s``.
        cache_max_bytes: The size of the local cache; the least recently used values are evicted first.
        config: Server and credentials in one object; replaces all arguments about them, and the
            environment.
        signing_key: The key that seals what is written, as ``s3kv-sk1:...``, or ``file:`` and a path; by
            default ``S3KV_SIGNING_KEY`` of the environment.
        trusted_keys: The public keys whose seals are accepted, as ``s3kv-pk1:...`` or ``file:`` and a path;
            by default ``S3KV_TRUSTED_KEYS`` of the environment. The signing key is one of them.
        seal_scope: Tells apart environments that sign with the same key.
        accept_unsealed: Whether to read objects without a seal where there are keys: for buckets that were
            written before. A seal that is there and wrong is never accepted.
        allow_pickle: Whether a codec may be used that runs code when it decodes; without, only ``"json"``
            and ``"bytes"``.
        purpose: What the objects are, which their seals bind.

    Raises:
        ValueError: No bucket is given and ``S3_BUCKET`` is not set, or an argument is malformed; or the codec
            runs code when it decodes (``"cloudpickle"``), and there are no keys to tell who wrote an object.
    """

    _json: Codec = codec_named("json")
    _namespace = Namespace

    def __init__(
        self,
        s3_endpoint_url: str | None = None,
        bucket_name: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        enable_local_cache: bool = True,  # noqa: FBT001, FBT002  # the signature of s3kv 0.1.5
        *,
        region_name: str | None = None,
        aws_session_token: str | None = None,
        profile_name: str | None = None,
        verify: bool | str = True,
        addressing_style: Literal["auto", "path", "virtual"] = "auto",
        prefix: str = "s3kv/",
        suffix: str = ".json",
        codec: str | Codec = "json",
        encryption: Encryption | None = None,
        boto_config: Mapping[str, Any] | None = None,
        operation_timeout_seconds: float = 60.0,
        requester_pays: bool = False,
        cache_directory: Path | None = None,
        cache_max_age: DurationLike = timedelta(0),
        cache_max_bytes: int = 1 << 30,
        config: S3Config | None = None,
        signing_key: str | None = None,
        trusted_keys: Iterable[str] | None = None,
        seal_scope: str = "",
        accept_unsealed: bool = False,
        allow_pickle: bool = True,
        purpose: Purpose = "value",
    ) -> None:
        if config is not None and (encryption is not None or boto_config is not None):
            raise ValueError("encryption and boto_config are part of config, where config is given")
        self.config = config or S3Config(
            endpoint_url=s3_endpoint_url or endpoint_from_environment(),
            region_name=region_name,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            profile_name=profile_name,
            verify=verify,
            addressing_style=addressing_style,
            encryption=encryption,
            boto_config=dict(boto_config or {}),
            operation_timeout_seconds=operation_timeout_seconds,
            requester_pays=requester_pays,
        )
        bucket = bucket_name or os.environ.get("S3_BUCKET")
        if not bucket:
            raise ValueError("no bucket: pass bucket_name, or set S3_BUCKET in the environment")
        self.bucket_name = validate_bucket_name(bucket)
        refuse_bucket_in_endpoint(self.config.endpoint_url, bucket)
        self.namespace = self._namespace(prefix, suffix)
        self.codec: Codec = self._json if codec == self._json.name else codec_named(codec)
        self._cache_directory, self._cache_max_bytes = cache_directory, cache_max_bytes
        self._caches: dict[str, LocalCache] = {}  # by server
        self.seals = SealConfig.of(
            signing_key, trusted_keys, scope=seal_scope, accept_unsealed=accept_unsealed
        )
        self.purpose = parse_purpose(purpose)
        if not allow_pickle and executes_code(self.codec):
            raise ValueError(
                f"codec {self.codec.name!r} may run code when it decodes, and allow_pickle=False: use 'json' "
                "or 'bytes'"
            )
        if self.purpose == "value":  # stores of other purposes are also made to look after their objects
            self.seals_of_objects.require_keys()
        self.enable_local_cache = enable_local_cache
        self.cache_max_age = fixed_duration(cache_max_age)

    @property
    def client(self) -> S3Client:
        """The client that all stores of this configuration share in this process."""
        return shared_client(self.config)

    @property
    def local_cache(self) -> LocalCache:
        """The local cache of this bucket, whether or not it is enabled.

        Its directory depends on the client's server, which the environment and the profile may name. The
        first use makes the client, without a request.
        """
        server = self.client.server
        cache = self._caches.get(server) or LocalCache(
            f"{server} {self.bucket_name}", directory=self._cache_directory, max_bytes=self._cache_max_bytes
        )
        return self._caches.setdefault(server, cache)

    @property
    def objects(self) -> GuardedBucket:
        """The objects of the bucket, with writes that never hide a locked version."""
        return GuardedBucket(
            self.client,
            self.bucket_name,
            self._display_name,
            prefix=self.namespace.prefix,
            seals=self.seals_of_objects,
        )

    @property
    def seals_of_objects(self) -> ObjectSeals:
        """The seals of the objects of this store."""
        executes = executes_code(self.codec)
        return ObjectSeals(self.seals.policy(), self.purpose, executes_code=executes)

    def __repr__(self) -> str:
        try:
            server = self.client.server
        except ValueError:  # no client can be made: of an unknown profile, for example
            server = self.config.endpoint_url or AWS
        return f"S3KV({server!r}, {self.bucket_name!r}, prefix={self.namespace.prefix!r})"

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
        mode: str = "overwrite",
    ) -> Written:
        """Put a value, with its tags and lock, in one request.

        Args:
            key: The key.
            value: A value that the codec can encode. A large one is sent from its own memory, and must not
                change meanwhile.
            metadata: User metadata of the object: ASCII, 1,648 bytes in all.
            tags: The tags of the object; without them, it has none.
            retention: For how long nothing may alter or delete the value. A locked value is compared with
                what was sent: by its ETag, or by a GET where that is no digest (SSE-KMS, SSE-C).
            legal_hold: Whether to forbid deletion until the hold is released.
            mode: ``"overwrite"``; ``"create"``, only where the key is absent; or the ETag that the key
                must still have, as an earlier :meth:`add` or :meth:`info` returned it. With a condition, the
                first write of a client into a bucket probes whether the server supports it.

        Returns:
            The ETag, and the version id where the bucket has versions.

        Raises:
            InvalidKeyError: S3 does not accept the key.
            InvalidTagError: S3 does not accept the tags.
            EncodingError: The codec cannot encode the value, or S3 does not accept the metadata.
            ConflictError: The condition of ``mode`` does not hold.
            KeyLockedError: The key is under retention.
            AccessDeniedError: Also where these credentials may not see whether the key is locked.
            StoreUnavailableError: Also where a locked value was damaged on its way, and deleted again.
            UnsupportedByServerError: A lock is requested, and the bucket has no Object Lock; or a
                condition, and the server does not support it.
            ValueError: There are trusted keys, and none to seal with.
        """
        name = self.namespace.name_of(key)
        new = self._values.new_object(
            value, metadata=metadata or {}, tags=tags or {}, retention=retention, legal_hold=legal_hold
        )
        mode = validate_mode(mode)
        try:
            return self.objects.put(name, new, mode=mode)
        finally:
            self.clear_cache_for_key(key)  # even where nobody knows whether it was written

    def get(self, key: str, default: Any = None, *, version_id: str | None = None) -> Any:
        """Return the value of a key: one request.

        With the local cache, the response has no body where the copy is current; and there is no request
        where it was confirmed within ``cache_max_age``. With Object Lock, a missing key, a copy, and an
        object that this package did not write cost one request more, and one per existing version: to tell an
        absent key from a hidden one, and a value from an object that others put on top of a locked one.

        Args:
            key: The key.
            default: Returned where the key does not exist.
            version_id: A version of the key; None for the current one.

        Raises:
            CorruptValueError: The object is damaged, or another codec wrote it; TamperedValueError, if its
                seal is missing, wrong, or of nobody who is trusted here.
            HiddenOutputError: The key has a locked version, and somebody else's delete marker or object is
                on top of it.
            AccessDeniedError: Also where the key is missing and s3:ListBucket is not granted.
        """
        return self._decoded(key, self._values, default, version_id=version_id)

    def fetch(self, key: str, *, wanted: Callable[[ObjectInfo], bool] | None = None) -> Fetched:
        """Return the object of a key as it is stored, whoever wrote it: the requests of :meth:`get`.

        Args:
            key: The key.
            wanted: Called with the headers, before the body is downloaded; returns False to skip the body.

        Raises:
            KeyNotFoundError: There is no such key.
            TamperedValueError: As for :meth:`get`.
        """
        return self._revalidated_values.fetch(self.namespace.name_of(key), wanted=wanted)

    def delete(self, key: str) -> None:
        """Delete a key: one request; a missing key is no error.

        A versioned bucket keeps the value as an older version; :meth:`purge` frees it. A lock that is placed
        at the same instant may undo the deletion.

        Raises:
            KeyLockedError: The key is under retention or a legal hold.
        """
        self._deletions.delete(self.namespace.name_of(key))
        self.clear_cache_for_key(key)

    def exists(self, key: str) -> bool:
        """Return whether a key exists: one request. With Object Lock, see :meth:`get`.

        Raises:
            HiddenOutputError: It has a locked version, which somebody else has hidden.
            AccessDeniedError: These credentials may not find out.
            StoreUnavailableError: The server or the bucket cannot be reached.
        """
        try:
            self.info(key)
        except KeyNotFoundError:
            return False
        return True

    def key_exists(self, key: str) -> bool:
        """Return whether a key exists: the other name of :meth:`exists` in ``s3kv`` 0.1.5."""
        return self.exists(key)

    def info(self, key: str, *, version_id: str | None = None) -> KeyInfo:
        """Return size, age, ETag, metadata and locks of a key, without its value: one request.

        With Object Lock, see :meth:`get`.

        Raises:
            KeyNotFoundError: There is no such key, or version.
            HiddenOutputError: It has a locked version, which somebody else has hidden.
        """
        try:
            info = self.objects.head(self.namespace.name_of(key), version_id=version_id)
        except KeyNotFoundError:
            if version_id is None:
                self._require_visible(key, None)
            raise
        if version_id is None:
            self._require_visible(key, info)
        return KeyInfo.of(key, info)

    def get_key_size(self, key: str) -> int:
        """Return the size of the value as it is stored, in bytes; 0 for a missing key: one request."""
        try:
            return self.info(key).size
        except KeyNotFoundError:
            return 0

    def get_key_last_updated_time(self, key: str) -> datetime | Literal[0]:
        """Return when a key was written last; 0 for a missing key: one request.

        As in ``s3kv`` 0.1.5, it is in UTC and has no time zone; ``info(key).last_modified`` has one.
        """
        try:
            return self.info(key).last_modified.replace(tzinfo=None)
        except KeyNotFoundError:
            return 0

    # --- many values ---------------------------------------------------------------------------

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of keys, without the missing ones: one request each, sixteen at a time."""
        found = map_concurrently(lambda key: (key, self.get(key, _MISSING)), keys)
        return {key: value for key, value in found if value is not _MISSING}

    def add_many(
        self,
        values: Mapping[str, Any],
        *,
        tags: Mapping[str, str] | None = None,
        retention: Retention | None = None,
        legal_hold: bool = False,
        mode: Literal["overwrite", "create"] = "overwrite",
    ) -> None:
        """Put many values: one request each, sixteen at a time; the options apply to all.

        Keys and tags are validated before the first request. The first error stops it: values that were
        written stay, and those not yet begun are not written.

        Raises:
            S3KVError: The errors of :meth:`add`.
        """
        for key in values:
            self.namespace.name_of(key)
        validate_tags(tags or {})
        options: dict[str, Any] = {
            "tags": tags, "retention": retention, "legal_hold": legal_hold, "mode": mode
        }  # fmt: skip
        for _ in map_concurrently(lambda item: self.add(*item, **options), values.items()):
            pass

    # --- changes -------------------------------------------------------------------------------

    def update(self, key: str, change: Callable[[Any], Any], *, default: Any = None) -> Any:
        """Change a value without losing concurrent changes; return the new value.

        This is a compare-and-swap: the value is read, and written only if it has not changed since; otherwise
        the update is retried. Two requests, two more for each retry, and one for the tags where there are
        any. Metadata and tags stay; a tag that is set at the same instant may be lost, for S3 has no
        condition on tags.

        Args:
            key: The key.
            change: Called with the value, returns the new one. May be called more than once.
            default: The value passed to ``change`` where the key does not exist.

        Raises:
            UnsupportedByServerError: The server's conditional PUTs do not support this.
            ConflictError: Other writers were faster for a whole minute.
            StoreUnavailableError: The response to a write was lost, and somebody else wrote since: whether
                the change was made is not known. (With versions, it is.)
            KeyLockedError: The key is under retention.
        """
        name = self.namespace.name_of(key)
        result: list[Any] = []
        damage: list[CorruptValueError] = []

        def changed(found: Fetched | None) -> NewObject | None:
            value, metadata, tags = default, {}, {}
            if found is not None and found.body is not None:
                try:
                    value = self._values.decode(key, found)
                except CorruptValueError as exc:
                    if damage or not is_damage(exc):
                        raise
                    damage.append(exc)  # perhaps on its way here
                    return None
                metadata = user_metadata(found.info.metadata)
                try:
                    tags = self.client.get_tags(self.bucket_name, name) if found.info.tag_count else {}
                except KeyNotFoundError:
                    return None  # deleted since
            result[:] = [change(value)]
            return self._values.new_object(result[0], metadata=metadata, tags=tags)

        try:
            compare_and_swap(self.objects, name, changed)
        finally:
            self.clear_cache_for_key(key)
        return result[0]

    def merge_keys(self, source_keys: Iterable[str], destination_key: str) -> None:
        """Merge dicts into the dict of the destination, in order; missing ones count as empty.

        One request per source, and those of :meth:`update` for the destination: concurrent changes to it
        are not lost.

        Raises:
            EncodingError: One of the values is not a dict.
            HiddenOutputError: A source has a locked version, which somebody else has hidden.
            KeyLockedError: The destination is under retention.
            UnsupportedByServerError: The server's conditional PUTs do not support this.
        """
        merged: dict[str, Any] = {}
        for key in source_keys:
            # Confirmed by the server, whatever cache_max_age is.
            merged.update(_dict(key, self._decoded(key, self._revalidated_values, {})))
        self.update(destination_key, lambda value: {**_dict(destination_key, value), **merged}, default={})

    def copy_key(
        self, source_key: str, destination_key: str, *, tags: Mapping[str, str] | None = None
    ) -> None:
        """Copy a value and its metadata to another key, on the server: one request.

        With Object Lock, the versions of both keys are checked first. A store with keys for seals asks for
        the headers of the source before, as the copy is sealed under its own name.

        Args:
            source_key: The key to copy from.
            destination_key: The key to copy to.
            tags: The tags of the copy; None for those of the source. A server that cannot replace tags
                while it copies is sent them in a second request.

        Raises:
            KeyNotFoundError: There is no such source key.
            HiddenOutputError: The source has a locked version, which somebody else has hidden.
            KeyLockedError: The destination is under retention.
            TamperedValueError: The source is not sealed by a key that is trusted here.
            ValueError: There are trusted keys, and none to seal with.
        """
        source, destination = map(self.namespace.name_of, (source_key, destination_key))
        new_tags = None if tags is None else validate_tags(tags)
        self._require_visible(source_key, None)
        if source == destination:  # S3 refuses such a copy
            self.objects.head(source)
            if new_tags is not None:
                self.tag_key(source_key, new_tags)
            return
        self.objects.copy(source, destination, tags=new_tags)
        self.clear_cache_for_key(destination_key)

    # --- versions ------------------------------------------------------------------------------

    def versions(self, key: str) -> list[ListedVersion]:
        """Return all versions and delete markers of a key, the current one first: one request."""
        return self.objects.versions(self.namespace.name_of(key))

    def restore(self, key: str, version_id: str) -> None:
        """Make an older version the current one again, by copying it on top: two requests.

        Raises:
            KeyNotFoundError: There is no such version, or it is a delete marker.
            KeyLockedError: The key is under retention.
        """
        self.objects.restore(self.namespace.name_of(key), version_id)
        self.clear_cache_for_key(key)

    def purge(self, key: str) -> None:
        """Delete a key with all its versions, which frees their bytes.

        Without versions, one request as :meth:`delete`. With them, one to list, one or two to delete per
        1,000 versions and, with Object Lock, one per version for its lock.

        Raises:
            KeyLockedError: A version is under retention or a legal hold; nothing was deleted.
        """
        self._deletions.purge(self.namespace.name_of(key))
        self.clear_cache_for_key(key)

    # --- lists ---------------------------------------------------------------------------------

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """Yield keys lazily, in the order of their names: one request per 1,000."""
        return (key for key, _ in self._iter_listed(prefix))

    def list_keys(self) -> list[str]:
        """Return all keys: one request per 1,000."""
        return list(self.iter_keys())

    def list_keys_with_prefix(self, prefix: str) -> list[str]:
        """Return the keys that begin with ``test``; ``s3kv/test``, as in ``s3kv`` 0.1.5, is the same."""
        return list(self.iter_keys(prefix))

    # --- tags ----------------------------------------------------------------------------------

    def tag_key(self, key: str, tags: Mapping[str, str], *, merge: bool = False) -> None:
        """Replace the tags of a key: one request. With ``merge``, add to them: two.

        Raises:
            InvalidTagError: S3 does not accept the tags.
            KeyNotFoundError: There is no such key.
        """
        name, new = self.namespace.name_of(key), validate_tags(tags)
        if merge:
            new = validate_tags(self.client.get_tags(self.bucket_name, name) | new)
        self.client.put_tags(self.bucket_name, name, new)

    def untag_key(self, key: str, tag_keys: Iterable[str] | None = None) -> None:
        """Remove tags from a key: all of them in one request, named ones in two.

        Raises:
            KeyNotFoundError: There is no such key.
        """
        remaining: dict[str, str] = {}
        if tag_keys is not None:
            removed = {tag_keys} if isinstance(tag_keys, str) else set(tag_keys)
            tags = self.client.get_tags(self.bucket_name, self.namespace.name_of(key))
            remaining = {tag: value for tag, value in tags.items() if tag not in removed}
        self.tag_key(key, remaining)

    def get_tags(self, key: str) -> dict[str, str]:
        """Return the tags of a key, or of an object name such as ``s3kv/test.json``: one request.

        Raises:
            KeyNotFoundError: There is no such key.
        """
        name = self.namespace.name_of(self.namespace.key_in_either_spelling(key))
        return self.client.get_tags(self.bucket_name, name)

    def tag_keys_with_prefix(self, prefix: str, tags: Mapping[str, str], *, merge: bool = False) -> list[str]:
        """Tag all keys that begin with ``test`` or ``s3kv/test``; return them.

        One request per 1,000 keys, and :meth:`tag_key` for each, sixteen at a time.
        """
        validate_tags(tags)

        def tag(key: str) -> str | None:
            try:
                self.tag_key(key, tags, merge=merge)
            except KeyNotFoundError:  # deleted since it was listed
                return None
            return key

        return [key for key in map_concurrently(tag, self.iter_keys(prefix)) if key is not None]

    def find_keys_by_tag_value(self, tag_key: str, tag_value: str) -> list[str]:
        """Return the keys with a tag: one request per 1,000 keys, and one per key, 32 at a time."""
        return self.find_keys_by_tags({tag_key: tag_value})

    def find_keys_by_tags(
        self, tags: Mapping[str, str], *, prefix: str = "", older_than: DurationLike | None = None
    ) -> list[str]:
        """Return the keys that carry all these tags.

        One request per 1,000 keys under the prefix, and one for each of them that is old enough, 32 at
        a time: a listing shows ages, but no tags.

        Args:
            tags: The tags, at least one.
            prefix: What the keys begin with, in either spelling.
            older_than: How long ago they were written at least, by the server's clock: a timedelta, or text
                such as ``30d`` or ``1mo``.

        Raises:
            InvalidTagError: S3 does not accept the tags.
            ValueError: No tag is given, or a duration without a unit.
        """
        return [key for key, _ in self._iter_tagged(tags, prefix, older_than)]

    def delete_by_tag(self, tag_key: str, tag_value: str) -> DeletedKeys:
        """Delete the keys with a tag. A key that cannot be deleted does not stop the others.

        The requests of :meth:`find_keys_by_tag_value`, and one per 1,000 keys found (and one to make sure
        that there is no Object Lock, unless that was asked within five minutes). Without versions, keys that
        were overwritten since they were found stay, where the server supports such a condition. A versioned
        bucket keeps the values as older versions, at the same cost. With Object Lock, each key costs the
        requests of :meth:`delete` there: two LISTs, one request per version for its lock, and the deletion.
        """
        found = (listed for _, listed in self._iter_tagged({tag_key: tag_value}, "", None))
        result = DeletedKeys([], {}, {})
        for name, error in self._deletions.delete_many(found):
            key = self._display_name(name)
            if error is None:
                self.clear_cache_for_key(key)
                result.deleted.append(key)
            elif isinstance(error, KeyLockedError):
                result.protected[key] = error
            else:
                result.failed[key] = error
        return result

    # --- locks ---------------------------------------------------------------------------------

    def place_retention_lock(
        self,
        key: str,
        retention_days: float,
        *,
        mode: LockMode = "GOVERNANCE",
        i_understand: bool = False,
    ) -> datetime:
        """Put a key under retention for a number of days; return when that ends: three requests.

        A deletion at the same instant is undone, or refused.

        Args:
            key: The key.
            retention_days: The number of days.
            mode: ``GOVERNANCE`` or ``COMPLIANCE``. Nobody can lift the latter: ``i_understand`` has to
                confirm it.
            i_understand: See :class:`Retention`.

        Raises:
            ValueError: A retention cannot last so many days: it lasts at most 1,000 years.
            KeyNotFoundError: There is no such key.
            KeyLockedError: It is under a longer or stricter retention already.
            ConflictError: It was overwritten at the same instant. The version that it read as before is
                locked, and the key may read as the new one, which is not.
            UnsupportedByServerError: The bucket has no Object Lock.
        """
        retention = Retention(days=retention_days, mode=mode, i_understand=i_understand)
        return self._locks.place(self.namespace.name_of(key), retention)

    def extend_retention_lock(
        self, key: str, retention_days: float, *, i_understand: bool = False
    ) -> datetime:
        """Make a retention end this many days from now, in the mode it has; return when: three requests.

        Raises:
            ValueError: It is a compliance retention, which nobody can make shorter again, and
                ``i_understand`` does not confirm it; or a retention cannot last so many days.
            KeyNotFoundError: There is no such key.
            ConflictError: It is under no retention, or was overwritten at the same instant.
            KeyLockedError: Its retention ends later already.
        """
        return self._locks.extend(self.namespace.name_of(key), retention_days, understood=i_understand)

    def remove_retention_lock(self, key: str) -> None:
        """Lift a governance retention: two requests. This package has no other way to do so.

        Raises:
            KeyNotFoundError: There is no such key.
            KeyLockedError: It is a compliance retention, which nobody can lift.
            AccessDeniedError: s3:BypassGovernanceRetention is not granted.
        """
        self._locks.remove(self.namespace.name_of(key))

    def get_retention(self, key: str) -> Retention | None:
        """Return the retention that is in force for a key, or None: one request.

        Raises:
            KeyNotFoundError: There is no such key.
            AccessDeniedError: These credentials may not see locks.
        """
        return self._locks.retention(self.namespace.name_of(key))

    def apply_legal_hold(self, key: str) -> None:
        """Put a key under a legal hold: three requests. Its value may change; it cannot be deleted.

        A deletion at the same instant is undone, or refused; a new value is put under the hold, too.

        Raises:
            KeyNotFoundError: There is no such key.
            UnsupportedByServerError: The bucket has no Object Lock.
        """
        self._locks.hold(self.namespace.name_of(key))

    def release_legal_hold(self, key: str) -> None:
        """Release a key from its legal hold, together with its older versions.

        One request to list them, one for each version, and one for each that is held.

        Raises:
            KeyNotFoundError: There is no such key.
        """
        self._locks.release(self.namespace.name_of(key))

    def is_legal_hold_applied(self, key: str) -> bool:
        """Return whether a key is under a legal hold: one request.

        Raises:
            KeyNotFoundError: There is no such key.
            AccessDeniedError: These credentials may not see locks.
        """
        return self._locks.is_held(self.namespace.name_of(key))

    @property
    def outputs(self) -> FinalizedOutputs:
        """The finalized outputs: values that are published once, locked, and verified by their receipt."""
        return FinalizedOutputs(self.namespace, self._values, self.seals.policy())

    # --- local cache ---------------------------------------------------------------------------

    def cache_all_keys(self) -> int:
        """Fill the local cache with all values; return their number.

        One request per 1,000 keys, and one per key, without a body where a copy is current.
        """
        values = self._cache_filling_values
        read = map_concurrently(lambda key: values.read(self.namespace.name_of(key)), self.iter_keys())
        return sum(found is not None for found in read)

    def get_from_cache(self, key: str) -> Any:
        """Return the local copy of a value, or None: no request, so it may be stale.

        A copy whose seal does not hold is dropped, and is none.
        """
        found = self._cache_filling_values.local_copy(self.namespace.name_of(key))
        return None if found is None else self._values.decode(key, found)

    def clear_cache(self) -> None:
        """Remove all local copies of values of this bucket."""
        self.local_cache.clear()

    def clear_old_cache(self, max_days: float = 7) -> int:
        """Remove local copies that were not used for this many days; return their number."""
        return self.local_cache.clear_older_than(max_days * 86400)

    def clear_cache_for_key(self, key: str) -> None:
        """Remove the local copy of one key."""
        self.local_cache.discard(self.namespace.name_of(key))

    # --- bucket --------------------------------------------------------------------------------

    def create_bucket(self, *, object_lock: bool = False) -> bool:
        """Create the bucket if it is missing; return whether it was created.

        Args:
            object_lock: Whether values can be locked. S3 enables versioning with it, for good.

        Raises:
            ConflictError: The bucket exists without the requested Object Lock, or it belongs to
                somebody else.
        """
        if self.client.bucket_exists(self.bucket_name):
            if object_lock and not self.client.has_object_lock(self.bucket_name):
                raise ConflictError(f"bucket {self.bucket_name!r} exists without Object Lock")
            return False
        self.client.create_bucket(self.bucket_name, object_lock=object_lock)
        return True

    def set_bucket_policy(
        self, principal: str | None = None, *, access: Access = "write", apply: bool = True
    ) -> list[dict[str, Any]]:
        """Allow one principal to use this store, and nothing more; return the statements of the policy.

        They are added to the existing statements. The statement by which this method of ``s3kv`` 0.1.5
        opened the bucket to everybody is removed. Two requests.

        Args:
            principal: An ARN, such as ``arn:aws:iam::123456789012:role/pipeline``.
            access: ``"read"``, or ``"write"``, which includes placing locks, and never lifting them.
            apply: Whether to apply them; otherwise they are only returned, without a request.

        Raises:
            ValueError: No principal is given, or it is everybody, or not an ARN.
        """
        if principal is None:
            raise ValueError(
                "set_bucket_policy() of s3kv 0.1.5 let everybody read and write the bucket: name one "
                "principal, as in set_bucket_policy('arn:aws:iam::123456789012:role/pipeline')"
            )
        ours = statements(self.bucket_name, self.namespace.prefix, principal, access)
        if apply:
            apply_policy(self.client, self.bucket_name, ours)
        return ours

    def server_time(self) -> datetime:
        """Return the server's time: one request.

        Raises:
            StoreUnavailableError: There is no such server, or no such bucket.
        """
        if not self.client.bucket_exists(self.bucket_name):
            raise StoreUnavailableError(f"bucket {self.bucket_name!r} does not exist at {self.client.server}")
        return self.client.capabilities.now()

    # --- private -------------------------------------------------------------------------------

    def _decoded(self, key: str, values: Values, default: Any, *, version_id: str | None = None) -> Any:
        """Return the value of a key, or the default; it is read once more where it was damaged."""

        def read() -> Fetched | None:
            found = values.read(self.namespace.name_of(key), version_id=version_id)
            if version_id is None:
                self._require_visible(key, found.info if found else None)
            return found

        def decode(found: Fetched | None) -> Any:
            return default if found is None else values.decode(key, found)

        return read_and_decode(read, decode, lambda: self.clear_cache_for_key(key))[1]

    @property
    def _values(self) -> Values:
        cache = self.local_cache if self.enable_local_cache else None
        return Values(self.objects, self.codec, cache, self.cache_max_age)

    @property
    def _revalidated_values(self) -> Values:
        """Values whose local copies the server confirms each time."""
        cache = self.local_cache if self.enable_local_cache else None
        return Values(self.objects, self.codec, cache, timedelta(0))

    @property
    def _cache_filling_values(self) -> Values:
        """Values that are kept on disk, whether or not the local cache is enabled."""
        return Values(self.objects, self.codec, self.local_cache, timedelta(0))

    @property
    def _deletions(self) -> Deletions:
        return Deletions(self.objects, self._display_name)

    @property
    def _locks(self) -> ObjectLocks:
        return ObjectLocks(self.objects, self._display_name)

    def _require_visible(self, key: str, info: ObjectInfo | None) -> None:
        """Raise HiddenOutputError where an object that was read, or its absence, hides a locked version.

        An object that this package wrote hides none, except one that it supersedes.
        """
        if info is not None and is_own(info.name, info.metadata):
            return
        if not self.objects.has_object_lock:
            return
        try:
            require_visible(self.client, self.bucket_name, self.namespace.name_of(key), key)
        except AccessDeniedError:
            known = self.client.capabilities.object_lock(self.bucket_name)
            if known is None or not known.inferred:
                raise
            # These credentials may neither ask for Object Lock nor list versions: trust what S3 returned.

    def _display_name(self, name: str) -> str:
        return self.namespace.key_of(name) or name

    def _iter_listed(self, prefix: str) -> Iterator[tuple[str, ListedObject]]:
        for listed in self.client.list_objects(self.bucket_name, self.namespace.prefix_of(prefix)):
            if (key := self.namespace.key_of(listed.name)) is not None:
                yield key, listed

    def _iter_tagged(
        self, tags: Mapping[str, str], prefix: str, older_than: DurationLike | None
    ) -> Iterator[tuple[str, ListedObject]]:
        if not validate_tags(tags):
            raise ValueError("no tag is given to search for")
        min_age = None if older_than is None else parse_duration(older_than)
        now = self.client.capabilities.now

        def is_old(listed: ListedObject) -> bool:
            if min_age is None:
                return True
            moment = now()
            return moment - listed.last_modified >= length_before(min_age, moment)

        listed = (listed for _, listed in self._iter_listed(prefix) if is_old(listed))
        for found in tagged(self.client, self.bucket_name, listed, tags):
            yield self._display_name(found.name), found


@dataclass(frozen=True)
class _NamespaceOfAnyKey(Namespace):
    def name_of(self, key: object) -> str:
        """Return the object name of a key, which may be a number."""
        return super().name_of(key if isinstance(key, str) else f"{key}")


@raising_client_errors
class CompatibleS3KV(S3KV):
    """:class:`S3KV` for programs that were written for ``s3kv`` 0.1.5, and stay as they are.

    It stores values as JSON makes them (tuples as lists, keys of dicts as text, NaN), ``merge_keys`` replaces
    the destination, copies have no tags, ``add`` leaves a local copy and ignores ``metadata``, keys may be
    numbers, and errors are also those of botocore: ``ClientError``, and ``NoSuchKey`` of ``s3_client``.
    ``docs/seed.md`` has the differences that remain.
    """

    _json = LenientJsonCodec()
    _namespace = _NamespaceOfAnyKey

    @property
    def s3_client(self) -> Any:
        """The client of boto3. What a program does with it, nothing of this package guards."""
        return self.client.boto3_client

    def add(self, key: str, value: Any, metadata: object = None, **options: Any) -> Written:
        """Put a value as :meth:`S3KV.add`, without metadata, and keep a local copy."""
        del metadata  # s3kv 0.1.5 takes any, and stores none
        written = super().add(key, value, **options)
        new, name = self._values.new_object(value, metadata={}, tags={}), self.namespace.name_of(key)
        if isinstance(new.body, bytes):
            marks = {**new.metadata, **name_mark(name)}
            head: dict[str, Any] = {"content_type": new.content_type, "metadata": marks}
            head = self.seals_of_objects.sealed(name, new.body, head)
            # It is older than any object, so that a read that asks the server gets all headers from there.
            info = ObjectInfo(name, written.etag, len(new.body), _EPOCH, _EPOCH, **head)
            self.local_cache.put(name, CachedObject(info, bytearray(new.body)))
        return written

    def merge_keys(self, source_keys: Iterable[str], destination_key: str) -> None:
        """Replace the destination by what the dicts of the sources make together; empty ones are skipped."""
        merged: dict[str, Any] = {}
        for key in source_keys:
            if value := self.get(key):
                merged.update(value)
        self.add(destination_key, merged)

    def copy_key(
        self, source_key: str, destination_key: str, *, tags: Mapping[str, str] | None = None
    ) -> None:
        """Copy a value to another key, without its tags."""
        super().copy_key(source_key, destination_key, tags=tags or {})


_MISSING = object()
_EPOCH = datetime.fromtimestamp(0, timezone.utc)


def endpoint_from_environment() -> str | None:
    """Return the endpoint that the environment names, None for AWS."""
    return os.environ.get("S3_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3") or None


def _dict(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EncodingError(f"only dicts can be merged, and {key!r} holds a {type(value).__name__}")
    return value
