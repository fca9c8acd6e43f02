"""Values <-> bytes.

Three codecs: JSON, bare, as ``s3kv`` 0.1.5 wrote it; bytes, as they are; and cloudpickle in a frame::

    magic      8 bytes   not JSON and not UTF-8, so that nobody takes a frame for a text
    version    1 byte
    checksum   8 bytes   XXH3-64 of all that follows, little endian
    length     4 bytes   of the header, little endian
    header     JSON      codec, write id, and of each section: stored size, raw size, compressed?
    sections             the pickle (protocol 5), then its out-of-band buffers, each aligned

The buffers of arrays are taken as they are, without a copy, and come back as writable views of the
downloaded bytes (PEP 574). A section is compressed with zstd where a sample of it says that it pays. The
write id is random: two writes of equal values have different ETags. The checksum is verified before
anything is unpickled; it guards against accidents, not against an attacker. XXH3 takes it at the speed
of memory, where the CRC-32 of zlib takes as long as a fast wire does.
"""

from __future__ import annotations

import json
import pickle
import secrets
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import cloudpickle
import xxhash
import zstandard

from s3kv_flows.store.errors import CorruptValueError, EncodingError
from s3kv_flows.store.pieces import Body, Buffer, Pieces

__all__ = ["CODECS", "BytesCodec", "CloudpickleCodec", "Codec", "JsonCodec", "codec_named", "is_frame"]

MAGIC = b"\x89S3KV\r\n\x1a"
_VERSION = 2
_PREAMBLE = struct.Struct("<8sBQ")
_LENGTH = struct.Struct("<I")
_HEADER_AT = _PREAMBLE.size + _LENGTH.size
_ALIGNMENT = 16  # what numpy calls aligned, for every type it has

_SAMPLE_BYTES = 64 * 1024
_SAMPLES = 3
_WORTH = 0.9  # compress where a sample shrinks to this fraction, or below
_LEVEL = 3


class Codec(Protocol):
    """How values of one kind become the body of an object."""

    @property
    def name(self) -> str:
        """What users and frames call it."""

    @property
    def content_type(self) -> str:
        """What the object is labelled with."""

    def encode(self, value: Any) -> Body:
        """Return the body; one in :class:`Pieces` may view the value, and is sent at once.

        Raises:
            EncodingError: This codec cannot hold the value so that it comes back as it was put.
        """

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value; the body may be viewed by it, and belongs to it.

        Args:
            body: Writable; a bytearray up to 17 MiB, a memoryview above.

        Raises:
            CorruptValueError: The body is damaged, or no codec of this kind wrote it.
        """


class JsonCodec:
    """Bare JSON, readable by any tool."""

    name = "json"
    content_type = "application/json"

    def encode(self, value: Any) -> bytes:
        """Return the value as JSON.

        JSON would turn tuples into lists and the keys of dicts into texts, without a word. Such
        values are refused: what was put would not come back.
        """
        try:
            text = json.dumps(value, allow_nan=False)
            same = json.loads(text) == value
        except (TypeError, ValueError, RecursionError) as exc:
            raise EncodingError(f"JSON cannot hold this value: {exc}") from exc
        if not same:
            raise EncodingError(
                "JSON would change this value (a tuple, or a key that is no str?): "
                "use codec='cloudpickle', or give lists and texts"
            )
        return text.encode()

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value of a JSON text."""
        if is_frame(body):
            raise CorruptValueError("this is a frame of another codec, not JSON")
        try:
            return json.loads(bytes(body))
        except (ValueError, RecursionError) as exc:
            raise CorruptValueError(f"this is not JSON: {exc}") from exc


class CloudpickleCodec:
    """Any value that cloudpickle takes, in a frame with a checksum."""

    name = "cloudpickle"
    content_type = "application/x-s3kv-cloudpickle"

    def encode(self, value: Any) -> Pieces:
        """Return the frame of a value, which views the value's own buffers."""
        buffers: list[pickle.PickleBuffer] = []
        try:
            stream = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as exc:
            raise EncodingError(f"cloudpickle cannot hold this {type(value).__name__}: {exc}") from exc
        return _frame(self.name, [stream, *(buffer.raw() for buffer in buffers)])

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value of a frame, verified before it is unpickled."""
        stream, *buffers = _sections(self.name, body)
        try:
            return pickle.loads(stream, buffers=buffers)  # noqa: S301  # verified; results are trusted
        except Exception as exc:  # unpickling runs the code of any class
            raise CorruptValueError(
                f"the frame is whole, but its value cannot be unpickled here: {type(exc).__name__}: {exc}"
            ) from exc


class BytesCodec:
    """Bytes, as they are."""

    name = "bytes"
    content_type = "application/octet-stream"

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a bytes-like value."""
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise EncodingError(f"codec 'bytes' holds bytes, got {type(value).__name__}")
        return bytes(value)

    def decode(self, body: bytearray | memoryview) -> bytes:
        """Return the bytes."""
        return bytes(body)


CODECS: Mapping[str, Codec] = {codec.name: codec for codec in (JsonCodec(), CloudpickleCodec(), BytesCodec())}
"""The codecs by name."""


def codec_named(codec: str | Codec) -> Codec:
    """Return a codec by its name, or the user's own.

    Raises:
        ValueError: There is none of this name, or it lacks what a codec has.
    """
    if not isinstance(codec, str):
        if lacking := [
            part for part in ("name", "content_type", "encode", "decode") if not hasattr(codec, part)
        ]:
            raise ValueError(f"{codec!r} is no codec: it lacks {', '.join(lacking)}")
        return codec
    try:
        return CODECS[codec]
    except KeyError:
        raise ValueError(f"no codec {codec!r}; there are {', '.join(map(repr, CODECS))}") from None


def is_frame(body: Buffer) -> bool:
    """Tell whether a body begins as a frame does."""
    return bytes(body[: len(MAGIC)]) == MAGIC


def _frame(codec: str, sections: Sequence[Buffer]) -> Pieces:
    stored = [_stored(section) for section in sections]
    header = json.dumps(
        {
            "codec": codec,
            "write_id": secrets.token_hex(16),
            "sections": [
                [memoryview(kept).nbytes, memoryview(raw).nbytes, kept is not raw]
                for kept, raw in zip(stored, sections, strict=True)
            ],
        },
        separators=(",", ":"),
    ).encode()
    parts: list[Buffer] = [_padded(header, _HEADER_AT)]
    for section in stored:
        parts += [section, bytes(-memoryview(section).nbytes % _ALIGNMENT)]
    parts.insert(0, _LENGTH.pack(len(parts[0])))
    checksum = xxhash.xxh3_64()
    for part in parts:
        checksum.update(part)
    return Pieces([_PREAMBLE.pack(MAGIC, _VERSION, checksum.intdigest()), *parts])


def _sections(codec: str, body: bytearray | memoryview) -> list[memoryview]:
    if not is_frame(body):
        raise CorruptValueError("this is no frame of s3kv_flows")
    if len(body) < _HEADER_AT:
        raise CorruptValueError("the frame is truncated")
    _, version, checksum = _PREAMBLE.unpack_from(body)
    if version != _VERSION:
        raise CorruptValueError(f"the frame is of version {version}, this package reads {_VERSION}")
    view = memoryview(body)
    if xxhash.xxh3_64_intdigest(view[_PREAMBLE.size :]) != checksum:
        raise CorruptValueError("the frame is truncated or damaged: its checksum does not match")
    start = _HEADER_AT + _LENGTH.unpack_from(body, _PREAMBLE.size)[0]
    try:
        header = json.loads(bytes(view[_HEADER_AT:start]))
        written_by, entries = header["codec"], [(int(a), int(b), bool(c)) for a, b, c in header["sections"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise CorruptValueError(f"the header of the frame cannot be read: {exc!r}") from exc
    if written_by != codec:
        raise CorruptValueError(f"the frame is of codec {written_by!r}, not {codec!r}")
    sections = []
    for size, raw_size, compressed in entries:
        section = view[start : start + size]
        sections.append(_decompressed(section, raw_size) if compressed else section)
        start += size + -size % _ALIGNMENT
    return sections


def _padded(header: bytes, offset: int) -> bytes:
    """Fill up with spaces, which JSON allows, so that what follows is aligned."""
    return header + b" " * (-(offset + len(header)) % _ALIGNMENT)


def _stored(section: Buffer) -> Buffer:
    """Return the section as it is stored: the very same object, or compressed."""
    view = memoryview(section).cast("B") if isinstance(section, memoryview) else memoryview(section)
    if not _pays(view):
        return section
    compressed: bytes = zstandard.ZstdCompressor(level=_LEVEL).compress(view)
    return compressed if len(compressed) < _WORTH * view.nbytes else section


def _pays(view: memoryview) -> bool:
    """Tell from a sample of at most 192 KiB whether compression pays."""
    if view.nbytes < 128:
        return False
    if view.nbytes <= _SAMPLES * _SAMPLE_BYTES:
        return True  # small enough to try
    step = (view.nbytes - _SAMPLE_BYTES) // (_SAMPLES - 1)
    sample = b"".join(view[i * step : i * step + _SAMPLE_BYTES] for i in range(_SAMPLES))
    return len(zstandard.ZstdCompressor(level=1).compress(sample)) < _WORTH * len(sample)


def _decompressed(section: memoryview, raw_size: int) -> memoryview:
    raw = bytearray(raw_size)
    view = memoryview(raw)
    done = 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(section) as reader:
            while done < raw_size and (count := reader.readinto(view[done:])):
                done += count
    except zstandard.ZstdError as exc:
        raise CorruptValueError(f"a section of the frame cannot be decompressed: {exc}") from exc
    if done != raw_size:
        raise CorruptValueError(f"a section of the frame holds {done} bytes, its header says {raw_size}")
    return view
