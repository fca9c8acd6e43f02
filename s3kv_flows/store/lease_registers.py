"""Where the leases of a bucket are written down: by what its server offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3kv_flows.store.errors import UnsupportedByServerError
from s3kv_flows.store.lease_records import Register
from s3kv_flows.store.leases import Leases
from s3kv_flows.store.replaced_claims import ReplacedClaims

if TYPE_CHECKING:
    from s3kv_flows.store._s3.client import S3Client

__all__ = ["open_leases", "register_of"]


def register_of(client: S3Client, bucket: str, prefix: str) -> Register:
    """Return the register that a bucket can carry.

    What is not known of the server is tried out, once per client: about thirty requests, in a bucket with
    versions two hundred.

    Args:
        client: The client.
        bucket: The bucket.
        prefix: Where leases, and objects of a probe, may be written.

    Raises:
        UnsupportedByServerError: Claims would not be exclusive there, or would be locked.
    """
    if client.capabilities.locks_by_default(bucket):
        raise UnsupportedByServerError(
            f"bucket {bucket!r} locks whatever is written to it, and would lock leases: "
            "name another one as lease_bucket_name"
        )
    puts = client.capabilities.conditional_puts(bucket, prefix, briefly=True)
    if puts.create != "atomic":
        raise UnsupportedByServerError(
            f"{client.server} lets several writers create one object in bucket {bucket!r}, so that a "
            "lease would not exclude anybody: name a bucket without versions as lease_bucket_name"
        )
    if puts.replace != "atomic":
        raise UnsupportedByServerError(
            f"{client.server} has no conditional overwrite (If-Match) in bucket {bucket!r}, so that a "
            "lease could not be renewed or taken over safely: name a bucket without versions as "
            "lease_bucket_name"
        )
    deletes = client.capabilities.conditional_deletes(bucket, prefix)
    return ReplacedClaims(client, bucket, puts.quoted, deletes.single)


def open_leases(client: S3Client, bucket: str, prefix: str, *, seconds: float = 30.0) -> Leases:
    """Return the leases of a bucket, numbered by the server's clock.

    Requests and errors are those of :func:`register_of`.

    Args:
        client: The client.
        bucket: The bucket.
        prefix: What their names begin with.
        seconds: For how long a lease holds without being renewed.
    """
    capabilities = client.capabilities
    register = register_of(client, bucket, prefix)
    return Leases(register, lambda: int(capabilities.now().timestamp() * 1000), seconds=seconds)
