from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from s3kv_flows.store import S3KV, Encryption
from s3kv_flows.store import errors as all_errors
from s3kv_flows.store._s3 import clients
from s3kv_flows.store._s3.clients import forget_clients, shared_client
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._s3.transport.responses import date_of, object_info
from s3kv_flows.store._s3.transport.translation import ERROR_TYPES
from s3kv_flows.store.errors import (
    AccessDeniedError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)
from tests.support.proxy import CountingProxy


def test_stores_of_one_configuration_share_a_client_and_others_do_not(s3_url: str) -> None:
    one = S3KV(s3_url, "some-bucket", prefix="a/")
    assert one.client is S3KV(s3_url, "other-bucket", prefix="b/").client
    assert one.client is not S3KV(s3_url, "some-bucket", "key", "secret").client


def test_credentials_that_rotate_in_the_environment_get_a_client_of_their_own(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3KV(s3_url, "some-bucket")
    before = store.client
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rotated")
    assert store.client is not before


def test_a_forked_child_does_not_inherit_connections(store: S3KV) -> None:
    before = store.client
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, b"own" if store.client is not before else b"shared")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"own"


def test_secrets_are_not_shown(s3_url: str) -> None:
    config = S3Config(s3_url, aws_access_key_id="id", aws_secret_access_key="hush", aws_session_token="hush")
    assert "hush" not in repr(config)
    assert "hush" not in repr(S3KV(s3_url, "some-bucket", "id", "hush"))


def test_every_error_of_the_table_is_of_the_hierarchy_and_tells_what_failed() -> None:
    assert {kind for kind in ERROR_TYPES.values() if not issubclass(kind, S3KVError)} == set()
    assert S3KVError not in ERROR_TYPES.values()


def test_a_missing_bucket_is_not_a_missing_key(s3_url: str) -> None:
    forget_clients()
    store = S3KV(s3_url, "no-such-bucket", enable_local_cache=False)
    calls: list[Callable[[], object]] = [
        lambda: store.exists("key"),
        lambda: store.get("key", "default"),
        lambda: store.add("key", 1),
        lambda: store.delete("key"),
        store.list_keys,
        lambda: store.get_tags("key"),
        lambda: store.copy_key("key", "other"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match="'no-such-bucket' does not exist"):
            call()


def test_no_server_is_an_error_that_names_it() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(StoreUnavailableError, match=f"cannot reach {url}"):
        S3KV(url, "some-bucket", enable_local_cache=False).get("key")


def test_no_credentials_are_an_error_that_says_where_they_may_come_from(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDeniedError, match="no credentials"):
        S3KV(s3_url, "some-bucket", enable_local_cache=False).get("key")


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"])
def test_wrong_credentials_are_an_error_and_never_an_absence(
    code: str, answering: Callable[..., str]
) -> None:
    url = answering(403, f"<Error><Code>{code}</Code><Message>no</Message></Error>")
    store = S3KV(url, "some-bucket", enable_local_cache=False)
    for call in (
        lambda: store.get("key", "default"),
        lambda: store.exists("key"),
        lambda: store.add("key", 1),
    ):
        with pytest.raises(AccessDeniedError):
            call()


def test_a_server_that_fails_is_tried_again_and_then_an_error(answering: Callable[..., str]) -> None:
    store = S3KV(
        answering(500, "<Error><Code>InternalError</Code></Error>"), "some-bucket", enable_local_cache=False
    )
    with store.client.counters.measure() as measured, pytest.raises(StoreUnavailableError, match="Internal"):
        store.get("key")
    assert measured[0].by_operation == {"GetObject": 5}, "the direct read, and boto3's four attempts"


def test_a_body_that_breaks_off_is_an_error(answering: Callable[..., str]) -> None:
    url = answering(200, '{"half": ', length=1000)
    with pytest.raises(StoreUnavailableError, match="broke off after 9 of 1000 bytes"):
        S3KV(url, "some-bucket", enable_local_cache=False).get("key")


def test_the_counters_agree_with_the_wire(make_store: Callable[..., S3KV], proxy: CountingProxy) -> None:
    store = make_store(endpoint_url=proxy.url)
    with proxy.counting() as wire, store.client.counters.measure() as measured:
        store.add("key", "x" * 5000, tags={"a": "b"})
        store.get("key")
        store.exists("key")
        store.get("other")
        store.list_keys()
        store.delete("key")
    counts = measured[0]
    assert counts.requests == wire.requests.total() == 7  # with the one question for Object Lock
    assert counts.bytes_sent == wire.body_sent
    assert counts.bytes_received == wire.body_received
    assert wire.connections <= 1


def test_a_malformed_endpoint_and_half_a_credential_are_refused() -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        S3Config("localhost:9000")
    with pytest.raises(ValueError, match="go together"):
        S3Config(aws_access_key_id="id")


def test_the_clients_of_a_process_read_the_descriptions_of_s3_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _ = S3KV("http://127.0.0.1:1", "some-bucket", "id", "secret", boto_config={"read_timeout": 7}).client
    read: list[str] = []
    original = JSONFileLoader.load_file

    def noting(self: JSONFileLoader, path: str) -> Any:
        read.append(path)
        return original(self, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", noting)
    _ = S3KV("http://127.0.0.1:1", "some-bucket", "id", "secret", boto_config={"read_timeout": 8}).client
    assert [path for path in read if "s3" in path] == []


def test_an_unknown_profile_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no-such-profile"):
        shared_client(S3Config(profile_name="no-such-profile"))


def test_options_of_boto3_come_over_our_own_and_share_a_client(s3_url: str) -> None:
    def store(**options: object) -> S3KV:
        return S3KV(s3_url, "some-bucket", enable_local_cache=False, boto_config=options)

    options = {"read_timeout": 5, "retries": {"mode": "adaptive"}, "s3": {"use_accelerate_endpoint": False}}
    config = store(**options).client._boto.client.meta.config
    assert (config.read_timeout, config.retries["mode"], config.connect_timeout) == (5, "adaptive", 5)
    assert config.s3["addressing_style"] == "path", "what is not named stays as it was"
    assert store(**options).client is store(**options).client
    assert store(read_timeout=6).client is not store(read_timeout=5).client
    with pytest.raises(ValueError, match="no_such_option"):
        _ = store(no_such_option=1).client


def test_a_time_limit_of_the_user_is_kept(answering: Callable[..., str]) -> None:
    url = answering(503, "<Error><Code>SlowDown</Code></Error>")
    store = S3KV(url, "some-bucket", boto_config={"retries": {"total_max_attempts": 1}})
    with store.client.counters.measure() as measured, pytest.raises(StoreUnavailableError):
        store.list_keys()
    assert measured[0].requests == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "TooManyRequests"),
        (429, ""),
        (408, ""),
        (400, "BadDigest"),
        (503, "SlowDown"),
        (400, "Throttling"),
    ],
)
def test_a_server_that_has_no_time_is_never_taken_for_one_without_locks(
    answering: Callable[..., str], status: int, code: str
) -> None:
    url = answering(status, f"<Error><Code>{code}</Code></Error>" if code else "")
    store = S3KV(url, "some-bucket", boto_config={"retries": {"total_max_attempts": 1}})
    for call in (lambda: store.delete("key"), lambda: store.list_keys(), lambda: store.get("key")):
        with pytest.raises(StoreUnavailableError):
            call()
    assert store.client.capabilities.object_lock("some-bucket") is None


def test_an_answer_that_is_not_understood_is_no_absence_of_locks(answering: Callable[..., str]) -> None:
    url = answering(400, "<Error><Code>SomethingElse</Code></Error>")
    with pytest.raises(UnsupportedByServerError, match="SomethingElse"):
        S3KV(url, "some-bucket").client.has_object_lock("some-bucket")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_the_environment_is_not_taken_for_aws(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert shared_client(S3Config()).capabilities.server == "aws"
    monkeypatch.setenv(variable, s3_url)
    store = S3KV(bucket_name="environment-bucket", config=S3Config(), enable_local_cache=False)
    store.create_bucket()
    assert store.client.capabilities.server == "moto"
    assert store.client.server == s3_url
    assert s3_url in repr(store)


def test_a_listing_that_never_ends_is_an_error(answering: Callable[..., str]) -> None:
    body = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    with pytest.raises(StoreUnavailableError, match="never ends"):
        S3KV(answering(200, body), "some-bucket").list_keys()
    body = "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>"
    with pytest.raises(StoreUnavailableError, match="never ends"):
        S3KV(answering(200, body), "some-bucket").versions("key")


@pytest.mark.parametrize("date", ["garbage", "Mon, 23 Nov 2026 08:00:00 -0000", ""])
def test_a_date_that_is_none_does_no_harm(date: str) -> None:
    found = date_of({"date": date}, "date")
    assert found is None or found.tzinfo is not None


def test_an_answer_without_what_every_server_says_is_an_error() -> None:
    with pytest.raises(StoreUnavailableError, match="no Content-Length"):
        object_info("name", {"etag": "x"})


@pytest.mark.parametrize(
    "malformed", ["content-length", "x-amz-tagging-count", "x-amz-object-lock-retain-until-date"]
)
def test_a_malformed_header_is_the_servers_failure(malformed: str) -> None:
    headers = {"content-length": "1", "last-modified": "Mon, 23 Nov 2026 08:00:00 GMT"}
    assert object_info("name", headers).size == 1
    with pytest.raises(StoreUnavailableError, match="malformed header"):
        object_info("name", {**headers, malformed: "soon"})


def test_clients_of_credentials_that_rotate_do_not_pile_up(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_MOST", 4)
    forget_clients()
    kept = shared_client(S3Config(s3_url))
    for number in range(7):
        shared_client(S3Config(s3_url, aws_access_key_id="id", aws_secret_access_key=str(number)))
        assert shared_client(S3Config(s3_url)) is kept
    assert len(clients._clients) <= 4


def test_options_beside_a_whole_configuration_are_refused(s3_url: str) -> None:
    for options in ({"encryption": Encryption.s3()}, {"boto_config": {"read_timeout": 1}}):
        with pytest.raises(ValueError, match="part of config"):
            S3KV(bucket_name="some-bucket", config=S3Config(s3_url), **options)


def test_errors_survive_a_pickle() -> None:
    import pickle

    for named in (getattr(all_errors, name) for name in all_errors.__all__):
        if not isinstance(named, type):  # a list of reasons
            continue
        error = named("what happened")
        assert str(pickle.loads(pickle.dumps(error))) == "what happened"
    locked = all_errors.KeyLockedError("m", key="k", mode="GOVERNANCE", legal_hold=True)
    back = pickle.loads(pickle.dumps(locked))
    assert (back.key, back.mode, back.legal_hold) == ("k", "GOVERNANCE", True)


def test_a_missing_key_reads_as_a_sentence() -> None:
    assert str(KeyNotFoundError("no such key")) == "no such key"
