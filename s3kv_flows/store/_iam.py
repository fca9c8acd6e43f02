"""Policies of the roles around a store: what each needs, and nothing more.

========= =============================================================================================
pipeline  reads and writes values and results, finalizes them, takes leases. It cannot lift a retention.
          Who may place a legal hold may release it: S3 has one permission for both.
janitor   lists, reads tags and locks, deletes, frees uploads, sweeps leases. It cannot read a value, and
          nothing that is locked goes.
auditor   reads and lists, versions, tags, locks and lifecycle rules, too. It changes nothing.
admin     all that, makes and configures the bucket and its lifecycle rules, and may lift governance
          retentions.
========= =============================================================================================

Whoever is no admin is denied to bypass governance, instead of only not being allowed to: on Ceph 16, a
deletion may bypass it wherever no policy denies that.

The actions are those of "Actions, resources, and condition keys for Amazon S3" of the AWS service
authorization reference; Ceph knows the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

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
    "require_one",
    "role_policy",
    "statements",
]

Role = Literal["pipeline", "janitor", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

BYPASS = "s3:BypassGovernanceRetention"
_SEE_LOCKS = ("s3:GetObjectRetention", "s3:GetObjectLegalHold")
_READ_TAGS = ("s3:GetObjectTagging", "s3:GetObjectVersionTagging")
_READ = ("s3:GetObject", "s3:GetObjectVersion")
_DELETE = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload")
_WRITE = (
    *("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
    *("s3:PutObjectRetention", "s3:PutObjectLegalHold"),
)

OBJECT_ACTIONS: dict[Role, tuple[str, ...]] = {
    # It deletes versions, too: an overwrite that met a fresh lock takes its own version back.
    "pipeline": (*_READ, *_READ_TAGS, *_SEE_LOCKS, *_WRITE, *_DELETE),
    "janitor": (*_READ_TAGS, *_SEE_LOCKS, *_DELETE),
    "auditor": (*_READ, *_READ_TAGS, *_SEE_LOCKS),
    "admin": (
        *(*_READ, *_READ_TAGS, *_SEE_LOCKS, *_WRITE, *_DELETE),
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
# In a bucket with versions, each renewal deletes the version before.
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
    """Return the policy of a role: for IAM, or, with a principal, for the bucket.

    Args:
        role: The role.
        bucket: The bucket of the store.
        prefix: What the names of its values begin with; results and leases lie beside it.
        lease_bucket: The bucket for leases, where it is another one; a bucket policy of its own goes there,
            and is not part of this one.
        principal: The ARN that a bucket policy is for.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``; by default that of the principal, or else ``aws``.

    Raises:
        ValueError: There is no such role, or the principal is everybody, or no ARN.
    """
    if role not in ROLES:
        raise ValueError(f"no role {role!r}; there are {', '.join(ROLES)}")
    own_partition = "aws" if principal is None else require_one(principal)
    values = Namespace(prefix)
    leases = values.leases.prefix
    namespaces = [values, values.results, values.checkpoints, *([values.shadows] if role == "admin" else [])]
    prefixes = [space.prefix for space in namespaces]
    partition = partition or own_partition
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
        # A GET or HEAD of a missing key asks for s3:ListBucket, too, and has no prefix.
        allow("List", LIST_ACTIONS, [arn], Condition=within),
        allow("Bucket", _BUCKET[role], [arn]),
    ]
    if role != "admin":
        statements.append(state("Deny", "NoBypass", [BYPASS], [f"{arn}/*"]))
    if role in _TAKES_LEASES:
        if lease_bucket is None or lease_bucket == bucket:
            statements.append(allow("Leases", _LEASES, [f"{arn}/{leases}*"]))
        elif principal is None:
            there = f"arn:{partition}:s3:::{lease_bucket}"
            statements += [
                allow("Leases", _LEASES, [f"{there}/{leases}*"]),
                allow("LeaseBucket", (*LIST_ACTIONS, *READ_BUCKET_ACTIONS), [there]),
            ]
    return {"Version": "2012-10-17", "Statement": statements}


def require_one(principal: str) -> str:
    """Return the partition of the ARN of one principal.

    Raises:
        ValueError: It is everybody, or no ARN.
    """
    if "*" in principal or not principal.startswith("arn:"):
        raise ValueError(
            f"principal is one ARN, such as 'arn:aws:iam::123456789012:role/pipeline', got {principal!r}"
        )
    return principal.split(":")[1]


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
