"""Large objects on a server with prepared answers: which object a range or an upload is of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3kv_flows.store._layout.marks import WRITE_ID
from s3kv_flows.store._objects.transfer import FIRST_BYTES, download, upload_in_parts
from s3kv_flows.store._s3.bodies import Pieces
from s3kv_flows.store._s3.types import Fetched, Written
from s3kv_flows.store.errors import StoreUnavailableError
from tests.store.reads.conftest import BUCKET, client_of
from tests.support.faults import MODIFIED, Asked, FaultyServer, Respond, answer

Faulty = Callable[[Respond], FaultyServer]

GONE = answer("404 Not Found", b"<Error><Code>NoSuchUpload</Code><Message>no</Message></Error>")
BEGUN = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"


def uploading(stored: str) -> Respond:
    """Return a server whose upload is gone when it is to be completed, with an object of some write."""

    def respond(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            about: dict[str, str | None] = {
                "ETag": '"x-1"',
                "Last_Modified": MODIFIED,
                f"x_amz_meta_{WRITE_ID}": stored,
            }
            return answer("200 OK", b"", **about)
        if asked.method == "PUT":
            return answer("200 OK", ETag='"0123456789abcdef0123456789abcdef"')
        return answer("200 OK", BEGUN) if asked.target.endswith("uploads") else GONE

    return respond


def upload(server: FaultyServer) -> Written:
    client = client_of(server.url)
    return upload_in_parts(
        client, BUCKET, "name", Pieces([b"body"]), content_type="text/plain", metadata={WRITE_ID: "ours"}
    )


def test_an_upload_that_is_gone_was_completed_where_the_object_has_its_write_id(faulty: Faulty) -> None:
    assert upload(faulty(uploading("ours"))).etag == '"x-1"'
    with pytest.raises(StoreUnavailableError, match="overwritten since"):
        upload(faulty(uploading("of another")))


def test_every_further_range_is_asked_of_the_same_object(faulty: Faulty) -> None:
    size = FIRST_BYTES + (2 << 20)

    def respond(asked: Asked) -> bytes:
        begin, end = map(int, asked.headers["range"].removeprefix("bytes=").split("-"))
        end = min(end, size - 1)
        where = {"Content_Range": f"bytes {begin}-{end}/{size}", "Last_Modified": MODIFIED}
        return answer("206 Partial Content", bytes(end + 1 - begin), ETag='"x"', **where)

    server = faulty(respond)
    found = download(client_of(server.url), BUCKET, "name")
    assert isinstance(found, Fetched)
    assert bytes(found.body or b"") == bytes(size)
    first, *others = server.asked
    assert "if-match" not in first.headers
    assert others
    assert {one.headers.get("if-match") for one in others} == {'"x"'}
