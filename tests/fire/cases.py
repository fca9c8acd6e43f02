"""Every operation of a store, each with what it must lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store.errors import KeyLockedError, KeyNotFoundError, StoreUnavailableError
from tests.fire.proxy.operations import FURTHER_RANGE

__all__ = ["CASES", "LARGE", "Case"]

LARGE = bytes(range(256)) * 14_000 + b"the last, short leaf"
"""Of several ranges."""
PARTS = bytes(range(256)) * 160 + b"the last part"
"""Of several parts, which are small here: a large one has more time."""
VALUE: dict[str, Any] = {"a": [1, 2, 3], "b": "some text"}
TAGS = {"stage": "raw"}
WEEK = Retention(days=7)


def nothing(_store: S3KV, _key: str) -> None:
    """Prepare nothing."""


def value_of(store: S3KV, key: str) -> Any:
    """Return the value of a key."""
    return store.get(key, "absent")


@dataclass(frozen=True)
class Case:
    """An operation of a store.

    Attributes:
        name: Its name.
        kind: The store that it is tried on.
        act: Does it with a key; returns what it gives.
        prepare: Does what it needs, on a store without faults.
        state: Returns what it leads to, on a store without faults.
        faulted: The operations of S3 that get faults.
        between: States in which it may stop: each of them whole.
    """

    name: str
    kind: str
    faulted: tuple[str, ...]
    act: Callable[[S3KV, str], Any]
    prepare: Callable[[S3KV, str], object] = nothing
    state: Callable[[S3KV, str], Any] = value_of
    between: tuple[Any, ...] = ()


def put(store: S3KV, key: str) -> None:
    """Put a value with tags."""
    store.add(key, VALUE, {"origin": "test"}, tags=TAGS)


def put_large(store: S3KV, key: str) -> None:
    """Put a value of several ranges."""
    store.add(key, LARGE)


def put_twice(store: S3KV, key: str) -> None:
    """Put two versions."""
    store.add(key, "old")
    put(store, key)


def put_locked(store: S3KV, key: str) -> None:
    """Put a value under retention."""
    store.add(key, VALUE, retention=WEEK)


def put_held(store: S3KV, key: str) -> None:
    """Put a value under a legal hold."""
    store.add(key, VALUE, legal_hold=True)


def unless_locked(act: Callable[[S3KV, str], object]) -> Callable[[S3KV, str], Any]:
    """Return what tells whether a lock forbids something."""

    def tried(store: S3KV, key: str) -> Any:
        try:
            return act(store, key)
        except KeyLockedError:
            return "locked"

    return tried


def unless_no_bucket(store: S3KV, key: str) -> Any:
    """Return what an object is in a bucket that does not exist: not just absent."""
    try:
        return store.objects.get(store.namespace.name_of(key))
    except KeyNotFoundError:
        return "absent"
    except StoreUnavailableError as exc:
        if exc.code != "NoSuchBucket":
            raise
        return exc.code


def deleted_by_tag(store: S3KV, key: str) -> Any:
    """Delete by a tag of this key alone; raise what it reports."""
    report = store.delete_by_tag("of", key)
    for error in (*report.failed.values(), *report.protected.values()):
        raise error
    return len(report.deleted)


def retention_of(store: S3KV, key: str) -> Any:
    """Return value and retention."""
    held = store.get_retention(key)
    return store.get(key), held and held.mode, store.is_legal_hold_applied(key)


def with_tags(store: S3KV, key: str) -> Any:
    """Return value and tags."""
    try:
        return store.get(key), store.get_tags(key)
    except KeyNotFoundError:
        return "absent"


def version_values(store: S3KV, key: str) -> Any:
    """Return the values of all versions; None for a delete marker."""
    return [
        None if one.is_delete_marker else store.get(key, version_id=one.version_id)
        for one in store.versions(key)
    ]


def locks_of_versions(store: S3KV, key: str) -> Any:
    """Return the values of all versions, with their locks."""
    name = store.namespace.name_of(key)
    infos = [store.objects.head(name, version_id=one.version_id) for one in store.versions(key)]
    return [(store.get(key, version_id=one.version_id), one.lock_mode, one.legal_hold) for one in infos]


def hold_by_itself(store: S3KV, key: str) -> Any:
    """Return whether a key is held, asked for by itself."""
    return store.client.get_legal_hold(store.bucket_name, store.namespace.name_of(key))


def asked_for_locks(store: S3KV, _key: str) -> Any:
    """Ask whether the bucket has Object Lock, as a new process does."""
    store.client.capabilities.forget(store.bucket_name)
    return store.objects.has_object_lock


def asked_for_versions(store: S3KV, _key: str) -> Any:
    """Ask whether the bucket keeps versions, as a new process does."""
    store.client.capabilities.forget(store.bucket_name)
    return store.client.capabilities.is_versioned(store.bucket_name)


def published(store: S3KV, key: str) -> Any:
    """Finalize an output; return whether its receipt holds."""
    receipt = store.outputs.finalize(key, VALUE, WEEK)
    return receipt.sha256


def _begin_upload(store: S3KV, key: str) -> str:
    return store.client.create_multipart_upload(
        store.bucket_name, store.namespace.name_of(key), content_type="text/plain"
    )


def uploads_under(store: S3KV, key: str) -> Any:
    """Count the incomplete uploads of a key."""
    name = store.namespace.name_of(key)
    return len(list(store.client.list_multipart_uploads(store.bucket_name, name)))


def aborted(store: S3KV, key: str) -> None:
    """Abort the uploads of a key."""
    name = store.namespace.name_of(key)
    for upload in list(store.client.list_multipart_uploads(store.bucket_name, name)):
        store.client.abort_multipart_upload(store.bucket_name, name, upload.upload_id)


def _of(kind: str, *cases: tuple[Any, ...]) -> Iterator[Case]:
    for name, faulted, act, *rest in cases:
        named = dict(zip(("prepare", "state", "between"), rest, strict=False))
        operations = tuple(FURTHER_RANGE if one == "FURTHER" else one for one in faulted.split())
        yield Case(name, kind, operations, act, **named)


def _gets(kind: str) -> Iterator[Case]:
    return _of(
        kind,
        ("get", "GetObject", lambda s, k: s.get(k), put),
        ("get a missing key", "GetObject", value_of),
    )


def _reads(kind: str) -> Iterator[Case]:
    return _of(
        kind,
        ("info", "HeadObject", lambda s, k: (s.info(k).size, s.info(k).metadata), put),
        ("exists", "HeadObject", lambda s, k: s.exists(k), put),
        ("exists, of a missing key", "HeadObject", lambda s, k: s.exists(k)),
        ("list", "ListObjectsV2", lambda s, k: len(s.list_keys_with_prefix(k)), put),
        ("tags", "GetObjectTagging", lambda s, k: s.get_tags(k), put),
        (
            "search by tag",
            "ListObjectsV2 GetObjectTagging",
            lambda s, k: len(s.find_keys_by_tags(TAGS, prefix=k)),
            put,
        ),
    )


def _writes(kind: str) -> Iterator[Case]:
    return _of(
        kind,
        ("add", "PutObject", lambda s, k: s.add(k, VALUE) and None),
        ("overwrite", "PutObject", lambda s, k: s.add(k, "new") and None, put),
        ("create", "PutObject", lambda s, k: s.add(k, VALUE, mode="create") and None),
        ("update", "GetObject PutObject", lambda s, k: s.update(k, lambda v: {**v, "c": 1}), put, with_tags),
        ("copy", "HeadObject CopyObject", lambda s, k: s.copy_key(k, f"{k}-2"), put,
         lambda s, k: value_of(s, f"{k}-2")),
        ("copy with tags", "HeadObject", lambda s, k: s.copy_key(k, f"{k}-2", tags={"x": "y"}), put,
         lambda s, k: with_tags(s, f"{k}-2")),
        ("delete", "DeleteObject", lambda s, k: s.delete(k), put),
        ("tag", "PutObjectTagging", lambda s, k: s.tag_key(k, {"x": "y"}), put, with_tags),
        ("untag", "DeleteObjectTagging", lambda s, k: s.untag_key(k), put, with_tags),
    )  # fmt: skip


CASES: tuple[Case, ...] = (
    *_gets("sealed"),
    *_reads("sealed"),
    *_gets("plain"),
    *_writes("sealed"),
    *_of(
        "sealed bytes",
        ("get ranges", "GetObject FURTHER", lambda s, k: s.get(k), put_large),
        ("add in parts", "CreateMultipartUpload UploadPart CompleteMultipartUpload",
         lambda s, k: s.add(k, PARTS) and None),
        ("abort uploads", "ListMultipartUploads AbortMultipartUpload", aborted, _begin_upload, uploads_under),
        ("server time", "HeadBucket", lambda s, _: s.server_time().year),
    ),
    *_of("few",
        ("delete by tag", "DeleteObjects", deleted_by_tag,
         lambda s, k: (s.delete_by_tag("kind", "of few"), s.add(k, VALUE, tags={"of": k, "kind": "of few"}))),
    ),
    *_of("no bucket", ("get without a bucket", "GetObject", unless_no_bucket, nothing, unless_no_bucket)),
    *_of("kept", ("get what is kept locally", "GetObject", lambda s, k: [s.get(k), s.get(k)], put)),
    *_of(
        "locking",
        ("has locks", "GetObjectLockConfiguration", asked_for_locks),
        ("has versions", "GetBucketVersioning", asked_for_versions),
        ("versions", "ListObjectVersions", lambda s, k: len(s.versions(k)), put_twice),
        ("guarded add", "HeadObject PutObject", lambda s, k: s.add(k, "new") and None, put,
         lambda s, k: version_values(s, k)[0]),
        ("add under retention", "ListObjectVersions PutObject",
         lambda s, k: s.add(k, VALUE, retention=WEEK) and None, nothing, locks_of_versions),
        ("finalize", "PutObject", published, nothing, locks_of_versions),
        ("retention", "HeadObject PutObjectRetention",
         lambda s, k: s.place_retention_lock(k, 7) and None, put, retention_of),
        ("legal hold", "PutObjectLegalHold",
         lambda s, k: s.apply_legal_hold(k), put, retention_of),
        ("release", "ListObjectVersions PutObjectLegalHold",
         lambda s, k: s.release_legal_hold(k), put_held, retention_of),
        ("is held", "HeadObject", lambda s, k: s.is_legal_hold_applied(k), put_held),
        ("hold, asked for", "GetObjectLegalHold", hold_by_itself, put_held),
        ("overwrite what is locked", "HeadObject ListObjectVersions",
         unless_locked(lambda s, k: s.add(k, "new")), put_locked, version_values),
        ("delete what is held", "HeadObject",
         unless_locked(lambda s, k: s.delete(k)), put_held, version_values),
        ("guarded delete", "DeleteObject", lambda s, k: s.delete(k), put),
        ("purge", "DeleteObjects", lambda s, k: s.purge(k), put_twice),
    ),
)  # fmt: skip
