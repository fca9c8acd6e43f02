"""Small reads on connections that are open: signed and sent as botocore does, in less time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import botocore.auth
import pytest
import time_machine
import urllib3
from botocore.credentials import ReadOnlyCredentials

from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.transport.direct import kept
from s3kv_flows.store._s3.transport.direct.signing import Template
from tests.store.reads.conftest import BUCKET, client_of
from tests.support.faults import Asked, FaultyServer, Respond, answer, chunked

Faulty = Callable[[Respond], FaultyServer]

TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
NAMES = ["", "name", "a b", "100%", "a+b", "ä/ö", "💾", "..", "a/../b", "//two", "a&b=c", "tilde~", "'\"*()"]
QUERIES: list[dict[str, str]] = [
    {},
    {"tagging": ""},
    {"versionId": "v+/=1", "tagging": ""},
    {"list-type": "2", "prefix": "a b/ä~", "encoding-type": "url", "continuation-token": "x=="},
]
HEADERS: list[dict[str, str]] = [{}, {"Range": "bytes=0-1"}, {"If-Match": '"a  b"', "If-None-Match": "*"}]
DAY = "2026-11-23 08:00:00"


def of_day(*, key: str = "id", token: str | None = None) -> Any:
    return ReadOnlyCredentials(key, "secret/+", token)


def template(client: S3Client, operation: str = "GetObject") -> Template:
    found = client._reads._templates.of(operation, BUCKET)
    assert found is not None
    return found


def sent(found: Template, *request: Any, by: str = "request") -> dict[str, str]:
    made = getattr(found, by)(*request)
    return {name.lower(): value for name, value in made.headers.items()} | {"url": made.url}


@pytest.mark.parametrize("token", [None, "token+/="])
@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://127.0.0.1:9000/behind/here", {}),
        (None, {"region_name": "eu-west-1"}),
        (None, {"boto_config": {"s3": {"payload_signing_enabled": False}}}),
    ],
)
def test_each_signature_is_botocores(url: str | None, options: dict[str, Any], token: str | None) -> None:
    credentials = of_day(token=token)
    with time_machine.travel(DAY, tick=False):
        found = template(client_of(url, **options))
        for name, query, headers in itertools.product(NAMES, QUERIES, HEADERS):
            request = credentials, name, query, headers
            assert sent(found, *request) == sent(found, *request, by="_signed_by_botocore")
        assert found._key is not None
        assert found._key.key is not None, "botocore did not sign"


def test_other_credentials_and_another_day_have_other_signatures() -> None:
    found = template(client_of("http://127.0.0.1:9000"))
    signed = set()
    for day, key in itertools.product((DAY, "2026-11-24 00:00:00"), ("one", "two")):
        with time_machine.travel(day, tick=False):
            ours, theirs = (
                sent(found, of_day(key=key), "name", {}, {}, by=by)
                for by in ("request", "_signed_by_botocore")
            )
        assert ours == theirs
        signed.add(ours["authorization"])
    assert len(signed) == 4


def test_where_botocore_signs_otherwise_it_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another version of it may do."""
    original = botocore.auth.S3SigV4Auth.canonical_request
    monkeypatch.setattr(
        botocore.auth.S3SigV4Auth, "canonical_request", lambda self, request: original(self, request) + "\n"
    )
    with time_machine.travel(DAY, tick=False):
        found = template(client_of("http://127.0.0.1:9000"))
        request: tuple[Any, ...] = (of_day(), "name", {}, {})
        assert sent(found, *request) == sent(found, *request, by="_signed_by_botocore")


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the requests that botocore's session sends."""
    urls: list[str] = []
    original = botocore.httpsession.URLLib3Session.send

    def send(self: Any, request: Any) -> Any:
        urls.append(request.url)
        return original(self, request)

    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", send)
    return urls


def read_tags(client: S3Client, times: int = 3) -> None:
    for _ in range(times):
        assert client.search_tags(BUCKET, "name") == {"a": "b"}


@pytest.mark.parametrize("make", [answer, chunked])
def test_the_session_opens_a_connection_which_is_used_again(
    make: Callable[..., bytes], faulty: Faulty, sends: list[str]
) -> None:
    server = faulty(lambda _: make("200 OK", TAGS))
    read_tags(client_of(server.url))
    assert (len(server.asked), server.connections, len(sends)) == (3, 1, 1)
    first, *others = ({**one.headers, "authorization": "", "x-amz-date": ""} for one in server.asked)
    assert others == [first] * 2, "what is sent does not depend on the way"


def test_a_connection_that_the_server_will_close_is_not_used_again(faulty: Faulty, sends: list[str]) -> None:
    server = faulty(lambda _: answer("200 OK", TAGS, Connection="close"))
    read_tags(client_of(server.url))
    assert (server.connections, len(sends)) == (3, 3)


def test_behind_a_proxy_the_session_sends(faulty: Faulty, sends: list[str]) -> None:
    proxy = faulty(lambda _: answer("200 OK", TAGS))
    config = {"proxies": {"http": proxy.url}, "retries": {"total_max_attempts": 1}}
    read_tags(client_of("http://s3.example.com", boto_config=config))
    assert len(sends) == 3
    assert {one.target.split("?")[0] for one in proxy.asked} == {f"http://s3.example.com/{BUCKET}/name"}


def test_who_stands_around_the_requests_of_urllib3_misses_none(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, seen = faulty(lambda _: answer("200 OK", TAGS)), list[str]()
    client = client_of(server.url)
    read_tags(client)
    original = urllib3.HTTPConnectionPool.urlopen

    def around(self: Any, method: str, *args: Any, **options: Any) -> Any:
        seen.append(method)
        return original(self, method, *args, **options)

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", around)
    read_tags(client)
    assert seen == ["GET"] * 3


def test_a_header_that_came_twice_has_both_values(faulty: Faulty) -> None:
    twice = answer("200 OK", b"value", ETag='"x"', x_amz_meta_a="1").replace(
        b"x-amz-meta-a: 1\r\n", b"x-amz-meta-a: 1\r\nX-Amz-Meta-A: 2\r\n"
    )
    client = client_of(faulty(lambda _: twice).url)
    for _ in range(2):
        opened = client.open_object(BUCKET, "name")
        assert opened.info.metadata == {"a": "1, 2"}  # type: ignore[union-attr]
        opened.leave()  # type: ignore[union-attr]


def test_a_header_of_several_lines_is_not_sent() -> None:
    for value in ("a\r\nb: c", "a\nb", "a\rb"):
        with pytest.raises(ValueError, match="several lines"):
            kept._head("/", {"name": value})


def test_a_refusal_is_read_to_its_end(faulty: Faulty) -> None:
    missing = answer("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>")

    def respond(asked: Asked) -> bytes:
        return missing if "missing" in asked.target else answer("200 OK", TAGS)

    server = faulty(respond)
    client = client_of(server.url)
    for _ in range(3):
        assert client.search_tags(BUCKET, "missing") is None
        read_tags(client, 1)
    assert server.connections == 1
