"""Bucket policies: what one principal needs to use a store, and nothing more."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.role_policies import (
    BYPASS,
    LIST_ACTIONS,
    OBJECT_ACTIONS,
    READ_BUCKET_ACTIONS,
    require_one,
)

__all__ = ["Access", "apply_policy", "statements"]

Access = Literal["read", "write"]

_SEED_SID = "S3KVReadWriteAccess"
"""The statement by which ``s3kv`` 0.1.5 opened a bucket to everybody."""


def statements(bucket: str, prefix: str, principal: str, access: Access) -> list[dict[str, Any]]:
    """Return what allows a principal to use the objects under a prefix.

    Nothing in it lifts a retention: to bypass governance is denied, for Ceph 16 lets a deletion do it
    wherever no policy says no.

    Raises:
        ValueError: The principal is everybody, or no ARN.
    """
    arn = f"arn:{require_one(principal)}:s3:::{bucket}"
    digest = hashlib.sha256(f"{principal} {prefix}".encode()).hexdigest()[:12]

    def state(
        what: str, actions: tuple[str, ...], resource: str, *, effect: str = "Allow", **more: Any
    ) -> dict[str, Any]:
        return {
            "Sid": f"S3KV{what}{digest}",
            "Effect": effect,
            "Principal": {"AWS": principal},
            "Action": list(actions),
            "Resource": resource,
            **more,
        }

    objects = OBJECT_ACTIONS["pipeline" if access == "write" else "auditor"]
    return [
        state("Objects", objects, f"{arn}/{prefix}*"),
        # A GET or HEAD of a missing key asks for s3:ListBucket, too, and has no prefix.
        state("List", LIST_ACTIONS, arn, Condition={"StringLikeIfExists": {"s3:prefix": f"{prefix}*"}}),
        state("Bucket", READ_BUCKET_ACTIONS, arn),
        state("NoBypass", (BYPASS,), f"{arn}/*", effect="Deny"),
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
