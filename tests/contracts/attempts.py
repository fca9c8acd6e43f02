"""The ways to change or delete a key, each as something to try on one that is locked."""

from __future__ import annotations

from collections.abc import Callable

from s3kv_flows.store import S3KV
from tests.contracts.helpers import WEEK

Attempt = Callable[[S3KV], object]


def delete_by_tag(store: S3KV) -> None:
    """Raise what it reports."""
    result = store.delete_by_tag("find", "me")
    assert result.deleted == []
    raise {**result.protected, **result.failed}["key"]


def tag_and_delete_by_tag(store: S3KV) -> None:
    store.tag_keys_with_prefix("key", {"find": "me"})
    delete_by_tag(store)


ATTEMPTS: dict[str, list[Attempt]] = {
    "add": [
        lambda store: store.add("key", "new"),
        lambda store: store.add("key", "new", retention=WEEK),
        lambda store: store.add("key", "new", legal_hold=True),
        lambda store: store.add("key", "new", mode="create"),
        lambda store: store.add("key", "new", mode=store.info("key").etag),
    ],
    "add_many": [lambda store: store.add_many({"key": "new", "fresh": 1})],
    "copy_key": [
        lambda store: store.copy_key("other", "key"),
        lambda store: store.copy_key("other", "key", tags={"a": "b"}),
    ],
    "delete": [lambda store: store.delete("key")],
    "delete_by_tag": [delete_by_tag, tag_and_delete_by_tag],
    "merge_keys": [lambda store: store.merge_keys(["other"], "key")],
    "place_retention_lock": [lambda store: store.place_retention_lock("key", 1)],
    "purge": [lambda store: store.purge("key")],
    "restore": [lambda store: store.restore("key", store.versions("other")[0].version_id)],
    "update": [lambda store: store.update("key", lambda value: {**value, "x": 1}, default={})],
}
"""Every public method of S3KV that can write or delete an object, and the ways to try it on a locked key."""


def final_and_other(store: S3KV) -> None:
    store.add("key", {"final": 1}, tags={"find": "me"}, retention=WEEK)
    store.add("other", {"x": 1})
