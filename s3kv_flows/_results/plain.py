"""PlainCodec: JSON values and bytes in frames, without pickles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from s3kv_flows.store._s3.bodies import Pieces
from s3kv_flows.store._values.frames import frames
from s3kv_flows.store.errors import CorruptValueError, EncodingError

__all__ = ["PlainCodec"]

_JSON, _BYTES = b"json", b"bytes"
_SCALARS = (str, int, float, bool, type(None))


class PlainCodec:
    """None, booleans, numbers, text, and lists and dicts of them; or bytes.

    Values of other types are refused, also those that JSON would take for one of these: a hit returns what
    the task returned, or there is none.
    """

    name = "plain"
    content_type = "application/x-s3kv-plain"
    executes_code = False

    def encode(
        self, value: Any, *, about: bytes = b"", verify: Callable[[Any], object] | None = None
    ) -> Pieces:
        """Return the frame of a value.

        Args:
            value: The value.
            about: What the frame says of it.
            verify: Called with what decoding would return.

        Raises:
            EncodingError: The value is, or contains, something else. The message names its type.
        """
        kind, data = (_BYTES, value) if type(value) is bytes else (_JSON, _to_json(value))
        if verify is not None:
            verify(_from(kind, memoryview(data)))
        return frames.pack(self.name, [kind, data], about)

    def decode(self, body: bytearray | memoryview) -> Any:
        """Return the value of a frame.

        Raises:
            CorruptValueError: It is damaged, or of another codec; ``reason`` is ``pickle_refused`` where
                that would unpickle.
        """
        self.require(body)
        buffers = frames.unpack(self.name, body)
        if len(buffers) != 2:  # kind and data
            raise CorruptValueError("the frame does not hold one value", reason="layout")
        kind, data = buffers
        return _from(bytes(kind), data)

    def require(self, body: bytearray | memoryview) -> None:
        """Refuse a body that is no frame of this codec, without decoding it.

        Raises:
            CorruptValueError: It is none; ``reason`` is ``pickle_refused`` for whatever else is intact.
        """
        if not frames.is_frame(body):
            raise CorruptValueError(
                "this is no frame, and whatever else could read it may run code: allow_pickle=False",
                reason="pickle_refused",
            )
        if (found := frames.codec_name(body)) != self.name:
            raise CorruptValueError(
                f"the frame was written with codec {found!r}, and the store has allow_pickle=False",
                reason="pickle_refused",
            )


def _to_json(value: Any) -> bytes:
    for found in _refused_types(value):
        raise EncodingError(
            f"{found.__name__} is neither bytes nor of JSON (None, bool, int, float, str, list, dict with "
            "str keys), and the store has allow_pickle=False"
        )
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as exc:
        raise EncodingError(f"JSON cannot encode this value: {exc}") from exc


def _refused_types(value: Any) -> Iterator[type]:
    """Yield the types in a value that JSON does not return as they were."""
    seen: set[int] = set()
    left = [value]
    while left:
        one = left.pop()
        if type(one) in _SCALARS or id(one) in seen:
            continue
        if type(one) is list:
            left += one
        elif type(one) is dict:
            yield from (type(key) for key in one if type(key) is not str)
            left += one.values()
        else:
            yield type(one)
        seen.add(id(one))  # those of a list or dict, which lives as long as the value


def _from(kind: bytes, data: memoryview) -> Any:
    if kind == _BYTES:
        return bytes(data)
    if kind != _JSON:
        raise CorruptValueError(f"the frame holds a value of unknown kind {kind!r}", reason="layout")
    try:
        return json.loads(bytes(data))
    except (ValueError, RecursionError) as exc:
        raise CorruptValueError(f"this is not JSON: {exc}", reason="format") from exc
