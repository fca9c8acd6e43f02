"""Make, parse and validate object names.

No other module does. A namespace is a prefix and a suffix around a key. The namespaces of a store are
siblings (``s3kv/``, ``s3kv-results/``), so that no key of one can be an object of another.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from s3kv_flows.store.errors import InvalidKeyError

__all__ = ["MAX_NAME_BYTES", "PROBE", "Namespace", "fingerprint", "validate_bucket_name"]

MAX_NAME_BYTES = 1024
"""The longest object name that S3 accepts, in bytes of UTF-8."""

PROBE = ".s3kv-probe-"
"""The prefix of the keys of probes, which are not keys of a store."""

_CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")  # not allowed in the XML of S3
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Namespace:
    """The objects named ``<prefix><key><suffix>``."""

    prefix: str = "s3kv/"
    suffix: str = ".json"

    def __post_init__(self) -> None:
        if not self.prefix.endswith("/") or self.prefix.startswith("/"):
            raise ValueError(f"a prefix must end with '/' and must not start with it, got {self.prefix!r}")
        _refuse_control_characters(self.prefix, "prefix")

    @property
    def results(self) -> Namespace:
        """The cached results of a store, beside its values: ``s3kv/`` -> ``s3kv-results/``."""
        return self._sibling("results")

    @property
    def checkpoints(self) -> Namespace:
        """The states of long tasks: ``s3kv-checkpoints/``."""
        return self._sibling("checkpoints")

    @property
    def leases(self) -> Namespace:
        """The leases of keys that are being computed: ``s3kv-leases/``."""
        return self._sibling("leases")

    @property
    def shadows(self) -> Namespace:
        """Copies of objects that hid a finalized output, made by a repair: ``s3kv-shadows/``."""
        return self._sibling("shadows")

    def _sibling(self, kind: str) -> Namespace:
        return Namespace(f"{self.prefix.removesuffix('/')}-{kind}/", "")

    def name_of(self, key: str) -> str:
        """Return the object name of a key.

        Raises:
            InvalidKeyError: The key is empty, holds control characters or lone surrogates, or makes an
                object name of more than 1,024 bytes.
        """
        if not isinstance(key, str):
            raise InvalidKeyError(f"a key must be a str, got {type(key).__name__}")
        if not key:
            raise InvalidKeyError("a key must not be empty")
        if key.startswith(PROBE):
            raise InvalidKeyError(f"key {key[:40]!r}: the prefix {PROBE!r} is reserved for probes")
        _refuse_control_characters(key, "key")
        name = f"{self.prefix}{key}{self.suffix}"
        try:
            size = len(name.encode())
        except UnicodeEncodeError as exc:
            raise InvalidKeyError(f"key {key!r} cannot be encoded as UTF-8: {exc.reason}") from exc
        if size > MAX_NAME_BYTES:
            raise InvalidKeyError(
                f"key {key[:40]!r}... makes an object name of {size} bytes; S3 accepts {MAX_NAME_BYTES}"
            )
        return name

    def key_of(self, name: str) -> str | None:
        """Return the key of an object name, None if it is not one of this namespace."""
        if not name.startswith(self.prefix) or not name.endswith(self.suffix):
            return None
        key = name[len(self.prefix) : len(name) - len(self.suffix)]
        return None if not key or key.startswith(PROBE) or _CONTROL.search(key) else key

    def prefix_of(self, prefix: str) -> str:
        """Return the object prefix of a key prefix, given as ``test`` or as ``s3kv/test``."""
        return prefix if prefix.startswith(self.prefix) else self.prefix + prefix

    def key_in_either_spelling(self, key_or_name: str) -> str:
        """Return the key, given as ``test_c`` or as its object name ``s3kv/test_c.json``."""
        return self.key_of(key_or_name) or key_or_name


def fingerprint(text: str) -> str:
    """Return a short digest of a name for metadata, whose size is limited: 24 characters."""
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def validate_bucket_name(name: str) -> str:
    """Return the bucket name, or raise ValueError if S3 would reject it."""
    if not _BUCKET.fullmatch(name):
        raise ValueError(f"bucket name {name!r}: {_what_to_write(name)}")
    return name


def _what_to_write(name: str) -> str:
    """Say what is wrong with the name of a bucket, and what is meant instead, as far as that is clear."""
    scheme, _, path = name.rpartition("://")
    bucket, _, prefix = path.partition("/")
    if scheme in ("s3", "s3a", "s3n"):
        where = f", and the prefix {prefix.rstrip('/') + '/'!r}" if prefix.strip("/") else ""
        return f"this is a URL: write {bucket!r}{where}"
    if scheme:
        return "this is a URL: write the bucket alone; the server is endpoint_url"
    if name.startswith("arn:"):
        bucket = name.rpartition(":::")[2].partition("/")[0]
        if ":::" in name and _BUCKET.fullmatch(bucket):
            return f"this is an ARN: write {bucket!r}"
        return (
            "this is the ARN of an access point, which answers nothing about the versions, locks and "
            "lifecycle rules of its bucket: write the name of the bucket"
        )
    tenant, colon, bucket = name.partition(":")
    if colon:
        return f"boto3 sends no colons: write {bucket!r}, with credentials of the tenant {tenant!r}"
    rule = (
        "S3 accepts 3 to 63 lower-case letters, digits, dots and hyphens, beginning and ending with a "
        "letter or digit"
    )
    accepted = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")
    return f"{rule}, such as {accepted!r}" if _BUCKET.fullmatch(accepted) else rule


def _refuse_control_characters(text: str, what: str) -> None:
    if found := _CONTROL.search(text):
        raise InvalidKeyError(f"{what} {text[:40]!r} contains the control character {found.group()!r}")
