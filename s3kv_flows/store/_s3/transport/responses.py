"""Parse response headers, listings, locks and dates into typed data.

boto3 drops whatever it does not know, so locks are parsed from what the server sent: a lock of a kind that
was added to S3 later must not pass for none.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from s3kv_flows.store._s3.types import HeldRetention, ListedVersion, ObjectInfo, ObjectLock
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = ["date_of", "held_retention", "listed_versions", "locks_by_default", "moment", "object_info"]

_METADATA = "x-amz-meta-"

_LOCK = "x-amz-object-lock-"
_DATED_OR_HELD = {"mode", "retain-until-date", "legal-hold"}
_OFF = "OFF"
_UNKNOWN_MODE = "UNKNOWN"


def object_info(name: str, headers: Mapping[str, str], *, size: int | None = None) -> ObjectInfo:
    """Parse the headers of a GET or HEAD.

    Args:
        name: The object name.
        headers: The headers, with lower-case names.
        size: The size of the object; None for the Content-Length.

    Raises:
        StoreUnavailableError: They do not give the size, or a header is malformed.
    """
    modified = date_of(headers, "last-modified")
    server_time = date_of(headers, "date") or datetime.now(timezone.utc)
    if size is None and "content-length" not in headers:
        raise StoreUnavailableError(f"the response for {name!r} has no Content-Length")
    # Names of headers, and so of metadata, are case-insensitive; some servers capitalize them.
    names = {key.lower(): value for key, value in headers.items()}
    locks = {key.removeprefix(_LOCK): value for key, value in names.items() if key.startswith(_LOCK)}
    until = locks.get("retain-until-date")
    try:
        size = int(headers["content-length"]) if size is None else size
        tag_count = int(headers.get("x-amz-tagging-count", 0))
        retain_until = moment(until) if until else None
    except ValueError as exc:
        raise StoreUnavailableError(f"the response for {name!r} has a malformed header: {exc}") from exc
    return ObjectInfo(
        name=name,
        etag=headers.get("etag", ""),
        size=size,
        last_modified=modified or server_time,
        server_time=server_time,
        version_id=headers.get("x-amz-version-id"),
        content_type=headers.get("content-type", ""),
        metadata={
            key.removeprefix(_METADATA): value for key, value in names.items() if key.startswith(_METADATA)
        },
        tag_count=tag_count,
        lock_mode=locks.get("mode") or (_UNKNOWN_MODE if retain_until else None),
        retain_until=retain_until,
        legal_hold=locks.get("legal-hold", _OFF) not in (_OFF, ""),
        other_locks=_other_locks(locks) if locks else (),
        is_dated=modified is not None,
    )


def held_retention(body: bytes) -> HeldRetention:
    """Parse the response to GetObjectRetention.

    Raises:
        StoreUnavailableError: It cannot be read.
    """
    locks = {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower(): text for name, text in _children(body).items()
    }
    mode, until = locks.get("mode"), locks.get("retain-until-date")
    try:
        lock = ObjectLock(mode or _UNKNOWN_MODE, moment(until)) if until else None
    except ValueError as exc:
        raise StoreUnavailableError(f"the server sent a retention that cannot be read: {exc}") from exc
    return HeldRetention(lock, _other_locks(locks))


def locks_by_default(body: bytes) -> bool:
    """Tell from the response to GetObjectLockConfiguration whether the bucket locks every new version."""
    return bool(_children(body).keys() - {"ObjectLockEnabled"})


def _other_locks(locks: Mapping[str, str]) -> tuple[str, ...]:
    """Return the locks beside the retention with a date and the legal hold, each in words.

    Args:
        locks: The headers of locks, without their prefix; or the elements of a retention, named likewise.
    """
    event_hold = locks.get("event-hold")
    is_held = event_hold is not None and event_hold != _OFF
    found = ["an event hold"] if is_held else []
    if locks.get("mode") and not locks.get("retain-until-date") and not is_held:
        found.append(f"{locks['mode']} retention without a date")
    for name, value in sorted(locks.items()):
        # The time that a version stays locked after its event hold was released: S3 makes it a date then.
        is_duration = event_hold is not None and name.startswith("event-hold-duration")
        if name not in _DATED_OR_HELD and name != "event-hold" and not is_duration:
            found.append(f"an unknown lock ({name}: {value})")
    return tuple(found)


def _children(body: bytes) -> dict[str, str]:
    """Return the texts of the children of an XML document, by their names without namespaces."""
    try:
        root = ET.fromstring(body)  # noqa: S314  # expat has limits against bombs; botocore parses so, too
    except (ET.ParseError, LookupError) as exc:
        raise StoreUnavailableError(f"the server sent no XML: {exc}") from exc
    return {element.tag.rpartition("}")[2]: element.text or "" for element in root}


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
