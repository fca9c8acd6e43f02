"""What boto3's client answers, read into typed data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from s3kv_flows.store.errors import StoreUnavailableError
from s3kv_flows.store.s3_types import ListedVersion, ObjectInfo

__all__ = ["last_modified", "listed_versions", "object_info", "server_time"]


def object_info(name: str, response: Mapping[str, Any]) -> ObjectInfo:
    """Return what the headers of a GET or HEAD say of an object.

    Raises:
        StoreUnavailableError: They lack what every server of S3 says.
    """
    if "ContentLength" not in response or "LastModified" not in response:
        raise StoreUnavailableError(f"the answer about {name!r} has no Content-Length, or no Last-Modified")
    return ObjectInfo(
        name=name,
        etag=response.get("ETag", ""),
        size=response["ContentLength"],
        last_modified=response["LastModified"],
        server_time=server_time(response) or datetime.now(timezone.utc),
        version_id=response.get("VersionId"),
        content_type=response.get("ContentType", ""),
        # Names of headers, so of metadata, have no case; some servers capitalize them.
        metadata={key.lower(): value for key, value in response.get("Metadata", {}).items()},
        tag_count=response.get("TagCount") or 0,
        lock_mode=response.get("ObjectLockMode"),
        retain_until=response.get("ObjectLockRetainUntilDate"),
        legal_hold=response.get("ObjectLockLegalHoldStatus") == "ON",
    )


def listed_versions(page: Mapping[str, Any]) -> list[ListedVersion]:
    """Return the versions and delete markers of a page, the current ones and the newest first."""
    found = [
        ListedVersion(
            name=item["Key"],
            etag=item.get("ETag", ""),
            size=item.get("Size", 0),
            last_modified=item["LastModified"],
            version_id=item["VersionId"],
            is_latest=item["IsLatest"],
            is_delete_marker=kind == "DeleteMarkers",
        )
        for kind in ("Versions", "DeleteMarkers")
        for item in page.get(kind, ())
    ]
    return sorted(found, key=lambda version: (version.is_latest, version.last_modified), reverse=True)


def server_time(response: Mapping[str, Any]) -> datetime | None:
    """Return the Date of an answer, None where it has none."""
    return _date(response, "date")


def last_modified(response: Mapping[str, Any]) -> datetime | None:
    """Return the Last-Modified of an answer without a body, None where it has none."""
    return _date(response, "last-modified")


def _date(response: Mapping[str, Any], name: str) -> datetime | None:
    header = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(name)
    try:
        date = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return date if date is None or date.tzinfo else date.replace(tzinfo=timezone.utc)
