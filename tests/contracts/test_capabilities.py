"""The capabilities of each server: declared, and verified by experiment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.capabilities import (
    DECLARED,
    ConditionalDeletes,
    ConditionalPuts,
    Copies,
    MultipartUploads,
)
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.probes import Probes
from s3kv_flows.store.errors import AccessDeniedError, ConflictError
from tests.contracts.helpers import enable_versions, outside
from tests.servers import Server

PREFIX = "s3kv/"


def leaves_nothing(store: S3KV) -> bool:
    return not list(store.client.list_versions(store.bucket_name, ""))


def test_the_server_is_recognized_by_its_responses(store: S3KV, server: Server) -> None:
    store.exists("key")
    if server.name != "endpoint":
        assert store.client.capabilities.server == server.name


def test_conditional_puts_are_what_is_declared(bucket: S3KV, kind: str, server: Server) -> None:
    writers = min(8, server.racers)
    found = Probes(bucket.client, writers=writers).conditional_puts(bucket.bucket_name, PREFIX)
    assert leaves_nothing(bucket)
    if server.name in ("moto", "seaweedfs"):
        assert found == DECLARED[server.name].conditional_puts
    elif server.name == "ceph":  # 16
        expected = ConditionalPuts("atomic", "atomic", quoted=False)
        assert found == (expected if kind == "plain" else ConditionalPuts("no", "no", quoted=False))
    assert bucket.client.capabilities.conditional_puts(bucket.bucket_name, PREFIX) == found


OTHER_ETAG = '"00000000000000000000000000000000"'

CEPH_16 = {
    "conditional_deletes": ConditionalDeletes(single=False, batch=False),
    "multipart_uploads": MultipartUploads(tags=False, locks=False),
    "copies": Copies(replace_tags=False, locks=False),
}


@pytest.mark.parametrize("question", CEPH_16)
def test_the_rest_is_what_is_declared(
    store: S3KV, locking_store: S3KV, server: Server, question: str
) -> None:
    asked = store if question == "conditional_deletes" else locking_store
    found = getattr(Probes(asked.client), question)(asked.bucket_name, PREFIX)
    assert leaves_nothing(asked)
    known = getattr(asked.client.capabilities, question)(asked.bucket_name, PREFIX)
    if isinstance(known, MultipartUploads):  # no probe shows what holds in a race
        known = replace(known, create=False, replace=False)
    if server.name in ("moto", "seaweedfs"):
        assert found == known
    elif server.name == "ceph":
        assert found == CEPH_16[question]
    assert known == found


@pytest.mark.parametrize(
    ("condition", "capability"), [({"if_none_match": True}, "create"), ({"if_match": OTHER_ETAG}, "replace")]
)
def test_conditions_of_uploads_in_parts_are_what_is_declared(
    store: S3KV, server: Server, condition: dict[str, Any], capability: str
) -> None:
    client, bucket, name = store.client, store.bucket_name, "s3kv/key.json"
    store.add("key", "old")
    upload = client.create_multipart_upload(bucket, name, content_type="x")
    part = client.upload_part(bucket, name, upload, 1, b"new")
    declared = getattr(client.capabilities.multipart_uploads(bucket, PREFIX), capability)
    if declared or server.name == "seaweedfs":  # where it holds, as long as nobody else completes one
        with pytest.raises(ConflictError):
            client.complete_multipart_upload(bucket, name, upload, [part], **condition)
        assert store.get("key") == "old"
    else:
        client.complete_multipart_upload(bucket, name, upload, [part], **condition)
        assert client.head_object(bucket, name).size == 3, "the server honours the condition: declare it"


def test_versions_are_asked_for_once(bucket: S3KV, kind: str) -> None:
    capabilities = bucket.client.capabilities
    with bucket.client.counters.measure() as measured:
        for _ in range(3):
            assert capabilities.is_versioned(bucket.bucket_name) == (kind != "plain")
    assert measured[0].requests == 1


def test_what_was_learned_is_forgotten_when_a_bucket_is_given_versions(store: S3KV) -> None:
    capabilities = store.client.capabilities
    assert not capabilities.is_versioned(store.bucket_name)
    enable_versions(store)
    store.add("key", 1)
    assert capabilities.is_versioned(store.bucket_name)


def test_nothing_is_tried_in_a_bucket_that_locks_whatever_is_written(locking_store: S3KV) -> None:
    outside(locking_store).put_object_lock_configuration(
        Bucket=locking_store.bucket_name,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    probes = Probes(locking_store.client)
    for probe in (
        probes.conditional_puts,
        probes.conditional_deletes,
        probes.multipart_uploads,
        probes.copies,
    ):
        assert probe(locking_store.bucket_name, PREFIX) is None
    assert leaves_nothing(locking_store)


def test_where_nothing_may_be_written_nothing_is_claimed(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise AccessDeniedError("no")

    monkeypatch.setattr(S3Client, "put_object", denied)
    assert Probes(store.client).conditional_puts(store.bucket_name, PREFIX) is None


def test_many_threads_probe_once(store: S3KV, monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = store.client.capabilities
    monkeypatch.setattr(type(capabilities), "declared", DECLARED[""])
    monkeypatch.setattr(capabilities, "_prober", Probes(store.client, writers=4, rounds=1))
    asked: list[str] = []
    original = Probes.conditional_puts

    def counting(self: Probes, bucket: str, prefix: str, **options: bool) -> ConditionalPuts | None:
        asked.append(bucket)
        return original(self, bucket, prefix, **options)

    monkeypatch.setattr(Probes, "conditional_puts", counting)
    found = map_concurrently(lambda _: capabilities.conditional_puts(store.bucket_name, PREFIX), range(16))
    assert len(set(found)) == 1
    assert asked == [store.bucket_name]


# --- differences that no capability carries, because nothing depends on them ----------------------


def test_a_copy_of_a_locked_key_is_locked_where_locks_travel(locking_store: S3KV, server: Server) -> None:
    locking_store.add("key", 1, legal_hold=True)
    locking_store.copy_key("key", "copy")
    assert locking_store.get("copy") == 1
    if server.name != "endpoint":
        assert locking_store.is_legal_hold_applied("copy") == (server.name in ("ceph", "seaweedfs"))
