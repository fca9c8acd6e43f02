"""Encryption at rest, as the server is asked for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3kv_flows.store import S3KV, Encryption
from s3kv_flows.store.errors import KeyLockedError, S3KVError, UnsupportedByServerError
from tests.contracts.helpers import WEEK, outside
from tests.servers import Server

KEY = b"0123456789abcdef0123456789abcdef"


def test_a_customer_key_is_sent_with_every_request_that_wants_it(
    make_store: Callable[..., S3KV], server: Server
) -> None:
    store = make_store(encryption=Encryption.customer(KEY), enable_local_cache=True)
    store.add("key", {"x": 1}, tags={"a": "b"})
    assert store.get("key") == store.get("key") == {"x": 1}
    assert store.exists("key")
    if server.name == "ceph":
        with pytest.raises(UnsupportedByServerError):
            store.copy_key("key", "copy")
        store.add("copy", {"x": 1}, tags={"a": "b"})
    else:
        store.copy_key("key", "copy")
    assert store.get("copy") == {"x": 1}
    assert store.update("key", lambda value: {**value, "y": 2}) == {"x": 1, "y": 2}
    assert store.find_keys_by_tag_value("a", "b") == ["copy", "key"]
    assert store.info("key").size == 16
    store.delete("key")
    if server.name != "moto":  # which stores it and forgets it
        for other in (None, Encryption.customer(KEY[::-1])):
            with pytest.raises(S3KVError):
                make_store(bucket_name=store.bucket_name, encryption=other).get("copy")


def test_an_object_lock_bucket_is_guarded_with_a_customer_key_too(
    make_store: Callable[..., S3KV], server: Server
) -> None:
    store = make_store(encryption=Encryption.customer(KEY), object_lock=True)
    store.add("key", 1)
    store.add("key", 2)
    assert store.get("key") == 2
    if server.name != "ceph":  # which copies nothing that has a customer key
        store.restore("key", store.versions("key")[1].version_id)
        assert store.get("key") == 1
    store.add("key", 3, retention=WEEK)
    with pytest.raises(KeyLockedError):
        store.add("key", 4)


def test_keys_of_s3_and_kms_are_asked_for(make_store: Callable[..., S3KV], server: Server) -> None:
    if server.name in ("ceph", "seaweedfs"):
        pytest.skip("this server has no key management service")
    for encryption, expected in (
        (Encryption.s3(), {"ServerSideEncryption": "AES256"}),
        (Encryption.kms("alias/some-key"), {"ServerSideEncryption": "aws:kms"}),
    ):
        if encryption.kms_key_id and server.name == "endpoint":
            continue  # the key would have to exist
        store = make_store(encryption=encryption)
        store.add("key", 1)
        store.copy_key("key", "copy")
        for name in ("key", "copy"):
            head = outside(store).head_object(Bucket=store.bucket_name, Key=f"s3kv/{name}.json")
            assert expected.items() <= head.items()
            assert store.get(name) == 1


def test_an_answer_that_was_lost_is_known_by_the_write_id_and_not_by_the_etag(
    make_store: Callable[..., S3KV],
) -> None:
    """With a customer key or KMS, an ETag is no digest of the body."""
    store = make_store(encryption=Encryption.customer(KEY), object_lock=True)
    store.add("key", 1)
    head = store.objects.head("s3kv/key.json")
    assert "s3kv-write-id" in head.metadata
    assert store.info("key").metadata == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"algorithm": "rot13"},
        {"algorithm": "AES256", "customer_key": KEY},
        {"algorithm": "AES256", "kms_key_id": "x"},
        {"customer_key": b"short"},
    ],
)
def test_an_encryption_that_is_none_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"encryption|S3 supports|kms_key_id|32 bytes"):
        Encryption(**arguments)  # type: ignore[arg-type]


def test_parameters_are_what_boto3_wants() -> None:
    kms = Encryption.kms("key-id")
    assert kms.parameters("put_object") == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "key-id",
        "BucketKeyEnabled": True,
    }
    assert kms.parameters("get_object") == {}
    assert Encryption.kms(dual_layer=True).parameters("copy_object") == {
        "ServerSideEncryption": "aws:kms:dsse"
    }
    assert Encryption.customer(KEY).parameters("upload_part").keys() == {
        "SSECustomerAlgorithm",
        "SSECustomerKey",
    }
    assert "CopySourceSSECustomerKey" in Encryption.customer(KEY).parameters("copy_object")
    assert KEY.decode() not in repr(Encryption.customer(KEY))
