"""Names of S3's operations, as requests show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

__all__ = ["FURTHER_RANGE", "operation_of"]

FURTHER_RANGE = "GetObject, further range"
"""A GET of a range that is not the first one, which S3 does not tell apart."""

_FROM_THE_FIRST = re.compile(r"bytes=0-")

_OF_OBJECTS: Mapping[tuple[str, str], str] = {
    ("GET", "tagging"): "GetObjectTagging",
    ("GET", "retention"): "GetObjectRetention",
    ("GET", "legal-hold"): "GetObjectLegalHold",
    ("PUT", "tagging"): "PutObjectTagging",
    ("PUT", "retention"): "PutObjectRetention",
    ("PUT", "legal-hold"): "PutObjectLegalHold",
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "tagging"): "DeleteObjectTagging",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
}

_OF_BUCKETS: Mapping[tuple[str, str], str] = {
    ("GET", "versions"): "ListObjectVersions",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "object-lock"): "GetObjectLockConfiguration",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", ""): "ListObjectsV2",
    ("HEAD", ""): "HeadBucket",
    ("PUT", ""): "CreateBucket",
    ("POST", "delete"): "DeleteObjects",
}


def operation_of(method: str, target: str, headers: Mapping[str, str]) -> str:
    """Return the operation of a request whose bucket is in its path."""
    parts = urlsplit(target)
    _, _, name = parts.path.lstrip("/").partition("/")
    table = _OF_OBJECTS if name else _OF_BUCKETS
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    found = next((table[method, key] for key in query if (method, key) in table), table.get((method, ""), ""))
    if found == "GetObject" and not _FROM_THE_FIRST.match(headers.get("range", "bytes=0-")):
        return FURTHER_RANGE
    return "CopyObject" if found == "PutObject" and "x-amz-copy-source" in headers else found or method
