"""Bodies in pieces: parts and views of them, and the file that is sent."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store import body_file
from s3kv_flows.store.body_file import BodyFile, for_botocore
from s3kv_flows.store.digests import sha256_of
from s3kv_flows.store.memory import large_memory
from s3kv_flows.store.pieces import Pieces

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
        assert all(len(file.read(1)) <= block for _ in range(3))


def test_a_file_is_sent_from_the_memory_of_the_value() -> None:
    array = np.arange(MIB, dtype=np.uint64)
    file = for_botocore(Pieces([b"head", array.data]))
    assert isinstance(file, BodyFile)
    blocks = list(iter(lambda: file.read(16 << 10), b""))
    assert [len(block) for block in blocks] == [4, *[MIB] * 8]
    assert np.shares_memory(np.frombuffer(blocks[1], np.uint8), array)
    addresses = [np.frombuffer(block, np.uint8).ctypes.data for block in blocks[1:]]
    assert {later - earlier for earlier, later in pairwise(addresses)} == {MIB}


@pytest.mark.parametrize("body", [b"small", bytearray(b"small"), Pieces([b"sm", b"all"])])
def test_what_is_small_is_sent_as_bytes(body: bytes | bytearray | Pieces) -> None:
    assert for_botocore(body) == b"small"
