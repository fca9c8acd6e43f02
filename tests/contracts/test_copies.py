"""Copies and merges."""

from __future__ import annotations

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import EncodingError, KeyNotFoundError, UnsupportedByServerError
from tests.contracts.helpers import carries_updates


@pytest.fixture(params=["plain", "with Object Lock"])
def any_store(request: pytest.FixtureRequest) -> S3KV:
    store: S3KV = request.getfixturevalue("store" if request.param == "plain" else "locking_store")
    return store


def test_a_copy_keeps_tags_metadata_and_codec_unless_others_are_given(any_store: S3KV) -> None:
    any_store.add("key", {"x": 1}, {"origin": "test"}, tags={"stage": "raw"})
    any_store.copy_key("key", "copy")
    any_store.copy_key("key", "other", tags={"stage": "copied", "by": "test"})
    any_store.copy_key("key", "bare", tags={})
    assert [any_store.get(key) for key in ("copy", "other", "bare")] == [{"x": 1}] * 3
    assert any_store.get_tags("copy") == {"stage": "raw"}
    assert any_store.get_tags("other") == {"stage": "copied", "by": "test"}
    assert any_store.get_tags("bare") == {}
    assert any_store.info("copy").metadata == {"origin": "test"}
    assert any_store.info("copy").codec == "json"


def test_a_copy_onto_itself_only_changes_the_tags(any_store: S3KV) -> None:
    any_store.add("key", 1, tags={"a": "b"})
    any_store.copy_key("key", "key")
    assert any_store.get_tags("key") == {"a": "b"}
    any_store.copy_key("key", "key", tags={"c": "d"})
    assert any_store.get_tags("key") == {"c": "d"}
    assert len(any_store.versions("key")) == 1


def test_a_copy_of_nothing_is_an_error(any_store: S3KV) -> None:
    for source, target in (("no", "copy"), ("no", "no")):
        with pytest.raises(KeyNotFoundError):
            any_store.copy_key(source, target)
    assert any_store.list_keys() == []


def test_merging_adds_to_the_destination_in_order(store: S3KV) -> None:
    store.add("a", {"x": 1, "y": 1})
    store.add("b", {"y": 2})
    store.add("all", {"z": 0, "x": 0}, {"origin": "test"}, tags={"stage": "merged"})
    store.merge_keys(["a", "missing", "b"], "all")
    assert store.get("all") == {"z": 0, "x": 1, "y": 2}
    assert store.get_tags("all") == {"stage": "merged"}, "a merge changes the value alone"
    assert store.info("all").metadata == {"origin": "test"}


def test_only_dicts_are_merged(store: S3KV) -> None:
    store.add("a", [1])
    with pytest.raises(EncodingError, match="'a' holds a list"):
        store.merge_keys(["a"], "all")
    assert not store.exists("all")
    store.add("b", {})
    with pytest.raises(EncodingError, match="'a' holds a list"):
        store.merge_keys(["b"], "a")
    assert store.get("a") == [1]


def test_with_object_lock_a_merge_works_or_says_that_the_server_cannot(locking_store: S3KV) -> None:
    locking_store.add("a", {"x": 1})
    if carries_updates(locking_store):
        locking_store.merge_keys(["a"], "all")
        assert locking_store.get("all") == {"x": 1}
    else:
        with pytest.raises(UnsupportedByServerError, match="cannot"):
            locking_store.merge_keys(["a"], "all")
        assert not locking_store.exists("all")
