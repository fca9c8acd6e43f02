"""IAM and bucket policies for the roles of a store.

Each grants what its role needs, and nothing more.

========= =============================================================================================
pipeline  reads and writes values and results, finalizes them, takes leases. It cannot lift a retention.
          It can place a legal hold and release it: S3 has one permission for both.
janitor   lists, reads tags and locks, deletes, aborts uploads, sweeps leases. It cannot read a value or
          delete a locked version.
auditor   reads and lists, including versions, tags, locks and lifecycle rules. It changes nothing.
admin     all of that; creates and configures the bucket and its lifecycle rules, and may lift governance
          retentions.
========= =============================================================================================

For all roles but admin, bypassing governance is denied, not merely not allowed: on Ceph 16, a deletion may
bypass it unless a policy denies that.

The actions are those of "Actions, resources, and condition keys for Amazon S3" of the AWS service
authorization reference; Ceph supports the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

from s3kv_flows.store._layout.documents import read_document
from s3kv_flows.store._layout.keys import Namespace
from s3kv_flows.store._s3.client import S3Client

__all__ = [
    "BYPASS",
    "LIST_ACTIONS",
    "OBJECT_ACTIONS",
    "READ_BUCKET_ACTIONS",
    "ROLES",
    "Access",
    "Role",
    "apply_policy",
    "partition_of",
    "role_policy",
    "statements",
]

Role = Literal["pipeline", "janitor", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

BYPASS = "s3:BypassGovernanceRetention"
_READ_LOCKS = ("s3:GetObjectRetention", "s3:GetObjectLegalHold")
_READ_TAGS = ("s3:GetObjectTagging", "s3:GetObjectVersionTagging")
_READ = ("s3:GetObject", "s3:GetObjectVersion")
_DELETE = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload")
_WRITE = (
    *("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
    *("s3:PutObjectRetention", "s3:PutObjectLegalHold"),
)

OBJECT_ACTIONS: dict[Role, tuple[str, ...]] = {
    # It deletes versions, too: an overwrite that would hide a new lock deletes the version that it wrote.
    "pipeline": (*_READ, *_READ_TAGS, *_READ_LOCKS, *_WRITE, *_DELETE),
    "janitor": (*_READ_TAGS, *_READ_LOCKS, *_DELETE),
    "auditor": (*_READ, *_READ_TAGS, *_READ_LOCKS),
    "admin": (
        *(*_READ, *_READ_TAGS, *_READ_LOCKS, *_WRITE, *_DELETE),
        *("s3:DeleteObjectTagging", "s3:ListMultipartUploadParts", BYPASS),
    ),
}
LIST_ACTIONS = ("s3:ListBucket", "s3:ListBucketVersions")
READ_BUCKET_ACTIONS = ("s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning")
_BUCKET: dict[Role, tuple[str, ...]] = {
    "pipeline": READ_BUCKET_ACTIONS,
    "janitor": (*READ_BUCKET_ACTIONS, "s3:ListBucketMultipartUploads"),
    "auditor": (*READ_BUCKET_ACTIONS, "s3:GetLifecycleConfiguration"),
    "admin": (
        *(
            *READ_BUCKET_ACTIONS,
            "s3:CreateBucket",
            "s3:PutBucketVersioning",
            "s3:PutBucketObjectLockConfiguration",
        ),
        *("s3:ListBucketMultipartUploads", "s3:GetBucketPolicy", "s3:PutBucketPolicy"),
        *("s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
    ),
}
# In a bucket with versions, each renewal deletes the previous version.
_LEASES = (*_READ, "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
_TAKES_LEASES: tuple[Role, ...] = ("pipeline", "janitor", "admin")


def role_policy(
    role: Role,
    bucket: str,
    prefix: str = "s3kv/",
    *,
    lease_bucket: str | None = None,
    principal: str | None = None,
    partition: str | None = None,
) -> dict[str, Any]:
    """Return the policy of a role: an IAM policy, or, with a principal, a bucket policy.

    Args:
        role: The role.
        bucket: The bucket of the store.
        prefix: The prefix of its values; the prefixes of results and leases are derived from it.
        lease_bucket: The bucket for leases, if it is another one. It needs a bucket policy of its own, which
            is not part of this one.
        principal: The ARN of the principal of a bucket policy.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``; by default that of the principal, or else ``aws``.

    Raises:
        ValueError: There is no such role, or the principal is a wildcard or not an ARN.
    """
    if role not in ROLES:
        raise ValueError(f"no role {role!r}; the roles are {', '.join(ROLES)}")
    principal_partition = "aws" if principal is None else partition_of(principal)
    values = Namespace(prefix)
    leases = values.leases.prefix
    namespaces = [values, values.results, values.checkpoints, *([values.shadows] if role == "admin" else [])]
    prefixes = [space.prefix for space in namespaces]
    partition = partition or principal_partition
    arn = f"arn:{partition}:s3:::{bucket}"
    within = {"StringLikeIfExists": {"s3:prefix": [f"{one}*" for one in (*prefixes, leases)]}}

    def state(
        effect: str, what: str, actions: Sequence[str], resources: Sequence[str], **more: Any
    ) -> dict[str, Any]:
        return {
            "Sid": f"S3KV{role.title()}{what}",
            "Effect": effect,
            **({"Principal": {"AWS": principal}} if principal else {}),
            "Action": list(actions),
            "Resource": list(resources),
            **more,
        }

    allow = partial(state, "Allow")
    statements = [
        allow("Objects", OBJECT_ACTIONS[role], [f"{arn}/{one}*" for one in prefixes]),
        # A GET or HEAD of a missing key needs s3:ListBucket, too, and has no prefix.
        allow("List", LIST_ACTIONS, [arn], Condition=within),
        allow("Bucket", _BUCKET[role], [arn]),
    ]
    if role != "admin":
        statements.append(state("Deny", "NoBypass", [BYPASS], [f"{arn}/*"]))
    if role in _TAKES_LEASES:
        if lease_bucket is None or lease_bucket == bucket:
            statements.append(allow("Leases", _LEASES, [f"{arn}/{leases}*"]))
        elif principal is None:
            lease_arn = f"arn:{partition}:s3:::{lease_bucket}"
            statements += [
                allow("Leases", _LEASES, [f"{lease_arn}/{leases}*"]),
                allow("LeaseBucket", (*LIST_ACTIONS, *READ_BUCKET_ACTIONS), [lease_arn]),
            ]
    return {"Version": "2012-10-17", "Statement": statements}


def partition_of(principal: str) -> str:
    """Return the partition of the ARN of a single principal.

    Raises:
        ValueError: It is a wildcard, or not an ARN.
    """
    if "*" in principal or not principal.startswith("arn:"):
        raise ValueError(
            f"principal must be one ARN, such as 'arn:aws:iam::123456789012:role/pipeline', got {principal!r}"
        )
    return principal.split(":")[1]


Access = Literal["read", "write"]

_MAX_POLICY = 64 * 1024
_SEED_SID = "S3KVReadWriteAccess"
"""The statement with which ``s3kv`` 0.1.5 made a bucket public."""


def statements(bucket: str, prefix: str, principal: str, access: Access) -> list[dict[str, Any]]:
    """Return the statements that allow a principal to use the objects under a prefix.

    They do not allow lifting a retention: bypassing governance is denied, because on Ceph 16 a deletion may
    bypass it unless a policy denies that.

    Raises:
        ValueError: The principal is a wildcard, or not an ARN.
    """
    arn = f"arn:{partition_of(principal)}:s3:::{bucket}"
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
        # A GET or HEAD of a missing key needs s3:ListBucket, too, and has no prefix.
        state("List", LIST_ACTIONS, arn, Condition={"StringLikeIfExists": {"s3:prefix": f"{prefix}*"}}),
        state("Bucket", READ_BUCKET_ACTIONS, arn),
        state("NoBypass", (BYPASS,), f"{arn}/*", effect="Deny"),
    ]


def apply_policy(client: S3Client, bucket: str, ours: list[dict[str, Any]]) -> None:
    """Add statements to the bucket's policy, and keep the other statements: two requests.

    The statement with which ``s3kv`` 0.1.5 made the bucket public is removed.

    Raises:
        ValueError: The bucket has a policy that is none.
    """
    existing_text = client.get_bucket_policy(bucket) or '{"Version": "2012-10-17", "Statement": []}'
    policy = read_document(existing_text, max_bytes=_MAX_POLICY)
    existing = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    replaced = {_SEED_SID, *(statement["Sid"] for statement in ours)}
    others = [one for one in existing if one.get("Sid") not in replaced]
    client.put_bucket_policy(bucket, json.dumps({**policy, "Statement": others + ours}))
