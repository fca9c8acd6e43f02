"""Examine the buckets of a server by experiment.

Unlike :mod:`s3kv_flows.store._s3.capabilities` it uses no declared capability, and caches no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from s3kv_flows.store._s3.capabilities import ConditionalDeletes, ConditionalPuts, MultipartUploads
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.clients import new_client
from s3kv_flows.store._s3.probes import PlainRequests, Probes
from s3kv_flows.store.errors import AccessDeniedError

__all__ = ["BucketFacts", "Examination", "Lifecycle", "examine", "examine_bucket"]

_RACES = 3
_CHECKSUMS = {"request_checksum_calculation": "when_required"}
"""The option of botocore with which no request has a checksum that S3 does not demand."""

Lifecycle = Literal["carried out", "not carried out", "taken", "refused"]
"""Support for lifecycle rules; ``taken``: accepted, but not known to be carried out."""

T = TypeVar("T")


@dataclass(frozen=True)
class BucketFacts:
    """The capabilities of one bucket. None means not tested, or no permission.

    Attributes:
        bucket: The bucket.
        versioned: Whether it keeps versions.
        object_lock: Whether objects can be locked.
        default_retention: Whether it locks every new version; then no experiment is made.
        plain: Whether objects can be written and read at all; if not, no other experiment is made.
        writers: How many writers were in a race.
        puts: Its support for conditional PUTs, in sequence and in races.
        deletes: Which deletions honour an ETag.
        tags: Whether tags are stored, and can be replaced.
        uploads: Its support for tags, locks and conditions of multipart uploads.
        lifecycle: Its support for lifecycle rules.
    """

    bucket: str
    versioned: bool | None
    object_lock: bool
    default_retention: bool | None
    plain: PlainRequests | None
    writers: int
    puts: ConditionalPuts | None
    deletes: ConditionalDeletes | None
    tags: bool | None
    uploads: MultipartUploads | None
    lifecycle: Lifecycle | None


@dataclass(frozen=True)
class Examination:
    """The capabilities of a server for a store.

    Attributes:
        server: Its URL, or the name of AWS.
        kind: The recognized software: ``aws``, ``ceph``, ``moto``, ``seaweedfs``; else empty.
        clock_skew_seconds: How far this machine's clock is ahead of the server's.
        declared_puts: What is known of conditional PUTs without an experiment. Where none could be made, this
            is what all features go by.
        bucket: The bucket of the store.
        lease_bucket: The bucket for leases, which may be the same.
        seconds: How long the examination took.
    """

    server: str
    kind: str
    clock_skew_seconds: float
    declared_puts: ConditionalPuts | None
    bucket: BucketFacts
    lease_bucket: BucketFacts
    seconds: float


def examine(
    client: S3Client, bucket: str, prefix: str, *, lease_bucket: str | None = None, lease_prefix: str
) -> Examination:
    """Examine the buckets of a store: some 400 requests.

    All objects are deleted again; without the permission to delete, a small one stays.

    Args:
        client: The client.
        bucket: The bucket of the store.
        prefix: The prefix for the objects of experiments.
        lease_bucket: The bucket for leases, if it is another.
        lease_prefix: The prefix for the objects of experiments in it.

    Raises:
        StoreUnavailableError: The server does not respond, or there is no such bucket.
        AccessDeniedError: The credentials are wrong, or have no permission for the bucket.
    """
    started = time.monotonic()
    store = examine_bucket(client, bucket, prefix)
    leases = (
        store if lease_bucket in (None, bucket) else examine_bucket(client, lease_bucket or "", lease_prefix)
    )
    return Examination(
        server=client.server,
        kind=client.capabilities.server,
        clock_skew_seconds=client.capabilities.clock_skew.total_seconds(),
        declared_puts=client.capabilities.declared.conditional_puts,
        bucket=store,
        lease_bucket=leases,
        seconds=time.monotonic() - started,
    )


def examine_bucket(client: S3Client, bucket: str, prefix: str) -> BucketFacts:
    """Examine one bucket; see :func:`examine`."""
    next(iter(client.list_objects(bucket, prefix)), None)  # raises if the bucket cannot be accessed
    writers = client.capabilities.declared.racers
    probes = Probes(client, writers=writers, rounds=_RACES)
    plain = _if_allowed(lambda: _plain_requests(client, bucket, prefix))
    works = plain is not None and plain.refused is None
    return BucketFacts(
        bucket=bucket,
        versioned=_if_allowed(lambda: client.is_versioned(bucket)),
        object_lock=client.has_object_lock(bucket),
        default_retention=_if_allowed(lambda: client.has_default_retention(bucket)),
        plain=plain,
        writers=writers,
        puts=probes.conditional_puts(bucket, prefix) if works else None,
        deletes=probes.conditional_deletes(bucket, prefix) if works else None,
        tags=probes.tags(bucket, prefix) if works else None,
        uploads=probes.multipart_uploads(bucket, prefix) if works else None,
        lifecycle=_if_allowed(lambda: _lifecycle(client, bucket)),
    )


def _plain_requests(client: S3Client, bucket: str, prefix: str) -> PlainRequests | None:
    """Write and read an object; if that fails, find out whether checksums are the cause.

    Servers that do not know the checksums which boto3 adds, as headers or behind the body (aws-chunked),
    refuse them with one of a dozen codes, or store them with the body. So the same is tried without them.

    Raises:
        AccessDeniedError: Whether what is written would be locked may not be read.
    """
    probes = Probes(client)
    if probes.has_default_retention(bucket):
        return None
    found = probes.plain_requests(bucket, prefix)
    options = client.config.boto_config
    if found.refused is None or options.items() >= _CHECKSUMS.items():
        return found
    bare = new_client(replace(client.config, boto_config={**options, **_CHECKSUMS}))
    return replace(found, checksums=Probes(bare).plain_requests(bucket, prefix).refused is None)


def _lifecycle(client: S3Client, bucket: str) -> Lifecycle:
    if not client.takes_lifecycle_rules(bucket):
        return "refused"
    executes = client.capabilities.declared.executes_lifecycle
    return "taken" if executes is None else "carried out" if executes else "not carried out"


def _if_allowed(request: Callable[[], T]) -> T | None:
    try:
        return request()
    except AccessDeniedError:
        return None
