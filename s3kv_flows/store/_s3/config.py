"""Configuration of a client: server, credentials, and encryption at rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from s3kv_flows.store._layout.secrets import SecretRecord, split_url, without_password

__all__ = ["AWS", "Encryption", "S3Config", "is_aws", "refuse_bucket_in_endpoint", "server_of"]

_KEY_BYTES = 32


@dataclass(frozen=True)
class Encryption(SecretRecord):
    """Server-side encryption of the objects that a store writes. Use a class method to create one.

    Attributes:
        algorithm: ``AES256`` (SSE-S3), ``aws:kms`` or ``aws:kms:dsse`` (SSE-KMS); None with a customer key.
        kms_key_id: The key in KMS; None for the default key of the account.
        bucket_key: Whether S3 may call KMS once per bucket instead of once per object.
        customer_key: The 32 bytes of SSE-C, which S3 does not store. Never shown in a repr.
    """

    algorithm: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = None
    bucket_key: bool | None = None
    customer_key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.algorithm is None) == (self.customer_key is None):
            raise ValueError("an encryption has either an algorithm or a customer key")
        if self.algorithm not in (None, "AES256", "aws:kms", "aws:kms:dsse"):
            raise ValueError(f"S3 supports AES256, aws:kms and aws:kms:dsse, not {self.algorithm!r}")
        if self.kms_key_id is not None and not (self.algorithm or "").startswith("aws:kms"):
            raise ValueError("kms_key_id requires the algorithm aws:kms or aws:kms:dsse")
        if self.customer_key is not None and len(self.customer_key) != _KEY_BYTES:
            raise ValueError(f"a customer key must have {_KEY_BYTES} bytes, got {len(self.customer_key)}")

    @classmethod
    def s3(cls) -> Encryption:
        """Encrypt with keys that S3 manages (SSE-S3)."""
        return cls("AES256")

    @classmethod
    def kms(
        cls, key_id: str | None = None, *, bucket_key: bool = True, dual_layer: bool = False
    ) -> Encryption:
        """Encrypt with a key in KMS (SSE-KMS), or twice with it (``dual_layer``, DSSE-KMS)."""
        return cls("aws:kms:dsse" if dual_layer else "aws:kms", key_id, None if dual_layer else bucket_key)

    @classmethod
    def customer(cls, key: bytes) -> Encryption:
        """Encrypt with a customer key, sent with each request (SSE-C; AWS requires HTTPS)."""
        return cls(customer_key=bytes(key))

    def has_secrets(self) -> bool:
        """Tell whether it contains a customer key."""
        return self.customer_key is not None

    def parameters(self, operation: str) -> Mapping[str, Any]:
        """Return the encryption parameters of an operation of boto3's client."""
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
"""Other operations that need the key of SSE-C."""


AWS = "AWS S3"
"""The name of AWS in messages."""

_PARTITIONS = {
    "amazonaws.com": "aws",
    "amazonaws.com.cn": "aws-cn",
    "amazonaws.eu": "aws-eusc",
    "c2s.ic.gov": "aws-iso",
    "sc2s.sgov.gov": "aws-iso-b",
    "cloud.adc-e.uk": "aws-iso-e",
    "csp.hci.ic.gov": "aws-iso-f",
}
"""AWS's partitions by their domains; GovCloud shares that of ``aws``, and is recognized by its regions."""

_AWS_HOST = re.compile(
    # A load balancer or a machine in AWS, which may run any server, has another name below the domain.
    r"(?:.+\.)?(?P<service>s3(?:express)?(?:-[a-z0-9-]+)?(?:\.dualstack)?(?:\.[a-z]+(?:-[a-z0-9]+)+)?(?:\.vpce)?)"
    rf"\.(?P<domain>{'|'.join(map(re.escape, _PARTITIONS))})"
)


def is_aws(url: str) -> bool:
    """Tell whether an endpoint is AWS S3 itself, and not another host in its domains."""
    return _AWS_HOST.fullmatch(urlsplit(url).hostname or "") is not None


def server_of(url: str) -> str:
    """Return the identity of a server, for messages, receipts and the local cache.

    Two buckets of the same name are the same bucket if this is equal. On AWS, bucket names are unique within
    a partition, so it is :data:`AWS` for all regions of the partition ``aws``, and contains the name of any
    other: ``AWS S3 (aws-cn)``. Any other server is identified by its URL; a server with two URLs counts as
    two.

    Args:
        url: The endpoint that a client uses, from whatever source.
    """
    host = _AWS_HOST.fullmatch(urlsplit(url).hostname or "")
    if host is None:
        return url
    partition = "aws-us-gov" if "us-gov-" in host["service"] else _PARTITIONS[host["domain"]]
    return AWS if partition == "aws" else f"{AWS} ({partition})"


def refuse_bucket_in_endpoint(endpoint_url: str | None, bucket: str) -> None:
    """Raise ValueError for an endpoint that names the bucket, as consoles show it.

    Requests would name the bucket twice, and be about objects ``bucket/...`` in it. Any other path stays: it
    may be that of a gateway.
    """
    url = split_url(endpoint_url or "")
    path, _, last = url.path.rstrip("/").rpartition("/")
    host = url.netloc
    if is_aws(endpoint_url or "") and host.startswith(f"{bucket}.s3"):
        host = host.removeprefix(f"{bucket}.")
    if last == bucket:
        url = url._replace(path=path)
    elif host == url.netloc:
        return
    raise ValueError(
        f"endpoint_url {endpoint_url!r} contains the bucket {bucket!r}, which is given apart: write "
        f"{url._replace(netloc=host).geturl()!r}"
    )


@dataclass(frozen=True)
class S3Config(SecretRecord):
    """How to connect to a server: comparable data, which is the key of the shared client.

    Attributes:
        endpoint_url: URL of an S3-compatible server; None leaves it to boto3's chain (environment, profile),
            which ends with AWS. :attr:`S3Client.server` is the resulting server.
        region_name: Region; None leaves it to boto3's chain.
        aws_access_key_id: None leaves credentials to boto3's chain.
        aws_secret_access_key: Never shown in a repr.
        aws_session_token: Never shown in a repr.
        profile_name: A profile of the AWS configuration files.
        verify: The path of the only trusted CA bundle; True leaves that to boto3's chain (``AWS_CA_BUNDLE``,
            ``ca_bundle`` of the profile, ``REQUESTS_CA_BUNDLE``, its built-in bundle); False verifies no
            certificates.
        addressing_style: ``path`` or ``virtual``; ``auto`` uses path style for a custom endpoint.
        encryption: How objects are encrypted at rest; None leaves it to the bucket.
        boto_config: Options of ``botocore.config.Config``, as a dict: ``proxies``, ``connect_timeout``,
            ``read_timeout``, ``retries``, ``s3`` ...; they override this package's defaults. Never shown in a
            repr: the URL of a proxy may contain a password.
        direct_reads: Whether to read past boto3's API, on its connections, in less than half of its processor
            time. False lets boto3 make every request.
        operation_timeout_seconds: For how long a small operation may take in all, with its retries. Reading a
            large body may take longer, as long as each MiB takes less than half of it; sending one may take
            a second more per 50 kB. Copies, the end of a multipart upload and the PUT of a locked object may
            take five times as long.
        requester_pays: Whether the owner of the credentials pays for the requests, as buckets of some others
            require.
    """

    endpoint_url: str | None = None
    region_name: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)
    profile_name: str | None = None
    verify: bool | str = True
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    encryption: Encryption | None = None
    boto_config: Mapping[str, Any] = field(
        default_factory=dict, hash=False, repr=False
    )  # compared, but not hashable
    direct_reads: bool = True
    operation_timeout_seconds: float = 60.0
    requester_pays: bool = False

    def __post_init__(self) -> None:
        if self.endpoint_url is not None:
            _require_url(self.endpoint_url)
        if self.operation_timeout_seconds <= 0:
            raise ValueError(f"operation_timeout_seconds must be positive: {self.operation_timeout_seconds}")
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key go together: set both or neither")

    def has_secrets(self) -> bool:
        """Tell whether it contains a secret access key, a token, a customer key, or a password of a proxy."""
        proxies = self.boto_config.get("proxies") or {}
        return (
            self.aws_secret_access_key is not None
            or self.aws_session_token is not None
            or (self.encryption is not None and self.encryption.has_secrets())
            or any("@" in str(url) for url in proxies.values())
        )


def _require_url(text: str) -> None:
    """Raise ValueError for what is not a URL of HTTP with a host and a port, or has a password."""
    parts = split_url(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(
            f"endpoint_url {without_password(text)!r} is not a URL such as 'https://s3.example.com'"
        )
