from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    EncodingError,
    InvalidKeyError,
    InvalidTagError,
    KeyLockedError,
    KeyNotFoundError,
    UnsupportedByServerError,
)
from tests.proxy import CountingProxy

# Not `?` and `#`, which moto's server itself mixes up; Ceph takes them.
# Not `?` and `#`, which moto's server itself mixes up; Ceph takes them.
ODD_KEYS = ["a b", "100%", "a+b", "ä/ö", "💾", "dir//file", "x.json", "a&b=c;d", "tilde~", "(1)"]


def raw(store: S3KV, name: str) -> bytes:
    fetched = store.objects.get(name)
    assert fetched is not None
    assert fetched.body is not None
    return bytes(fetched.body)


def test_a_value_is_bare_json_in_the_layout_of_s3kv(store: S3KV) -> None:
    store.add("key2", {"name": "John", "age": 30})
    assert raw(store, "s3kv/key2.json") == json.dumps({"name": "John", "age": 30}).encode()
    assert store.get("key2") == {"name": "John", "age": 30}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_keys(store: S3KV, key: str) -> None:
    store.add(key, key, tags={"odd": "yes"})
    assert store.get(key) == key
    assert store.list_keys() == [key]
    assert store.get_tags(key) == {"odd": "yes"}
    store.copy_key(key, f"{key} copied")
    store.delete(key)
    assert store.list_keys() == [f"{key} copied"]


def test_a_missing_key_is_the_default_and_deleting_it_no_error(store: S3KV) -> None:
    assert store.get("key") is None
    assert store.get("key", 5) == 5
    assert not store.exists("key")
    assert not store.key_exists("key")
    store.delete("key")


def test_a_value_that_json_cannot_hold_leaves_nothing(store: S3KV) -> None:
    store.add("key", "old")
    with pytest.raises(EncodingError):
        store.add("key", {1, 2})
    assert store.get("key") == "old"


def test_bad_keys_and_tags_are_refused_before_any_request(store: S3KV) -> None:
    with store.client.counters.measure() as measured:
        for key in ("", "x" * 1020):
            with pytest.raises(InvalidKeyError):
                store.add(key, 1)
            with pytest.raises(InvalidKeyError):
                store.get(key)
        with pytest.raises(InvalidTagError):
            store.add("key", 1, tags={f"t{i}": "x" for i in range(11)})
        with pytest.raises(InvalidTagError):
            store.tag_key("key", {"aws:k": "x"})
    assert measured[0].requests == 0


def test_documented_requests_on_the_wire(make_store: Callable[..., S3KV], proxy: CountingProxy) -> None:
    store = make_store(endpoint_url=proxy.url)
    store.add("warm", 0)
    calls: dict[Callable[[], object], dict[str, int]] = {
        lambda: store.add("key", 1, tags={"a": "b"}): {"PUT": 1},
        lambda: store.add("key", 2): {"PUT": 1},
        lambda: store.get("key"): {"GET": 1},
        lambda: store.exists("key"): {"HEAD": 1},
        lambda: store.exists("other"): {"HEAD": 1},
        lambda: store.copy_key("key", "copy"): {"PUT": 1},
        lambda: store.merge_keys([], "merged"): {"GET": 1, "PUT": 1},
        lambda: store.tag_key("key", {"a": "c"}): {"PUT": 1},
        lambda: store.get_tags("key"): {"GET": 1},
        store.list_keys: {"GET": 1},
        lambda: store.find_keys_by_tag_value("a", "c"): {"GET": 5},
        lambda: store.delete_by_tag("a", "c"): {"GET": 5, "DELETE": 1},
        lambda: store.delete("copy"): {"DELETE": 1},
    }
    for call, expected in calls.items():
        with proxy.counting() as wire:
            call()
        assert dict(wire.requests) == expected


def test_the_first_write_into_an_unknown_bucket_asks_once_for_object_lock(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url)
    with proxy.counting() as wire:
        store.add("one", 1)
        store.add("two", 2)
    assert dict(wire.requests) == {"GET": 1, "PUT": 2}


def test_lists_are_longer_than_a_page(store: S3KV) -> None:
    keys = sorted(f"k{i:04}" for i in range(1100))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.add(key, 0), keys))
    assert store.list_keys() == keys
    assert store.list_keys_with_prefix("k10") == [f"k{i}" for i in range(1000, 1100)]
    assert store.list_keys_with_prefix("s3kv/k000") == [f"k{i:04}" for i in range(10)]


def test_lists_hold_only_what_is_a_value(store: S3KV, make_store: Callable[..., S3KV]) -> None:
    other = make_store(bucket_name=store.bucket_name, prefix="s3kv-results/", suffix="")
    store.add("key", 1)
    other.add("key.json", 2)
    store.client.put_object(store.bucket_name, "s3kv/no-value.txt", b"x", content_type="text/plain")
    assert store.list_keys() == ["key"]
    assert other.list_keys() == ["key.json"]


def test_a_copy_keeps_tags_and_metadata(store: S3KV) -> None:
    store.add("key", {"x": 1}, {"origin": "test"}, tags={"stage": "raw"})
    store.copy_key("key", "copy")
    assert store.get("copy") == {"x": 1}
    assert store.get_tags("copy") == {"stage": "raw"}
    assert store.objects.head("s3kv/copy.json").metadata == {"origin": "test"}


def test_a_copy_of_nothing_is_an_error(store: S3KV) -> None:
    with pytest.raises(KeyNotFoundError):
        store.copy_key("no", "copy")
    assert not store.exists("copy")


def test_merging_adds_to_the_destination_in_order(store: S3KV) -> None:
    store.add("a", {"x": 1, "y": 1})
    store.add("b", {"y": 2})
    store.add("all", {"z": 0, "x": 0})
    store.merge_keys(["a", "missing", "b"], "all")
    assert store.get("all") == {"z": 0, "x": 1, "y": 2}


def test_only_dicts_are_merged(store: S3KV) -> None:
    store.add("a", [1])
    with pytest.raises(EncodingError, match="'a' holds a list"):
        store.merge_keys(["a"], "all")
    assert not store.exists("all")


def test_tags_are_found_in_both_spellings_and_replaced_as_a_set(store: S3KV) -> None:
    store.add("test_c", 1, tags={"old": "1"})
    store.tag_key("test_c", {"module": "users", "environment": "production"})
    expected = {"module": "users", "environment": "production"}
    assert store.get_tags("s3kv/test_c.json") == store.get_tags("test_c") == expected
    assert store.find_keys_by_tag_value("environment", "production") == ["test_c"]
    assert store.find_keys_by_tag_value("environment", "test") == []


def test_tags_of_a_missing_key_are_an_error(store: S3KV) -> None:
    with pytest.raises(KeyNotFoundError):
        store.get_tags("key")
    with pytest.raises(KeyNotFoundError):
        store.tag_key("key", {"a": "b"})


def test_deleting_by_tag_leaves_and_names_what_is_locked(locking_store: S3KV) -> None:
    for key in ("a", "b", "c"):
        locking_store.add(key, key, tags={"module": "users"})
    locking_store.add("d", "d", tags={"module": "other"})
    locking_store.place_retention_lock("b", 1)
    result = locking_store.delete_by_tag("module", "users")
    assert result.deleted == ["a", "c"]
    assert list(result.protected) == ["b"]
    assert locking_store.list_keys() == ["b", "d"]


def test_an_object_of_another_codec_is_corrupt_and_not_decoded(
    store: S3KV, make_store: Callable[..., S3KV]
) -> None:
    pickles = make_store(bucket_name=store.bucket_name, codec="cloudpickle")
    pickles.add("pickled", {1, 2})
    assert pickles.get("pickled") == {1, 2}
    store.add("json", 5)
    with pytest.raises(CorruptValueError, match="'pickled'"):
        store.get("pickled")
    with pytest.raises(CorruptValueError, match="'json'"):
        pickles.get("json")


def test_a_lock_on_a_bucket_without_object_lock_is_refused_and_nothing_written(store: S3KV) -> None:
    with pytest.raises(UnsupportedByServerError, match="no Object Lock"):
        store.add("key", 1, retention=Retention(days=1))
    assert not store.exists("key")
    store.add("key", 1)
    with pytest.raises(UnsupportedByServerError, match="no Object Lock"):
        store.place_retention_lock("key", 1)


def test_retention_of_a_missing_key_is_an_error(locking_store: S3KV) -> None:
    with pytest.raises(KeyNotFoundError):
        locking_store.place_retention_lock("key", 1)


def test_a_retention_can_be_made_longer_but_not_shorter_or_weaker(locking_store: S3KV) -> None:
    locking_store.add("key", 1)
    first = locking_store.place_retention_lock("key", 2)
    with pytest.raises(KeyLockedError, match="weaken the lock"):
        locking_store.place_retention_lock("key", 1)
    assert locking_store.place_retention_lock("key", 3) > first
    locking_store.add("strict", 1)
    locking_store.place_retention_lock("strict", 4, mode="COMPLIANCE")
    with pytest.raises(KeyLockedError):
        locking_store.place_retention_lock("strict", 5)


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
