"""Finalized outputs that are copies of what is in the bucket: by S3 itself, where it locks copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store._s3.capabilities import Capabilities, Copies
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Fetched, Written
from s3kv_flows.store._seals.keys.keys import SigningKey
from s3kv_flows.store.errors import (
    AlreadyFinalizedError,
    ConflictError,
    KeyLockedError,
    TamperedValueError,
)
from tests.contracts.helpers import NAME, WEEK, chain, excludes, finalize, just_before
from tests.support.proxy import CountingProxy

SOURCE = "s3kv/source.json"


def publish(store: S3KV, source: Fetched | None = None, retention: Retention = WEEK) -> Receipt:
    return store.outputs.finalize_copy(
        source or store.objects.get(SOURCE),
        "key",
        retention,
        metadata={"made-by": "copy"},
        tags={"stage": "final"},
        accept_races=not excludes(store),
    )


@pytest.fixture
def locking_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server lock copies, as AWS does, and say so."""
    original = S3Client.copy_object

    def copy_object(self: S3Client, bucket: str, source: str, target: str, **options: Any) -> Written:
        lock, hold = options.pop("lock", None), options.pop("legal_hold", False)
        written = original(self, bucket, source, target, **options)
        version_id = written.version_id or self.list_versions_of(bucket, target)[0].version_id
        if lock:
            self.put_retention(bucket, target, lock, version_id=version_id)
        if hold:
            self.put_legal_hold(bucket, target, version_id=version_id)
        return written

    monkeypatch.setattr(S3Client, "copy_object", copy_object)
    monkeypatch.setattr(Capabilities, "copies", lambda *_: Copies(replace_tags=False, locks=True))


def test_where_copies_are_not_locked_the_bytes_are_written_again_and_locked_from_birth(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3Client, "put_retention", None)
    locking_store.add("source", [1, 2], tags={"stage": "raw"})
    receipt = publish(locking_store)
    assert (receipt.outcome, receipt.mode, receipt.object_name) == ("written", "GOVERNANCE", NAME)
    assert locking_store.get("key") == [1, 2]
    assert locking_store.get_tags("key") == {"stage": "final"}
    assert locking_store.objects.head(NAME).metadata["made-by"] == "copy"
    assert locking_store.outputs.verify(receipt).problems == []


@pytest.mark.usefixtures("locking_copies")
def test_where_copies_are_locked_the_bytes_do_not_travel_again(
    locking_store: S3KV, proxy: CountingProxy
) -> None:
    locking_store.add("source", "x" * 500_000)
    source = locking_store.objects.get(SOURCE)
    through = S3KV(proxy.url, locking_store.bucket_name, enable_local_cache=False)
    assert through.objects.has_object_lock
    with proxy.counting() as wire:
        receipt = publish(through, source)
    assert wire.body_sent < 10_000
    assert locking_store.get("key") == "x" * 500_000
    info = locking_store.objects.head(NAME)
    assert (info.lock_mode, info.metadata["made-by"]) == ("GOVERNANCE", "copy")
    assert (receipt.outcome, receipt.version_id) == ("written", info.version_id)
    assert locking_store.outputs.verify(receipt).problems == []
    assert publish(locking_store).outcome == "unchanged"
    assert len(chain(locking_store)) == 1


@pytest.mark.usefixtures("locking_copies")
def test_a_key_that_has_another_content_is_left_alone(locking_store: S3KV) -> None:
    locking_store.add("source", 1)
    finalize(locking_store, "key", 2)
    with pytest.raises(AlreadyFinalizedError):
        publish(locking_store)
    assert len(chain(locking_store)) == 1


@pytest.mark.usefixtures("locking_copies")
def test_who_comes_second_takes_its_copy_back(locking_store: S3KV, monkeypatch: pytest.MonkeyPatch) -> None:
    locking_store.add("source", 1)
    source = locking_store.objects.get(SOURCE)
    just_before(monkeypatch, "copy_object", lambda: finalize(locking_store, "key", 2))
    with pytest.raises((KeyLockedError, ConflictError)):
        publish(locking_store, source)
    assert locking_store.get("key") == 2
    assert len(chain(locking_store)) == 1


@pytest.mark.usefixtures("locking_copies")
def test_what_is_copied_is_what_was_read(locking_store: S3KV) -> None:
    locking_store.add("source", 1)
    source = locking_store.objects.get(SOURCE)
    locking_store.purge("source")
    locking_store.add("source", 2)
    with pytest.raises((ConflictError, KeyError)):
        publish(locking_store, source)
    assert chain(locking_store) == []


@pytest.mark.parametrize("by_the_server", [False, True])
def test_a_copy_is_sealed_for_what_it_is_whatever_its_source_was(
    by_the_server: bool,  # noqa: FBT001
    make_store: Callable[..., S3KV],
    s3_url: str,
    request: pytest.FixtureRequest,
) -> None:
    if by_the_server:
        request.getfixturevalue("locking_copies")
    key = SigningKey.generate("ci").reveal()
    states = make_store(object_lock=True, signing_key=key, purpose="checkpoint")
    results = S3KV(s3_url, states.bucket_name, signing_key=key, purpose="result", enable_local_cache=False)
    states.add("source", [1, 2])
    publish(results, states.objects.get(SOURCE))
    assert results.get("key") == [1, 2]
    with pytest.raises(TamperedValueError):
        states.get("key")


def test_a_copy_is_locked_or_held(locking_store: S3KV) -> None:
    locking_store.add("source", 1)
    with pytest.raises(ValueError, match="neither a retention nor a legal hold"):
        locking_store.outputs.finalize_copy(locking_store.objects.get(SOURCE), "key", None)
