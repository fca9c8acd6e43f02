"""Leaves nothing behind on a server that is not ours."""

from __future__ import annotations

import warnings

import boto3
from botocore.exceptions import ClientError

from s3kv_flows.store import S3KV


def remove_bucket(store: S3KV) -> None:
    """Delete a bucket with everything in it that can be deleted."""
    s3, bucket = boto3.client("s3", endpoint_url=store.config.endpoint_url), store.bucket_name
    try:
        for version in list(store.client.list_versions(bucket, "")):
            where = {"Bucket": bucket, "Key": version.name, "VersionId": version.version_id}
            if store.client.has_object_lock(bucket) and not version.is_delete_marker:
                s3.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
            s3.delete_object(**where, BypassGovernanceRetention=True)
        s3.delete_bucket(Bucket=bucket)
    except ClientError as exc:
        warnings.warn(f"bucket {bucket} is left behind: {exc}", stacklevel=1)
