"""Frames as others would write them: of format 3, with other heads, and with checksums that match."""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Sequence
from typing import Any

import xxhash

from s3kv_flows.store._s3.bodies import Buffer
from s3kv_flows.store._values.compression import compress
from s3kv_flows.store._values.frames.frames import MAGIC, pack

HEAD = struct.Struct("<8sBBHI16sQQ16s")
FIELDS = ("magic", "version", "flags", "about", "sections", "write_id", "length", "checksum", "codec")
COMPRESSED = 1 << 63
CODEC = "cloudpickle"


def format4(buffers: Sequence[Buffer] = (b"value",), about: bytes = b"") -> bytearray:
    return bytearray(bytes(pack(CODEC, buffers, about)))


def with_head(body: bytearray, **fields: Any) -> bytearray:
    """Return a frame of format 4 with other fields in its head, and a checksum that matches."""
    head = dict(zip(FIELDS, HEAD.unpack_from(body), strict=True)) | fields
    changed = bytearray(body)
    HEAD.pack_into(changed, 0, *head.values())
    return repaired(changed)


def with_sections(
    sections: Sequence[int], chunks: Sequence[int] = (), rest: bytes = b"", **fields: Any
) -> bytearray:
    """Return a frame of format 4 with any tables, and a checksum that matches."""
    tables = struct.pack(f"<{len(sections)}Q", *sections) + struct.pack(f"<{len(chunks)}I", *chunks)
    tables += bytes(-len(tables) % 16)
    body = bytearray(HEAD.size) + tables + rest
    head = {"magic": MAGIC, "version": 4, "flags": 0, "about": 0, "sections": len(sections)}
    head |= {"write_id": b"", "length": len(body), "checksum": 0, "codec": CODEC.encode()}
    HEAD.pack_into(body, 0, *(head | fields).values())
    return repaired(body)


def format3(buffers: Sequence[Buffer] = (b"value",), about: bytes = b"") -> bytearray:
    """Return a frame as the versions before format 4 wrote it."""
    sections = compress([*buffers, about] if about else buffers)
    sizes = [
        [one.raw_size, [len(chunk) for chunk in one.stored] if one.is_compressed else []] for one in sections
    ]
    fields = {"codec": CODEC, "write_id": secrets.token_hex(16), "sections": sizes}
    stored = [b"".join(one.stored) for one in sections]
    rest = b"".join(one + bytes(-len(one) % 16) for one in stored)
    return with_header(json.dumps(fields | ({"about": 1} if about else {}), separators=(",", ":")), rest)


def with_header(header: str, rest: bytes = b"") -> bytearray:
    """Return a frame of format 3 with any header, and a checksum that matches."""
    text = header.encode()
    text += b" " * (-(21 + len(text)) % 16)
    return repaired(bytearray(MAGIC + b"\x03" + bytes(8) + struct.pack("<I", len(text)) + text + rest))


def repaired(body: bytearray) -> bytearray:
    """Return a frame with the checksum that its bytes have, as whoever changes it on purpose would."""
    changed = bytearray(body)
    if changed[8:9] == b"\x03" and len(changed) > 17:
        changed[9:17] = xxhash.xxh3_64_intdigest(changed[17:]).to_bytes(8, "little")
    elif len(changed) >= HEAD.size:
        changed[40:48] = bytes(8)
        changed[40:48] = xxhash.xxh3_64_intdigest(changed).to_bytes(8, "little")
    return changed
