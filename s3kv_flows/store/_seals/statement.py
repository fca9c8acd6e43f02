"""Statements: what a seal signs of an object, as bytes.

::

    "s3kv-seal-v1"
    each with its size before it, 4 bytes, little endian:
        key id, algorithm, purpose, scope, object name, content type, length (8 bytes, little endian),
        name and value of each metadata pair but the seal, sorted by name
    the root of the body, 32 bytes

The root has a fixed size and is the last, so that no two objects have the same statement. The bucket is not
in it: replication, restores and renamed buckets keep their seals. Neither are tags and locks, which change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store._seals.algorithms import Algorithm
from s3kv_flows.store._seals.purposes import Purpose

__all__ = ["MAX_LENGTH", "Head", "statement"]

MAX_LENGTH = (1 << 64) - 1
"""The longest body that a statement can name, in bytes."""

_CONTEXT = b"s3kv-seal-v1"


@dataclass(frozen=True)
class Head:
    """What a seal binds of an object, and when the server says that it was written.

    Attributes:
        purpose: What the object is.
        name: The object name.
        content_type: The content type.
        length: The size of the body, in bytes.
        metadata: All metadata; names count in lower case, as S3 returns them.
        written: The server's Last-Modified; None for an object that is not written yet. Not signed.
    """

    purpose: Purpose
    name: str
    content_type: str
    length: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    written: datetime | None = None

    @classmethod
    def of(cls, purpose: Purpose, info: ObjectInfo) -> Head:
        """Return the head of an object that was read.

        Where the response had no date, the time of the response stands for it: it was written before that.
        """
        return cls(purpose, info.name, info.content_type, info.size, info.metadata, info.last_modified)

    @property
    def seal(self) -> str | None:
        """The seal; None where there is none. An empty one is there, and wrong.

        Several, in names of which only the case differs, are joined as HTTP joins them, and so wrong.
        """
        seals = [value for name, value in self.metadata.items() if name.lower() == SEAL]
        return ",".join(seals) if seals else None


def statement(key_id: str, algorithm: Algorithm, scope: str, head: Head, root: bytes) -> bytes:
    """Return what is signed of an object."""
    texts = (key_id, algorithm, head.purpose, scope, head.name, head.content_type)
    pairs = sorted((name.lower(), value) for name, value in head.metadata.items())
    parts = [
        *map(_encode, texts),
        head.length.to_bytes(8, "little"),
        *(_encode(text) for pair in pairs if pair[0] != SEAL for text in pair),
    ]
    return b"".join([_CONTEXT, *map(_sized, parts), root])


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content


def _encode(text: str) -> bytes:
    """Return a text as UTF-8; halves of characters, which a hostile server may send, have bytes, too."""
    return text.encode("utf-8", "surrogatepass")
