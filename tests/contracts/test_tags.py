"""Tags: set, merged, taken off, and searched by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.capabilities import Capabilities, ConditionalDeletes
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import DeleteFailure
from s3kv_flows.store.errors import ConflictError, InvalidTagError, KeyLockedError, KeyNotFoundError
from tests.contracts.helpers import WEEK, just_before
from tests.servers import Server


def test_tags_are_found_in_both_spellings_and_replaced_as_a_set(store: S3KV) -> None:
    store.add("test_c", 1, tags={"old": "1"})
    store.tag_key("test_c", {"module": "users", "environment": "production"})
    expected = {"module": "users", "environment": "production"}
    assert store.get_tags("s3kv/test_c.json") == store.get_tags("test_c") == expected
    assert store.find_keys_by_tag_value("environment", "production") == ["test_c"]
    assert store.find_keys_by_tag_value("environment", "test") == []


def test_characters_that_s3_takes_come_back(store: S3KV) -> None:
    tags = {"a b+c": "x y+z = 1/2:3@4_5-6.7", "Größe": "ß 日本", "empty": ""}
    store.add("key", 1, tags=tags)
    assert store.get_tags("key") == tags
    store.tag_key("key", {})
    store.tag_key("key", tags)
    assert store.get_tags("key") == tags
    assert store.find_keys_by_tags(tags) == ["key"]


@pytest.mark.parametrize("tags", [{"日" * 43: ""}, {"key": "日" * 86}])
def test_a_server_that_counts_bytes_says_so(store: S3KV, server: Server, tags: dict[str, str]) -> None:
    if server.name != "ceph":
        store.add("key", 1, tags=tags)
        assert store.get_tags("key") == tags
        return
    with pytest.raises(InvalidTagError, match="counts bytes: 128 for the key of a tag, 256 for its value"):
        store.add("key", 1, tags=tags)
    assert store.get("key") is None


def test_tags_can_be_merged_and_taken_off(store: S3KV) -> None:
    store.add("key", 1, tags={"a": "1", "b": "2"})
    store.tag_key("key", {"b": "3", "c": "4"}, merge=True)
    assert store.get_tags("key") == {"a": "1", "b": "3", "c": "4"}
    store.untag_key("key", ["a", "missing"])
    assert store.get_tags("key") == {"b": "3", "c": "4"}
    store.untag_key("key", "b")
    assert store.get_tags("key") == {"c": "4"}
    store.untag_key("key")
    assert store.get_tags("key") == {}
    assert store.get("key") == 1


def test_a_key_that_looks_like_an_object_name_keeps_its_own_tags(store: S3KV) -> None:
    store.add("x", 1, tags={"a": "1"})
    store.add("s3kv/x.json", 2, tags={"c": "1", "d": "2"})
    store.untag_key("s3kv/x.json", ["c"])
    assert store.client.get_tags(store.bucket_name, "s3kv/s3kv/x.json.json") == {"d": "2"}
    assert store.get_tags("x") == {"a": "1"}


def test_tags_can_be_taken_off_on_a_bucket_with_versions(locking_store: S3KV) -> None:
    locking_store.add("key", 1, tags={"a": "1", "b": "2"})
    locking_store.untag_key("key", ["a"])
    assert locking_store.get_tags("key") == {"b": "2"}
    locking_store.untag_key("key")
    assert locking_store.get_tags("key") == {}


def test_merged_tags_keep_to_the_limit(store: S3KV) -> None:
    store.add("key", 1, tags={f"a{number}": "x" for number in range(6)})
    with pytest.raises(InvalidTagError):
        store.tag_key("key", {f"b{number}": "x" for number in range(6)}, merge=True)
    assert len(store.get_tags("key")) == 6


def test_tags_of_a_missing_key_are_an_error(store: S3KV, server: Server) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.get_tags("key"),
        lambda: store.tag_key("key", {"a": "b"}),
        lambda: store.tag_key("key", {"a": "b"}, merge=True),
        lambda: store.untag_key("key", ["a"]),
    ]
    if server.name != "moto":  # which fails at deleting the tags of a missing key
        calls.append(lambda: store.untag_key("key"))
    for call in calls:
        with pytest.raises(KeyNotFoundError):
            call()


def test_bad_tags_are_refused_before_any_request(store: S3KV) -> None:
    bad: list[dict[str, str]] = [
        {f"t{i}": "x" for i in range(11)},
        {"aws:k": "x"},
        {"a": "x" * 257},
        {"": "x"},
    ]
    with store.client.counters.measure() as measured:
        for tags in bad:
            for call in (
                lambda: store.add("key", 1, tags=tags),  # noqa: B023  # run here
                lambda: store.tag_key("key", tags),  # noqa: B023
                lambda: store.tag_keys_with_prefix("k", tags),  # noqa: B023
                lambda: store.copy_key("a", "b", tags=tags),  # noqa: B023
                lambda: store.find_keys_by_tags(tags),  # noqa: B023
            ):
                with pytest.raises(InvalidTagError):
                    call()
        with pytest.raises(ValueError, match="no tag is given"):
            store.find_keys_by_tags({})
    assert measured[0].requests == 0


@pytest.mark.parametrize("prefix", ["test", "s3kv/test"])
def test_all_keys_with_a_prefix_are_tagged(store: S3KV, prefix: str) -> None:
    store.add_many({"test1": 1, "test2": 2, "other": 3}, tags={"old": "1"})
    assert store.tag_keys_with_prefix(prefix, {"new": "2"}) == ["test1", "test2"]
    assert [store.get_tags(key) for key in ("test1", "test2", "other")] == [{"new": "2"}] * 2 + [{"old": "1"}]
    store.tag_keys_with_prefix(prefix, {"old": "3"}, merge=True)
    assert store.get_tags("test1") == {"new": "2", "old": "3"}


def test_a_search_takes_several_tags_and_asks_only_for_what_the_listing_leaves(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("raw/a", 1, tags={"stage": "raw", "year": "2013"})
    store.add("raw/b", 1, tags={"stage": "raw", "year": "2014"})
    store.add("raw/c", 1)
    store.add("final/a", 1, tags={"stage": "raw", "year": "2013"})
    both = {"stage": "raw", "year": "2013"}
    assert store.find_keys_by_tags(both) == ["final/a", "raw/a"]
    with store.client.counters.measure() as measured:
        assert store.find_keys_by_tags(both, prefix="raw/") == ["raw/a"]
        assert store.find_keys_by_tags(both, prefix="s3kv/raw/") == ["raw/a"]
    assert measured[0].by_operation == {"ListObjectsV2": 2, "GetObjectTagging": 6}
    with store.client.counters.measure() as measured:
        assert store.find_keys_by_tags(both, older_than=timedelta(days=1)) == []
        assert measured == []
    assert measured[0].by_operation == {"ListObjectsV2": 1}
    later = store.server_time() + timedelta(days=32)
    monkeypatch.setattr(store.client.capabilities, "now", lambda: later)
    assert store.find_keys_by_tags(both, older_than="1mo") == ["final/a", "raw/a"]


def test_an_age_without_a_unit_is_refused(store: S3KV) -> None:
    with pytest.raises(ValueError, match="30 has no unit: write 30d"):
        store.find_keys_by_tags({"stage": "raw"}, older_than=30)  # type: ignore[arg-type]


def test_deleting_by_tag_leaves_and_names_what_is_locked(locking_store: S3KV) -> None:
    for key in ("a", "b", "c", "e"):
        locking_store.add(key, key, tags={"module": "users"}, retention=WEEK if key == "b" else None)
    locking_store.add("d", "d", tags={"module": "other"})
    locking_store.apply_legal_hold("e")
    result = locking_store.delete_by_tag("module", "users")
    assert result.deleted == ["a", "c"]
    assert list(result.protected) == ["b", "e"]
    assert all(isinstance(refusal, KeyLockedError) for refusal in result.protected.values())
    assert result.failed == {}
    assert locking_store.list_keys() == ["b", "d", "e"]


@pytest.mark.parametrize("honours", [True, False])
def test_a_key_overwritten_since_it_was_found_stays_where_the_server_honours_etags_in_a_batch(
    store: S3KV,
    monkeypatch: pytest.MonkeyPatch,
    *,
    honours: bool,
) -> None:
    """AWS does; the servers that run here do not, so the answer is AWS's, as its reference gives it."""
    etags = [store.add(key, key, tags={"a": "b"}).etag for key in ("changed", "same")]
    sent: list[tuple[str, str | None, str | None]] = []

    def answer(
        _: S3Client, bucket: str, objects: list[tuple[str, str | None, str | None]]
    ) -> list[DeleteFailure]:
        assert bucket == store.bucket_name
        sent.extend(objects)
        failure = DeleteFailure("s3kv/changed.json", None, "PreconditionFailed", "the ETag differs")
        return [failure] if honours else []

    monkeypatch.setattr(
        Capabilities, "conditional_deletes", lambda *_: ConditionalDeletes(single=honours, batch=honours)
    )
    monkeypatch.setattr(S3Client, "delete_objects", answer)
    result = store.delete_by_tag("a", "b")
    names = ["s3kv/changed.json", "s3kv/same.json"]
    assert sent == [(name, None, etag if honours else None) for name, etag in zip(names, etags, strict=True)]
    assert result.deleted == (["same"] if honours else ["changed", "same"])
    assert [type(error) for error in result.failed.values()] == ([ConflictError] if honours else [])


def test_a_key_that_was_deleted_since_it_was_listed_is_not_found(
    store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("key", 1, tags={"a": "b"})
    just_before(monkeypatch, "search_tags", lambda: store.delete("key"))
    assert store.find_keys_by_tag_value("a", "b") == []
    store.add("key", 1, tags={"a": "b"})
    just_before(monkeypatch, "put_tags", lambda: store.delete("key"))
    assert store.tag_keys_with_prefix("key", {"c": "d"}) == []
