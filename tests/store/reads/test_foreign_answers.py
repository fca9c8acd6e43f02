"""Answers that are not of S3, or not whole, are no answers: of no operation."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
import xxhash

from s3kv_flows.store._s3.capabilities import KnownObjectLock
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.transport.direct.private import _watched
from s3kv_flows.store._s3.types import ObjectLock
from s3kv_flows.store.errors import KeyNotFoundError, S3KVError, StoreUnavailableError
from tests.store.reads.conftest import BUCKET, client_of, store_of
from tests.support.faults import MODIFIED, Asked, FaultyServer, Respond, answer

Faulty = Callable[[Respond], FaultyServer]

EMPTY = answer("200 OK")
PAGE = b"<!DOCTYPE html><html><body><p>Log in<br></body></html>"
LOCK = ObjectLock("GOVERNANCE", datetime(2999, 1, 1, tzinfo=timezone.utc))
ERROR = "<Error><Code>{}</Code><Message>no</Message></Error>"
WHERE = (BUCKET, "name")

CHANGES: dict[str, Callable[[S3Client], object]] = {
    "put": lambda client: client.put_object(*WHERE, b"x", content_type="text/plain"),
    "part": lambda client: client.upload_part(*WHERE, "id", 1, b"x"),
    "begin": lambda client: client.create_multipart_upload(*WHERE, content_type="text/plain"),
    "complete": lambda client: client.complete_multipart_upload(*WHERE, "id", []),
    "abort": lambda client: client.abort_multipart_upload(*WHERE, "id"),
    "copy": lambda client: client.copy_object(*WHERE, "other"),
    "delete": lambda client: client.delete_object(*WHERE),
    "delete many": lambda client: client.delete_objects(BUCKET, [("name", None, None)]),
    "tag": lambda client: client.put_tags(*WHERE, {"a": "b"}),
    "lock": lambda client: client.put_retention(*WHERE, LOCK),
    "hold": lambda client: client.put_legal_hold(*WHERE),
}

LOOKS: dict[str, Callable[[S3Client], object]] = {
    "head": lambda client: client.head_object(*WHERE),
    "get": lambda client: client.open_object(*WHERE),
    "hold": lambda client: client.get_legal_hold(*WHERE),
    "retention": lambda client: client.get_retention(*WHERE),
    "uploads": lambda client: list(client.list_multipart_uploads(BUCKET, "")),
}


@pytest.mark.parametrize("body", [b"", PAGE], ids=["empty", "a page"])
@pytest.mark.parametrize(
    "act", [*CHANGES.values(), *LOOKS.values()], ids=[*CHANGES, *(f"{x}?" for x in LOOKS)]
)
def test_a_success_of_something_else_is_none(
    act: Callable[[S3Client], object], body: bytes, faulty: Faulty
) -> None:
    server = faulty(lambda _: answer("200 OK", body, Content_Type="text/html"))
    with pytest.raises(StoreUnavailableError):
        act(client_of(server.url))


def test_a_page_for_a_missing_object_is_no_missing_object(faulty: Faulty) -> None:
    server = faulty(lambda _: answer("404 Not Found", b"", Content_Type="text/html"))
    with pytest.raises(StoreUnavailableError):
        client_of(server.url).head_object(*WHERE)
    server.respond = lambda _: answer("404 Not Found", b"", x_amz_request_id="1")
    client = client_of(server.url)
    client._boto.reached.add(BUCKET)
    with pytest.raises(KeyNotFoundError):
        client.head_object(*WHERE)
    server.respond = lambda _: answer("404 Not Found")
    with pytest.raises(StoreUnavailableError):
        client.head_object(*WHERE)


def test_a_lock_is_never_cut_off_with_the_headers(faulty: Faulty) -> None:
    locked = {"x_amz_object_lock_mode": "GOVERNANCE", "x_amz_object_lock_legal_hold": "ON"}
    data = answer("200 OK", b"", ETag='"x"', Last_Modified=MODIFIED, x_amz_version_id="v", **locked)
    server = faulty(lambda _: data)
    client = client_of(server.url)
    for place in range(1, len(data)):
        server.cut = lambda _, place=place: place  # type: ignore[misc]
        with pytest.raises(StoreUnavailableError):
            pytest.fail(f"{data[:place]!r}: {client.head_object(*WHERE)}")
    server.cut = lambda _: None
    assert client.head_object(*WHERE).legal_hold


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'<?xml version="1.0" encoding="UTF-9"?><a/>', LOOKS["retention"]),
        (b"<LegalHold><Status>OM</Status></LegalHold>", LOOKS["hold"]),
        (
            b"<ListBucketResult><IsTruncated>trud</IsTruncated></ListBucketResult>",
            lambda client: list(client.list_objects(BUCKET, "")),
        ),
        (
            b"<ListVersionsResult><IsTruncated>falsf</IsTruncated></ListVersionsResult>",
            lambda client: client.list_versions_of(*WHERE),
        ),
    ],
)
def test_a_damaged_document_is_no_other_answer(
    body: bytes, read: Callable[[S3Client], object], faulty: Faulty
) -> None:
    server = faulty(lambda _: answer("200 OK", body, x_amz_request_id="1"))
    with pytest.raises(StoreUnavailableError):
        read(client_of(server.url))


def test_an_error_in_an_unknown_encoding_is_an_error_of_the_store(faulty: Faulty) -> None:
    body = b'<?xml version="1.0" encoding="UTF-9"?>' + ERROR.format("NoSuchKey").encode()
    server = faulty(lambda _: answer("404 Not Found", body))
    with pytest.raises(S3KVError):
        client_of(server.url).get_tags(*WHERE)


def test_the_first_read_of_a_process_leaves_time_for_a_second_attempt(faulty: Faulty) -> None:
    server = faulty(lambda _: answer("200 OK", b"value", ETag='"x"', Last_Modified=MODIFIED))
    server.silent = {0}
    store = store_of(server.url, boto_config={}, operation_timeout_seconds=8)
    assert bytes(store.fetch("key").body or b"") == b"value"
    assert len(server.asked) == 2


def test_pauses_after_accidents_keep_within_the_time_limit(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3kv_flows.store._s3.transport.time.retries.random.random", lambda: 1.0)
    slept: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", slept.append)
    server = faulty(lambda _: EMPTY)
    server.cut = lambda _: 0
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        CHANGES["put"](client_of(server.url, boto_config={}, operation_timeout_seconds=0.5))
    assert slept
    assert max(slept) <= 0.25, time.monotonic() - began


def test_an_upload_that_the_lost_attempt_aborted_is_aborted(faulty: Faulty) -> None:
    server = faulty(lambda _: answer("404 Not Found", ERROR.format("NoSuchUpload").encode()))
    with pytest.raises(KeyNotFoundError):
        CHANGES["abort"](client_of(server.url, boto_config={}))
    server.forget()
    server.cut = lambda number: 0 if number == 0 else None
    CHANGES["abort"](client_of(server.url, boto_config={}))


def test_a_value_that_was_damaged_once_is_read_once_more(faulty: Faulty) -> None:
    def respond(_: Asked) -> bytes:
        body = b"value" if len(server.asked) > 1 else b"velue"
        marks = {"x_amz_meta_s3kv_xxh3": xxhash.xxh3_64_hexdigest(b"value"), "x_amz_meta_s3kv_codec": "bytes"}
        return answer("200 OK", body, ETag='"x"', Last_Modified=MODIFIED, **marks)

    server = faulty(respond)
    store = store_of(server.url)
    store.client.capabilities.remember(BUCKET, KnownObjectLock(object_lock=False))
    assert store.get("key") == b"value"
    assert len(server.asked) == 2


def test_what_follows_a_hundred_and_ends_early_is_no_endless_loop() -> None:
    class Connection:
        response_class = object

        def request(self, *_: object) -> None: ...

    class Pool:
        ConnectionCls = Connection

    class Lines:
        def readline(self) -> bytes:
            return b""

    watched = _watched(Pool, lambda _: None).ConnectionCls()
    with pytest.raises(ConnectionError):
        watched._consume_headers(Lines())
