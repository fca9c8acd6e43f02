"""The doctor tries what a pipeline does first, and says what stops it."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from s3kv_flows.cli import app
from s3kv_flows.cli._diagnosis import Feature, FeatureName, diagnose
from s3kv_flows.cli._doctor import show
from s3kv_flows.store import S3KV
from s3kv_flows.store._layout.keys import PROBE
from s3kv_flows.store._s3.capabilities import Atomicity, ConditionalPuts
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._s3.examination import Examination, examine
from s3kv_flows.store._s3.probes import PlainRequests
from s3kv_flows.store._s3.types import Written

Refuse = Callable[[BaseHTTPRequestHandler], "tuple[int, str] | None"]
"""What a server answers to a request: a status and a code; None where it does as asked."""

WHEN_REQUIRED = {"request_checksum_calculation": "when_required"}


@pytest.fixture(autouse=True)
def _one_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3kv_flows.store._s3.examination._RACES", 1)


@pytest.fixture
def refusing(s3_url: str, serving: Callable[[type[BaseHTTPRequestHandler]], str]) -> Callable[[Refuse], str]:
    """Start a server that refuses some requests and passes on the others; return its URL."""

    def start(refuse: Refuse) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if refusal := refuse(self):
                    status, code = refusal
                    answer = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                    headers = [("Content-Type", "application/xml")]
                else:
                    passed = http.client.HTTPConnection(urlsplit(s3_url).netloc)
                    passed.request(self.command, self.path, body, dict(self.headers))
                    response = passed.getresponse()
                    status, answer, headers = response.status, response.read(), response.getheaders()
                    passed.close()
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else answer)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer  # noqa: N815  # of the standard library

            def log_message(self, *_: object) -> None:
                pass

        return serving(Handler)

    return start


def has_checksum(request: BaseHTTPRequestHandler) -> bool:
    return any(name.lower().startswith(("x-amz-checksum", "x-amz-trailer")) for name in request.headers)


def refusal_of(*methods: str, code: str, status: int = 403) -> Refuse:
    return lambda request: (status, code) if request.command in methods else None


def refuse_checksums(request: BaseHTTPRequestHandler) -> tuple[int, str] | None:
    return (501, "NotImplemented") if request.command == "PUT" and has_checksum(request) else None


def refuse_reads(request: BaseHTTPRequestHandler) -> tuple[int, str] | None:
    reads = request.command == "GET" and PROBE in request.path.partition("?")[0]
    return (403, "AccessDenied") if reads else None


def examined(url: str, bucket: str, **options: Any) -> Examination:
    client = S3KV(url, bucket, config=S3Config(url, **options)).client
    return examine(client, bucket, "s3kv-results/", lease_prefix="s3kv-leases/")


def judged(found: Examination, name: FeatureName) -> Feature:
    (feature,) = [one for one in diagnose(found).features if one.name == name]
    return feature


@pytest.mark.parametrize(
    ("refuse", "why", "advice"),
    [
        (
            refuse_checksums,
            "with the checksums that boto3 adds",
            'boto_config={"request_checksum_calculation": "when_required"}',
        ),
        (refusal_of("PUT", "DELETE", code="AccessDenied"), "and not write to it", "grant s3:PutObject"),
        (refusal_of("PUT", code="AccessDenied"), "and not write to it", "grant s3:PutObject"),
        (refusal_of("PUT", code="QuotaExceeded"), "takes no more", "raise the quota"),
        (
            refusal_of("PUT", code="InvalidSomething", status=400),
            "every PUT fails: .*InvalidSomething",
            "make a plain PUT and GET work",
        ),
        (refuse_reads, "and not read it", "grant s3:GetObject"),
    ],
    ids=["checksums", "read-only keys", "keys that only delete", "quota", "anything else", "write-only keys"],
)
def test_what_refuses_plain_requests_is_no_cache(
    store: S3KV,
    refusing: Callable[[Refuse], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refuse: Refuse,
    why: str,
    advice: str,
) -> None:
    monkeypatch.setenv("S3_BUCKET", store.bucket_name)
    monkeypatch.setenv("S3_ENDPOINT_URL", refusing(refuse))
    assert app(["doctor", "--json"], result_action="return_value") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["bucket"]["puts"] is None, "nothing else is tried"
    for feature in said["features"]:
        if feature["name"] != "lifecycle":
            assert feature["verdict"] == "cannot work"
    cache = said["features"][0]
    assert re.search(why, cache["why"])
    assert advice in cache["advice"]
    assert list(store.client.list_versions(store.bucket_name, "")) == []


def test_bytes_that_come_back_otherwise_are_no_cache(store: S3KV, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from servers that store the chunks and trailers of a body with it."""
    written = S3Client.put_object

    def framed(self: S3Client, bucket: str, name: str, body: bytes, **options: Any) -> Written:
        bare = self.config.boto_config == WHEN_REQUIRED
        return written(self, bucket, name, body if bare else b"40\r\n" + body, **options)

    monkeypatch.setattr(S3Client, "put_object", framed)
    cache = judged(examined(store.client.server, store.bucket_name), "cache")
    assert cache.verdict == "cannot work"
    assert "when_required" in cache.advice


def test_a_setting_is_shown_in_full(
    store: S3KV, refusing: Callable[[Refuse], str], capsys: pytest.CaptureFixture[str]
) -> None:
    diagnosis = diagnose(examined(refusing(refuse_checksums), store.bucket_name))
    show(diagnosis, Console(width=80))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert 'set boto_config={"request_checksum_calculation": "when_required"}' in shown.splitlines()[-1]
    assert "PUT fails: NotImplemented" in shown


def test_with_the_setting_that_is_advised_it_works(store: S3KV, refusing: Callable[[Refuse], str]) -> None:
    url = refusing(refuse_checksums)
    assert judged(examined(url, store.bucket_name), "cache").verdict == "cannot work"
    found = examined(url, store.bucket_name, boto_config=WHEN_REQUIRED)
    assert judged(found, "cache").verdict == "works"


def test_keys_that_may_not_delete_leave_one_object(store: S3KV, refusing: Callable[[Refuse], str]) -> None:
    url = refusing(refusal_of("DELETE", code="AccessDenied"))
    for _ in range(2):
        cache = judged(examined(url, store.bucket_name), "cache")
        assert cache.verdict == "with limits"
        assert "s3:DeleteObject" in cache.advice
    (left,) = store.client.list_objects(store.bucket_name, "")
    assert left.size == 64
    assert store.list_keys() == []


def test_the_bucket_for_leases_has_to_take_them(store: S3KV) -> None:
    found = examined(store.client.server, store.bucket_name)
    refused = replace(found.bucket, plain=PlainRequests("PUT", "AccessDenied"))
    flight = judged(replace(found, lease_bucket=refused), "single-flight")
    assert (flight.verdict, flight.advice.split(",")[0]) == ("cannot work", "grant s3:PutObject")


def test_finalizing_is_judged_as_it_is_refused(locking_store: S3KV) -> None:
    found = examined(locking_store.client.server, locking_store.bucket_name)
    outcomes: tuple[Atomicity, ...] = ("sequential", "no")
    for create in outcomes:
        racing = replace(found.bucket, puts=ConditionalPuts(create, "atomic"))
        finalizing = judged(replace(found, bucket=racing), "finalizing")
        assert finalizing.verdict == "cannot work"
        assert "--accept-races" in finalizing.advice
        assert judged(replace(found, bucket=racing), "checkpoints").verdict == "cannot work"


@pytest.mark.parametrize("declared", [True, False])
def test_where_nothing_can_be_tried_it_goes_by_what_is_declared(
    locking_store: S3KV,
    monkeypatch: pytest.MonkeyPatch,
    declared: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    monkeypatch.setattr(S3Client, "has_default_retention", lambda *_: True)
    found = examined(locking_store.client.server, locking_store.bucket_name)
    if not declared:
        found = replace(found, declared_puts=None)
    assert judged(found, "finalizing").verdict == ("works" if declared else "cannot work")
    assert judged(found, "checkpoints").verdict == ("with limits" if declared else "cannot work")
    assert judged(found, "cache").verdict == "with limits"
