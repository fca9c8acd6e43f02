"""Whether a locked version is what its key reads as, and if not, what lies on top of it.

Nothing of this package hides what is locked. S3 lets everybody else do it: a plain DELETE puts a delete
marker on top, a plain PUT a newer version. The locked version is still there, and readers get something
else, or nothing.
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
"""``hidden`` by a delete marker; ``shadowed`` by a version that came from outside; ``superseded`` by one of
this package: of what is retained, by one that was born locked and says so."""


def visibility(chain: Sequence[InspectedVersion], at: int) -> Visibility:
    """Tell what a locked version of a key is to its readers.

    Args:
        chain: All versions of the key, the current one first.
        at: Which of them.
    """
    if at == 0:
        return "current"
    above = [seen.info for seen in chain[:at] if seen.info is not None]
    if any(supersedes(one.name, one.metadata) for one in above):
        return "superseded"
    if chain[0].listed.is_delete_marker:
        return "hidden"
    protection = chain[at].protection
    if protection is not None and not protection.retained:
        # A hold allows change by this package, also by a copy, and is carried on.
        top = chain[0].protection
        if any(is_own(one.name, one.metadata) for one in above) or (top is not None and top.legal_hold):
            return "superseded"
    return "shadowed"


def require_visible(client: S3Client, bucket: str, name: str, display_name: str) -> None:
    """Raise HiddenOutputError where a key does not read as the version that is locked.

    One LIST, and one HEAD per version.
    """
    chain = inspect_versions(client, bucket, client.list_versions_of(bucket, name))
    for at, seen in enumerate(chain):
        if seen.protection is None:
            continue
        found = visibility(chain, at)
        if found in ("hidden", "shadowed"):
            raise _covered(display_name, seen.protection, chain[0], found)


def _covered(
    display_name: str, protection: Protection, top: InspectedVersion, how: Visibility
) -> HiddenOutputError:
    """Return the error for a locked version that its key does not read as."""
    by = "a delete marker" if how == "hidden" else f"version {top.listed.version_id}"
    since = top.listed.last_modified.isoformat(timespec="seconds")
    lost = top.info is not None and is_own(top.info.name, top.info.metadata)
    whence = "of a writer that lost a race" if lost else "from outside of this package"
    return HiddenOutputError(
        f"{display_name!r} is locked, and {how} by {by} of {since} {whence}: version "
        f"{protection.version_id} is "
        f"{protection.lock}. `s3kv repair` brings it back",
        key=display_name,
        version_id=protection.version_id,
        mode=protection.mode,
        retain_until=protection.until,
        hidden_by=top.listed.version_id,
    )
