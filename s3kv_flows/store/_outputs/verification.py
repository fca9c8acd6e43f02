"""Checks a receipt against what is in the bucket."""

from __future__ import annotations

from s3kv_flows.store._locks.chains import InspectedVersion, inspect_versions
from s3kv_flows.store._locks.retention import protection_of
from s3kv_flows.store._locks.visibility import visibility
from s3kv_flows.store._objects.transfer import download
from s3kv_flows.store._outputs.receipts import Receipt, Verification
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Fetched, ListedVersion, NotModified, ObjectInfo
from s3kv_flows.store._values.digests import sha256_of
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["verify"]


def verify(client: S3Client, receipt: Receipt) -> Verification:
    """Read the version of a receipt, and look at what lies on top of it.

    Problems are what differs, notes what has been added since. Errors are those of reading: who may not
    read the version, or not see locks, has verified nothing.
    """
    found = Verification(receipt)
    fetched = _read(client, receipt)
    if fetched is None:
        found.problems.append(f"version {receipt.version_id} is gone")
    else:
        _compare_content(found, fetched)
        _compare_lock(client, found, fetched.info)
    _look_on_top(client, found)
    return found


def _read(client: S3Client, receipt: Receipt) -> Fetched | None:
    try:
        answer = download(client, receipt.bucket, receipt.object_name, version_id=receipt.version_id)
    except KeyNotFoundError:
        return None
    return None if isinstance(answer, NotModified) else answer


def _compare_content(found: Verification, fetched: Fetched) -> None:
    receipt, body = found.receipt, fetched.body if fetched.body is not None else b""
    if len(body) != receipt.size:
        found.problems.append(f"it has {len(body):,} bytes, and not {receipt.size:,}")
    if (digest := sha256_of(body)) != receipt.sha256:
        found.problems.append(f"its content is another one: SHA-256 {digest}, and not {receipt.sha256}")


def _compare_lock(client: S3Client, found: Verification, info: ObjectInfo) -> None:
    receipt, protection = found.receipt, protection_of(info)
    if protection is None or protection.mode is None:
        client.capabilities.require_visible_locks(receipt.bucket, info.name, info.version_id)
    until = protection.until if protection else None
    if receipt.retain_until is not None:
        said = f"{receipt.mode} retention until {receipt.retain_until.isoformat(timespec='seconds')}"
        if until is None:
            ended = info.server_time >= receipt.retain_until
            found.problems.append(f"its {said} {'has ended' if ended else 'is gone: somebody has lifted it'}")
        elif until < receipt.retain_until:
            found.problems.append(f"its {said} was made shorter: {until.isoformat(timespec='seconds')}")
        elif until > receipt.retain_until:
            found.notes.append(f"its retention was extended, until {until.isoformat(timespec='seconds')}")
        if protection and protection.mode == "GOVERNANCE" and receipt.mode == "COMPLIANCE":
            found.problems.append("its retention is of the mode GOVERNANCE, and not COMPLIANCE")
    if receipt.legal_hold and not info.legal_hold:
        if receipt.retain_until is None:
            found.problems.append("its legal hold was released")
        else:
            found.notes.append("its legal hold was released")


def _look_on_top(client: S3Client, found: Verification) -> None:
    receipt = found.receipt
    chain = inspect_versions(
        client, receipt.bucket, client.list_versions_of(receipt.bucket, receipt.object_name)
    )
    at = next((i for i, seen in enumerate(chain) if seen.listed.version_id == receipt.version_id), None)
    if at is None:
        _tell_what_is_there(found, chain)
        return
    if at == 0:
        return
    top = chain[0].listed
    since = top.last_modified.isoformat(timespec="seconds")
    match visibility(chain, at):
        case "superseded":
            found.notes.append(f"it was superseded by version {top.version_id} at {since}")
        case "hidden":
            found.problems.append(f"a delete marker hides it since {since}: the key reads as absent")
        case _:
            found.problems.append(f"the key reads as another object: {_described(top)}")


def _tell_what_is_there(found: Verification, chain: list[InspectedVersion]) -> None:
    top = chain[0].listed if chain else None
    if top is None:
        found.problems.append("there is nothing under its key")
    elif top.is_delete_marker:
        found.problems.append("a delete marker is on top of its key")
    else:
        found.problems.append(f"its key reads as another object: {_described(top)}")


def _described(version: ListedVersion) -> str:
    since = version.last_modified.isoformat(timespec="seconds")
    return f"version {version.version_id}, written at {since}, {version.size:,} bytes, ETag {version.etag}"
