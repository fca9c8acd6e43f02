"""Hash trees of bodies: one root whatever the pieces, the threads and their order."""

from __future__ import annotations

import hashlib
import random
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from s3kv_flows.store._s3.bodies import Pieces, large_memory
from s3kv_flows.store._seals import algorithms, tree
from s3kv_flows.store._seals.algorithms import ALGORITHMS, Algorithm, new_hasher, preferred_algorithm
from s3kv_flows.store._seals.tree import LEAF_BYTES, Leaves, root_of_body, root_of_leaves
from tests.store.seals.examples import MIB, chunks

LARGE = random.Random(7).randbytes(3 * MIB + MIB // 2)


def reference(algorithm: Algorithm, body: bytes, leaf: int = MIB) -> bytes:
    """Return the root, as the format says it, without any of the package's code."""

    def digest(data: bytes) -> bytes:
        return blake3(data).digest() if algorithm == "b3" else hashlib.sha256(data).digest()

    leaves = b"".join(digest(body[start : start + leaf]) for start in range(0, len(body), leaf))
    return digest(b"s3kv-flows root v1" + struct.pack("<QQ", len(body), leaf) + leaves)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, len(LARGE)])
def test_the_root_is_that_of_the_format(algorithm: Algorithm, size: int) -> None:
    assert root_of_body(algorithm, LARGE[:size]) == reference(algorithm, LARGE[:size])


@pytest.mark.parametrize(
    ("algorithm", "body", "root"),
    [
        ("b3", b"", "17035684e82daff9e8273da1b03933be12dd5616ae775841fb3af932b3771d4a"),
        ("b3", b"a value", "1b1f3efce660f884d06ea85eb41a4a5758bdb74733de8f2edc21f6b6b74d0c45"),
        ("b3", LARGE, "cf21c5e63ff178848cb23845179fe09db3c3e88b6dada2f05e372c1968e9c0fe"),
        ("s2", b"", "bbfb3d47624d48d824222610a2fbf77421ca9d93399065b65334b4d61daabfcd"),
        ("s2", b"a value", "bba98cfba6fe2092827609c3c654b8275e350edfe5c448146d09c32b2c00c759"),
        ("s2", LARGE, "e8d5068e2bb3acb66b4e6a6da7de383affdcc55dd79405b4fac71e255f7b0717"),
    ],
    ids=["b3-empty", "b3-small", "b3-large", "s2-empty", "s2-small", "s2-large"],
)
def test_roots_never_change(algorithm: Algorithm, body: bytes, root: str) -> None:
    assert root_of_body(algorithm, body).hex() == root


@given(st.lists(st.binary(max_size=20), max_size=8), st.sampled_from(ALGORITHMS), st.integers(1, 9))
def test_the_root_does_not_depend_on_the_pieces(
    buffers: list[bytes], algorithm: Algorithm, leaf: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "LEAF_BYTES", leaf)
        assert root_of_body(algorithm, Pieces(buffers)) == reference(algorithm, b"".join(buffers), leaf)


@given(st.data())
@settings(max_examples=60)
def test_ranges_in_any_order_give_the_root_of_the_whole(data: st.DataObject) -> None:
    body = data.draw(st.binary(max_size=60))
    leaf = data.draw(st.integers(1, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "LEAF_BYTES", leaf)
        inner = range(leaf, len(body), leaf)
        starts = sorted({0, *(data.draw(st.sets(st.sampled_from(inner))) if inner else ())})
        spans = list(zip(starts, [*starts[1:], len(body)], strict=True))
        leaves = Leaves("b3", len(body))
        for start, stop in data.draw(st.permutations(spans)):
            hasher = leaves.range_from(start)
            while hasher.position < stop:
                step = data.draw(st.integers(1, stop - hasher.position))
                hasher.update(body[hasher.position : hasher.position + step])
        assert leaves.is_complete
        assert root_of_leaves("b3", len(body), leaves.digests()) == reference("b3", body, leaf)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_threads_hash_their_ranges_as_bytes_arrive(algorithm: Algorithm) -> None:
    memory = large_memory(len(LARGE))
    memory[:] = LARGE
    leaves = Leaves(algorithm, len(LARGE))

    def read(start: int) -> None:
        hasher = leaves.range_from(start)
        sizes = random.Random(start).choices([1, 4097, 65_536, 300_000], k=1000)
        for part in chunks(memory[start : start + MIB], sizes):
            hasher.update(part)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, [3 * MIB, MIB, 0, 2 * MIB]))
    assert leaves.is_complete
    assert root_of_leaves(algorithm, len(LARGE), leaves.digests()) == reference(algorithm, LARGE)


def test_a_range_that_is_read_again_counts_as_it_was_last_read() -> None:
    leaves = Leaves("b3", 4)
    leaves.range_from(0).update(b"evil")
    leaves.range_from(0).update(b"good")
    assert root_of_leaves("b3", 4, leaves.digests()) == reference("b3", b"good")


def test_a_body_with_a_short_last_leaf_is_not_complete_without_it() -> None:
    leaves = Leaves("b3", MIB + 1)
    leaves.range_from(0).update(bytes(MIB))
    assert not leaves.is_complete
    leaves.range_from(MIB).update(b"!")
    assert leaves.is_complete


def test_a_leaf_that_broke_off_is_not_known() -> None:
    leaves = Leaves("b3", MIB)
    hasher = leaves.range_from(0)
    hasher.update(bytes(MIB - 1))
    assert not leaves.is_complete
    hasher.update(b"\0")
    assert leaves.is_complete


def test_a_length_that_differs_within_the_last_leaf_gives_another_root() -> None:
    digest = new_hasher("b3").digest()
    assert root_of_leaves("b3", 10, digest) != root_of_leaves("b3", 11, digest)


def test_32_bytes_are_kept_per_mebibyte() -> None:
    assert len(Leaves("b3", 5 * MIB + 1).digests()) == 6 * 32
    assert LEAF_BYTES == MIB


def test_ranges_begin_with_leaves_and_end_with_the_body() -> None:
    leaves = Leaves("b3", 3 * MIB)
    for start in (1, MIB - 1, -MIB, 4 * MIB):
        with pytest.raises(ValueError, match="begins at a multiple"):
            leaves.range_from(start)
    with pytest.raises(ValueError, match="more bytes than the body has"):
        leaves.range_from(2 * MIB).update(bytes(MIB + 1))


def test_arrays_are_hashed_by_their_bytes() -> None:
    numbers = memoryview(bytearray(range(64))).cast("Q")
    leaves = Leaves("b3", 64)
    leaves.range_from(0).update(numbers)
    assert leaves.digests() == blake3(bytes(range(64))).digest()


def test_without_blake3_new_seals_take_sha_256_and_old_ones_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert preferred_algorithm() == "b3"
    monkeypatch.setattr(algorithms, "_blake3", None)
    assert preferred_algorithm() == "s2"
    assert root_of_body("s2", b"a value") == reference("s2", b"a value")
    with pytest.raises(ModuleNotFoundError, match="pip install blake3"):
        Leaves("b3", 1)
