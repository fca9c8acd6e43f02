"""Bodies that claim more memory than a value may take: nothing near to that is taken."""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from s3kv_flows.store._objects import value_limit
from s3kv_flows.store._objects.value_limit import VARIABLE, max_value_bytes
from s3kv_flows.store._values import compression
from s3kv_flows.store._values.compression import CHUNK_BYTES
from s3kv_flows.store._values.frames.frames import about, unpack
from s3kv_flows.store.errors import CorruptValueError
from tests.support.frames import CODEC, COMPRESSED, format4, with_header, with_sections

GIB = 1 << 30
LIMIT = GIB
COUNT = 2 * GIB // CHUNK_BYTES
ZEROS = zstandard.ZstdCompressor(level=3).compress(bytes(CHUNK_BYTES))


def hiding(size: int, declared: int) -> bytes:
    """Return a chunk of so many zeros, which declares another size (RFC 8878, 3.1.1.1)."""
    compressor = zstandard.ZstdCompressor(level=3).compressobj(size=size)
    block = bytes(1 << 20)
    chunk = bytearray(b"".join(compressor.compress(block) for _ in range(size >> 20)) + compressor.flush())
    single_segment = chunk[4] & 0x20
    struct.pack_into("<I", chunk, 5 if single_segment else 6, declared)  # the size of the content
    assert zstandard.get_frame_parameters(chunk).content_size == declared
    return bytes(chunk)


def two_gibibytes() -> bytearray:
    """Return a frame of 77 KB, whose chunks really are 2 GiB."""
    chunks = ZEROS * COUNT
    body = with_sections([2 * GIB | COMPRESSED], [len(ZEROS)] * COUNT, chunks + bytes(-len(chunks) % 16))
    assert len(body) < 90_000
    return body


def one_chunk(chunk: bytes, raw_size: int) -> bytearray:
    return with_sections([raw_size | COMPRESSED], [len(chunk)], chunk + bytes(-len(chunk) % 16))


def header(raw_size: int, chunks: list[int], times: int = 1) -> str:
    """Return a header of format 3."""
    return json.dumps({"codec": CODEC, "sections": [[raw_size, chunks]] * times}, separators=(",", ":"))


BOMBS: dict[str, tuple[Callable[[], bytearray], str]] = {
    "77 KB of 2 GiB are refused": (two_gibibytes, "too_large"),
    "a claim of 1e18 is refused": (lambda: with_sections([10**18]), "too_large"),
    "a compressed claim of 1e18 is refused": (lambda: with_sections([10**18 | COMPRESSED]), "too_large"),
    "sizes that add up to 2**64 are refused": (lambda: with_sections([2**63 - 1] * 4), "too_large"),
    "a chunk that hides 256 MiB is refused": (
        lambda: one_chunk(hiding(256 << 20, CHUNK_BYTES), CHUNK_BYTES),
        "decompress",
    ),
    "a chunk that declares 256 MiB is refused": (
        lambda: one_chunk(hiding(256 << 20, 256 << 20), CHUNK_BYTES),
        "decompress",
    ),
    "three million empty sections are refused": (lambda: with_sections([0] * 3_000_000), "too_large"),
    "a claim of 1e15 in format 3 is refused": (
        lambda: with_header(header(10**15, [])),
        "too_large",
    ),
    "2 GiB in format 3 are refused": (
        lambda: with_header(header(2 * GIB, [len(ZEROS)] * COUNT), ZEROS * COUNT),
        "too_large",
    ),
    "a header of 20 MB is refused": (lambda: with_header(header(0, [], times=3_000_000)), "too_large"),
}


@pytest.fixture
def allocated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Watch the memory that is taken for what decompresses."""
    sizes: list[int] = []
    allocate = compression._allocate

    def watched(size: int) -> memoryview:
        sizes.append(size)
        return allocate(size)

    monkeypatch.setattr(compression, "_allocate", watched)
    return sizes


@pytest.mark.parametrize(("make", "reason"), BOMBS.values(), ids=BOMBS)
def test_what_claims_too_much_is_refused_before_memory_is_taken(
    make: Callable[[], bytearray], reason: str, allocated: list[int]
) -> None:
    body = make()
    tracemalloc.start()
    try:
        with pytest.raises(CorruptValueError) as caught:
            unpack(CODEC, body, max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.reason == reason
    assert sum(allocated) <= CHUNK_BYTES


def explode() -> int:
    """Unpack all bombs; return by how many bytes the process grew at most."""
    bodies = [make() for make, _ in BOMBS.values()]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for body in bodies:
        with pytest.raises(CorruptValueError):
            unpack(CODEC, body, max_bytes=LIMIT)
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_the_process_does_not_grow_by_what_is_claimed() -> None:
    script = "from tests.store.test_bombs import explode; print(explode())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 48 << 20  # of what decompresses 4 MiB, in two threads


def test_the_limit_is_of_the_sum_and_not_of_each_section() -> None:
    body = format4([bytes(300), bytes(300), bytes(300)])
    assert len(unpack(CODEC, body, max_bytes=3 * (300 + 512))) == 3
    for read in (lambda **limit: unpack(CODEC, body, **limit), lambda **limit: about(body, **limit)):
        with pytest.raises(CorruptValueError, match=VARIABLE):
            read(max_bytes=3 * (300 + 512) - 1)


# --- the limit ----------------------------------------------------------------------------------------


def test_by_default_a_value_may_take_half_of_the_memory_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert 0 < max_value_bytes() <= value_limit._of_machine() // 2


def test_the_environment_sets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1000")
    with pytest.raises(CorruptValueError, match="a value may take 1000"):
        unpack(CODEC, format4([bytes(600)]))
    monkeypatch.setenv(VARIABLE, "2000")
    assert unpack(CODEC, format4([bytes(600)])) == [bytes(600)]


@pytest.mark.parametrize("text", ["4G", "-1", "0", "1e9", "9" * 30, "٣"])
def test_a_limit_that_is_no_number_is_not_guessed_at(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match=VARIABLE):
        max_value_bytes()


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/jobs/one\n", {"jobs/one/memory.max": "8000", "jobs/memory.max": "max"}, 8000),
        ("0::/jobs/one\n", {"jobs/one/memory.max": "8000", "jobs/memory.max": "6000"}, 6000),
        ("0::/jobs/one\n", {"memory.max": "7000"}, 7000),
        ("9:cpu,memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": "5000"}, 5000),
        ("9:cpu:/x\n", {"memory/x/memory.limit_in_bytes": "5000"}, None),
        ("", {}, None),
    ],
    ids=["own group", "group around it", "path of the host", "version 1", "no limit of memory", "no groups"],
)
def test_the_smallest_control_group_counts(
    own: str, files: dict[str, str], expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(value_limit, "_GROUPS", tmp_path)
    monkeypatch.setattr(value_limit, "_OWN_GROUPS", tmp_path / "own")
    assert min(value_limit._of_groups()) == (expected or value_limit._of_machine())
