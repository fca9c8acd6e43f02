"""Visibility: whether a locked version is the current one of its key.

This package never hides a locked version. S3 lets everybody else do it: a plain DELETE puts a delete marker
on top, a plain PUT a newer version. The locked version still exists, and readers get something else, or
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from s3kv_flows.store._layout.marks import is_own, supersedes
from s3kv_flows.store._locks.chains import InspectedVersion, inspect_versions
from s3kv_flows.store._locks.retention import Protection
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import HiddenOutputError

__all__ = ["Visibility", "require_visible", "visibility"]

Visibility = Literal["current", "hidden", "shadowed", "superseded"]
"""``hidden`` by a delete marker; ``shadowed`` by a version of another client; ``superseded`` by a version of
this package: under retention, only by one that was locked from the start and names what it supersedes."""


def visibility(chain: Sequence[InspectedVersion], index: int) -> Visibility:
    """Return whether readers of a key get its locked version, and if not, why.

    Args:
        chain: All versions of the key, the current one first.
        index: The index of the locked version in ``chain``.
    """
    if index == 0:
        return "current"
    above = [version.info for version in chain[:index] if version.info is not None]
    if any(supersedes(info.name, info.metadata) for info in above):
        return "superseded"
    if chain[0].listed.is_delete_marker:
        return "hidden"
    protection = chain[index].protection
    if protection is not None and not protection.retained:
        # This package may overwrite a held version, also by a copy, and puts the hold on the new one.
        top = chain[0].protection
        if any(is_own(info.name, info.metadata) for info in above) or (top is not None and top.legal_hold):
            return "superseded"
    return "shadowed"


def require_visible(client: S3Client, bucket: str, name: str, display_name: str) -> None:
    """Raise HiddenOutputError where a locked version of a key is hidden or shadowed.

    One LIST, and one HEAD per version.
    """
    chain = inspect_versions(client, bucket, client.list_versions_of(bucket, name))
    for index, version in enumerate(chain):
        if version.protection is None:
            continue
        state = visibility(chain, index)
        if state in ("hidden", "shadowed"):
            raise _hidden_error(display_name, version.protection, chain[0], state)


def _hidden_error(
    display_name: str, protection: Protection, top: InspectedVersion, state: Visibility
) -> HiddenOutputError:
    """Return the error for a locked version that is hidden or shadowed."""
    cover = "a delete marker" if state == "hidden" else f"version {top.listed.version_id}"
    since = top.listed.last_modified.isoformat(timespec="seconds")
    lost_race = top.info is not None and is_own(top.info.name, top.info.metadata)
    author = "a writer that lost a race" if lost_race else "another client"
    return HiddenOutputError(
        f"{display_name!r} is locked, and {state} by {cover} that {author} wrote at {since}: version "
        f"{protection.version_id} is {protection.lock}. `s3kv repair` restores it",
        key=display_name,
        version_id=protection.version_id,
        mode=protection.mode,
        retain_until=protection.until,
        hidden_by=top.listed.version_id,
    )
