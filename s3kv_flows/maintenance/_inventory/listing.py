"""List a store's keys, whole or in parts for parallel listings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from s3kv_flows.maintenance._entries import Entry, Version
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._layout.keys import Namespace
from s3kv_flows.store._leases.observer import LeaseObserver
from s3kv_flows.store._s3.types import ListedObject, ListedVersion

__all__ = ["Part", "chain_of", "just_before", "list_part", "namespaces", "part_of", "parts"]

_HEXADECIMAL = "0123456789abcdef"
_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Part:
    """A part of the keys of a namespace.

    Attributes:
        namespace: The namespace.
        after: Only names after this one; None for the first part.
        until: Only names up to and including this one; None for the last part.
    """

    namespace: Namespace
    after: str | None = None
    until: str | None = None


def namespaces(values: Namespace) -> list[Namespace]:
    """Return the namespaces that a cleanup covers: values, results and checkpoints."""
    return [values, values.results, values.checkpoints]


def parts(values: Namespace, count: int = 1) -> list[Part]:
    """Split a store into parts: each key is in exactly one.

    Args:
        values: The namespace of its values.
        count: Number of parts for results, and for values. Cache keys are hexadecimal digests, so the parts
            of results have about the same size.
    """
    found = []
    for space in namespaces(values):
        is_small = space.prefix == values.checkpoints.prefix
        alphabet = _HEXADECIMAL if space.prefix == values.results.prefix else _ALPHANUMERIC
        bounds = [] if is_small else [space.prefix + text for text in _bounds(alphabet, count)]
        edges: list[str | None] = [None, *bounds, None]
        found += [Part(space, after, until) for after, until in pairwise(edges)]
    return found


def part_of(values: Namespace, name: str) -> list[Part]:
    """Return a part with one object only; an empty list if the name is outside the store.

    Args:
        values: The namespace of the values of the store.
        name: The object name.
    """
    spaces = [space for space in namespaces(values) if space.key_of(name) is not None]
    return [Part(space, just_before(name), name) for space in spaces]


def list_part(
    store: S3KV, part: Part, leases: LeaseObserver | None = None, *, versioned: bool
) -> Iterator[Entry]:
    """Yield the keys of a part, by name: one LIST per 1,000 objects or versions.

    Objects below the prefix that are not keys of the store are left out.

    Args:
        store: The values of the store.
        part: The part.
        leases: The leases of the store; a key with a lease may be protected.
        versioned: Whether the bucket has versions, also if versioning is suspended.
    """
    client, bucket, space = store.client, store.bucket_name, part.namespace
    # Object Lock needs versions, and may be enabled at any time.
    locks_known = not (versioned and client.has_object_lock(bucket, surely=True))
    chains: Iterator[tuple[ListedObject, ...]]
    if versioned:
        versions = client.list_versions(bucket, space.prefix, start_after=part.after)
        chains = (tuple(chain) for _, chain in groupby(versions, key=lambda version: version.name))
    else:
        objects = client.list_objects(bucket, space.prefix, start_after=part.after)
        chains = ((listed,) for listed in objects)
    results = store.namespace.results.prefix
    for chain in chains:
        name = chain[0].name
        if part.until is not None and name > part.until:
            return
        key = space.key_of(name)
        if key is None:
            continue
        may_be_held = space.prefix == results and leases is not None and leases.may_be_held(key)
        current, *older = chain_of(chain, locks_known=locks_known)
        yield Entry(name, current, tuple(older), leased=None if may_be_held else False)


def chain_of(listed: Sequence[ListedObject], *, locks_known: bool) -> list[Version]:
    """Return the versions of a key, the newest first, from its entries in a listing."""
    if len(listed) == 1:
        return [_version(listed[0], locks_known=locks_known)]
    newest_first = sorted(listed, key=_newest_first, reverse=True)
    chain = [_version(newest_first[0], locks_known=locks_known)]
    for newer, one in pairwise(newest_first):
        version = _version(one, locks_known=locks_known)
        chain.append(replace(version, noncurrent_since=newer.last_modified))
    return chain


def _version(listed: ListedObject, *, locks_known: bool) -> Version:
    """Return a version from its entry in a listing."""
    version_id = listed.version_id if isinstance(listed, ListedVersion) else None
    is_marker = isinstance(listed, ListedVersion) and listed.is_delete_marker
    return Version(
        version_id,
        listed.etag,
        listed.size,
        listed.last_modified,
        is_delete_marker=is_marker,
        locks_known=locks_known or is_marker,
    )


def just_before(name: str) -> str:
    """Return text that sorts just before a name, for a listing to start after.

    Almost surely, no other name lies between the two.
    """
    last = ord(name[-1])
    return name[:-1] + (chr(last - 1) + "~" if 0x21 < last < 0x80 else "")


def _newest_first(listed: ListedObject) -> tuple[bool, float]:
    is_latest = isinstance(listed, ListedVersion) and listed.is_latest
    return is_latest, listed.last_modified.timestamp()


def _bounds(alphabet: str, count: int) -> list[str]:
    """Return bounds that split keys with two random first characters about evenly."""
    pairs = [first + second for first in alphabet for second in alphabet]
    return [pairs[len(pairs) * number // count] for number in range(1, count)]
