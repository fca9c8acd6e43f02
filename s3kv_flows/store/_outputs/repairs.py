"""Repair: make a hidden locked version the current one again.

A delete marker has no content, and is deleted. A newer version is somebody's data: it is copied aside first,
to ``<prefix>-shadows/<object name>/<version id>``. The topmost is deleted last, so that none of those between
is ever the current version.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from s3kv_flows.store._layout.keys import MAX_NAME_BYTES, Namespace, fingerprint
from s3kv_flows.store._locks.chains import InspectedVersion, inspect_versions
from s3kv_flows.store._locks.visibility import require_visible, visibility
from s3kv_flows.store._objects.bucket import GuardedBucket
from s3kv_flows.store._s3.types import ListedVersion
from s3kv_flows.store.errors import KeyLockedError, KeyNotFoundError

__all__ = ["Repair", "repair"]

_ROUNDS = 3
"""Listings show dates in seconds, and versions apart from delete markers: of two with the same date, only the
deletion of one shows which was on top."""


@dataclass(frozen=True)
class Repair:
    """The actions of a repair, or those that a dry run would take.

    Attributes:
        object_name: The object name.
        version_id: The version that is current again; None where no locked version was hidden.
        delete_markers: The version ids of the deleted delete markers.
        moved: The versions that were on top, each with the object name of its copy.
        dry_run: Whether nothing was done.
    """

    object_name: str
    version_id: str | None = None
    delete_markers: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False

    def __str__(self) -> str:
        if self.version_id is None:
            return "no locked version is hidden"
        current = f"version {self.version_id} {'would be' if self.dry_run else 'is'} the current one again"
        markers = [f"delete marker {version_id} deleted" for version_id in self.delete_markers]
        moves = [f"version {version_id} moved to {target}" for version_id, target in self.moved.items()]
        return ", ".join([current, *markers, *moves])


def repair(
    objects: GuardedBucket, namespace: Namespace, name: str, display_name: str, *, dry_run: bool = False
) -> Repair:
    """Make a hidden locked version the current one of its key again.

    Requests: two LISTs, two HEADs per version, and one or two for each version or delete marker on top.

    Raises:
        KeyNotFoundError: There is no such key, and no locked version of it is hidden.
        KeyLockedError: A version on top is locked itself.
        HiddenOutputError: Somebody has hidden it again meanwhile.
    """
    done = Repair(name, dry_run=dry_run)
    for _ in range(1 if dry_run else _ROUNDS):
        step = _next_step(objects, namespace, name, display_name)
        if step is None:
            return done
        version_id, above, moves = step
        markers = [one.version_id for one in above if one.is_delete_marker]
        done = Repair(
            name, version_id, [*done.delete_markers, *markers], {**done.moved, **moves}, dry_run=dry_run
        )
        if not dry_run:
            _remove_above(objects, name, above, moves)
    if not dry_run:
        require_visible(objects.client, objects.bucket, name, display_name)
    return done


def _next_step(
    objects: GuardedBucket, namespace: Namespace, name: str, display_name: str
) -> tuple[str, list[ListedVersion], dict[str, str]] | None:
    """Return the hidden version, those on top of it, and the names for copies of the values among them."""
    chain = inspect_versions(objects.client, objects.bucket, objects.versions(name))
    index = next((i for i in range(len(chain)) if _is_hidden(chain, i)), None)
    if index is None:
        if not chain or chain[0].listed.is_delete_marker:
            raise KeyNotFoundError(f"{display_name!r} does not exist, and no locked version of it is hidden")
        return None
    above = chain[:index]
    for version in above:
        if version.protection is not None:
            raise _locked_error(display_name, chain[index], version)
    values = [version.listed.version_id for version in above if not version.listed.is_delete_marker]
    moves = {version_id: _shadow_name(namespace, name, version_id) for version_id in values}
    return chain[index].listed.version_id, [version.listed for version in above], moves


def _remove_above(
    objects: GuardedBucket, name: str, above: list[ListedVersion], moves: dict[str, str]
) -> None:
    client, bucket = objects.client, objects.bucket
    for version_id, target in moves.items():
        client.copy_object(bucket, name, target, source_version=version_id)
    for version in reversed(above):
        client.delete_object(bucket, name, version_id=version.version_id)


def _is_hidden(chain: list[InspectedVersion], index: int) -> bool:
    return chain[index].protection is not None and visibility(chain, index) in ("hidden", "shadowed")


def _locked_error(display_name: str, hidden: InspectedVersion, top: InspectedVersion) -> KeyLockedError:
    lock = top.protection
    return KeyLockedError(
        f"cannot restore version {hidden.listed.version_id} of {display_name!r}: version "
        f"{top.listed.version_id} on top of it is {lock.lock if lock else 'locked'}",
        key=display_name,
        mode=lock.mode if lock else None,
        retain_until=lock.until if lock else None,
        legal_hold=bool(lock and lock.legal_hold),
        version_id=top.listed.version_id,
    )


def _shadow_name(namespace: Namespace, name: str, version_id: str) -> str:
    shadows = namespace.shadows.prefix
    target = f"{shadows}{name}/{version_id}"
    if len(target.encode()) <= MAX_NAME_BYTES:
        return target
    return f"{shadows}{fingerprint(name)}/{fingerprint(version_id)}"
