"""Verify a receipt: content, lock and visibility of its version."""

from __future__ import annotations

from s3kv_flows.store._locks.chains import InspectedVersion, inspect_versions
from s3kv_flows.store._locks.retention import protection_of
from s3kv_flows.store._locks.visibility import visibility
from s3kv_flows.store._objects.transfer import download
from s3kv_flows.store._outputs.receipts import Receipt, Verification
from s3kv_flows.store._outputs.sealed_receipts import seal_problem
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Fetched, ListedVersion, NotModified, ObjectInfo
from s3kv_flows.store._seals.policy import SealPolicy
from s3kv_flows.store._values.digests import sha256_of
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["verify"]

_MAX_MORE_BYTES = 1 << 26
"""A version that has so many more bytes than its receipt says is not downloaded: its size says enough."""


def verify(client: S3Client, receipt: Receipt, policy: SealPolicy) -> Verification:
    """Read the version of a receipt, compare it, and check that nothing hides it.

    Differences are problems, additions since are notes. Errors of reading are raised: credentials that may
    not read the version, or not see locks, verify nothing.

    Args:
        client: The client.
        receipt: The receipt.
        policy: Whose seals of receipts are accepted.
    """
    verification = Verification(receipt)
    fetched = _read(client, receipt)
    written = fetched.info.last_modified if fetched is not None else None
    if problem := seal_problem(receipt, policy, written):
        verification.problems.append(problem)
    if fetched is None:
        verification.problems.append(f"version {receipt.version_id} no longer exists")
    else:
        _check_content(verification, fetched)
        _check_lock(client, verification, fetched.info)
    _check_visibility(client, verification)
    return verification


def _read(client: S3Client, receipt: Receipt) -> Fetched | None:
    try:
        response = download(
            client,
            receipt.bucket,
            receipt.object_name,
            version_id=receipt.version_id,
            wanted=lambda info: info.size <= receipt.size + _MAX_MORE_BYTES,
        )
    except KeyNotFoundError:
        return None
    return None if isinstance(response, NotModified) else response


def _check_content(verification: Verification, fetched: Fetched) -> None:
    receipt, body = verification.receipt, fetched.body
    if fetched.info.size != receipt.size:
        verification.problems.append(f"it has {fetched.info.size:,} bytes, not {receipt.size:,}")
    if body is not None and (digest := sha256_of(body)) != receipt.sha256:
        verification.problems.append(f"its content differs: SHA-256 {digest}, not {receipt.sha256}")


def _check_lock(client: S3Client, verification: Verification, info: ObjectInfo) -> None:
    receipt, protection = verification.receipt, protection_of(info)
    if protection is None or protection.mode is None:
        client.capabilities.require_visible_locks(receipt.bucket, info.name, info.version_id)
    until = protection.until if protection else None
    if protection is not None and protection.other_locks:
        verification.notes.append(f"it is {protection.lock}")
    elif receipt.retain_until is not None:
        retention = f"{receipt.mode} retention until {receipt.retain_until.isoformat(timespec='seconds')}"
        if until is None:
            ended = info.server_time >= receipt.retain_until
            verification.problems.append(
                f"its {retention} {'has ended' if ended else 'is gone: somebody has lifted it'}"
            )
        elif until < receipt.retain_until:
            verification.problems.append(
                f"its {retention} was made shorter: {until.isoformat(timespec='seconds')}"
            )
        elif until > receipt.retain_until:
            verification.notes.append(
                f"its retention was extended, until {until.isoformat(timespec='seconds')}"
            )
        if protection and protection.mode == "GOVERNANCE" and receipt.mode == "COMPLIANCE":
            verification.problems.append("its retention has the mode GOVERNANCE, not COMPLIANCE")
    if receipt.legal_hold and not info.legal_hold:
        if receipt.retain_until is None:
            verification.problems.append("its legal hold was released")
        else:
            verification.notes.append("its legal hold was released")


def _check_visibility(client: S3Client, verification: Verification) -> None:
    receipt = verification.receipt
    chain = inspect_versions(
        client, receipt.bucket, client.list_versions_of(receipt.bucket, receipt.object_name)
    )
    index = next((i for i, one in enumerate(chain) if one.listed.version_id == receipt.version_id), None)
    if index is None:
        _report_current(verification, chain)
        return
    if index == 0:
        return
    top = chain[0].listed
    since = top.last_modified.isoformat(timespec="seconds")
    match visibility(chain, index):
        case "superseded":
            verification.notes.append(f"it was superseded by version {top.version_id} at {since}")
        case "hidden":
            verification.problems.append(
                f"a delete marker has hidden it since {since}: its key appears deleted"
            )
        case _:
            verification.problems.append(f"another object hides it: {_describe(top)}")


def _report_current(verification: Verification, chain: list[InspectedVersion]) -> None:
    top = chain[0].listed if chain else None
    if top is None:
        verification.problems.append("its key does not exist")
    elif top.is_delete_marker:
        verification.problems.append("a delete marker is on top of its key")
    else:
        verification.problems.append(f"another object is on top of its key: {_describe(top)}")


def _describe(version: ListedVersion) -> str:
    since = version.last_modified.isoformat(timespec="seconds")
    return f"version {version.version_id}, written at {since}, {version.size:,} bytes, ETag {version.etag}"
