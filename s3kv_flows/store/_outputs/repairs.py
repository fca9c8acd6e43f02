"""Brings a locked version back that somebody else has hidden: what lies on top of it goes.

A delete marker holds nothing, and is deleted. A newer version is somebody's data: it is copied aside
first, to ``<prefix>-shadows/<object name>/<version id>``. The topmost goes last, so that the key never
reads as one of those between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from s3kv_flows.store._layout.keys import MAX_NAME_BYTES, Namespace, fingerprint
from s3kv_flows.store._locks.chains import InspectedVersion, inspect_versions
from s3kv_flows.store._locks.visibility import require_visible, visibility
from s3kv_flows.store._objects.bucket import GuardedBucket
from s3kv_flows.store._s3.types import ListedVersion
from s3kv_flows.store.errors import KeyLockedError

__all__ = ["Repair", "repair"]

_ROUNDS = 3
"""Listings show seconds, and versions apart from delete markers: which of two of one moment is on top shows
when the other one is gone."""


@dataclass(frozen=True)
class Repair:
    """What a repair did, or, in a dry run, what it would do.

    Attributes:
        object_name: The object.
        version_id: The version that the key reads as now; None where nothing locked was hidden.
        delete_markers: The delete markers that are gone.
        moved: The versions that lay on top, and where each of them is now.
        dry_run: Whether nothing was done.
    """

    object_name: str
    version_id: str | None = None
    delete_markers: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False


def repair(
    objects: GuardedBucket, namespace: Namespace, name: str, display_name: str, *, dry_run: bool = False
) -> Repair:
    """Let a key read as its locked version again.

    Requests: two LISTs, two HEADs per version, and for what lies on top one or two each.

    Raises:
        KeyLockedError: What lies on top is locked itself.
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
            _uncover(objects, name, above, moves)
    if not dry_run:
        require_visible(objects.client, objects.bucket, name, display_name)
    return done


def _next_step(
    objects: GuardedBucket, namespace: Namespace, name: str, display_name: str
) -> tuple[str, list[ListedVersion], dict[str, str]] | None:
    """Return what is hidden, what lies on top of it, and where to the values among that are to go."""
    chain = inspect_versions(objects.client, objects.bucket, objects.versions(name))
    at = next((i for i in range(len(chain)) if _is_covered(chain, i)), None)
    if at is None:
        return None
    above = chain[:at]
    for seen in above:
        if seen.protection is not None:
            raise _refusal(display_name, chain[at], seen)
    values = [seen.listed.version_id for seen in above if not seen.listed.is_delete_marker]
    moves = {version_id: _aside(namespace, name, version_id) for version_id in values}
    return chain[at].listed.version_id, [seen.listed for seen in above], moves


def _uncover(objects: GuardedBucket, name: str, above: list[ListedVersion], moves: dict[str, str]) -> None:
    client, bucket = objects.client, objects.bucket
    for version_id, target in moves.items():
        client.copy_object(bucket, name, target, source_version=version_id)
    for version in reversed(above):
        client.delete_object(bucket, name, version_id=version.version_id)


def _is_covered(chain: list[InspectedVersion], at: int) -> bool:
    return chain[at].protection is not None and visibility(chain, at) in ("hidden", "shadowed")


def _refusal(display_name: str, hidden: InspectedVersion, top: InspectedVersion) -> KeyLockedError:
    lock = top.protection
    return KeyLockedError(
        f"cannot bring version {hidden.listed.version_id} of {display_name!r} back: version "
        f"{top.listed.version_id} on top of it is {lock.lock if lock else 'locked'}",
        key=display_name,
        mode=lock.mode if lock else None,
        retain_until=lock.until if lock else None,
        legal_hold=bool(lock and lock.legal_hold),
        version_id=top.listed.version_id,
    )


def _aside(namespace: Namespace, name: str, version_id: str) -> str:
    shadows = namespace.shadows.prefix
    target = f"{shadows}{name}/{version_id}"
    if len(target.encode()) <= MAX_NAME_BYTES:
        return target
    return f"{shadows}{fingerprint(name)}/{fingerprint(version_id)}"
