"""Values: what goes in comes out, and is found where the layout says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    EncodingError,
    InvalidKeyError,
    InvalidTagError,
    KeyNotFoundError,
)
from tests.contracts.helpers import is_no_path, outside
from tests.servers import Server
from tests.support.signing import TEST_KEY

MIXED_UP_BY_MOTO = ["a?b", "a#b", "%2F", "%25"]
"""moto decodes names once more than it should."""

ODD_KEYS = [
    *(
        "a b",
        " lead",
        "trail ",
        "100%",
        "%zz",
        "a+b",
        "a&b=c;d",
        "tilde~",
        "(1)",
        "a'b",
        'a"b',
        "<x>",
        "&amp;",
    ),
    *("ä/ö", "💾", "a\u00a0b", "a\u2028b", "x.json", "a\\b", "*", "|", "^", "`", "{x}", "[x]", "a:b@c,d"),
    *("..", "../x", "a/../b", "./x", "a/..", "/lead", "//two", "dir//file", "trailing/"),
    *("x" * (1024 - len("s3kv/.json")), "ü" * ((1024 - len("s3kv/.json")) // 2)),
    *MIXED_UP_BY_MOTO,
]


def raw(store: S3KV, name: str) -> bytes:
    body: bytes = outside(store).get_object(Bucket=store.bucket_name, Key=name)["Body"].read()
    return body


def test_a_value_is_bare_json_in_the_layout_of_s3kv(store: S3KV) -> None:
    store.add("key2", {"name": "John", "age": 30})
    assert raw(store, "s3kv/key2.json") == json.dumps({"name": "John", "age": 30}).encode()
    assert store.get("key2") == {"name": "John", "age": 30}


@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: ascii(key[:12]))
def test_odd_keys_are_keys(store: S3KV, server: Server, key: str) -> None:
    if server.name == "moto" and key in MIXED_UP_BY_MOTO:
        pytest.skip("moto decodes the names of objects once more than it should")
    if server.name == "seaweedfs" and is_no_path(key):
        pytest.skip("SeaweedFS takes names for paths of files, with parts of 255 bytes")
    store.add(key, key, tags={"odd": "yes"})
    assert store.get(key) == key
    assert store.exists(key)
    assert store.list_keys() == [key]
    assert store.get_tags(key) == {"odd": "yes"}
    assert [version.is_latest for version in store.versions(key)] == [True]
    store.copy_key(key, "copied")
    store.tag_key(key, {"odd": "very"})
    assert store.delete_by_tag("odd", "very").deleted == [key]
    assert store.list_keys() == ["copied"]


@pytest.mark.parametrize(
    "key", ["", "x" * 1020, "a\nb", "a\x00b", "a\ufffeb", "\ud800", ".s3kv-probe-x", 5, None]
)
def test_what_is_no_key_is_refused_before_any_request(store: S3KV, key: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.add(key, 1),
        lambda: store.get(key),
        lambda: store.delete(key),
        lambda: store.copy_key("a", key),
        lambda: store.update(key, lambda value: value),
        lambda: store.add_many({"fine": 1, key: 2}),
    ]
    with store.client.counters.measure() as measured:
        for call in calls:
            with pytest.raises(InvalidKeyError):
                call()
    assert measured[0].requests == 0


def test_a_missing_key_is_the_default_and_deleting_it_no_error(store: S3KV) -> None:
    assert store.get("key") is None
    assert store.get("key", 5) == 5
    assert not store.exists("key")
    assert not store.key_exists("key")
    assert store.get_key_size("key") == 0
    assert store.get_key_last_updated_time("key") == 0
    with pytest.raises(KeyNotFoundError):
        store.info("key")
    store.delete("key")
    store.purge("key")


def test_a_value_that_json_cannot_hold_leaves_nothing(store: S3KV) -> None:
    store.add("key", "old")
    with pytest.raises(EncodingError):
        store.add("key", {1, 2})
    assert store.get("key") == "old"


def test_size_age_and_metadata_are_returned_without_the_value(store: S3KV) -> None:
    written = store.add("key", "x" * 98, {"origin": "tests"})
    info = store.info("key")
    assert (info.size, info.codec, dict(info.metadata)) == (100, "json", {"origin": "tests"})
    assert info.etag.strip('"') == written.etag.strip('"')
    assert store.get_key_size("key") == 100
    assert abs(info.last_modified - store.server_time()) < timedelta(minutes=10)
    last = store.get_key_last_updated_time("key")
    assert isinstance(last, datetime)
    assert last.replace(tzinfo=timezone.utc) == info.last_modified, "in UTC, without a time zone, as the seed"


@pytest.mark.parametrize(
    "metadata",
    [
        *({"ä": "x"}, {"x": "ä"}, {"s3kv-codec": "json"}, {"Upper": "y"}, {"x": 1}, {"x": "y" * 3000}),
        *({"": "x"}, {"a b": "x"}, {"a_b": "x"}, {"x": "a\nb"}, {"x": " a"}, {"x": "a "}, {1: "x"}),
    ],
)
def test_metadata_that_s3_would_not_take_is_refused(store: S3KV, metadata: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        store.add("key", 1, metadata)
    assert not store.exists("key")


def test_a_mode_that_is_none_is_refused_before_any_request(store: S3KV) -> None:
    with store.client.counters.measure() as measured, pytest.raises(ValueError, match="mode is 'overwrite'"):
        store.add("key", 1, mode="creat")
    assert measured[0].requests == 0


def test_many_values_go_and_come_at_once(store: S3KV) -> None:
    values = {f"key{number:03}": {"n": number} for number in range(100)}
    store.add_many(values, tags={"kind": "many"})
    assert store.get_many([*values, "missing"]) == values
    assert store.get_tags("key050") == {"kind": "many"}


def test_many_values_are_checked_before_the_first_is_written(store: S3KV) -> None:
    with pytest.raises(InvalidTagError):
        store.add_many({"a": 1}, tags={"aws:x": "y"})
    with pytest.raises(InvalidKeyError):
        store.add_many({"a": 1, "": 2})
    assert store.list_keys() == []


def test_the_first_error_of_many_is_raised(store: S3KV) -> None:
    store.add("taken", 1)
    with pytest.raises(ConflictError, match="'taken' exists already"):
        store.add_many({"free": 1, "taken": 2}, mode="create")
    assert store.get("taken") == 1


# --- codecs ---------------------------------------------------------------------------------------


class Upper:
    """A codec of a user."""

    name = "upper"
    content_type = "text/plain"
    executes_code = False

    def encode(self, value: Any) -> bytes:
        return str(value).upper().encode()

    def decode(self, body: bytearray) -> str:
        return body.decode()


@pytest.mark.parametrize(
    ("codec", "value", "content_type"),
    [
        ("json", {"a": [1, None]}, "application/json"),
        ("cloudpickle", {1, 2}, "application/x-s3kv-cloudpickle"),
        ("bytes", b"\x00\xff", "application/octet-stream"),
        (Upper(), "ABC", "text/plain"),
    ],
)
def test_each_codec_brings_its_values_back_and_is_recorded(
    make_store: Callable[..., S3KV], server: Server, codec: Any, value: Any, content_type: str
) -> None:
    store = make_store(codec=codec)
    store.add("key", value)
    assert store.get("key") == value
    name = codec if isinstance(codec, str) else codec.name
    assert store.info("key").codec == name
    head = outside(store).head_object(Bucket=store.bucket_name, Key="s3kv/key.json")
    if (server.name, codec) != ("seaweedfs", "bytes"):  # which goes by the suffix, .json, instead
        assert head["ContentType"] == content_type
    assert {key.lower(): value for key, value in head["Metadata"].items()}["s3kv-codec"] == name


@pytest.mark.parametrize("cached", [False, True])
def test_a_value_of_another_codec_is_named_and_not_decoded(
    store: S3KV,
    make_store: Callable[..., S3KV],
    cached: bool,  # noqa: FBT001
) -> None:
    values: dict[str, Any] = {"json": 5, "cloudpickle": {1, 2}, "bytes": b"5"}
    stores = {
        codec: make_store(
            bucket_name=store.bucket_name, codec=codec, enable_local_cache=cached, signing_key=TEST_KEY
        )
        for codec in values
    }
    for codec, value in values.items():
        stores[codec].add(codec, value)
        assert stores[codec].get(codec) == value
        assert stores[codec].get(codec) == value
    for reader in values:
        for written in values.keys() - {reader}:
            with pytest.raises(
                CorruptValueError, match=f"'{written}' .* written with codec '{written}'.*'{reader}'"
            ):
                stores[reader].get(written)


def test_an_object_without_a_record_is_read_as_the_store_reads(
    store: S3KV, make_store: Callable[..., S3KV]
) -> None:
    outside(store).put_object(Bucket=store.bucket_name, Key="s3kv/key.json", Body=b'{"a": 1}')
    assert store.get("key") == {"a": 1}
    assert make_store(bucket_name=store.bucket_name, codec="bytes").get("key") == b'{"a": 1}'
    with pytest.raises(CorruptValueError, match="'key'"):
        make_store(bucket_name=store.bucket_name, codec="cloudpickle", accept_unsealed=True).get("key")
    outside(store).put_object(Bucket=store.bucket_name, Key="s3kv/key.json", Body=b'{"a": ')
    with pytest.raises(CorruptValueError, match="'key'"):
        store.get("key")


def test_a_codec_that_is_none_is_refused(server: Server) -> None:
    with pytest.raises(ValueError, match="no codec 'xml'"):
        S3KV(server.url, "some-bucket", codec="xml")
    with pytest.raises(ValueError, match="lacks content_type, encode, decode"):
        S3KV(server.url, "some-bucket", codec=type("Half", (), {"name": "half"})())


# --- buckets --------------------------------------------------------------------------------------


def test_a_bucket_is_created_once_and_its_kind_is_checked(store: S3KV, locking_store: S3KV) -> None:
    assert store.create_bucket() is False
    assert locking_store.create_bucket(object_lock=True) is False
    with pytest.raises(ConflictError, match="without Object Lock"):
        store.create_bucket(object_lock=True)


def test_the_environment_names_server_and_bucket(
    store: S3KV, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="S3_BUCKET"):
        S3KV()
    monkeypatch.setenv("S3_BUCKET", store.bucket_name)
    for variable in ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        with monkeypatch.context() as environment:
            environment.setenv(variable, s3_url)
            S3KV(enable_local_cache=False).add(variable, 1)
    assert store.list_keys() == ["AWS_ENDPOINT_URL_S3", "S3_ENDPOINT_URL"]


@pytest.mark.parametrize("codec", ["json", "bytes", "cloudpickle"])
def test_a_body_over_the_limit_is_refused_before_it_is_read(
    make_store: Callable[..., S3KV], codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(codec=codec, enable_local_cache=False)
    value: Any = b"x" * 3_000_000 if codec == "bytes" else "x" * 3_000_000
    store.add("key", value)
    size = store.info("key").size
    monkeypatch.setenv("S3KV_MAX_VALUE_BYTES", str(size - 1))
    with store.client.counters.measure() as measured, pytest.raises(CorruptValueError) as caught:
        store.get("key")
    assert caught.value.reason == "too_large"
    assert measured[0].bytes_received < 100_000
    monkeypatch.setenv("S3KV_MAX_VALUE_BYTES", "4000000")
    assert store.get("key") == value
