"""Direct reads, and when they leave the request to boto3."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.transport.boto_client import _moment
from s3kv_flows.store._s3.transport.direct.documents import parse_tags
from s3kv_flows.store.errors import AccessDeniedError, StoreUnavailableError
from tests.support.proxy import CountingProxy

NAMES = ["a b", "100%", "a+b", "ä/ö", "💾", "..", "a/../b", "//two", "a&b=c", "tilde~", "'\"*()"]


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let boto3 fail, so that each response is of a direct read."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("boto3 made the request")

    monkeypatch.setattr(S3Client, "get_tags", refused)
    return monkeypatch


def test_it_tells_the_same_as_the_full_client(store: S3KV, light: pytest.MonkeyPatch) -> None:
    tags = {"Größe": "x & <y>"[:1], "b": "", "c d": "1+2=3"}
    for key in NAMES:
        store.add(key, 1, tags=tags)
    for key in NAMES:
        assert store.client.search_tags(store.bucket_name, f"s3kv/{key}.json") == tags
    assert store.client.search_tags(store.bucket_name, "s3kv/missing.json") is None


def test_it_counts_and_keeps_its_connections(make_store: Callable[..., S3KV], proxy: CountingProxy) -> None:
    before = proxy.read().connections
    store = make_store(endpoint_url=proxy.url)
    store.add_many({f"key{number:03}": 1 for number in range(100)}, tags={"a": "b"})
    store.find_keys_by_tag_value("a", "b")
    with proxy.counting() as wire, store.client.counters.measure() as measured:
        assert len(store.find_keys_by_tag_value("a", "b")) == 100
    assert wire.requests.total() == measured[0].requests == 101
    assert measured[0].bytes_received == wire.body_received
    most = store.client.boto3_client.meta.config.max_pool_connections
    assert proxy.read().connections - before <= most


def test_the_buckets_of_a_server_share_its_connections(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    before = proxy.read().connections
    for _ in range(5):
        store = make_store(endpoint_url=proxy.url)
        store.add("key", 1, tags={"a": "b"})
        assert store.find_keys_by_tag_value("a", "b") == ["key"]
    assert proxy.read().connections - before <= 2


def test_a_connection_that_the_server_closed_is_not_used_again(
    make_store: Callable[..., S3KV], s3_url: str
) -> None:
    proxy = CountingProxy(s3_url)
    try:
        store = make_store(endpoint_url=proxy.url)
        store.add("key", 1)
        assert store.get("key") == 1
        proxy.close_connections()
        with proxy.counting() as wire:
            assert store.get("key") == 1
        assert (wire.requests.total(), wire.connections) == (1, 1)
    finally:
        proxy.close()


def test_a_refused_request_is_made_by_boto3_and_raises(answering: Callable[..., str]) -> None:
    for status, code, error in (
        (403, "AccessDenied", AccessDeniedError),
        (503, "SlowDown", StoreUnavailableError),
    ):
        url = answering(status, f"<Error><Code>{code}</Code></Error>")
        store = S3KV(url, "some-bucket", boto_config={"retries": {"total_max_attempts": 1}})
        with pytest.raises(error, match=code):
            store.client.search_tags("some-bucket", "s3kv/key.json")


def test_without_credentials_the_full_client_says_so(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDeniedError, match="no credentials"):
        S3KV(s3_url, "some-bucket").client.search_tags("some-bucket", "s3kv/key.json")


def test_a_time_without_a_zone_or_of_another_form_is_left_to_botocore() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    for text in ("2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05Z", "Fri, 02 Jan 2026 03:04:05 GMT"):
        assert _moment(text) == moment
        assert _moment(text).utcoffset() == timedelta(0)
    with pytest.raises(ValueError, match="Invalid timestamp"):
        _moment("no time at allZ")


def test_tags_are_read_with_and_without_a_namespace() -> None:
    inner = "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Value/><Key>c</Key></Tag></TagSet>"
    for root in ("<Tagging>", '<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'):
        assert parse_tags(f"{root}{inner}</Tagging>".encode()) == {"a": "b", "c": ""}
