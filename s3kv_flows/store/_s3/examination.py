"""An examination of a server: what its buckets really do, found out by experiment.

Unlike :mod:`s3kv_flows.store._s3.capabilities` it believes nothing that is declared, and remembers nothing.
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
"""What becomes of lifecycle rules; ``taken``: whether they are carried out is not known."""

T = TypeVar("T")


@dataclass(frozen=True)
class BucketFacts:
    """What one bucket does. None is what could not be tried out, or may not be asked.

    Attributes:
        bucket: The bucket.
        versioned: Whether it keeps versions.
        object_lock: Whether objects can be locked.
        default_retention: Whether it locks whatever is written: nothing is tried out there.
        puts: What it makes of conditional PUTs, in sequence and in races of 32 writers.
        deletes: Which deletions heed an ETag.
        tags: Whether tags are kept, and can be replaced.
        uploads: What reaches an object that was uploaded in parts.
        lifecycle: What becomes of lifecycle rules.
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
    """What a server does for a store.

    Attributes:
        server: Its URL, or what messages call AWS.
        kind: What it is known to be: ``aws``, ``ceph``, ``moto``; else empty.
        clock_skew_seconds: How far this machine's clock is ahead of the server's.
        bucket: The bucket of the store.
        lease_bucket: The bucket for leases, which may be the same.
        seconds: How long it took.
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
    """Examine the buckets of a store: some 400 requests, and nothing is left behind.

    Args:
        client: The client.
        bucket: The bucket of the store.
        prefix: Where objects may be written, and are deleted again.
        lease_bucket: The bucket for leases, where it is another.
        lease_prefix: Where objects may be written there.

    Raises:
        StoreUnavailableError: The server does not answer, or there is no such bucket.
        AccessDeniedError: The credentials are wrong, or may do nothing there.
    """
    started = time.monotonic()
    own = examine_bucket(client, bucket, prefix)
    leases = (
        own if lease_bucket in (None, bucket) else examine_bucket(client, lease_bucket or "", lease_prefix)
    )
    return Examination(
        server=client.server,
        kind=client.capabilities.server,
        clock_skew_seconds=client.capabilities.clock_skew.total_seconds(),
        bucket=own,
        lease_bucket=leases,
        seconds=time.monotonic() - started,
    )


def examine_bucket(client: S3Client, bucket: str, prefix: str) -> BucketFacts:
    """Examine one bucket; see :func:`examine`."""
    next(iter(client.list_objects(bucket, prefix)), None)  # raises where it cannot be reached
    probes = Probes(client, writers=_WRITERS, rounds=_RACES)
    return BucketFacts(
        bucket=bucket,
        versioned=_allowed(lambda: client.is_versioned(bucket)),
        object_lock=client.has_object_lock(bucket),
        default_retention=_allowed(lambda: client.has_default_retention(bucket)),
        puts=probes.conditional_puts(bucket, prefix),
        deletes=probes.conditional_deletes(bucket, prefix),
        tags=probes.tags(bucket, prefix),
        uploads=probes.multipart_uploads(bucket, prefix),
        lifecycle=_allowed(lambda: _lifecycle(client, bucket)),
    )


def _lifecycle(client: S3Client, bucket: str) -> Lifecycle:
    if not client.takes_lifecycle_rules(bucket):
        return "refused"
    executes = client.capabilities.declared.executes_lifecycle
    return "taken" if executes is None else "carried out" if executes else "not carried out"


def _allowed(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except AccessDeniedError:
        return None
