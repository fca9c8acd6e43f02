from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zstandard

from s3kv_flows.store._values.compression import CHUNK_BYTES
from s3kv_flows.store._values.frames import frames
from s3kv_flows.store._values.frames.frames import about, pack, unpack
from s3kv_flows.store.errors import CorruptValueError
from tests.support.frames import (
    CODEC,
    COMPRESSED,
    HEAD,
    format3,
    format4,
    repaired,
    with_head,
    with_header,
    with_sections,
)

FORMATS: dict[str, Callable[..., bytearray]] = {"format 3": format3, "format 4": format4}

BUFFERS = [b"stored as it is", bytes(5000), b""]
ABOUT = b"about the value"

OLD = base64.b64decode(
    "iVMzS1YNChoD4MSrFoHihD2LAAAAeyJjb2RlYyI6ImNsb3VkcGlja2xlIiwid3JpdGVfaWQiOiJjY2ZjODA5NTA4MjA0NWMxY2I2"
    "MWQyNWNkZGRkOTkzMyIsInNlY3Rpb25zIjpbWzE1LFtdXSxbNTAwMCxbMTldXSxbMCxbXV0sWzE1LFtdXV0sImFib3V0IjoxfSAg"
    "ICAgICAgICAgIHN0b3JlZCBhcyBpdCBpcwAotS/9YIgSTQAAEAAAAQCD0wMsAAAAAAAAAAAAAAAAAGFib3V0IHRoZSB2YWx1ZQA="
)
"""A frame that the last version with format 3 wrote of ``BUFFERS``."""


def read(body: bytearray, **options: Any) -> list[bytes]:
    return [bytes(view) for view in unpack(CODEC, body, **options)]


# --- what comes back ----------------------------------------------------------------------------------


def test_frames_of_older_versions_are_read() -> None:
    assert read(bytearray(OLD)) == BUFFERS
    assert about(bytearray(OLD)) == ABOUT


@pytest.mark.parametrize("made", FORMATS.values(), ids=FORMATS)
def test_what_is_framed_comes_back(made: Callable[..., bytearray]) -> None:
    large = (np.arange(2 * CHUNK_BYTES + 5) // 1000).astype("u1").tobytes()
    for buffers in ([], [b""], BUFFERS, [large, b"x" * 17, large[:1000]]):
        body = made(buffers, ABOUT)
        assert read(body) == buffers
        assert about(body) == ABOUT
        assert about(made(buffers)) == b""


def test_format_4_is_written_as_it_is_drawn() -> None:
    body = format4(BUFFERS, ABOUT)
    magic, version, flags, said, sections, write_id, length, _, codec = HEAD.unpack_from(body)
    assert (magic, version, flags, said, sections) == (frames.MAGIC, 4, 0, 1, 4)
    assert (length, codec) == (len(body), b"cloudpickle".ljust(16, b"\0"))
    assert write_id != HEAD.unpack_from(format4(BUFFERS, ABOUT))[5]
    assert repaired(body) == body
    assert len(body) % 16 == 0


def test_format_4_is_smaller_than_format_3() -> None:
    for buffers in ([b"x" * 100], [bytes(1000)] * 20, [bytes(CHUNK_BYTES + 1)] * 3):
        assert len(format4(buffers)) < len(format3(buffers))


def test_what_is_not_compressed_is_neither_copied_into_the_frame_nor_out_of_it() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 1 << 20, dtype="u1")
    chunks = pack(CODEC, [b"pickle", noise.data])
    views = [np.frombuffer(chunks.view(start, 1 << 21), "u1") for start in range(0, len(chunks), 1 << 16)]
    assert any(np.shares_memory(view, noise) for view in views)
    body = bytearray(bytes(chunks))
    back = np.frombuffer(unpack(CODEC, body)[1], "u1")
    assert np.shares_memory(back, np.frombuffer(body, "u1"))
    assert back.flags.writeable
    assert back.ctypes.data % 16 == np.frombuffer(body, "u1").ctypes.data % 16 == 0


@pytest.mark.parametrize("made", FORMATS.values(), ids=FORMATS)
def test_a_checksum_that_something_stronger_replaces_is_not_computed(made: Callable[..., bytearray]) -> None:
    body = made([b"value"], ABOUT)
    body[-16] ^= 1
    for reading in (about, lambda *args, **options: unpack(CODEC, *args, **options)):
        with pytest.raises(CorruptValueError, match="checksum"):
            reading(body)
    assert about(body, verify_checksum=False) != ABOUT
    assert read(body, verify_checksum=False) == [b"value"]


def test_what_is_about_a_value_is_read_without_the_value() -> None:
    body = format4([bytes(3 * CHUNK_BYTES)], ABOUT)
    body[128] ^= 0xFF  # within the first chunk, behind what it says of itself
    assert about(body, verify_checksum=False) == ABOUT
    with pytest.raises(CorruptValueError):
        read(body, verify_checksum=False)


@pytest.mark.parametrize("name", ["", "seventeen-letters", "über", "two words"])
def test_a_codec_that_has_no_room_in_the_head_is_refused_by_the_writer(name: str) -> None:
    with pytest.raises(ValueError, match="name of a codec"):
        pack(name, [b""])


# --- what is refused ----------------------------------------------------------------------------------

GOOD = format4([bytes(5000), b"noise"], ABOUT)
CHUNK = zstandard.ZstdCompressor(level=3).compress(bytes(1000))
NO_SIZE = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(1000))
WIDE = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters(window_log=27, write_content_size=True)
)
SKIPPED = b"\x50\x2a\x4d\x18" + (1000).to_bytes(4, "little")


def padded(chunk: bytes) -> bytes:
    return chunk + bytes(-len(chunk) % 16)


def wide() -> bytes:
    """Return a chunk of 1,000 bytes, whose decoder would need a window of 128 MiB."""
    compressor = WIDE.compressobj()
    chunk = compressor.compress(bytes(1000)) + compressor.flush()
    assert zstandard.get_frame_parameters(chunk).window_size == 128 << 20
    return chunk


def one_chunk(chunk: bytes, raw_size: int = 1000) -> bytearray:
    return with_sections([raw_size | COMPRESSED], [len(chunk)], padded(chunk))


def header(**fields: Any) -> str:
    return json.dumps({"codec": CODEC, "write_id": "0" * 32, "sections": [[5, []]]} | fields)


REFUSED_HEADS: dict[str, tuple[bytearray, str]] = {
    "a body without the magic is no frame": (bytearray(b"x" + GOOD[1:]), "not_a_frame"),
    "an empty body is no frame": (bytearray(), "not_a_frame"),
    "the magic alone is truncated": (GOOD[:8], "truncated"),
    "a head of 63 bytes is truncated": (GOOD[:63], "truncated"),
    "a head alone is truncated": (GOOD[:64], "truncated"),
    "a byte less is truncated": (GOOD[:-1], "truncated"),
    "a byte more is not read over": (GOOD + b"\0", "truncated"),
    "a length of 2**64 - 1 is not believed": (with_head(GOOD, length=2**64 - 1), "truncated"),
    "format 2 is not guessed at": (with_head(GOOD, version=2), "format"),
    "format 5 is not guessed at": (with_head(GOOD, version=5), "format"),
    "a flag of a later version is not ignored": (with_head(GOOD, flags=1), "format"),
    "one flipped bit shows": (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "checksum"),
    "a checksum of zero does not pass": (GOOD[:40] + bytes(8) + GOOD[48:], "checksum"),
    "a flipped bit in the write id shows": (GOOD[:16] + b"\xff" + GOOD[17:], "checksum"),
    "a frame without a codec is refused": (with_head(GOOD, codec=b""), "codec"),
    "a codec behind a NUL is refused": (with_head(GOOD, codec=b"cloud\0pickle"), "codec"),
    "a codec that is no ASCII is refused": (with_head(GOOD, codec=b"\xff" * 16), "codec"),
    "the frame of another codec is not read": (with_head(GOOD, codec=b"arrow"), "codec"),
    "two sections about the value are refused": (with_head(GOOD, about=2), "layout"),
    "more about the value than there is is refused": (with_sections([], about=1), "layout"),
    "a section less leaves bytes over": (with_head(GOOD, sections=2, about=0), "layout"),
    "a hundred thousand sections fit into no such body": (with_head(GOOD, sections=100_000), "layout"),
    "four billion sections are not counted": (with_head(GOOD, sections=2**32 - 1), "too_large"),
}

REFUSED_TABLES: dict[str, tuple[bytearray, str]] = {
    "a section that is not there is refused": (with_sections([5]), "layout"),
    "a section that is longer than the body is refused": (
        with_sections([17], rest=bytes(16)),
        "layout",
    ),
    "bytes that belong to no section are refused": (with_sections([5], rest=bytes(32)), "layout"),
    "padding that is missing is refused": (with_sections([5], rest=bytes(5)), "layout"),
    "a chunk of nothing is refused": (with_sections([COMPRESSED], rest=padded(CHUNK)), "layout"),
    "too few chunks are refused": (
        with_sections([CHUNK_BYTES + 1 | COMPRESSED], [len(CHUNK)], padded(CHUNK)),
        "decompress",
    ),
    "chunks without a table are refused": (with_sections([9 * CHUNK_BYTES | COMPRESSED]), "layout"),
    "a chunk that is longer than the body is refused": (
        with_sections([1000 | COMPRESSED], [2**32 - 1], padded(CHUNK)),
        "layout",
    ),
    "a chunk that is no zstd is refused": (one_chunk(b"no zstd at all"), "decompress"),
    "an empty chunk is refused": (with_sections([1000 | COMPRESSED], [0]), "decompress"),
    "a chunk of another size than its section is refused": (one_chunk(CHUNK, 999), "decompress"),
    "a chunk that does not say its size is refused": (one_chunk(NO_SIZE), "decompress"),
    "a chunk that wants a window of 128 MiB is refused": (one_chunk(wide()), "decompress"),
    "a chunk that is cut off is refused": (one_chunk(CHUNK[:-3]), "decompress"),
    "a chunk that zstd skips is refused": (one_chunk(SKIPPED), "decompress"),
    "a frame without a pickle is refused": (with_sections([]), "layout"),
}

REFUSED_HEADERS: dict[str, tuple[bytearray, str]] = {
    "a preamble alone is truncated": (format3()[:20], "truncated"),
    "one flipped bit in format 3 shows": (format3()[:-1] + b"\xff", "checksum"),
    "a header that is longer than the body is refused": (
        repaired(format3()[:17] + b"\xff\xff\xff\xff" + format3()[21:]),
        "layout",
    ),
    "a header without padding is refused": (
        repaired(bytearray(format3()[:17] + b"\x05\0\0\0[0,1]")),
        "layout",
    ),
    "a header that is no JSON is refused": (with_header("{[]"), "layout"),
    "a header that is a list is refused": (with_header("[[[]]]"), "layout"),
    "a header of 100,000 brackets is not parsed": (with_header("[" * 100_000), "layout"),
    "braces within are not parsed": (with_header(header(codec={})), "layout"),
    "brackets in a text do not pass for lists": (
        with_header('{"codec":"[[[]]]","sections":"","write_id":""}', bytes(16)),
        "layout",
    ),
    "a header that is no ASCII is refused": (with_header('{"codec":"ü","sections":[]}'), "layout"),
    "a field of a later version is not ignored": (with_header(header(more=1), bytes(16)), "layout"),
    "a header without sections is refused": (
        with_header('{"codec":"[]","write_id":"","about":0}'),
        "layout",
    ),
    "a header without a codec is refused": (with_header('{"sections":[[5,[]]]}', bytes(16)), "codec"),
    "a codec that is a number is refused": (with_header(header(codec=4), bytes(16)), "codec"),
    "another codec in format 3 is not read": (with_header(header(codec="json"), bytes(16)), "codec"),
    "a size below zero is refused": (with_header(header(sections=[[-5, []]]), bytes(16)), "layout"),
    "a size with a fraction is refused": (with_header(header(sections=[[5.0, []]]), bytes(16)), "layout"),
    "a size of 1e999 is refused": (with_header(header().replace("5,", "1e999,"), bytes(16)), "layout"),
    "a size that is NaN is refused": (with_header(header().replace("5,", "NaN,"), bytes(16)), "layout"),
    "a size of a thousand digits is not computed": (
        with_header(header().replace("5,", "5" * 1000 + ",")),
        "layout",
    ),
    "true is no size": (with_header(header(sections=[[True, []]]), bytes(16)), "layout"),
    "a text is no size": (with_header(header(sections=[["5", []]]), bytes(16)), "layout"),
    "null is no size": (with_header(header(sections=[[None, []]]), bytes(16)), "layout"),
    "true is no size of a chunk": (
        with_header(header(sections=[[1000, [True]]]), padded(CHUNK)),
        "layout",
    ),
    "a section of three is refused": (with_header(header(sections=[[5, [], 0]]), bytes(16)), "layout"),
    "a section of one is refused": (with_header('{"codec":"x","sections":[[[]]]}', bytes(16)), "layout"),
    "a count below zero is refused": (with_header(header(about=-1), bytes(16)), "layout"),
    "a count of nine sections of one is refused": (with_header(header(about=9), bytes(16)), "layout"),
    "a count in words is refused": (with_header(header(about="many"), bytes(16)), "layout"),
    "a count that is true is refused": (with_header(header(about=True), bytes(16)), "layout"),
    "a section that is not there in format 3 is refused": (with_header(header()), "layout"),
    "bytes over in format 3 are refused": (with_header(header(), bytes(32)), "layout"),
    "a chunk of format 3 that wants a wide window is refused": (
        with_header(header(sections=[[1000, [len(wide())]]]), padded(wide())),
        "decompress",
    ),
    "too many chunks in format 3 are refused": (
        with_header(header(sections=[[1000, [8, 8]]]), bytes(16)),
        "layout",
    ),
}

REFUSED = REFUSED_HEADS | REFUSED_TABLES | REFUSED_HEADERS


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_with_a_frame_is_refused_and_named(body: bytearray, reason: str) -> None:
    from s3kv_flows.store._values.codecs import CloudpickleCodec

    with pytest.raises(CorruptValueError) as caught:
        CloudpickleCodec().decode(body)
    assert caught.value.reason == reason


@pytest.mark.parametrize("made", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("checked", [True, False])
def test_no_part_of_a_frame_is_taken_for_the_whole(
    made: Callable[..., bytearray],
    checked: bool,  # noqa: FBT001
) -> None:
    body = made(BUFFERS, ABOUT)
    for length in range(len(body)):
        with pytest.raises(CorruptValueError):
            read(body[:length], verify_checksum=checked)
