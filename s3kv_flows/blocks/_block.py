"""S3KVStore: the configuration of a bucket as a Prefect block."""

from __future__ import annotations

import asyncio
import base64
import inspect
import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from prefect.filesystems import WritableFileSystem
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    SerializationInfo,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from s3kv_flows._prefect import SYNC, block_document_name, is_awaited, saved_fields
from s3kv_flows._results.codec import PLAIN_CODEC, RESULT_CODEC, ResultCodec
from s3kv_flows._results.run_store import require_policy
from s3kv_flows._results.serializer import FrameSerializer  # noqa: F401  # which registers with Prefect
from s3kv_flows._results.storage import ResultStorage
from s3kv_flows.blocks._saved_stores import SavedStores
from s3kv_flows.blocks._signing import require_parsed, restored_on_failure, settle
from s3kv_flows.store import S3KV, Encryption
from s3kv_flows.store._durations import DurationLike
from s3kv_flows.store._kv import endpoint_from_environment
from s3kv_flows.store._layout.keys import Namespace, validate_bucket_name
from s3kv_flows.store._layout.secrets import SecretHolder, without_password
from s3kv_flows.store._leases.backend import backend_of, open_leases
from s3kv_flows.store._leases.leases import Leases
from s3kv_flows.store._leases.records import LeaseBackend
from s3kv_flows.store._outputs.audit import LockAudit, audit
from s3kv_flows.store._s3.config import S3Config, refuse_bucket_in_endpoint
from s3kv_flows.store._seals.purposes import Purpose
from s3kv_flows.store._values.codecs import Codec
from s3kv_flows.store._values.local_cache import LocalCache
from s3kv_flows.store.errors import AccessDeniedError, S3KVError

__all__ = ["SAVED_STORES", "SLUG", "S3KVStore", "change_keys"]

SLUG = "s3kv-store"
"""The slug of the block type, which a reference such as ``s3kv-store/lake`` begins with."""

_MAY_HAVE_CHANGED = {"NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
"""Codes of S3 that may come from a store that was saved again."""
_HIDDEN = "**********"


@cache
def _json_schema(block: type[WritableFileSystem], *args: Any, **options: Any) -> dict[str, Any]:
    return super(WritableFileSystem, block).model_json_schema(*args, **options)


class _Built:
    """The results of one block, for as long as its fields are the same: each hit asks for them six times.

    Attributes:
        fields: The fields of the block that they were made of.
        store: The results.
    """

    def __init__(self, fields: dict[str, Any], store: S3KV) -> None:
        self.fields = fields
        self.store = store

    def __reduce__(self) -> Any:
        return _nothing, ()  # a deep copy of the block, or one in another process, makes its own

    def __eq__(self, other: object) -> bool:
        return True  # two blocks are equal whatever was made of them

    __hash__ = None  # type: ignore[assignment]


def _nothing() -> None:
    """Return what a copy of a block has instead."""


class S3KVStore(ResultStorage, SecretHolder, WritableFileSystem):
    """A bucket that caches results, keeps values and locks finalized outputs.

    The block is configuration only: it may be copied, pickled and sent to other processes, where it uses
    the shared client of its configuration. As Prefect's result storage it keeps results in
    ``<prefix without slash>-results/``, beside the values.

    Example:
        Save a store once, then use its name wherever results are cached:

        ```python
        from s3kv_flows import S3KVStore

        S3KVStore(bucket_name="my-bucket", endpoint_url="https://s3.example.com").save("BLOCK_NAME")
        store = S3KVStore.load("BLOCK_NAME")
        store.values.add("answer", 42)
        ```
    """

    _block_type_name: ClassVar[str | None] = "S3KV Store"
    _block_type_slug: ClassVar[str | None] = SLUG
    _logo_url: ClassVar[Any] = (
        "https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png"
    )
    _documentation_url: ClassVar[Any] = "https://docs.prefect.io/v3/advanced/results"

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)  # it holds secrets

    bucket_name: str = Field(description="The bucket that holds results and values.")
    endpoint_url: str | None = Field(
        default=None, description="URL of an S3-compatible server; leave it empty for AWS."
    )
    region_name: str | None = Field(
        default=None, description="Region; by default, that of boto3's configuration."
    )
    aws_access_key_id: str | None = Field(
        default=None, description="Access key id; by default, boto3 finds credentials itself."
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret access key; required with the access key id."
    )
    aws_session_token: SecretStr | None = Field(
        default=None, description="Session token of temporary credentials."
    )
    profile_name: str | None = Field(
        default=None, description="Profile in the AWS configuration files of the machine that runs."
    )
    verify: bool | str = Field(
        default=True,
        description="Whether to verify TLS certificates, or the path of the only CA bundle to trust. "
        "By default, boto3 finds the bundle: AWS_CA_BUNDLE, the profile, or the one that it ships.",
    )
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="How the bucket is addressed; auto uses path style for an endpoint URL."
    )
    prefix: str = Field(
        default="s3kv/", description="Prefix of the object names of values; results are stored beside it."
    )
    namespace: str = Field(
        default="",
        description="Sets the cached results of this store's users apart from those of others in the bucket.",
    )
    lease_bucket_name: str | None = Field(
        default=None,
        description="The bucket for leases, if the bucket itself has a default retention, or keeps "
        "versions on a server that does not honour conditions there; this one must have neither.",
    )
    enable_local_cache: bool = Field(
        default=False, description="Whether to keep copies of read values and results on local disk."
    )
    cache_max_age_seconds: float = Field(
        default=0,
        ge=0,
        description="For how long a local copy may be returned without a request, in seconds.",
    )
    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        default=None, description="How the server encrypts objects; by default, as the bucket is configured."
    )
    kms_key_id: str | None = Field(
        default=None, description="The key of aws:kms; by default, that of the account."
    )
    customer_key: SecretStr | None = Field(
        default=None,
        description="A customer key (SSE-C), 32 bytes in base64, instead of the server's key.",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        description="Signs what is written, as s3kv-sk1:..., or file: and a path on each machine that runs "
        "tasks. By default, S3KV_SIGNING_KEY of the environment; else saving the store makes one.",
    )
    trusted_keys: list[str] = Field(
        default_factory=list,
        description="The public keys whose results and values are accepted, as s3kv-pk1:..., besides that "
        "of the signing key. By default, S3KV_TRUSTED_KEYS of the environment. With trusted keys and no "
        "signing key, the store only reads.",
    )
    seal_scope: str = Field(default="", description="Tells apart environments that sign with the same key.")
    accept_unsealed: bool = Field(
        default=False,
        description="Whether to read what nobody has signed: whoever may write to the bucket can run code on "
        "each machine that reads it. For a while, where a bucket was written without keys.",
    )
    allow_pickle: bool = Field(
        default=True,
        description="Whether results and checkpoints may be pickles, which run code when they are read. "
        "Without, they are JSON or bytes, and tasks that return anything else are not cached.",
    )
    operation_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        description="For how long a small operation may take in all, with its retries, in seconds. Large "
        "bodies may take longer, as long as they make progress.",
    )
    requester_pays: bool = Field(
        default=False,
        description="Whether the owner of the credentials pays for the requests, instead of that of the "
        "bucket.",
    )
    boto_config: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,  # the URL of a proxy may carry a password
        description="Options of botocore.config.Config: proxies, connect_timeout, read_timeout, retries, ...",
    )

    _results_built: _Built | None = PrivateAttr(default=None)

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, *args: Any, **values: Any) -> None:
            error = None
            try:
                super().__init__(*args, **values)
            except ValidationError as exc:
                error = _without_input(exc)
            if error is not None:  # raised outside of the handler, so that it has no context with secrets
                raise error

        def __getattr__(self, name: str) -> Any:
            # Prefect asks for the id when a task ends, also where it dropped the cache policy of the task.
            if name == "_block_document_id":
                require_policy(self)
            return super().__getattr__(name)

    @field_serializer("boto_config", when_used="json")
    def _hide_passwords(self, options: dict[str, Any], info: SerializationInfo) -> dict[str, Any]:
        """Mask what secrets would be masked in: Prefect keeps the parameters of runs as JSON."""
        if (info.context or {}).get("include_secrets") or not isinstance(options.get("proxies"), dict):
            return options
        proxies = {scheme: without_password(str(url)) for scheme, url in options["proxies"].items()}
        return {**options, "proxies": proxies}

    @field_validator("bucket_name")
    @classmethod
    def _validate_bucket_name(cls, name: str) -> str:
        return validate_bucket_name(name)

    @field_validator("lease_bucket_name")
    @classmethod
    def _validate_lease_bucket_name(cls, name: str | None) -> str | None:
        return validate_bucket_name(name) if name else None

    @field_validator("prefix")
    @classmethod
    def _validate_prefix(cls, prefix: str) -> str:
        return Namespace(prefix).prefix

    @model_validator(mode="after")
    def _validate_endpoint_and_encryption(self) -> S3KVStore:
        refuse_bucket_in_endpoint(self.endpoint_url, self.bucket_name)
        self._encryption()
        require_parsed(self.signing_key, self.trusted_keys)
        return self

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the JSON schema of the fields, cached per process and arguments.

        Prefect calls it once per field whenever a block is saved; without the cache, that takes ten times
        as long.
        """
        return deepcopy(_json_schema(cls, *args, **options))

    @classmethod
    def from_env(cls) -> S3KVStore:
        """Return the store that the environment names; boto3 finds the credentials.

        ``S3_BUCKET`` is required; ``S3_ENDPOINT_URL`` or ``AWS_ENDPOINT_URL_S3`` names a server other
        than AWS.

        Raises:
            ValueError: ``S3_BUCKET`` is not set.
        """
        bucket = os.environ.get("S3_BUCKET")
        if not bucket:
            raise ValueError("S3_BUCKET is not set in the environment")
        return cls(bucket_name=bucket, endpoint_url=endpoint_from_environment())

    @classmethod
    def of(cls, store: str | S3KVStore) -> S3KVStore:
        """Return the store itself, or the saved one of this name (``lake``, or ``s3kv-store/lake``)."""
        if isinstance(store, S3KVStore):
            return store
        return cast("S3KVStore", cls.load(store.removeprefix(f"{SLUG}/"), **SYNC))

    def save(self, name: str | None = None, *args: Any, **options: Any) -> Any:
        """Save the block, as :meth:`prefect.blocks.core.Block.save` does, for runs from now on.

        The store gets a key to sign with, unless it has keys, or the environment does. A store that is saved
        over another one keeps the keys of that one. :mod:`s3kv_flows.blocks._signing` says how.
        """
        if is_awaited(blocking=options.pop("_sync", None)):
            return self.asave(name, *args, **options)
        name = name or block_document_name(self)
        with restored_on_failure(self):
            self.settle_keys(name)
            return _and_forget(super().save(name, *args, **{**options, **SYNC}), name)

    async def asave(self, name: str | None = None, *args: Any, **options: Any) -> Any:
        """Do as :meth:`save`."""
        name = name or block_document_name(self)
        with restored_on_failure(self):
            await asyncio.to_thread(self.settle_keys, name)
            return await _and_forget(super().asave(name, *args, **options), name)

    @classmethod
    def delete(cls, name: str, *args: Any, **options: Any) -> Any:
        """Delete a saved block as :meth:`prefect.blocks.core.Block.delete` does."""
        return _and_forget(super().delete(name, *args, **options), name)

    @classmethod
    async def adelete(cls, name: str, *args: Any, **options: Any) -> Any:
        """Do as :meth:`delete`."""
        return await _and_forget(super().adelete(name, *args, **options), name)

    # Prefect's own methods have these, too, for programs that choose between both kinds themselves.
    save.aio = asave  # type: ignore[attr-defined]
    delete.__func__.aio = adelete.__func__  # type: ignore[attr-defined]

    @classmethod
    def reference_to(cls, name: str) -> str:
        """Return the reference to a saved store: ``s3kv-store/lake`` for ``lake``."""
        return name if name.startswith(f"{SLUG}/") else f"{SLUG}/{name}"

    @property
    def reference(self) -> str | None:
        """The reference by which Prefect loads this store; None if it is not saved."""
        name = block_document_name(self)
        return self.reference_to(name) if name else None

    def renewed(self, refused: Exception) -> S3KVStore | None:
        """Return the store as it is saved now, where credentials or the bucket were refused and have changed.

        At most one request to Prefect's API in five seconds, and none for other errors.
        """
        code = refused.code if isinstance(refused, S3KVError) else ""
        if not isinstance(refused, AccessDeniedError) and code not in _MAY_HAVE_CHANGED:
            return None
        return SAVED_STORES.renewed(self)

    def pickled_as(self) -> tuple[Callable[[str], S3KVStore], tuple[str]] | None:
        """Return what loads this store, and its name, if it is saved as it is now: one request at most.

        Raises:
            ValueError: It was saved, and is not any more.
        """
        name = block_document_name(self)
        if name is None or SAVED_STORES.get(name).__dict__ != self.__dict__:
            return None
        return _saved, (name,)

    def has_secrets(self) -> bool:
        """Tell whether it contains credentials, or another secret: its pickle is then not written to S3."""
        return self.signing_key is not None or self.values.config.has_secrets()

    @property
    def values(self) -> S3KV:
        """The key-value store of the bucket: JSON in ``<prefix><key>.json``."""
        return self._store(Namespace(self.prefix), "json", enable_local_cache=self.enable_local_cache)

    @property
    def local_cache(self) -> LocalCache:
        """The local copies of values of this bucket, on this machine, even if the store does not use them."""
        return self._store(Namespace(self.prefix), "json", enable_local_cache=True).local_cache

    @property
    def results(self) -> S3KV:
        """The cached results of the bucket, by cache key: frames in ``<prefix>-results/<key>``."""
        # Not as an attribute, which pydantic takes longer to find; older pickles have none.
        built: _Built | None = (self.__pydantic_private__ or {}).get("_results_built")
        if built is None or built.fields != self.__dict__:
            fields = deepcopy(self.__dict__)  # before, as another thread may set one meanwhile
            space = Namespace(self.prefix).results
            local = self.enable_local_cache
            store = self._store(space, self._codec, enable_local_cache=local, purpose="result")
            self._results_built = built = _Built(fields, store)
        return built.store

    @property
    def checkpoints(self) -> S3KV:
        """The checkpoints of the bucket: frames in ``<prefix>-checkpoints/<name>/<number>``."""
        space = Namespace(self.prefix).checkpoints
        return self._store(space, self._codec, enable_local_cache=False, purpose="checkpoint")

    def locate(self, key: str) -> tuple[S3KV, str]:
        """Return the key-value store that an object belongs to, and its key in it.

        Args:
            key: The name of an object, as ``audit_locks`` shows it, or the key of a value.
        """
        for kv in (self.results, self.values, self.checkpoints):
            if (found := kv.namespace.key_of(key)) is not None:
                return kv, found
        return self.values, key

    def audit(
        self, *, within: DurationLike = timedelta(days=30), final_tags: Mapping[str, str] | None = None
    ) -> LockAudit:
        """Audit the locks of all versions; see :func:`s3kv_flows.store._outputs.audit.audit`."""
        values = Namespace(self.prefix)
        client = self.values.client
        prefixes = [space.prefix for space in (values, values.results, values.checkpoints)]
        return audit(client, self.bucket_name, prefixes, within=within, final_tags=final_tags)

    def leases(self, seconds: float = 30.0) -> Leases:
        """Return the leases of the store: ``<prefix>-leases/<cache key>``, in the bucket for leases.

        Args:
            seconds: For how long a lease holds without being renewed.

        Raises:
            UnsupportedByServerError: The server cannot exclude a second holder there, or the bucket has a
                default retention. Probed once per process if it is not known.
        """
        bucket = self.lease_bucket_name or self.bucket_name
        return open_leases(self.results.client, bucket, self.lease_namespace.prefix, seconds=seconds)

    @property
    def lease_backend(self) -> LeaseBackend:
        """The backend that stores leases; the errors are those of :meth:`leases`."""
        bucket = self.lease_bucket_name or self.bucket_name
        return backend_of(self.results.client, bucket, self.lease_namespace.prefix)

    @property
    def lease_namespace(self) -> Namespace:
        """The object names of leases, by cache key."""
        return Namespace(self.prefix).leases

    @property
    def _codec(self) -> ResultCodec:
        return RESULT_CODEC if self.allow_pickle else PLAIN_CODEC

    def settle_keys(self, name: str | None) -> None:
        """Give the store the keys that it will be saved with under a name; :meth:`save` does it, too."""
        if name is not None:  # else Prefect refuses to save it
            settle(self, name, saved_fields(SLUG, name))

    # --- how -----------------------------------------------------------------------------------

    def _encryption(self) -> Encryption | None:
        if self.server_side_encryption is None and self.customer_key is None and self.kms_key_id is None:
            return None
        key = base64.b64decode(self.customer_key.get_secret_value()) if self.customer_key else None
        return Encryption(self.server_side_encryption, self.kms_key_id, customer_key=key)

    def _store(
        self,
        namespace: Namespace,
        codec: str | Codec,
        *,
        enable_local_cache: bool,
        purpose: Purpose = "value",
    ) -> S3KV:
        secret, token = self.aws_secret_access_key, self.aws_session_token
        config = S3Config(
            endpoint_url=self.endpoint_url,
            region_name=self.region_name,
            aws_access_key_id=self.aws_access_key_id,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            aws_session_token=token.get_secret_value() if token else None,
            profile_name=self.profile_name,
            verify=self.verify,
            addressing_style=self.addressing_style,
            encryption=self._encryption(),
            boto_config=self.boto_config,
            operation_timeout_seconds=self.operation_timeout_seconds,
            requester_pays=self.requester_pays,
        )
        return S3KV(
            bucket_name=self.bucket_name,
            enable_local_cache=enable_local_cache,
            cache_max_age=timedelta(seconds=self.cache_max_age_seconds),
            config=config,
            prefix=namespace.prefix,
            suffix=namespace.suffix,
            codec=codec,
            signing_key=self.signing_key.get_secret_value() if self.signing_key else None,
            trusted_keys=self.trusted_keys or None,
            seal_scope=self.seal_scope,
            accept_unsealed=self.accept_unsealed,
            allow_pickle=self.allow_pickle,
            purpose=purpose,
        )


SAVED_STORES: SavedStores[S3KVStore] = SavedStores(S3KVStore.of)
"""The saved stores that this process has loaded for cached task runs."""


def _saved(name: str) -> S3KVStore:
    """Return the store that a pickle names."""
    return SAVED_STORES.get(name)


def change_keys(store: S3KVStore, name: str, signing_key: SecretStr | None, trusted_keys: list[str]) -> None:
    """Save a store over the one of this name with these keys, whatever keys that had."""
    store.signing_key, store.trusted_keys = signing_key, trusted_keys
    WritableFileSystem.save(store, name, overwrite=True, **SYNC)
    SAVED_STORES.forget(name)


def _and_forget(done: Any, name: str | None) -> Any:
    """Return what saving or deleting returned; the store is loaded anew from then on."""
    if not inspect.isawaitable(done):
        SAVED_STORES.forget(name)
        return done

    async def wait() -> Any:
        try:
            return await done
        finally:
            SAVED_STORES.forget(name)

    return wait()


def _without_input(exc: ValidationError) -> ValidationError:
    """Return the same errors without the given values, which ``errors()`` would show in full."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(cast("Any", one["type"]), cast("Any", one["msg"])),
            loc=one["loc"],
            input=_HIDDEN,
        )
        for one in exc.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ValidationError.from_exception_data(exc.title, lines, hide_input=True)
