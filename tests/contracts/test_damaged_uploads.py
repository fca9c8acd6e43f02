"""What is damaged on its way to a server that verifies nothing gets neither a receipt nor a lock."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._objects.stored import is_stored
from s3kv_flows.store._objects.uploads import MULTIPART_FROM
from s3kv_flows.store._s3.bodies import Pieces
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Written
from s3kv_flows.store.errors import AccessDeniedError, CorruptValueError, StoreUnavailableError
from tests.contracts.helpers import WEEK, chain, excludes, finalize
from tests.servers import Server
from tests.support.proxy import CountingProxy

SENT, ARRIVED = "the sum is 3", "the sum is 7"


def flip(data: bytes) -> bytes:
    return data.replace(SENT.encode(), ARRIVED.encode())


def other_etags(data: bytes) -> bytes:
    """Answer as a server whose ETags are no digests of bodies."""
    return re.sub(rb'(?i)(etag: "?)[0-9a-f]{30}', rb"\g<1>" + b"0" * 30, data)


@pytest.fixture
def store(make_store: Callable[..., S3KV], proxy: CountingProxy) -> S3KV:
    store = make_store(object_lock=True, endpoint_url=proxy.url)
    store.add("warm", 0)
    store.add("warm", 1)
    excludes(store)
    return store


@pytest.fixture
def careless(server: Server) -> None:
    """Skip a test on servers that refuse a body whose SHA-256 is not the signed one."""
    if server.name != "moto":
        pytest.skip("this server may verify what it is sent")


PUBLISH: dict[str, Callable[[S3KV], object]] = {
    "finalize": lambda store: finalize(store, "key", SENT),
    "add with a retention": lambda store: store.add("key", SENT, retention=WEEK),
    "add with a hold": lambda store: store.add("key", SENT, legal_hold=True),
}


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("publish", PUBLISH.values(), ids=PUBLISH)
@pytest.mark.parametrize("etags", ["digests", "others"])
def test_a_damaged_output_is_taken_back(
    store: S3KV, proxy: CountingProxy, publish: Callable[[S3KV], object], etags: str
) -> None:
    with (
        proxy.editing(requests=flip, responses=other_etags if etags == "others" else None),
        pytest.raises(StoreUnavailableError, match="'key' was damaged on its way"),
    ):
        publish(store)
    assert chain(store) == []
    publish(store)
    assert store.get("key") == SENT


@pytest.mark.usefixtures("careless")
def test_what_a_damaged_output_was_to_supersede_stays(store: S3KV, proxy: CountingProxy) -> None:
    finalize(store, "key", "old")
    before = chain(store)
    with proxy.editing(requests=flip), pytest.raises(StoreUnavailableError, match="damaged"):
        finalize(store, "key", SENT, supersede=True)
    assert chain(store) == before
    assert store.get("key") == "old"


@pytest.mark.usefixtures("careless")
def test_a_damaged_output_that_cannot_be_deleted_is_reported(
    store: S3KV, proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise AccessDeniedError("may not bypass")

    monkeypatch.setattr(S3Client, "delete_object", denied)
    with proxy.editing(requests=flip), pytest.raises(CorruptValueError) as caught:
        finalize(store, "key", SENT)
    ((version_id, _, _),) = chain(store)
    assert f"version {version_id} is locked, and cannot be deleted" in str(caught.value)


def test_an_output_is_read_back_where_its_etag_is_no_digest(store: S3KV, proxy: CountingProxy) -> None:
    with proxy.counting() as wire:
        assert finalize(store, "one", SENT).outcome == "written"
    assert dict(wire.requests) == {"GET": 2, "PUT": 1, "HEAD": 1}
    with proxy.editing(responses=other_etags), proxy.counting() as wire:
        receipt = finalize(store, "two", SENT)
    assert receipt.outcome == "written"
    assert dict(wire.requests) == {"GET": 3, "PUT": 1, "HEAD": 1}


def test_a_locked_value_whose_writer_may_not_read_is_written(
    store: S3KV, proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise AccessDeniedError("may not read")

    monkeypatch.setattr(S3Client, "open_object", denied)
    with proxy.editing(responses=other_etags):
        store.add("key", SENT, retention=WEEK)
    assert len(chain(store)) == 1


def test_what_cannot_be_read_back_is_taken_back(
    store: S3KV, proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise StoreUnavailableError("503")

    monkeypatch.setattr(S3Client, "open_object", fails)
    with proxy.editing(responses=other_etags), pytest.raises(StoreUnavailableError, match="503"):
        finalize(store, "key", SENT)
    assert chain(store) == []


@pytest.mark.usefixtures("careless")
def test_an_unlocked_value_is_not_compared(store: S3KV, proxy: CountingProxy) -> None:
    """It can be written again, and its checksum shows the damage."""
    with proxy.editing(requests=flip):
        store.add("key", SENT)
    with pytest.raises(CorruptValueError):
        store.get("key")


def test_the_etag_of_an_upload_in_parts_is_recognized(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(codec="bytes", suffix="", endpoint_url=proxy.url)
    body = bytearray(MULTIPART_FROM + 1)
    body[-1] = 1
    written = store.add("key", bytes(body))
    target = (store.client, store.bucket_name, "s3kv/key")
    with proxy.counting() as wire:
        assert is_stored(*target, written, Pieces([body[:1000], body[1000:]]))
    assert wire.requests.total() == 0
    assert is_stored(*target, Written('"0"', written.version_id), body), "it is read back"
    body[-1] = 2
    assert not is_stored(*target, written, body)
