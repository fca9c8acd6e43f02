"""Scatter bodies: parts and views of them, and the file that is sent."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._s3 import bodies as body_file
from s3kv_flows.store._s3.bodies import BodyFile, Pieces, for_botocore, large_memory
from s3kv_flows.store._s3.clients import new_client
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._values.codecs import CloudpickleCodec
from s3kv_flows.store._values.digests import sha256_of

MIB = 1 << 20
BUFFERS = st.lists(st.binary(max_size=9), max_size=6)


@given(BUFFERS, st.integers(0, 60), st.integers(0, 60))
def test_parts_are_those_of_the_whole(buffers: list[bytes], start: int, stop: int) -> None:
    pieces, whole = Pieces(buffers), b"".join(buffers)
    assert (len(pieces), bytes(pieces)) == (len(whole), whole)
    assert bytes(pieces.part(start, stop)) == whole[start:stop]
    assert bytes(pieces.copy_to(large_memory(len(whole) + 1)[: len(whole)])) == whole
    assert sha256_of(pieces) == hashlib.sha256(whole).hexdigest()


@given(BUFFERS, st.integers(0, 60), st.integers(1, 60))
def test_a_view_ends_where_its_buffer_does(buffers: list[bytes], start: int, size: int) -> None:
    whole = b"".join(buffers)
    view = Pieces(buffers).view(start, size)
    assert whole[start:].startswith(view)
    assert len(view) <= size
    assert len(view) > 0 or start >= len(whole)


@given(BUFFERS, st.integers(1, 5), st.integers(0, 60))
def test_a_file_of_them_is_read_whole_from_anywhere(buffers: list[bytes], block: int, start: int) -> None:
    whole = b"".join(buffers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body_file, "_BLOCK", block)
        file = BodyFile(Pieces(buffers))
        assert b"".join(iter(lambda: file.read(1), b"")) == whole
        assert file.seek(0, io.SEEK_END) == len(file) == file.tell() == len(whole)
        assert file.seek(min(start, len(whole))) == file.tell()
        assert file.read() == whole[start:]
        assert file.read() == b""
        assert file.seek(0) == 0
        sizes = [len(one) for one in iter(lambda: file.read(1), b"")]
        assert all(size == block for size in sizes[:-1]), "S3 takes small chunks at the end alone"


def test_a_file_is_sent_from_the_memory_of_the_value() -> None:
    array = np.arange(MIB, dtype=np.uint64)
    file = for_botocore(Pieces([b"head", array.data]))
    assert isinstance(file, BodyFile)
    blocks = list(iter(lambda: file.read(16 << 10), b""))
    assert [len(block) for block in blocks] == [*[MIB] * 8, 4]
    for block in blocks[1:]:  # the first lies in two buffers
        assert np.shares_memory(np.frombuffer(block, np.uint8), array)


def test_over_https_all_chunks_but_the_last_are_large() -> None:
    class SentError(Exception):
        """What keeps the request from the network."""

    sent: list[bytes] = []

    def hold(request: Any, **_: Any) -> None:
        assert request.headers["X-Amz-Content-SHA256"] == b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        sent.append(request.body.read())
        raise SentError

    config = S3Config("https://s3.us-east-1.amazonaws.com", "us-east-1", "key", "secret")
    client = new_client(config)
    client._boto.client.meta.events.register("before-send.s3", hold)
    dice = np.random.default_rng(0)
    rows = [dice.random(5000) for _ in range(100)]  # with small buffers in between
    body = CloudpickleCodec().encode(rows)
    with pytest.raises(SentError):
        client.put_object("bucket", "key", body, content_type="x")
    sizes, rest = [], sent[0]
    while size := int(rest.partition(b"\r\n")[0], 16):
        sizes.append(size)
        rest = rest.partition(b"\r\n")[2][size + 2 :]
    assert len(sizes) > 3
    assert sum(sizes) == len(body)
    assert min(sizes[:-1]) >= 8192


@pytest.mark.parametrize("body", [b"small", bytearray(b"small"), Pieces([b"sm", b"all"])])
def test_what_is_small_is_sent_as_bytes(body: bytes | bytearray | Pieces) -> None:
    assert for_botocore(body) == b"small"
