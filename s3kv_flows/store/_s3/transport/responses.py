"""Parse response headers, listings and dates into typed data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from s3kv_flows.store._s3.types import ListedVersion, ObjectInfo
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = ["date_of", "listed_versions", "moment", "object_info"]

_METADATA = "x-amz-meta-"


def object_info(name: str, headers: Mapping[str, str]) -> ObjectInfo:
    """Parse the headers of a GET or HEAD.

    Raises:
        StoreUnavailableError: They lack a header that every S3 server sends, or it is malformed.
    """
    modified = date_of(headers, "last-modified")
    if "content-length" not in headers or modified is None:
        raise StoreUnavailableError(f"the response for {name!r} has no Content-Length, or no Last-Modified")
    until = headers.get("x-amz-object-lock-retain-until-date")
    try:
        size, tag_count = int(headers["content-length"]), int(headers.get("x-amz-tagging-count", 0))
        retain_until = moment(until) if until else None
    except ValueError as exc:
        raise StoreUnavailableError(f"the response for {name!r} has a malformed header: {exc}") from exc
    return ObjectInfo(
        name=name,
        etag=headers.get("etag", ""),
        size=size,
        last_modified=modified,
        server_time=date_of(headers, "date") or datetime.now(timezone.utc),
        version_id=headers.get("x-amz-version-id"),
        content_type=headers.get("content-type", ""),
        # Names of headers, and so of metadata, are case-insensitive; some servers capitalize them.
        metadata={
            key.lower().removeprefix(_METADATA): value
            for key, value in headers.items()
            if key.lower().startswith(_METADATA)
        },
        tag_count=tag_count,
        lock_mode=headers.get("x-amz-object-lock-mode"),
        retain_until=retain_until,
        legal_hold=headers.get("x-amz-object-lock-legal-hold") == "ON",
    )


def listed_versions(page: Mapping[str, Any]) -> list[ListedVersion]:
    """Return the versions and delete markers of a page, the current ones and the newest first."""
    versions = [
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
    return sorted(versions, key=lambda version: (version.is_latest, version.last_modified), reverse=True)


def date_of(headers: Mapping[str, str], name: str) -> datetime | None:
    """Return the date in a header, None if it is missing or malformed."""
    header = headers.get(name)
    try:
        date = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return date if date is None or date.tzinfo else date.replace(tzinfo=timezone.utc)


def moment(text: str) -> datetime:
    """Parse a time in ISO 8601, as in listings and lock headers.

    Raises:
        ValueError: It is malformed.
    """
    if not text.endswith("Z"):
        return datetime.fromisoformat(text)
    # fromisoformat of Python 3.10 does not support the Z, and requires exactly six digits.
    whole, _, rest = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{rest[:6]:0<6}+00:00" if rest else f"{whole}+00:00")
