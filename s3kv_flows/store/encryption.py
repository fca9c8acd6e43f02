"""Encryption at rest: what a server is asked to do with the objects of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Encryption"]

_KEY_BYTES = 32


@dataclass(frozen=True)
class Encryption:
    """How the server encrypts what this store writes. Make one with a class method.

    Attributes:
        algorithm: ``AES256`` (SSE-S3), ``aws:kms`` or ``aws:kms:dsse`` (SSE-KMS); None with a customer key.
        kms_key_id: The key in KMS; None for the account's own.
        bucket_key: Whether S3 may ask KMS once per bucket instead of once per object.
        customer_key: The 32 bytes of SSE-C, which S3 forgets after each request. Never shown in a repr.
    """

    algorithm: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = None
    bucket_key: bool | None = None
    customer_key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.algorithm is None) == (self.customer_key is None):
            raise ValueError("an encryption has either an algorithm or a customer key")
        if self.algorithm not in (None, "AES256", "aws:kms", "aws:kms:dsse"):
            raise ValueError(f"S3 knows AES256, aws:kms and aws:kms:dsse, not {self.algorithm!r}")
        if self.kms_key_id is not None and not (self.algorithm or "").startswith("aws:kms"):
            raise ValueError("kms_key_id goes with the algorithm aws:kms or aws:kms:dsse")
        if self.customer_key is not None and len(self.customer_key) != _KEY_BYTES:
            raise ValueError(f"a customer key has {_KEY_BYTES} bytes, got {len(self.customer_key)}")

    @classmethod
    def s3(cls) -> Encryption:
        """Encrypt with keys that S3 keeps (SSE-S3)."""
        return cls("AES256")

    @classmethod
    def kms(
        cls, key_id: str | None = None, *, bucket_key: bool = True, dual_layer: bool = False
    ) -> Encryption:
        """Encrypt with a key in KMS (SSE-KMS), or twice with it (``dual_layer``, DSSE-KMS)."""
        return cls("aws:kms:dsse" if dual_layer else "aws:kms", key_id, None if dual_layer else bucket_key)

    @classmethod
    def customer(cls, key: bytes) -> Encryption:
        """Encrypt with a key of one's own, sent with each request (SSE-C; AWS asks for HTTPS)."""
        return cls(customer_key=bytes(key))

    def parameters(self, operation: str) -> Mapping[str, Any]:
        """Return what an operation of boto3's client has to be given."""
        if self.customer_key is None:
            return self._on_write() if operation in _WRITES else {}
        parameters = self._with_key("") if operation in _WRITES | _READS else {}
        return parameters | self._with_key("CopySource") if operation == "copy_object" else parameters

    def _on_write(self) -> dict[str, Any]:
        parameters = {
            "ServerSideEncryption": self.algorithm,
            "SSEKMSKeyId": self.kms_key_id,
            "BucketKeyEnabled": self.bucket_key,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def _with_key(self, prefix: str) -> dict[str, Any]:
        return {
            f"{prefix}SSECustomerAlgorithm": "AES256",
            f"{prefix}SSECustomerKey": self.customer_key,
        }


_WRITES = {"put_object", "copy_object", "create_multipart_upload"}
_READS = {"get_object", "head_object", "upload_part"}
"""Operations that SSE-C wants the key for, too."""
