"""Values <-> bytes.

Three codecs: JSON, bare, as ``s3kv`` 0.1.5 wrote it; bytes, as they are; and cloudpickle
(:mod:`s3kv_flows.store._values.pickling`) in a frame (:mod:`s3kv_flows.store._values.frames`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from s3kv_flows.store._s3.bodies import Body, Pieces
from s3kv_flows.store._values import frames, pickling
from s3kv_flows.store.errors import CorruptValueError, EncodingError

__all__ = ["CODECS", "BytesCodec", "CloudpickleCodec", "Codec", "JsonCodec", "codec_named"]


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
        if frames.is_frame(body):
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
        return frames.pack(self.name, pickling.dump(value))

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value of a frame, verified before it is unpickled."""
        return pickling.load(frames.unpack(self.name, body))


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
