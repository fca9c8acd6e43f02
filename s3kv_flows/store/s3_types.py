"""What S3's operations take and give, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from s3kv_flows.store.encryption import Encryption

__all__ = [
    "AWS",
    "DeleteFailure",
    "Fetched",
    "LifecycleConfiguration",
    "ListedObject",
    "ListedVersion",
    "NotModified",
    "ObjectInfo",
    "ObjectLock",
    "Part",
    "S3Config",
    "UnfinishedUpload",
    "Written",
    "is_aws",
    "server_of",
]


AWS = "AWS S3"
"""What messages call AWS."""

_PARTITIONS = {
    "amazonaws.com": "aws",
    "amazonaws.com.cn": "aws-cn",
    "amazonaws.eu": "aws-eusc",
    "c2s.ic.gov": "aws-iso",
    "sc2s.sgov.gov": "aws-iso-b",
    "cloud.adc-e.uk": "aws-iso-e",
    "csp.hci.ic.gov": "aws-iso-f",
}
"""AWS's partitions by their domains; GovCloud shares that of ``aws``, and is told by its regions."""

_AWS_HOST = re.compile(
    # A load balancer or a machine in AWS, with who knows what behind it, has another name below the domain.
    r"(?:.+\.)?(?P<service>s3(?:express)?(?:-[a-z0-9-]+)?(?:\.dualstack)?(?:\.[a-z]+(?:-[a-z0-9]+)+)?(?:\.vpce)?)"
    rf"\.(?P<domain>{'|'.join(map(re.escape, _PARTITIONS))})"
)


def is_aws(url: str) -> bool:
    """Tell whether an endpoint is AWS itself: S3, and not any other host of its domains."""
    return _AWS_HOST.fullmatch(urlsplit(url).hostname or "") is not None


def server_of(url: str) -> str:
    """Return by what a server is known: in messages, in receipts, and to the local cache.

    Two buckets of the same name are the same bucket where this is the same. AWS gives a name once per
    partition, whatever the region, so it is :data:`AWS` for all regions of the partition ``aws``, and names
    the others: ``AWS S3 (aws-cn)``. Any other server is known by its URL; one that is reached by two of them
    counts as two.

    Args:
        url: The endpoint that a client uses, wherever it found it.
    """
    found = _AWS_HOST.fullmatch(urlsplit(url).hostname or "")
    if found is None:
        return url
    partition = "aws-us-gov" if "us-gov-" in found["service"] else _PARTITIONS[found["domain"]]
    return AWS if partition == "aws" else f"{AWS} ({partition})"


@dataclass(frozen=True)
class S3Config:
    """How to reach a server: data, comparable, and the key of the shared client.

    Attributes:
        endpoint_url: URL of an S3-compatible server; None leaves it to boto3's chain (environment, profile),
            which ends with AWS. The server that comes of it is :attr:`S3Client.server`.
        region_name: Region; None leaves it to boto3's chain.
        aws_access_key_id: None leaves credentials to boto3's chain.
        aws_secret_access_key: Never shown in a repr.
        aws_session_token: Never shown in a repr.
        profile_name: A profile of the AWS configuration files.
        verify: The path of a CA bundle, which alone is trusted; True leaves that to boto3's chain
            (``AWS_CA_BUNDLE``, ``ca_bundle`` of the profile, ``REQUESTS_CA_BUNDLE``, the bundle it brings);
            False verifies no certificates.
        addressing_style: ``path`` or ``virtual``; ``auto`` takes path style for a custom endpoint.
        encryption: How objects are encrypted at rest; None leaves it to the bucket.
        boto_config: Options of ``botocore.config.Config``, as a dict: ``proxies``, ``connect_timeout``,
            ``read_timeout``, ``retries``, ``s3`` ...; they come over this package's own. Never shown in a
            repr: the URL of a proxy may carry a password.
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

    def __post_init__(self) -> None:
        if self.endpoint_url is not None and not urlsplit(self.endpoint_url).netloc:
            raise ValueError(f"endpoint_url {self.endpoint_url!r} is no URL such as 'https://s3.example.com'")
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key go together: give both or neither")


@dataclass(frozen=True)
class ObjectInfo:
    """What one HEAD or GET says of an object, beside its body.

    Attributes:
        server_time: The server's clock when it answered: what ages are measured by.
        lock_mode: ``GOVERNANCE`` or ``COMPLIANCE`` where a retention is set, also a past one.
    """

    name: str
    etag: str
    size: int
    last_modified: datetime
    server_time: datetime
    version_id: str | None = None
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tag_count: int = 0
    lock_mode: str | None = None
    retain_until: datetime | None = None
    legal_hold: bool = False


@dataclass(frozen=True)
class Fetched:
    """An object that was read.

    Attributes:
        info: What the headers say.
        body: A bytearray, or, of a large object, a writable memoryview of memory of its own; None where
            the caller did not want it.
    """

    info: ObjectInfo
    body: bytearray | memoryview | None


@dataclass(frozen=True)
class NotModified:
    """An object still has the ETag that was asked about, so it was not sent.

    Attributes:
        last_modified: As the answer says; None where it does not.
    """

    last_modified: datetime | None = None


@dataclass(frozen=True)
class Written:
    """What a PUT or a copy answered."""

    etag: str
    version_id: str | None


@dataclass(frozen=True)
class ObjectLock:
    """A retention, as S3 keeps it."""

    mode: str
    until: datetime


@dataclass(frozen=True)
class Part:
    """A part of a multipart upload, as it was answered."""

    number: int
    etag: str
    crc32: str | None


@dataclass(frozen=True)
class UnfinishedUpload:
    """A multipart upload that was begun, and not completed."""

    name: str
    upload_id: str
    begun: datetime


@dataclass(frozen=True)
class LifecycleConfiguration:
    """The lifecycle rules of a bucket.

    Attributes:
        rules: The rules, as boto3 gives and takes them.
        transition_default_minimum_object_size: From which size on objects go to other storage classes where
            a rule does not say; None where the server does not tell.
    """

    rules: list[dict[str, Any]] = field(default_factory=list)
    transition_default_minimum_object_size: str | None = None


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing shows it."""

    name: str
    etag: str
    size: int
    last_modified: datetime


@dataclass(frozen=True)
class ListedVersion(ListedObject):
    """A version, or a delete marker, as a listing of versions shows it."""

    version_id: str
    is_latest: bool
    is_delete_marker: bool = False


@dataclass(frozen=True)
class DeleteFailure:
    """A key that one batch of deletions did not delete."""

    name: str
    version_id: str | None
    code: str
    message: str
