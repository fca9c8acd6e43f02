"""Seals in a bucket: what nobody who is trusted has written is not read, and runs no code."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows.store import S3KV, SigningKey
from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._objects import transfer
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store._objects.transfer import FIRST_BYTES
from s3kv_flows.store._seals.check import BodyCheck
from s3kv_flows.store._values.codecs import codec_named
from s3kv_flows.store._values.local_cache import CachedObject
from s3kv_flows.store.errors import CorruptValueError, TamperedValueError
from tests.contracts.helpers import carries_updates
from tests.support.canary import Canary

CI, PRODUCTION, STRANGER = (SigningKey.generate(name) for name in ("ci", "production", "stranger"))
LARGE = FIRST_BYTES + (20 << 20) + 12_345  # in parts, and in ranges that do not end with a leaf by chance
Stores = Callable[..., S3KV]


@pytest.fixture
def stores(make_store: Callable[..., S3KV]) -> Stores:
    """Return what makes stores of one bucket, with different keys."""
    first = make_store(codec="cloudpickle", signing_key=CI.reveal())

    def make(key: SigningKey | None = None, **options: Any) -> S3KV:
        options = {"codec": "cloudpickle", "enable_local_cache": False, **options}
        return S3KV(
            first.config.endpoint_url,
            first.bucket_name,
            signing_key=key.reveal() if key else None,
            **options,
        )

    return make


def put(store: S3KV, name: str, body: bytes, metadata: dict[str, str], content_type: str) -> None:
    """Write as somebody who has the credentials of the bucket, and no key."""
    store.client.put_object(store.bucket_name, name, body, content_type=content_type, metadata=metadata)


def stored(store: S3KV, key: str) -> tuple[str, bytes, dict[str, str], str]:
    name = store.namespace.name_of(key)
    opened = store.client.open_object(store.bucket_name, name)
    body = bytearray(opened.info.size)  # type: ignore[union-attr]
    opened.read_into(memoryview(body))  # type: ignore[union-attr]
    return name, bytes(body), dict(opened.info.metadata), opened.info.content_type  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [0, 10, LARGE])
def test_who_trusts_the_writer_reads_what_was_written(stores: Stores, size: int) -> None:
    value = os.urandom(size)
    writer = stores(CI)
    writer.add("key", value, {"origin": "test"})
    assert writer.get("key") == value
    assert SEAL in stored(writer, "key")[2]
    assert stores(PRODUCTION, trusted_keys=[str(CI.public)]).get("key") == value
    assert stores(trusted_keys=[str(CI.public)]).get("key") == value
    with pytest.raises(TamperedValueError) as refused:
        stores(PRODUCTION).get("key")
    assert refused.value.reason == "untrusted_key"


def test_what_others_put_into_the_bucket_never_runs(stores: Stores, tmp_path: Path) -> None:
    writer, stranger, canary = stores(CI), stores(STRANGER), tmp_path / "ran"
    frame = bytes(codec_named("cloudpickle").encode(Canary(canary)))
    writer.add("key", {"a": 1})
    writer.add("other", {"b": 2})
    name, body, metadata, content_type = stored(writer, "key")
    _, other_body, other_metadata, _ = stored(writer, "other")
    unsealed = {key: value for key, value in metadata.items() if key != SEAL}
    stranger.add("key", Canary(canary))
    by_a_stranger = stored(stranger, "key")
    broken = bytearray(body)
    broken[len(body) // 2] ^= 1
    forged: dict[str, tuple[bytes, dict[str, str], str]] = {
        "unsealed": (frame, unsealed, content_type),
        "a bare pickle": (pickle.dumps(Canary(canary)), unsealed, content_type),
        "under the seal of another body": (frame, metadata, content_type),
        "sealed by a stranger": by_a_stranger[1:],
        "another object under this name": (other_body, other_metadata, content_type),
        "other metadata": (body, {**metadata, "s3kv-expires": "2099-01-01T00:00:00+00:00"}, content_type),
        "another type": (body, metadata, "application/json"),
        "one bit": (bytes(broken), metadata, content_type),
        "cut off": (body[:-1], metadata, content_type),
        "an empty seal": (body, {**metadata, SEAL: ""}, content_type),
        "another format": (body, {**metadata, SEAL: "9" + metadata[SEAL][1:]}, content_type),
    }
    reader = stores(PRODUCTION, trusted_keys=[str(CI.public)])
    for what, (content, described, kind) in forged.items():
        put(writer, name, content, described, kind)
        with pytest.raises(CorruptValueError):
            pytest.fail(f"{what}: {reader.get('key')}")
        assert not canary.exists(), what
    put(writer, name, body, metadata, content_type)
    assert reader.get("key") == {"a": 1}


def test_a_bit_anywhere_in_a_large_value_is_refused(stores: Stores) -> None:
    writer = stores(CI, codec="bytes")
    writer.add("key", os.urandom(LARGE))
    name, body, metadata, content_type = stored(writer, "key")
    for place in (0, FIRST_BYTES - 1, FIRST_BYTES, LARGE - 1):
        broken = bytearray(body)
        broken[place] ^= 1
        put(writer, name, bytes(broken), metadata, content_type)
        with pytest.raises(TamperedValueError) as refused:
            writer.get("key")
        assert refused.value.reason == "root"


def test_copies_and_restored_versions_are_sealed(stores: Stores, make_store: Callable[..., S3KV]) -> None:
    store = make_store(object_lock=True, codec="json", signing_key=CI.reveal())
    store.add("key", {"x": 1}, {"origin": "test"})
    store.copy_key("key", "copy")
    store.copy_key("key", "tagged", tags={"a": "b"})
    store.add("key", {"x": 2})
    store.restore("key", store.versions("key")[-1].version_id)
    assert store.get("key") == store.get("tagged") == store.get("copy") == {"x": 1}
    assert store.info("tagged").metadata == {"origin": "test"}


@pytest.mark.parametrize("size", [0, 10, LARGE])
def test_bytes_are_read_also_where_the_server_gives_them_a_type(stores: Stores, size: int) -> None:
    store, value = stores(CI, codec="bytes"), os.urandom(size)
    store.add("key", value)
    assert store.get("key") == value
    name, body, metadata, _ = stored(store, "key")
    put(store, name, body, metadata, "application/json")
    assert store.get("key") == value
    store.copy_key("key", "copy")
    assert store.get("copy") == value


def test_a_body_that_was_damaged_on_its_way_once_is_read_once_more(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, finish, damaged = stores(CI), BodyCheck.finish, [1]
    store.add("key", [1, 2])

    def finish_another(self: BodyCheck) -> None:
        if damaged:
            self._leaves.put(0, bytes(32 * damaged.pop()))
        finish(self)

    monkeypatch.setattr(BodyCheck, "finish", finish_another)
    assert store.get("key") == [1, 2]
    damaged += [1, 1]
    with pytest.raises(TamperedValueError):
        store.get("key")


def test_a_first_range_that_ends_anywhere_is_verified(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, value = stores(CI, codec="bytes"), os.urandom(5 << 20)
    store.add("key", value)
    monkeypatch.setattr(transfer, "FIRST_BYTES", 100_000)
    assert store.get("key") == value
    name, body, metadata, content_type = stored(store, "key")
    put(store, name, body[:-1] + bytes([body[-1] ^ 1]), metadata, content_type)
    with pytest.raises(TamperedValueError):
        store.get("key")


def test_an_amended_object_is_sealed_anew(stores: Stores) -> None:
    store = stores(CI, codec="bytes")
    name, new = store.namespace.name_of("key"), NewObject(b"x", "text/plain", {"a": "1"})
    written = store.objects.put(name, new)
    store.objects.amend(name, written, {"a": "2"}, "text/plain")
    found = store.objects.get(name)
    assert (bytes(found.body or b""), found.info.metadata["a"]) == (b"x", "2")


def test_a_checkpoint_is_no_result_and_no_value(stores: Stores) -> None:
    stores(CI, purpose="checkpoint").add("key", 1)
    for purpose in ("result", "value"):
        with pytest.raises(TamperedValueError) as refused:
            stores(CI, purpose=purpose).get("key")
        assert refused.value.reason == "signature"
    with pytest.raises(ValueError, match="purposes are"):
        stores(CI, purpose="other")


def test_a_changed_value_is_sealed_anew(stores: Stores) -> None:
    store = stores(CI, codec="json")
    if not carries_updates(store):
        pytest.skip("the server cannot compare and swap")
    store.add("key", {"x": 1})
    store.update("key", lambda found: {**found, "y": 2})
    assert stores(CI, codec="json").get("key") == {"x": 1, "y": 2}


def test_a_bucket_that_was_written_before_is_read_where_that_is_said(stores: Stores) -> None:
    stores(accept_unsealed=True).add("old", 1)
    with pytest.raises(TamperedValueError) as refused:
        stores(CI).get("old")
    assert refused.value.reason == "unsealed"
    migrating = stores(CI, accept_unsealed=True)
    assert migrating.get("old") == 1
    migrating.add("new", 2)
    assert stores(CI).get("new") == 2
    name, body, metadata, content_type = stored(migrating, "new")
    put(migrating, name, body, {**metadata, "changed": "1"}, content_type)
    with pytest.raises(TamperedValueError):
        migrating.get("new")


def test_a_local_copy_is_verified_as_a_download_is(stores: Stores) -> None:
    store = stores(CI, enable_local_cache=True)
    store.add("key", [1, 2])
    assert [store.get("key"), store.get("key")] == [[1, 2]] * 2
    assert stores(STRANGER, trusted_keys=[str(CI.public)], enable_local_cache=True).get("key") == [1, 2]
    with pytest.raises(TamperedValueError):
        stores(STRANGER, enable_local_cache=True).get("key")


def test_a_local_copy_with_another_body_is_not_used(stores: Stores) -> None:
    store = stores(CI, codec="bytes", enable_local_cache=True, cache_max_age="1d")
    store.add("key", b"true")
    assert store.get("key") == b"true"
    name = store.namespace.name_of("key")
    cached = store.local_cache.get(name)
    assert cached is not None
    store.local_cache.put(name, CachedObject(cached.info, bytearray(b"lies"), cached.confirmed + 1))
    assert store.get("key") == b"true"


def test_a_reader_without_a_key_writes_nothing(stores: Stores) -> None:
    stores(CI).add("key", 1)
    reader = stores(trusted_keys=[str(CI.public)])
    with pytest.raises(ValueError, match="no signing key"):
        reader.add("key", 2)
    assert reader.get("key") == 1
