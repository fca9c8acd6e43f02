"""Bucket policies: what one principal needs to use a store, and nothing more."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from s3kv_flows.store.s3 import S3Client

__all__ = ["Access", "apply_policy", "statements"]

Access = Literal["read", "write"]

_READ_OBJECTS = (
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectTagging",
    "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
)
_WRITE_OBJECTS = (
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:PutObjectRetention",
    "s3:PutObjectLegalHold",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",  # an overwrite that met a fresh lock takes its own version back
    "s3:AbortMultipartUpload",
)
_LIST_BUCKET = ("s3:ListBucket", "s3:ListBucketVersions")
_READ_BUCKET = ("s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning")

_SEED_SID = "S3KVReadWriteAccess"
"""The statement by which ``s3kv`` 0.1.5 opened a bucket to everybody."""


def statements(bucket: str, prefix: str, principal: str, access: Access) -> list[dict[str, Any]]:
    """Return what allows a principal to use the objects under a prefix.

    Nothing in it lifts a lock: there is no s3:BypassGovernanceRetention.

    Raises:
        ValueError: The principal is everybody, or no ARN.
    """
    if "*" in principal or not principal.startswith("arn:"):
        raise ValueError(
            f"principal is one ARN, such as 'arn:aws:iam::123456789012:role/pipeline', got {principal!r}"
        )
    arn = f"arn:{principal.split(':')[1]}:s3:::{bucket}"
    digest = hashlib.sha256(f"{principal} {prefix}".encode()).hexdigest()[:12]

    def allow(what: str, actions: tuple[str, ...], resource: str, **more: Any) -> dict[str, Any]:
        return {
            "Sid": f"S3KV{what}{digest}",
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": list(actions),
            "Resource": resource,
            **more,
        }

    objects = _READ_OBJECTS + (_WRITE_OBJECTS if access == "write" else ())
    return [
        allow("Objects", objects, f"{arn}/{prefix}*"),
        # A GET or HEAD of a missing key asks for s3:ListBucket, too, and has no prefix.
        allow("List", _LIST_BUCKET, arn, Condition={"StringLikeIfExists": {"s3:prefix": f"{prefix}*"}}),
        allow("Bucket", _READ_BUCKET, arn),
    ]


def apply_policy(client: S3Client, bucket: str, ours: list[dict[str, Any]]) -> None:
    """Put statements into the bucket's policy, beside those of others: two requests.

    The statement by which ``s3kv`` 0.1.5 opened the bucket to everybody is taken out.
    """
    policy = json.loads(client.get_bucket_policy(bucket) or '{"Version": "2012-10-17", "Statement": []}')
    there = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    replaced = {_SEED_SID, *(statement["Sid"] for statement in ours)}
    others = [one for one in there if one.get("Sid") not in replaced]
    client.put_bucket_policy(bucket, json.dumps({**policy, "Statement": others + ours}))
