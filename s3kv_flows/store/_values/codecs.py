"""Codecs, which encode values as bytes and decode them.

There are three: bare JSON, as ``s3kv`` 0.1.5 wrote it; bytes, unchanged; and cloudpickle
(:mod:`s3kv_flows.store._values.pickling`) in a frame (:mod:`s3kv_flows.store._values.frames.frames`).
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from s3kv_flows.store._s3.bodies import Body, Buffer, Pieces
from s3kv_flows.store._values import pickling
from s3kv_flows.store._values.frames import frames
from s3kv_flows.store.errors import CorruptValueError, EncodingError

__all__ = [
    "CODECS",
    "BytesCodec",
    "CloudpickleCodec",
    "Codec",
    "JsonCodec",
    "LenientJsonCodec",
    "codec_named",
    "executes_code",
]


class Codec(Protocol):
    """Encodes values of one kind as the body of an object, and decodes them."""

    @property
    def name(self) -> str:
        """The name that users pass, and that objects record."""

    @property
    def content_type(self) -> str:
        """The Content-Type of the object."""

    # executes_code: bool. Optional, so that codecs of users need not have it: see executes_code() below.

    def encode(self, value: Any) -> Body:
        """Return the body; one in :class:`Pieces` may view the value, and is sent at once.

        Raises:
            EncodingError: This codec cannot encode the value so that decoding returns it unchanged.
        """

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value, which may view the body, and owns it.

        Args:
            body: A writable buffer: a bytearray up to 17 MiB, a memoryview above.

        Raises:
            CorruptValueError: The body is damaged, or a codec of another kind wrote it.
        """


class JsonCodec:
    """Bare JSON, readable by any tool."""

    name = "json"
    content_type = "application/json"
    executes_code = False

    def encode(self, value: Any) -> bytes:
        """Return the value as JSON.

        JSON would silently turn tuples into lists, and keys of dicts into strings. Such values are refused:
        decoding would not return them unchanged.
        """
        try:
            text = json.dumps(value, allow_nan=False)
            same = json.loads(text) == value
        except (TypeError, ValueError, RecursionError) as exc:
            raise EncodingError(
                f"JSON cannot encode this value: {exc}: use codec='cloudpickle', or pass what JSON has "
                "(None for NaN, text for dates)"
            ) from exc
        if not same:
            raise EncodingError(
                "JSON would change this value (a tuple, or a key that is not a str?): use "
                "codec='cloudpickle', pass lists and str keys, or use CompatibleS3KV, which stores what "
                "JSON makes of it"
            )
        return text.encode()

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value of a JSON text."""
        if frames.is_frame(body):
            raise CorruptValueError("this is a frame of another codec, not JSON", reason="codec")
        try:
            return json.loads(bytes(body))
        except (ValueError, RecursionError) as exc:
            raise CorruptValueError(f"this is not JSON: {exc}", reason="format") from exc


class LenientJsonCodec(JsonCodec):
    """JSON as ``s3kv`` 0.1.5 wrote it, whatever it makes of the value.

    Tuples come back as lists and keys of dicts as text. NaN and infinity are written as Python writes them,
    which is no JSON for other languages.
    """

    def encode(self, value: Any) -> bytes:
        """Return the value as JSON.

        Raises:
            TypeError: JSON has no form for the value, such as a set.
            ValueError: The value contains itself.
        """
        return json.dumps(value).encode()


class CloudpickleCodec:
    """Any value that cloudpickle can pickle, in a frame with a checksum.

    Args:
        pickler: The class that pickles values.
        loads: Unpickles them, with the arguments of ``pickle.loads``.
    """

    name = "cloudpickle"
    content_type = "application/x-s3kv-cloudpickle"
    executes_code = True

    def __init__(
        self, pickler: type[pickling.Pickler] = pickling.Pickler, loads: Callable[..., Any] = pickle.loads
    ) -> None:
        self._pickler, self._loads = pickler, loads

    def encode(
        self, value: Any, *, about: bytes = b"", verify: Callable[[Any], object] | None = None
    ) -> Pieces:
        """Return the frame of a value, which views the buffers of the value.

        Args:
            value: The value.
            about: What the frame says of it.
            verify: Called with what decoding would return, which shares the buffers of the value; raises
                EncodingError if it is not the same.
        """
        buffers = pickling.dump(value, self._pickler)
        if verify is not None:
            verify(self._loaded(buffers))
        return frames.pack(self.name, buffers, about)

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value of a frame, verified before it is unpickled.

        Its checksum counts also under a seal that holds: it was made when the value was encoded, and the seal
        when it was sent, and the value may have changed in between.
        """
        return pickling.load(frames.unpack(self.name, body), self._loads)

    def _loaded(self, buffers: Sequence[Buffer]) -> Any:
        try:
            return pickling.load([memoryview(buffer) for buffer in buffers], self._loads)
        except CorruptValueError as exc:
            raise EncodingError(f"the value can be pickled, and not unpickled: {exc.__cause__!r}") from exc


class BytesCodec:
    """Bytes, unchanged."""

    name = "bytes"
    content_type = "application/octet-stream"
    executes_code = False

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a bytes-like value."""
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise EncodingError(f"codec 'bytes' encodes bytes, got {type(value).__name__}")
        return bytes(value)

    def decode(self, body: bytearray | memoryview) -> bytes:
        """Return the bytes."""
        return bytes(body)


CODECS: Mapping[str, Codec] = {codec.name: codec for codec in (JsonCodec(), CloudpickleCodec(), BytesCodec())}
"""The codecs, by name."""


def executes_code(codec: Codec) -> bool:
    """Return whether decoding may run code that whoever wrote the object has chosen, as unpickling does.

    It may for a codec of a user, unless that says otherwise by an attribute ``executes_code = False``.
    """
    return bool(getattr(codec, "executes_code", True))


def codec_named(codec: str | Codec) -> Codec:
    """Return a codec by its name, or the codec itself where the user passed one.

    Raises:
        ValueError: There is no codec of this name, or the object lacks an attribute of a codec.
    """
    if not isinstance(codec, str):
        if missing := [
            name for name in ("name", "content_type", "encode", "decode") if not hasattr(codec, name)
        ]:
            raise ValueError(f"{codec!r} is not a codec: it lacks {', '.join(missing)}")
        return codec
    try:
        return CODECS[codec]
    except KeyError:
        raise ValueError(f"no codec {codec!r}; there are {', '.join(map(repr, CODECS))}") from None
