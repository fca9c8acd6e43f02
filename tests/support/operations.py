"""Every operation of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from s3kv_flows.store import S3KV


def every_operation(store: S3KV) -> Iterator[Callable[[], object]]:
    """Yield what a program may do with a store, in an order that works."""
    yield store.create_bucket
    yield lambda: store.add("key", 1, tags={"a": "b"})
    yield lambda: store.add("key", 2)
    yield lambda: store.add_many({"one": 1, "two": 2})
    yield lambda: store.get("key")
    yield lambda: store.get("missing")
    yield lambda: store.get_many(["one", "two"])
    yield lambda: store.exists("key")
    yield lambda: store.info("key")
    yield lambda: store.fetch("key")
    yield lambda: store.versions("key")
    yield store.list_keys
    yield lambda: store.list_keys_with_prefix("t")
    yield lambda: store.tag_key("key", {"a": "b"})
    yield lambda: store.get_tags("key")
    yield lambda: store.find_keys_by_tag_value("a", "b")
    yield lambda: store.tag_keys_with_prefix("t", {"a": "b"})
    yield lambda: store.copy_key("key", "other")
    yield lambda: store.get_key_size("key")
    yield lambda: store.get_key_last_updated_time("key")
    yield lambda: store.place_retention_lock("key", 1)
    yield lambda: store.apply_legal_hold("other")
    yield lambda: store.is_legal_hold_applied("other")
    yield lambda: store.release_legal_hold("other")
    yield lambda: store.delete("one")
    yield lambda: store.delete_by_tag("a", "b")
    yield lambda: store.purge("two")
    yield store.server_time
