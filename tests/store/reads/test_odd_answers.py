"""Answers that differ from those of S3, and can be read all the same; or what is refused, with a reason."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.transport.direct.documents import parse_page, parse_tags
from s3kv_flows.store.errors import S3KVError, StoreUnavailableError, UnsupportedByServerError
from tests.store.reads.conftest import BUCKET, client_of, store_of
from tests.support.faults import MODIFIED, Asked, FaultyServer, Respond, answer, chunked

Faulty = Callable[[Respond], FaultyServer]

VALUE = b"value"
USUAL = {"Last_Modified": MODIFIED, "ETag": '"x"'}
ZIPPED = gzip.compress(VALUE)

ODD: dict[str, bytes] = {
    "no length": chunked("200 OK", VALUE, **USUAL),
    "a range without a length": chunked("206 Partial Content", VALUE, Content_Range="bytes 0-4/5", **USUAL),
    "no date": answer("200 OK", VALUE, ETag='"x"'),
    "no ETag": answer("200 OK", VALUE, Last_Modified=MODIFIED),
    "a weak ETag": answer("200 OK", VALUE, Last_Modified=MODIFIED, ETag='W/"x"'),
    "compressed": answer("200 OK", ZIPPED, Content_Encoding="gzip", **USUAL),
    "compressed, no length": chunked("200 OK", ZIPPED, Content_Encoding="gzip", **USUAL),
    "as it was uploaded": answer("200 OK", VALUE, Content_Encoding="aws-chunked", **USUAL),
}


@pytest.fixture(params=[True, False], ids=["directly", "by boto3"])
def reading(request: pytest.FixtureRequest, faulty: Faulty) -> Callable[[Respond], S3KV]:
    """Make stores that read in one way or the other."""

    def make(respond: Respond) -> S3KV:
        store = store_of(faulty(respond).url)
        if not request.param:
            store.client._reads._session = None
        return store

    return make


def found(store: S3KV) -> bytes:
    return bytes(store.fetch("key").body or b"")


@pytest.mark.parametrize("data", ODD.values(), ids=list(ODD))
def test_what_can_be_read_is_read(data: bytes, reading: Callable[[Respond], S3KV]) -> None:
    assert found(reading(lambda _: data)) == VALUE


@pytest.mark.parametrize("etag", [None, 'W/"x"'])
def test_a_large_object_without_a_strong_etag_is_read_in_one_piece(
    etag: str | None, reading: Callable[[Respond], S3KV]
) -> None:
    body = bytes(range(256)) * (80 << 10)  # 20 MiB

    def respond(asked: Asked) -> bytes:
        assert "if-match" not in asked.headers
        headers = {"Last_Modified": MODIFIED, "ETag": etag}
        if "range" not in asked.headers:
            return answer("200 OK", body, **headers)
        start, stop = map(int, asked.headers["range"].removeprefix("bytes=").split("-"))
        about = f"bytes {start}-{stop}/{len(body)}"
        return answer("206 Partial Content", body[start : stop + 1], Content_Range=about, **headers)

    assert found(reading(respond)) == body


@pytest.mark.parametrize("etag", ["", 'W/"x"'])
def test_a_condition_that_no_server_can_hold_is_refused_with_the_reason(etag: str, faulty: Faulty) -> None:
    server = faulty(lambda _: answer("200 OK"))
    client = client_of(server.url)
    writes: list[Callable[[], object]] = [
        lambda: client.put_object(BUCKET, "name", b"", content_type="text/plain", if_match=etag),
        lambda: client.delete_object(BUCKET, "name", if_match=etag),
        lambda: client.copy_object(BUCKET, "name", "other", source_etag=etag),
    ]
    for write in writes:
        with pytest.raises(UnsupportedByServerError, match="strong"):
            write()
    with pytest.raises(StoreUnavailableError, match="strong"):
        client.open_object(BUCKET, "name", if_match=etag, byte_range=(5, 10))
    assert server.asked == []


def test_what_is_compressed_as_nobody_can_read_it_is_refused(reading: Callable[[Respond], S3KV]) -> None:
    for data in (
        answer("200 OK", VALUE, Content_Encoding="br", **USUAL),
        answer("200 OK", VALUE, Content_Encoding="gzip", **USUAL),
        answer("200 OK", ZIPPED[:-3], Content_Encoding="gzip", **USUAL),
    ):
        with pytest.raises(StoreUnavailableError):
            found(reading(lambda _, data=data: data))  # type: ignore[misc]


def test_a_malformed_length_is_an_error_of_the_store(reading: Callable[[Respond], S3KV]) -> None:
    with pytest.raises(S3KVError):
        found(reading(lambda _: answer("200 OK", VALUE, Content_Length="many", **USUAL)))


def test_an_answer_that_nothing_says_the_end_of_is_not_believed(reading: Callable[[Respond], S3KV]) -> None:
    """Headers that broke off look like that, and the object as if it were empty."""
    with pytest.raises(StoreUnavailableError, match="headers broke off"):
        found(reading(lambda _: answer("200 OK", b"", Content_Length=None, Connection="close", **USUAL)))


def test_a_lease_whose_age_is_unknown_is_refused(faulty: Faulty) -> None:
    from s3kv_flows.store._leases.records import LeaseRecord, read_record

    record = LeaseRecord("me", "here", 30, 1, "token")
    server = faulty(lambda _: answer("200 OK", record.to_json(), ETag='"x"'))
    with pytest.raises(UnsupportedByServerError, match="no Last-Modified"):
        read_record(client_of(server.url), BUCKET, "lease")


def test_a_damaged_lease_is_read_once_more(faulty: Faulty) -> None:
    from s3kv_flows.store._leases.records import LeaseRecord, read_record

    record = LeaseRecord("me", "here", 30, 1, "token")
    right = answer("200 OK", record.to_json(), **USUAL)
    server = faulty(lambda _: right.replace(b'"number"', b'"numbe\x12"') if len(server.asked) == 1 else right)
    stored = read_record(client_of(server.url), BUCKET, "lease")
    assert stored is not None
    assert stored.record == record
    assert len(server.asked) == 2


# --- documents ----------------------------------------------------------------------------------------


def page(**elements: str) -> bytes:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    return f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</ListBucketResult>'.encode()


def test_names_in_a_listing_are_decoded_where_the_server_encodes_them() -> None:
    item = "<Key>a%2Bb+c%25</Key><LastModified>2026-11-23T08:00:00Z</LastModified>"
    assert parse_page(page(Contents=item)).objects[0].name == "a%2Bb+c%25"
    assert parse_page(page(EncodingType="url", Contents=item)).objects[0].name == "a+b c%"


@pytest.mark.parametrize(
    "item",
    [
        "<Key>a</Key>",
        "<LastModified>2026-11-23T08:00:00Z</LastModified>",
        "<Key>a</Key><LastModified>yesterday</LastModified>",
        "<Key>a</Key><LastModified>2026-11-23T08:00:00</LastModified>",
        "<Key>a</Key><Size>many</Size><LastModified>2026-11-23T08:00:00Z</LastModified>",
    ],
)
def test_a_listing_that_lacks_what_plans_need_is_not_believed(item: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_page(page(Contents=item))


def test_a_listing_is_the_same_as_by_boto3(store: S3KV) -> None:
    keys = ["a b", "100%", "a+b", "ä/ö", "💾", "a&b=c", "tilde~", "'\"*()", "z"]
    store.add_many(dict.fromkeys(keys, 1))
    client = store.client
    directly = list(client.list_objects(store.bucket_name, "s3kv/"))
    by_boto3 = client._list({"Bucket": store.bucket_name, "Prefix": "s3kv/"}).objects
    assert directly == by_boto3
    assert len(directly) == len(keys)
    after = list(client.list_objects(store.bucket_name, "s3kv/", start_after=directly[3].name))
    assert after == directly[4:]


def test_tags_without_a_key_are_none_of_s3() -> None:
    inner: Any = "<TagSet><Tag><Value>b</Value></Tag></TagSet>"
    with pytest.raises(ValueError, match="no key"):
        parse_tags(f"<Tagging>{inner}</Tagging>".encode())


def test_no_body_of_s3_itself_is_no_tags(faulty: Faulty) -> None:
    """As Ceph 16 answers for a version without tags."""
    store = store_of(faulty(lambda _: answer("200 OK", x_amz_request_id="1")).url)
    assert store.client.search_tags(BUCKET, "name") == {}
    assert store.get_tags("key") == {}
