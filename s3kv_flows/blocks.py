"""S3KVStore: a bucket as a Prefect block."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from prefect.filesystems import WritableFileSystem
from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from s3kv_flows._results.serializer import FrameSerializer  # noqa: F401  # Prefect knows it once it is imported
from s3kv_flows._results.storage import ResultStorage
from s3kv_flows._runs import block_document_name
from s3kv_flows.store import S3KV, Encryption
from s3kv_flows.store._durations import DurationLike
from s3kv_flows.store._kv import endpoint_from_environment
from s3kv_flows.store._layout.keys import Namespace, validate_bucket_name
from s3kv_flows.store._leases.backend import backend_of, open_leases
from s3kv_flows.store._leases.leases import Leases
from s3kv_flows.store._leases.records import LeaseBackend
from s3kv_flows.store._outputs.audit import LockAudit, audit
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._values.local_cache import LocalCache

__all__ = ["SLUG", "S3KVStore"]

SLUG = "s3kv-store"
"""The block type's part of a reference such as ``s3kv-store/lake``."""

_HIDDEN = "**********"


@cache
def _json_schema(block: type[WritableFileSystem], *args: Any, **options: Any) -> dict[str, Any]:
    return super(WritableFileSystem, block).model_json_schema(*args, **options)


class S3KVStore(ResultStorage, WritableFileSystem):  # type: ignore[misc]  # see ResultStorage.read_path
    """A bucket that caches results, keeps values and locks finalized outputs.

    The block is configuration only: it may be copied, pickled and sent to other processes, and finds
    the client of its configuration there. As the storage of results it keeps them in
    ``<prefix without slash>-results/``, beside the values.

    Example:
        Save a store once, then name it wherever results are cached:

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
    region_name: str | None = Field(default=None, description="Region; by default, what boto3 finds.")
    aws_access_key_id: str | None = Field(
        default=None, description="Access key id; by default, boto3 looks for credentials itself."
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret access key, together with the access key id."
    )
    aws_session_token: SecretStr | None = Field(
        default=None, description="Session token of temporary credentials."
    )
    profile_name: str | None = Field(
        default=None, description="A profile of the AWS configuration files of the machine that runs."
    )
    verify: bool | str = Field(
        default=True,
        description="Whether to verify TLS certificates, or the path of a CA bundle, which alone is trusted. "
        "By default, boto3 finds the bundle: AWS_CA_BUNDLE, the profile, or its own.",
    )
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="How the bucket is addressed; auto takes path style for an endpoint URL."
    )
    prefix: str = Field(
        default="s3kv/", description="What the names of values begin with; results lie beside it."
    )
    lease_bucket_name: str | None = Field(
        default=None,
        description="The bucket for leases, where the bucket itself locks what is written, or keeps versions "
        "on a server whose conditions do not hold there; it must have neither.",
    )
    enable_local_cache: bool = Field(
        default=False, description="Whether values and results that were read are kept on local disk, too."
    )

    cache_max_age_seconds: float = Field(
        default=0,
        ge=0,
        description="For how long a local copy may be returned without asking the server, in seconds.",
    )
    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        default=None, description="How the server encrypts what is written; empty leaves it to the bucket."
    )
    kms_key_id: str | None = Field(
        default=None, description="The key of aws:kms; empty for the account's own."
    )
    customer_key: SecretStr | None = Field(
        default=None, description="A key of one's own (SSE-C), 32 bytes in base64, instead of the server's."
    )
    boto_config: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,  # the URL of a proxy may carry a password
        description="Options of botocore.config.Config: proxies, connect_timeout, read_timeout, retries, ...",
    )

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, *args: Any, **values: Any) -> None:
            refusal = None
            try:
                super().__init__(*args, **values)
            except ValidationError as exc:
                refusal = _without_input(exc)
            if refusal is not None:  # raised here, so that it carries the original nowhere
                raise refusal

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
    def _validate_encryption(self) -> S3KVStore:
        self._encryption()
        return self

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the JSON schema of the fields, made once per process and arguments.

        Prefect asks for it once per field whenever a block is saved, which takes ten times as long without.
        """
        return deepcopy(_json_schema(cls, *args, **options))

    @classmethod
    def from_env(cls) -> S3KVStore:
        """Return the store that the environment names; credentials stay with boto3's chain.

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
        # `_sync` is Prefect's switch of its async_dispatch, which the signature does not show.
        return cast("S3KVStore", cls.load(store.removeprefix(f"{SLUG}/"), _sync=True))  # type: ignore[call-arg]

    @classmethod
    def reference_to(cls, name: str) -> str:
        """Return the reference to a saved store: ``s3kv-store/lake`` for ``lake``."""
        return name if name.startswith(f"{SLUG}/") else f"{SLUG}/{name}"

    @property
    def reference(self) -> str | None:
        """The reference to this store, by which Prefect loads it; None where it is not saved."""
        name = block_document_name(self)
        return self.reference_to(name) if name else None

    @property
    def values(self) -> S3KV:
        """The key-value store of the bucket: JSON in ``<prefix><key>.json``."""
        return self._store(Namespace(self.prefix), "json", enable_local_cache=self.enable_local_cache)

    @property
    def local_cache(self) -> LocalCache:
        """The local copies of values of this bucket, on this machine, whether or not they are in use."""
        return self._store(Namespace(self.prefix), "json", enable_local_cache=True).local_cache

    @property
    def results(self) -> S3KV:
        """The cached results of the bucket, by cache key: frames in ``<prefix>-results/<key>``."""
        return self._store(
            Namespace(self.prefix).results,
            "cloudpickle",
            enable_local_cache=self.enable_local_cache,
        )

    @property
    def checkpoints(self) -> S3KV:
        """The checkpoints of the bucket: frames in ``<prefix>-checkpoints/<name>/<number>``."""
        space = Namespace(self.prefix).checkpoints
        return self._store(space, "cloudpickle", enable_local_cache=False)

    def locate(self, key: str) -> tuple[S3KV, str]:
        """Return where an object is, and its key there.

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
        """Look at every version of the store; see :func:`s3kv_flows.store._outputs.audit.audit`."""
        values = Namespace(self.prefix)
        client = self.values.client
        prefixes = [space.prefix for space in (values, values.results, values.checkpoints)]
        return audit(client, self.bucket_name, prefixes, within=within, final_tags=final_tags)

    def leases(self, seconds: float = 30.0) -> Leases:
        """Return the leases of the store: ``<prefix>-leases/<cache key>``, in the bucket for leases.

        Args:
            seconds: For how long a lease holds without being renewed.

        Raises:
            UnsupportedByServerError: Nothing excludes two holders there, or the bucket locks what is
                written. Tried out once per process where it is not known.
        """
        bucket = self.lease_bucket_name or self.bucket_name
        return open_leases(self.results.client, bucket, self.lease_namespace.prefix, seconds=seconds)

    @property
    def lease_backend(self) -> LeaseBackend:
        """Where leases are written down; the errors are those of :meth:`leases`."""
        bucket = self.lease_bucket_name or self.bucket_name
        return backend_of(self.results.client, bucket, self.lease_namespace.prefix)

    @property
    def lease_namespace(self) -> Namespace:
        """The object names of leases, by cache key."""
        return Namespace(self.prefix).leases

    # --- how -----------------------------------------------------------------------------------

    def _encryption(self) -> Encryption | None:
        if self.server_side_encryption is None and self.customer_key is None and self.kms_key_id is None:
            return None
        key = base64.b64decode(self.customer_key.get_secret_value()) if self.customer_key else None
        return Encryption(self.server_side_encryption, self.kms_key_id, customer_key=key)

    def _store(self, namespace: Namespace, codec: str, *, enable_local_cache: bool) -> S3KV:
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
        )
        return S3KV(
            bucket_name=self.bucket_name,
            enable_local_cache=enable_local_cache,
            cache_max_age=timedelta(seconds=self.cache_max_age_seconds),
            config=config,
            prefix=namespace.prefix,
            suffix=namespace.suffix,
            codec=codec,
        )


def _without_input(exc: ValidationError) -> ValidationError:
    """Return the same errors without what was given, which their ``errors()`` would show in full."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(cast("Any", one["type"]), cast("Any", one["msg"])),
            loc=one["loc"],
            input=_HIDDEN,
        )
        for one in exc.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ValidationError.from_exception_data(exc.title, lines, hide_input=True)
