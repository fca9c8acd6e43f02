"""How many requests each operation costs: what the docstrings say, counted on the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3kv_flows.store import S3KV
from tests.contracts.helpers import WEEK, carries_updates, enable_versions
from tests.servers import Server
from tests.support.proxy import CountingProxy

Costs = list[tuple[str, Callable[[], object], dict[str, int]]]


@pytest.fixture
def counted(make_store: Callable[..., S3KV], proxy: CountingProxy) -> S3KV:
    """A store whose client knows its bucket."""
    store = make_store(endpoint_url=proxy.url)
    store.client.has_object_lock(store.bucket_name)
    store.add("warm", 0)
    carries_updates(store)
    store.client.capabilities.is_versioned(store.bucket_name)
    store.client.capabilities.conditional_deletes(store.bucket_name, "s3kv/")
    return store


def assert_costs(costs: Costs, proxy: CountingProxy) -> None:
    for name, call, expected in costs:
        with proxy.counting() as wire:
            call()
        assert (name, dict(wire.requests)) == (name, expected)


def test_documented_requests(counted: S3KV, proxy: CountingProxy) -> None:
    store = counted
    assert_costs(
        [
            ("add a new key", lambda: store.add("key", 1, tags={"a": "b"}), {"PUT": 1}),
            ("overwrite", lambda: store.add("key", {"x": 2}), {"PUT": 1}),
            ("create", lambda: store.add("new", 3, mode="create"), {"PUT": 1}),
            ("get", lambda: store.get("key"), {"GET": 1}),
            ("get nothing", lambda: store.get("nothing"), {"GET": 1}),
            ("exists", lambda: store.exists("key"), {"HEAD": 1}),
            ("does not exist", lambda: store.exists("other"), {"HEAD": 1}),
            ("info", lambda: store.info("key"), {"HEAD": 1}),
            ("size", lambda: store.get_key_size("key"), {"HEAD": 1}),
            ("last updated", lambda: store.get_key_last_updated_time("key"), {"HEAD": 1}),
            ("copy", lambda: store.copy_key("key", "copy"), {"PUT": 1}),
            ("update", lambda: store.update("key", lambda value: {**value, "y": 1}), {"GET": 1, "PUT": 1}),
            ("merge", lambda: store.merge_keys(["copy"], "merged"), {"GET": 2, "PUT": 1}),
            ("tag", lambda: store.tag_key("key", {"a": "c"}), {"PUT": 1}),
            ("merge tags", lambda: store.tag_key("key", {"d": "e"}, merge=True), {"GET": 1, "PUT": 1}),
            ("untag", lambda: store.untag_key("key", ["d"]), {"GET": 1, "PUT": 1}),
            ("tagged update", lambda: store.update("key", lambda value: value), {"GET": 2, "PUT": 1}),
            ("tags", lambda: store.get_tags("key"), {"GET": 1}),
            ("list", store.list_keys, {"GET": 1}),
            ("versions", lambda: store.versions("key"), {"GET": 1}),
            ("find", lambda: store.find_keys_by_tag_value("a", "c"), {"GET": 1 + 5}),
            ("tag many", lambda: store.tag_keys_with_prefix("m", {"a": "d"}), {"GET": 1, "PUT": 1}),
            ("delete by tag", lambda: store.delete_by_tag("a", "d"), {"GET": 1 + 5, "POST": 1}),
            ("delete", lambda: store.delete("copy"), {"DELETE": 1}),
            ("delete nothing", lambda: store.delete("nothing"), {"DELETE": 1}),
            ("purge", lambda: store.purge("new"), {"DELETE": 1}),
            ("many", lambda: store.get_many(["key", "warm"]), {"GET": 2}),
            ("add many", lambda: store.add_many({"a": 1, "b": 2}), {"PUT": 2}),
            ("fill the local cache", store.cache_all_keys, {"GET": 1 + 4}),
            ("from the local cache", lambda: store.get_from_cache("key"), {}),
        ],
        proxy,
    )


def test_with_versions_a_purge_lists_and_deletes_in_two_batches(counted: S3KV, proxy: CountingProxy) -> None:
    store = counted
    enable_versions(store)
    store.client.capabilities.forget(store.bucket_name)
    store.client.has_object_lock(store.bucket_name)
    for number in range(3):
        store.add("key", number)
        store.tag_key("key", {"a": "b"})
    old = store.versions("key")[-1].version_id
    store.add("tagged", 1, tags={"a": "b"})
    store.client.capabilities.is_versioned(store.bucket_name)
    assert_costs(
        [
            ("add", lambda: store.add("key2", 1), {"PUT": 1}),
            ("get a version", lambda: store.get("key", version_id=old), {"GET": 1}),
            ("restore", lambda: store.restore("key", old), {"GET": 1, "PUT": 1}),
            ("purge", lambda: store.purge("key"), {"GET": 1, "POST": 2}),
            ("delete by tag", lambda: store.delete_by_tag("a", "b"), {"GET": 1 + 3, "POST": 1}),
            ("delete", lambda: store.delete("key2"), {"DELETE": 1}),
        ],
        proxy,
    )


def test_with_object_lock_a_write_looks_before_and_after(
    make_store: Callable[..., S3KV], proxy: CountingProxy, server: Server
) -> None:
    store = make_store(object_lock=True, endpoint_url=proxy.url)
    store.add("warm", 0)
    store.add("warm", 1)  # proves that locks can be seen
    with proxy.counting() as wire:
        store.add("key", 1, retention=WEEK, tags={"a": "b"})
    assert dict(wire.requests) == {"GET": 2, "PUT": 1}, "the lock is in the one PUT"
    store.add("free", 1, tags={"c": "d"})
    assert_costs(
        [
            ("overwrite", lambda: store.add("free", 2, tags={"c": "d"}), {"GET": 2, "HEAD": 2, "PUT": 1}),
            ("get", lambda: store.get("free"), {"GET": 1}),
            ("exists", lambda: store.exists("free"), {"HEAD": 1}),
            ("delete", lambda: store.delete("warm"), {"GET": 2, "HEAD": 3, "DELETE": 1}),
            ("add it again", lambda: store.add("warm", 2), {"GET": 2, "HEAD": 3, "PUT": 1}),
            ("retention", lambda: store.get_retention("key"), {"HEAD": 1}),
            ("is held", lambda: store.is_legal_hold_applied("key"), {"HEAD": 1}),
            ("hold", lambda: store.apply_legal_hold("key"), {"HEAD": 2, "PUT": 1}),
            ("release", lambda: store.release_legal_hold("key"), {"GET": 1, "HEAD": 1, "PUT": 1}),
            ("extend", lambda: store.extend_retention_lock("key", 8), {"HEAD": 2, "PUT": 1}),
            ("place", lambda: store.place_retention_lock("key", 9), {"HEAD": 2, "PUT": 1}),
            (
                "delete by tag",
                lambda: store.delete_by_tag("c", "d"),
                {"GET": 1 + 3 + 2, "HEAD": 2 + 1, "DELETE": 1},
            ),
        ],
        proxy,
    )


def test_a_cached_get_is_one_request_without_a_body(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url, enable_local_cache=True)
    store.add("key", "x" * 100_000)
    assert store.get("key") == "x" * 100_000
    with proxy.counting() as wire:
        assert store.get("key") == "x" * 100_000
    assert dict(wire.requests) == {"GET": 1}
    assert wire.body_received == 0


def test_the_first_write_into_an_unknown_bucket_asks_once_for_object_lock(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url)
    with proxy.counting() as wire:
        store.add("one", 1)
        store.add("two", 2)
    assert dict(wire.requests) == {"GET": 1, "PUT": 2}


def test_the_counters_agree_with_the_wire(counted: S3KV, proxy: CountingProxy) -> None:
    store = counted
    with proxy.counting() as wire, store.client.counters.measure() as measured:
        store.add("key", "x" * 5000, tags={"a": "b"})
        store.get("key")
        store.delete_by_tag("a", "b")
        store.update("new", lambda value: value, default=1)
    assert measured[0].requests == wire.requests.total()
    assert measured[0].bytes_sent == wire.body_sent
    assert measured[0].bytes_received == wire.body_received
