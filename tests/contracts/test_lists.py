"""Lists: of any length, lazily, and of nothing but keys."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from s3kv_flows.store import S3KV
from tests.contracts.helpers import outside


@pytest.fixture(scope="module")
def keys() -> list[str]:
    return sorted(f"k{number:04}" for number in range(2500))


@pytest.mark.slow
def test_2500_keys_are_listed_found_and_deleted_all_of_them(store: S3KV, keys: list[str]) -> None:
    store.add_many(dict.fromkeys(keys, 0), tags={"kind": "many"})
    assert store.list_keys() == keys
    assert store.list_keys_with_prefix("k10") == [f"k{number}" for number in range(1000, 1100)]
    assert store.list_keys_with_prefix("s3kv/k000") == [f"k{number:04}" for number in range(10)]
    with store.client.counters.measure() as measured:
        assert list(islice(store.iter_keys(), 5)) == keys[:5]
    assert measured[0].requests == 1, "a list is read as far as it is wanted"
    with store.client.counters.measure() as measured:
        assert store.find_keys_by_tag_value("kind", "many") == keys
    assert measured[0].by_operation == {"ListObjectsV2": 3, "GetObjectTagging": 2500}
    result = store.delete_by_tag("kind", "many")
    assert sorted(result.deleted) == keys
    assert (result.protected, result.failed) == ({}, {})
    assert store.list_keys() == []


def test_lists_hold_only_what_is_a_value(store: S3KV, make_store: Callable[..., S3KV]) -> None:
    other = make_store(bucket_name=store.bucket_name, prefix="s3kv-results/", suffix="")
    store.add("key", 1)
    other.add("key.json", 2)
    for name in ("s3kv/no-value.txt", "s3kv/.json", "s3kv/.s3kv-probe-1.json", "key.json"):
        outside(store).put_object(Bucket=store.bucket_name, Key=name, Body=b"x")
    assert store.list_keys() == ["key"]
    assert other.list_keys() == ["key.json"]


def test_both_spellings_of_a_prefix_are_the_same(store: S3KV) -> None:
    store.add_many({"test/a": 1, "testb": 2, "other": 3})
    assert (
        store.list_keys_with_prefix("test") == store.list_keys_with_prefix("s3kv/test") == ["test/a", "testb"]
    )
    assert store.list_keys_with_prefix("") == store.list_keys_with_prefix("s3kv/") == store.list_keys()
