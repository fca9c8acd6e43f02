"""Answers that break off, fall silent, or are none of S3, and what becomes of the read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import (
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)
from tests.store.reads.conftest import BUCKET, client_of, impatient, store_of
from tests.support.faults import MODIFIED, Asked, FaultyServer, Respond, answer, chunked

Faulty = Callable[[Respond], FaultyServer]
Read = Callable[[S3KV], object]

ERROR = "<Error><Code>{}</Code><Message>no</Message></Error>"
TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
LISTING = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>s3kv/key.json</Key><Size>5</Size>"
    b'<ETag>"x"</ETag><LastModified>2026-11-23T08:00:00.000Z</LastModified></Contents></ListBucketResult>'
)
OBJECT = {"Last_Modified": MODIFIED, "ETag": '"x"', "Content_Type": "application/octet-stream"}
PAGE = b"<!DOCTYPE html><html><body><p>Log in<br></body></html>"

ANSWERS = {
    "a value": answer("200 OK", b"value", **OBJECT),
    "a value in a range": answer("206 Partial Content", b"value", Content_Range="bytes 0-4/5", **OBJECT),
    "a value in chunks": chunked("200 OK", b"value", **OBJECT),
    "no value": answer("404 Not Found", ERROR.format("NoSuchKey").encode()),
    "tags": answer("200 OK", TAGS),
    "no tags": answer("404 Not Found", ERROR.format("NoSuchKey").encode()),
    "a listing": answer("200 OK", LISTING),
}


def get(store: S3KV) -> object:
    return bytes(store.fetch("key").body or b"")


def absent(store: S3KV) -> object:
    with pytest.raises(KeyNotFoundError):
        store.client.open_object(BUCKET, "s3kv/key.json")
    return None


def tags(store: S3KV) -> object:
    return store.client.search_tags(BUCKET, "s3kv/key.json")


def names(store: S3KV) -> object:
    return [one.name for one in store.client.list_objects(BUCKET, "")]


READS: dict[str, tuple[Read, object]] = {
    "a value": (get, b"value"),
    "a value in a range": (get, b"value"),
    "a value in chunks": (get, b"value"),
    "no value": (absent, None),
    "tags": (tags, {"a": "b"}),
    "no tags": (tags, None),
    "a listing": (names, ["s3kv/key.json"]),
}


@pytest.mark.parametrize("what", READS)
def test_an_answer_that_is_cut_once_is_asked_for_again_wherever_it_is_cut(what: str, faulty: Faulty) -> None:
    data, (read, expected) = ANSWERS[what], READS[what]
    server = faulty(lambda _: data)
    store = store_of(server.url)
    for place in range(len(data)):
        server.forget()
        server.cut = lambda number, place=place: place if number == 0 else None  # type: ignore[misc]
        assert read(store) == expected, data[:place]


def places(data: bytes) -> list[int]:
    """Return one place within each line of the headers, and within the body."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    starts = [sum(len(line) + 2 for line in lines[:number]) for number in range(len(lines))]
    inside = [start + len(line) // 2 for start, line in zip(starts, lines, strict=True)]
    return [0, *inside, len(head) + 4, len(data) - max(len(body) // 2, 1)]


@pytest.mark.parametrize("what", READS)
def test_an_answer_that_is_always_cut_is_an_error_of_the_store(what: str, faulty: Faulty) -> None:
    data, (read, expected) = ANSWERS[what], READS[what]
    server = faulty(lambda _: data)
    store = store_of(server.url)
    for place in places(data):
        server.cut = lambda _, place=place: place  # type: ignore[misc]
        try:
            assert read(store) == expected, data[:place]
        except S3KVError as exc:
            assert isinstance(exc, StoreUnavailableError), data[:place]  # noqa: PT017  # either is right


def test_a_write_whose_answer_is_cut_is_sent_again(faulty: Faulty) -> None:
    """Its outcome is not known; what is sent again has the same outcome, or says that it was there."""
    data = answer("200 OK", b"", ETag='"0123456789"', x_amz_version_id="v")
    server = faulty(lambda _: data)
    client = client_of(server.url, boto_config={})
    for place in [place for place in places(data) if place < data.index(b"x-amz")]:  # a pause for each
        server.forget()
        server.cut = lambda number, place=place: place if number == 0 else None  # type: ignore[misc]
        written = client.put_object(BUCKET, "name", b"x", content_type="text/plain")
        assert written.etag == '"0123456789"', data[:place]


def test_a_value_that_is_always_cut_is_never_another_value(faulty: Faulty) -> None:
    server = faulty(lambda _: ANSWERS["a value"])
    store = store_of(server.url)
    for place in places(ANSWERS["a value"]):
        server.cut = lambda _, place=place: place  # type: ignore[misc]
        with pytest.raises(StoreUnavailableError):
            store.get("key")


@pytest.mark.parametrize("what", READS)
def test_an_answer_that_does_not_come_is_asked_for_again(what: str, faulty: Faulty) -> None:
    read, expected = READS[what]
    server = faulty(lambda _: ANSWERS[what])
    server.silent = {0}
    assert read(store_of(server.url, boto_config=impatient(read_timeout=0.2))) == expected
    assert len(server.asked) == 2


def test_a_large_body_that_breaks_off_is_continued_where_it_broke(faulty: Faulty) -> None:
    body = bytes(range(256)) * 1000

    def respond(asked: Asked) -> bytes:
        if "range" not in asked.headers:
            return answer("404 Not Found", ERROR.format("ObjectLockConfigurationNotFoundError").encode())
        start = int(asked.headers["range"].split("=")[1].split("-")[0])
        about = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return answer("206 Partial Content", body[start:], Content_Range=about, **OBJECT)

    server = faulty(respond)
    server.cut = lambda number: 100_000 if number == 0 else None
    assert bytes(store_of(server.url).fetch("key").body or b"") == body
    assert len(server.asked) == 2
    assert not server.asked[1].headers["range"].startswith("bytes=0-")


@pytest.mark.parametrize(
    "page", [PAGE, b"", b"<html/>", b"\xff\x00"], ids=["page", "nothing", "html", "bytes"]
)
def test_what_is_no_document_of_s3_is_an_error_and_no_answer(page: bytes, faulty: Faulty) -> None:
    server = faulty(lambda _: answer("200 OK", page))
    store = store_of(server.url)
    reads: list[Read] = [
        tags,
        names,
        lambda store: store.get_tags("key"),
        lambda store: store.versions("key"),
    ]
    for read in reads:
        with pytest.raises(StoreUnavailableError):
            read(store)


@pytest.mark.parametrize("page", [PAGE, b"", b"\xff\x00"], ids=["page", "nothing", "bytes"])
def test_what_is_once_no_document_of_s3_is_asked_for_again(page: bytes, faulty: Faulty) -> None:
    def respond(_: Asked) -> bytes:
        return answer("200 OK", page if len(server.asked) == 1 else TAGS)

    server = faulty(respond)
    assert tags(store_of(server.url)) == {"a": "b"}
    server.forget()
    assert store_of(server.url, boto_config={}).get_tags("key") == {"a": "b"}


def test_a_404_that_is_none_of_s3_is_no_missing_object(faulty: Faulty) -> None:
    """Also where the bucket has answered before, as in a search."""
    server = faulty(lambda asked: answer("200 OK", LISTING) if "list-type" in asked.target else missing)
    missing = answer("404 Not Found", PAGE)
    store = store_of(server.url)
    with pytest.raises(StoreUnavailableError, match="not of S3"):
        store.find_keys_by_tag_value("a", "b")
    with pytest.raises(StoreUnavailableError, match="not of S3"):
        store.get("key")


@pytest.mark.parametrize("code", ["NoSuchTagSet", "NoSuchTagSetError"])
def test_an_object_without_tags_has_none(code: str, faulty: Faulty) -> None:
    server = faulty(lambda _: answer("404 Not Found", ERROR.format(code).encode()))
    store = store_of(server.url)
    assert tags(store) == {}
    assert len(server.asked) == 1
    assert store.get_tags("key") == {}


def test_an_unknown_error_is_asked_once_more(faulty: Faulty) -> None:
    def respond(_: Asked) -> bytes:
        if len(server.asked) == 1:
            return answer("400 Bad Request", ERROR.format("SomethingElse").encode())
        return answer("200 OK", b"", ETag='"x"')

    server = faulty(respond)
    store = store_of(server.url)
    assert store.client.put_object(BUCKET, "name", b"x", content_type="text/plain").etag == '"x"'
    assert [one.method for one in server.asked] == ["PUT", "PUT"]
    server.respond = lambda _: answer("400 Bad Request", ERROR.format("SomethingElse").encode())
    with pytest.raises(UnsupportedByServerError, match="SomethingElse"):
        store.client.put_object(BUCKET, "name", b"x", content_type="text/plain")


def test_a_known_error_is_not_asked_again(faulty: Faulty) -> None:
    server = faulty(lambda _: answer("412 Precondition Failed", ERROR.format("PreconditionFailed").encode()))
    with pytest.raises(S3KVError):
        client_of(server.url).put_object(BUCKET, "name", b"x", content_type="text/plain", if_match='"y"')
    assert len(server.asked) == 1
