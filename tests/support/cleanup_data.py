"""Objects of all kinds for cleanups, and what a brute force over all of them makes of rules.

The reckoning here knows what was written, and shares no code with the package: it goes by the table "exactly"
in the documentation, one object at a time.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from s3kv_flows import CleanupRule
from s3kv_flows.store import S3KV
from s3kv_flows.store._durations import length_before
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.types import ObjectLock

SPACES = ("s3kv/", "s3kv-results/", "s3kv-checkpoints/")


@dataclass
class Written:
    """A version that was written."""

    version_id: str | None
    size: int
    tags: dict[str, str]
    locked: bool = False
    marker: bool = False
    written: datetime = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass
class Key:
    """A key that was written, its versions the newest first."""

    name: str
    versions: list[Written] = field(default_factory=list)
    ttl: float | None = None
    leased: bool = False

    @property
    def size(self) -> int:
        return sum(version.size for version in self.versions)


def fill(store: S3KV, count: int, *, seed: int = 7) -> dict[str, Key]:
    """Write so many keys; with versions, deleted ones and locks where the bucket has them."""
    dice = random.Random(seed)
    client, bucket = store.client, store.bucket_name
    versioned = client.is_versioned(bucket)
    until = store.server_time() + timedelta(days=1)
    plans = []
    for number in range(count):
        space = dice.choice(SPACES)
        text = f"{dice.getrandbits(128):032x}"
        name = f"{space}{text}" if space != "s3kv/" else f"{space}{dice.choice('abcxyz')}/{text}.json"
        plans.append((Key(name), dice.getrandbits(32), number % 97 == 0))

    def write(one: tuple[Key, int, bool]) -> Key:
        key, seed, leased = one
        own = random.Random(seed)
        for _ in range(own.choice([1, 1, 1, 2, 5]) if versioned else 1):
            tags = {"stage": own.choice(["raw", "final", "mid"])} if own.random() < 0.9 else {}
            tags |= {"flow": own.choice("abcde")} if own.random() < 0.7 else {}
            tags |= {"keep": own.choice(["", "yes"])} if own.random() < 0.05 else {}
            metadata = {}
            key.ttl = None
            if key.name.startswith("s3kv-results/") and own.random() < 0.5:
                key.ttl = float(own.randrange(1, 300))
                tags["ttl_days"], metadata["s3kv-ttl"] = "1", f"{key.ttl:.6f}"
            locked, held = own.random() < 0.04, own.random() < 0.02
            size = own.randrange(1, 200)
            put = client.put_object(
                bucket,
                key.name,
                b"x" * size,
                content_type="text/plain",
                metadata=metadata,
                tagging="&".join(f"{name}={value}" for name, value in tags.items()),
                lock=ObjectLock("GOVERNANCE", until) if versioned and locked else None,
                legal_hold=versioned and held,
            )
            locks = versioned and (locked or held)
            key.versions.insert(0, Written(put.version_id, size, tags, locks))
        if versioned and own.random() < 0.06:
            key.versions.insert(0, Written(client.delete_object(bucket, key.name), 0, {}, marker=True))
        if leased and key.name.startswith("s3kv-results/"):
            key.leased = True
            claim = {
                "holder": "h",
                "host": "h",
                "seconds": 86400,
                "number": 1,
                "token": "t",
                "released": False,
            }
            lease = "s3kv-leases/" + key.name.removeprefix("s3kv-results/")
            client.put_object(bucket, lease, json.dumps(claim).encode(), content_type="application/json")
        return key

    keys = {key.name: key for key in map_concurrently(write, plans)}
    for space in SPACES:
        for listed in (
            client.list_versions(bucket, space) if versioned else client.list_objects(bucket, space)
        ):
            version_id = getattr(listed, "version_id", None)
            found = next(one for one in keys[listed.name].versions if one.version_id == version_id)
            found.written = listed.last_modified
    return keys


def expected(
    keys: dict[str, Key], rules: list[CleanupRule], now: datetime, grace: timedelta, protect: str | None
) -> set[tuple[str, str | None]]:
    """Return the versions that have to go, by name and version id."""
    whole: set[str] = set()
    for rule in rules:
        if rule.noncurrent_after is None:
            whole |= _names(keys, rule, now, grace, protect)
    going = {(name, one.version_id) for name in whole for one in keys[name].versions}
    for key in keys.values():
        if key.name not in whole:
            going |= {(key.name, version_id) for version_id in _history(key, rules, now, grace, protect)}
    return going


def _names(
    keys: dict[str, Key], rule: CleanupRule, now: datetime, grace: timedelta, protect: str | None
) -> set[str]:
    matching = [key for key in keys.values() if _in_set(key, rule, now)]
    free = [key for key in matching if not _protected(key, now, grace, protect)]
    free.sort(key=lambda key: key.name)
    if rule.keep_last is not None:
        groups = defaultdict(list)
        for key in sorted(free, key=lambda key: key.versions[0].written, reverse=True):
            groups[key.versions[0].tags.get(rule.group_by, None) if rule.group_by else None].append(key)
        free = [key for group in groups.values() for key in group[rule.keep_last :]]
        free.sort(key=lambda key: key.name)
    if rule.max_bytes is None:
        return {key.name for key in free}
    total, gone = sum(key.size for key in matching), set()
    for key in sorted(free, key=lambda key: key.versions[0].written):
        if total <= rule.max_bytes:
            break
        gone.add(key.name)
        total -= key.size
    return gone


def _in_set(key: Key, rule: CleanupRule, now: datetime) -> bool:
    top = key.versions[0]
    if top.marker:
        return False
    age = now - top.written
    dead = key.ttl is not None and "ttl_days" in top.tags and age.total_seconds() >= key.ttl
    return _fits(key.name, top, rule, now) and (dead or not rule.expired)


def _fits(name: str, version: Written, rule: CleanupRule, now: datetime) -> bool:
    tags = {} if version.marker else version.tags
    return (
        name.startswith(rule.prefix)
        and all(tags.get(key) == value for key, value in rule.tags.items())
        and all(tags.get(key) != value for key, value in rule.unless_tags.items())
        and (rule.older_than is None or now - version.written >= length_before(rule.older_than, now))
        and (rule.larger_than is None or version.size > rule.larger_than)
    )


def _protected(key: Key, now: datetime, grace: timedelta, protect: str | None) -> bool:
    return (
        now - key.versions[0].written < grace
        or any(version.locked for version in key.versions)
        or key.leased
        or (protect is not None and protect in key.versions[0].tags)
    )


def _history(
    key: Key, rules: list[CleanupRule], now: datetime, grace: timedelta, protect: str | None
) -> set[str | None]:
    going = set()
    for newer, old in zip(key.versions, key.versions[1:], strict=False):
        since = now - newer.written
        named = any(
            rule.noncurrent_after is not None
            and since >= length_before(rule.noncurrent_after, now)
            and _fits(key.name, old, rule, now)
            for rule in rules
        )
        safe = since < grace or old.locked or (protect is not None and protect in old.tags)
        if named and not safe:
            going.add(old.version_id)
    left = [one for one in key.versions[1:] if one.version_id not in going]
    top = key.versions[0]
    if top.marker and all(one.marker for one in left) and now - top.written >= grace:
        going = {one.version_id for one in key.versions}
    return going
