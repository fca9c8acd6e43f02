"""The connection of direct reads is boto3's: hosts, hooks, redirects, credentials, limits."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest
from botocore import auth
from moto import mock_aws

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.transport import connections
from s3kv_flows.store._s3.transport.boto import Boto
from s3kv_flows.store._s3.transport.direct import private, reads, templates
from s3kv_flows.store._s3.transport.direct.reads import DirectReads
from s3kv_flows.store.errors import S3KVError, StoreUnavailableError
from tests.store.reads.conftest import BUCKET, client_of
from tests.support.faults import MODIFIED, Asked, FaultyServer, Respond, answer
from tests.support.operations import every_operation
from tests.support.proxy import CountingProxy

Faulty = Callable[[Respond], FaultyServer]

TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
VALUE = answer("200 OK", b"value", Last_Modified=MODIFIED, ETag='"x"')


def respond(asked: Asked) -> bytes:
    if "tagging" in asked.target:
        return answer("200 OK", TAGS)
    return answer("200 OK", LISTING) if "list-type" in asked.target else VALUE


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the hosts that are looked up; none is found."""
    hosts: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> None:
        hosts.append(host)
        raise socket.gaierror(f"{host} is not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return hosts


@pytest.fixture
def without_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the full client fail, so that each answer is one of a direct read."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("boto3 made the request")

    monkeypatch.setattr(Boto, "call", refused)


# --- where it goes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({"region_name": "eu-central-1"}, f"{BUCKET}.s3.eu-central-1.amazonaws.com"),
        ({"region_name": "us-east-1"}, f"{BUCKET}.s3.us-east-1.amazonaws.com"),
        ({"region_name": "cn-north-1"}, f"{BUCKET}.s3.cn-north-1.amazonaws.com.cn"),
        (
            {"region_name": "eu-west-1", "boto_config": {"use_dualstack_endpoint": True}},
            f"{BUCKET}.s3.dualstack.eu-west-1.amazonaws.com",
        ),
        (
            {"region_name": "us-west-2", "boto_config": {"use_fips_endpoint": True}},
            f"{BUCKET}.s3-fips.us-west-2.amazonaws.com",
        ),
        (
            {"region_name": "eu-west-1", "boto_config": {"s3": {"use_accelerate_endpoint": True}}},
            f"{BUCKET}.s3-accelerate.amazonaws.com",
        ),
        ({"region_name": "eu-west-1", "addressing_style": "path"}, "s3.eu-west-1.amazonaws.com"),
    ],
)
def test_reads_go_to_the_host_that_boto3_names(
    options: dict[str, Any], host: str, looked_up: list[str]
) -> None:
    config = {"retries": {"total_max_attempts": 1}, "s3": {}, **options.pop("boto_config", {})}
    config["s3"] = {"us_east_1_regional_endpoint": "regional", **config["s3"]}
    calls: list[Callable[[S3Client], object]] = [
        lambda client: client.open_object(BUCKET, "name"),
        lambda client: client.search_tags(BUCKET, "name"),
        lambda client: list(client.list_objects(BUCKET, "")),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError):
            call(client_of(None, boto_config=config, **options))
    assert set(looked_up) == {host}
    assert len(looked_up) == 2 * len(calls), "the direct read, and the one attempt of boto3"


def test_a_prefix_in_the_path_of_an_endpoint_is_kept(faulty: Faulty, without_boto3: None) -> None:
    server = faulty(respond)
    client = client_of(f"{server.url}/behind/here")
    client.open_object(BUCKET, "a b/ä", version_id="v+1")
    client.search_tags(BUCKET, "name")
    list(client.list_objects(BUCKET, "a b"))
    assert [one.target.partition("?")[0] for one in server.asked] == [
        f"/behind/here/{BUCKET}/a%20b/%C3%A4",
        f"/behind/here/{BUCKET}/name",
        f"/behind/here/{BUCKET}",
    ]
    assert server.asked[0].target.endswith("?versionId=v%2B1")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:80",
        "http://LocalHost:8080/path",
        "https://[::1]:443",
        "http://[::1]:9000",
        "https://user:word@host.example:8443",
        "https://bucket.s3.eu-west-1.amazonaws.com/",
    ],
)
def test_the_host_of_a_request_is_the_one_that_botocore_signs(url: str) -> None:
    assert templates._host(url) == auth._host_from_url(url)


def test_an_address_of_ipv6_is_one(faulty: Faulty) -> None:
    client = client_of("http://[::1]:9")
    with pytest.raises(StoreUnavailableError, match="cannot reach"):
        client.open_object(BUCKET, "name")


@pytest.mark.parametrize("answered", ["301 Moved Permanently", "307 Temporary Redirect", "400 Bad Request"])
def test_a_bucket_of_another_region_is_read_directly_once_boto3_knows_it(
    answered: str, faulty: Faulty
) -> None:
    code = "AuthorizationHeaderMalformed" if answered.startswith("400") else "PermanentRedirect"
    body = f"<Error><Code>{code}</Code><Region>eu-west-1</Region><Endpoint>x</Endpoint></Error>".encode()

    def elsewhere(asked: Asked) -> bytes:
        if asked.region == "eu-west-1":
            return respond(asked)
        return answer(answered, body, x_amz_bucket_region="eu-west-1")

    server = faulty(elsewhere)
    client = client_of(server.url)
    assert client.search_tags(BUCKET, "name") == {"a": "b"}
    server.forget()
    for _ in range(3):
        assert client.search_tags(BUCKET, "name") == {"a": "b"}
    assert [one.region for one in server.asked] == ["eu-west-1"] * 3


def test_where_nobody_knows_the_way_it_is_not_tried_twice_each_time(faulty: Faulty) -> None:
    body = b"<Error><Code>PermanentRedirect</Code></Error>"
    unknown = answer("404 Not Found")
    server = faulty(lambda asked: unknown if asked.method == "HEAD" else answer("301 Moved", body))
    client = client_of(server.url)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            client.search_tags(BUCKET, "name")
    first = len(server.asked)
    with pytest.raises(StoreUnavailableError):
        client.search_tags(BUCKET, "name")
    assert len(server.asked) - first < first / 2, "boto3 alone asks"


def test_a_refusal_of_one_object_leaves_the_others_to_direct_reads(faulty: Faulty) -> None:
    denied = answer("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>")
    server = faulty(lambda asked: denied if "secret" in asked.target else respond(asked))
    client = client_of(server.url)
    with pytest.raises(S3KVError, match="AccessDenied"):
        client.search_tags(BUCKET, "secret")
    server.forget()
    assert client.search_tags(BUCKET, "name") == {"a": "b"}
    assert len(server.asked) == 1


def test_so_does_a_request_that_is_malformed(faulty: Faulty) -> None:
    wrong = answer("400 Bad Request", b"<Error><Code>InvalidArgument</Code></Error>")
    server = faulty(lambda asked: wrong if "versionId" in asked.target else respond(asked))
    client = client_of(server.url)
    with pytest.raises(S3KVError, match="InvalidArgument"):
        client.open_object(BUCKET, "name", version_id="nonsense")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Boto, "call", None)
        client.open_object(BUCKET, "name")


def test_a_redirect_that_was_temporary_is_forgotten(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    away = answer("307 Temporary Redirect", b"<Error><Code>TemporaryRedirect</Code></Error>")
    unknown = answer("404 Not Found")
    server = faulty(lambda asked: unknown if asked.method == "HEAD" else away)
    client = client_of(server.url)
    with pytest.raises(S3KVError):
        client.search_tags(BUCKET, "name")
    server.respond = respond
    now = time.monotonic()
    monkeypatch.setattr(templates, "time", SimpleNamespace(monotonic=lambda: now + 61))
    monkeypatch.setattr(Boto, "call", None)
    assert client.search_tags(BUCKET, "name") == {"a": "b"}


def test_a_signature_for_another_region_says_what_to_set(faulty: Faulty) -> None:
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message></Error>"
    client = client_of(faulty(lambda _: answer("400 Bad Request", body)).url)
    calls: list[Callable[[], object]] = [
        lambda: client.open_object(BUCKET, "name"),
        lambda: client.get_tags(BUCKET, "name"),
        lambda: client.put_object(BUCKET, "name", b"", content_type="text/plain"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match="set region_name"):
            call()


@pytest.mark.parametrize("payer", ["requester", None])
def test_the_requester_pays_where_that_is_said(payer: str | None, faulty: Faulty) -> None:
    server = faulty(respond)
    store = S3KV(
        server.url,
        BUCKET,
        "id",
        "secret",
        enable_local_cache=False,
        requester_pays=payer is not None,
        boto_config={"retries": {"total_max_attempts": 1}},
    )
    for operation in every_operation(store):
        with suppress(S3KVError, ValueError):  # it has few answers
            operation()
    assert len(server.asked) > 20
    assert {one.headers.get("x-amz-request-payer") for one in server.asked} == {payer}


# --- hooks --------------------------------------------------------------------------------------------


def test_under_mock_aws_no_host_is_looked_up(looked_up: list[str]) -> None:
    with mock_aws():
        store = S3KV(
            None, "mocked-bucket", "id", "secret", region_name="eu-central-1", enable_local_cache=False
        )
        for operation in every_operation(store):
            with suppress(S3KVError):  # the bucket has no locks
                operation()
        store.add("key", 3)
        assert store.get("key") == 3
    assert looked_up == []


def test_what_is_registered_for_the_requests_of_boto3_sees_direct_reads(
    faulty: Faulty, without_boto3: None
) -> None:
    server = faulty(respond)
    client = client_of(server.url)
    seen: list[str] = []
    events = client.boto3_client.meta.events
    events.register("before-send.s3", lambda request, **_: seen.append(request.method))
    events.register("before-call.s3", lambda params, **_: params["headers"].update({"x-from": "a hook"}))
    client.open_object(BUCKET, "name")
    client.search_tags(BUCKET, "name")
    list(client.list_objects(BUCKET, ""))
    assert seen == ["GET"] * 3
    assert [one.headers["x-from"] for one in server.asked] == ["a hook"] * 3


def test_who_stands_around_the_calls_of_boto3_misses_none(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the instrumentation of OpenTelemetry does."""
    client = client_of(faulty(respond).url)
    original, seen = botocore.client.BaseClient._make_api_call, list[str]()

    def around(self: Any, operation: str, params: Any) -> Any:
        seen.append(operation)
        return original(self, operation, params)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", around)
    client.open_object(BUCKET, "name")
    client.search_tags(BUCKET, "name")
    assert seen == ["GetObject", "GetObjectTagging"]


# --- when boto3 reads ---------------------------------------------------------------------------------


def test_direct_reads_can_be_switched_off(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a direct read was made")

    monkeypatch.setattr(DirectReads, "get", refused)
    client = client_of(faulty(respond).url, direct_reads=False)
    assert client.search_tags(BUCKET, "name") == {"a": "b"}
    assert list(client.list_objects(BUCKET, "")) == []


def test_the_private_names_of_botocore_are_there(s3_url: str) -> None:
    """Where they are not any more, boto3 makes all requests: three times the processor time for each."""
    client = client_of(s3_url).boto3_client
    assert private.session_of(client) is not None
    assert not private.is_instrumented(client)
    found: list[bool] = []
    original = private.body_reader

    def noting(raw: Any) -> Callable[[memoryview], int]:
        found.append(hasattr(getattr(raw, "_fp", None), "readinto") and hasattr(raw, "release_conn"))
        return original(raw)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("s3kv_flows.store._s3.transport.direct.answers.body_reader", noting)
        with pytest.raises(S3KVError):
            client_of(s3_url).open_object("no-such-bucket", "name")
    assert found == [True]


@pytest.mark.parametrize("missing", ["session", "method"])
def test_without_a_private_name_boto3_reads(
    missing: str, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "session":
        monkeypatch.setattr(reads, "session_of", lambda _: None)
    else:
        monkeypatch.setattr(reads, "is_instrumented", lambda _: True)
    client = client_of(faulty(respond).url)
    assert client.search_tags(BUCKET, "name") == {"a": "b"}


def test_bodies_are_read_by_any_way_that_there_is() -> None:
    class Raw:
        def read(self, size: int) -> bytes:
            return b"abc"[:size]

    class WithReadinto(Raw):
        def readinto(self, view: memoryview) -> int:
            view[:2] = b"xy"
            return 2

    for raw, expected in ((Raw(), b"abc"), (WithReadinto(), b"xy")):
        buffer = bytearray(8)
        count = private.body_reader(raw)(memoryview(buffer))
        assert bytes(buffer[:count]) == expected


# --- how many connections -----------------------------------------------------------------------------


def test_a_client_has_no_more_connections_than_it_keeps(
    make_store: Callable[..., S3KV], proxy: CountingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store(endpoint_url=proxy.url, boto_config={"max_pool_connections": 4})
    store.add("key", "x" * 200_000)
    with (
        caplog.at_level(logging.WARNING, "urllib3"),
        proxy.counting() as wire,
        ThreadPoolExecutor(24) as pool,
    ):
        assert len(set(pool.map(lambda _: store.get("key"), range(200)))) == 1
        list(pool.map(lambda number: store.add(f"key{number}", number), range(48)))
    assert caplog.messages == []
    assert wire.connections <= 4


def test_a_body_that_is_not_read_gives_its_turn_back(faulty: Faulty) -> None:
    large = answer("200 OK", bytes(200_000), Last_Modified=MODIFIED, ETag='"x"')
    client = client_of(faulty(lambda _: large).url, boto_config={"max_pool_connections": 1})
    for direct in (True, False):
        with pytest.MonkeyPatch.context() as patched:
            if not direct:
                patched.setattr(reads, "is_instrumented", lambda _: True)
            for _ in range(3):
                client.open_object(BUCKET, "name")  # dropped
                opened = client.open_object(BUCKET, "name")
                opened.leave()  # type: ignore[union-attr]
    assert client.search_tags is not None


def test_connections_are_renewed_before_a_firewall_forgets_them(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = faulty(respond)
    client = client_of(server.url)
    now = time.monotonic()
    for later, expected in ((0.0, 1), (50.0, 1), (61.0, 2), (100.0, 2), (122.0, 3)):
        clock = SimpleNamespace(monotonic=lambda later=later: now + later)
        monkeypatch.setattr(connections, "time", clock)
        client.search_tags(BUCKET, "name")
        client.get_tags(BUCKET, "name")
        assert server.connections == expected, later


def test_after_one_dead_connection_the_others_are_not_tried(faulty: Faulty) -> None:
    """As a NAT forgets them all at once: one time limit passes, and not one for each."""
    server = faulty(respond)
    client = client_of(server.url, boto_config={"read_timeout": 0.3, "retries": {"total_max_attempts": 1}})
    opened = [client.boto3_client.get_object(Bucket=BUCKET, Key="name")["Body"] for _ in range(8)]
    for body in opened:
        body.read()
    assert server.connections == 8
    server.forget()
    server.silent = {0}  # an old connection
    for _ in range(8):
        assert client.search_tags(BUCKET, "name") == {"a": "b"}
    assert len(server.asked) == 9
    assert server.connections == 9


# --- credentials --------------------------------------------------------------------------------------


def test_credentials_that_cannot_be_had_are_an_error_of_the_store(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    file = tmp_path / "config"
    file.write_text("[profile broken]\ncredential_process = false\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    store = S3KV(faulty(respond).url, BUCKET, profile_name="broken", enable_local_cache=False)
    calls: list[Callable[[], object]] = [
        lambda: store.get("key"),
        lambda: store.add("key", 1),
        lambda: store.find_keys_by_tag_value("a", "b"),
        lambda: store.get_tags("key"),
    ]
    for call in calls:
        with pytest.raises(S3KVError):
            call()


def test_refreshed_credentials_sign_the_next_read(
    faulty: Faulty, without_boto3: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = faulty(respond)
    client = client_of(server.url)
    frozen = client._boto.credentials()
    for key in ("first", "second"):
        monkeypatch.setattr(client._reads, "_credentials", lambda key=key: frozen._replace(access_key=key))
        client.search_tags(BUCKET, "name")
    signed_by = [one.headers["authorization"].split("=")[1].split("/")[0] for one in server.asked]
    assert signed_by == ["first", "second"]


@pytest.mark.parametrize(
    "url", ["http://host:99999", "http://host:port", "http://[::1", "http://:80", "//host", "host:80"]
)
def test_a_malformed_endpoint_is_a_value_error_that_names_it(url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL") as raised:
        client_of(url)
    assert url in str(raised.value)


@pytest.mark.parametrize("url", ["http://host:99999", "http://ho st", "http://[::1"])
def test_a_malformed_endpoint_of_the_environment_is_no_error_of_boto3(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    with pytest.raises((ValueError, S3KVError)) as raised:
        S3KV(None, BUCKET, "id", "secret", enable_local_cache=False).get("key")
    assert not type(raised.value).__module__.startswith("botocore")
