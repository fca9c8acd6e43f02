"""Examine the buckets of a server by experiment.

Unlike :mod:`s3kv_flows.store._s3.capabilities` it uses no declared capability, and caches no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from s3kv_flows.store._s3.capabilities import ConditionalDeletes, ConditionalPuts, MultipartUploads
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.probes import Probes
from s3kv_flows.store.errors import AccessDeniedError

__all__ = ["BucketFacts", "Examination", "Lifecycle", "examine", "examine_bucket"]

_WRITERS = 32
_RACES = 3

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
        puts: Its support for conditional PUTs, in sequence and in races of 32 writers.
        deletes: Which deletions honour an ETag.
        tags: Whether tags are stored, and can be replaced.
        uploads: Its support for tags, locks and conditions of multipart uploads.
        lifecycle: Its support for lifecycle rules.
    """

    bucket: str
    versioned: bool | None
    object_lock: bool
    default_retention: bool | None
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
        kind: The recognized software: ``aws``, ``ceph``, ``moto``; else empty.
        clock_skew_seconds: How far this machine's clock is ahead of the server's.
        bucket: The bucket of the store.
        lease_bucket: The bucket for leases, which may be the same.
        seconds: How long the examination took.
    """

    server: str
    kind: str
    clock_skew_seconds: float
    bucket: BucketFacts
    lease_bucket: BucketFacts
    seconds: float


def examine(
    client: S3Client, bucket: str, prefix: str, *, lease_bucket: str | None = None, lease_prefix: str
) -> Examination:
    """Examine the buckets of a store: some 400 requests; all objects are deleted again.

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
        bucket=store,
        lease_bucket=leases,
        seconds=time.monotonic() - started,
    )


def examine_bucket(client: S3Client, bucket: str, prefix: str) -> BucketFacts:
    """Examine one bucket; see :func:`examine`."""
    next(iter(client.list_objects(bucket, prefix)), None)  # raises if the bucket cannot be accessed
    probes = Probes(client, writers=_WRITERS, rounds=_RACES)
    return BucketFacts(
        bucket=bucket,
        versioned=_if_allowed(lambda: client.is_versioned(bucket)),
        object_lock=client.has_object_lock(bucket),
        default_retention=_if_allowed(lambda: client.has_default_retention(bucket)),
        puts=probes.conditional_puts(bucket, prefix),
        deletes=probes.conditional_deletes(bucket, prefix),
        tags=probes.tags(bucket, prefix),
        uploads=probes.multipart_uploads(bucket, prefix),
        lifecycle=_if_allowed(lambda: _lifecycle(client, bucket)),
    )


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
