"""The codecs of results, and of the states of checkpoints."""

from __future__ import annotations

from typing import TypeAlias

from s3kv_flows._results.classes.pickler import ClassPickler
from s3kv_flows._results.classes.unpickler import loads
from s3kv_flows._results.plain import PlainCodec
from s3kv_flows.store import S3KV
from s3kv_flows.store._values.codecs import CloudpickleCodec
from s3kv_flows.store._values.frames.frames import codec_name

__all__ = ["PLAIN_CODEC", "RESULT_CODEC", "ResultCodec", "codec_of_frame", "codec_of_results"]

RESULT_CODEC = CloudpickleCodec(ClassPickler, loads)
"""cloudpickle in frames, where instances of a script's classes come back as instances of the same classes."""

PLAIN_CODEC = PlainCodec()
"""JSON values and bytes, for stores that allow no pickles."""

ResultCodec: TypeAlias = "CloudpickleCodec | PlainCodec"


def codec_of_results(results: S3KV) -> ResultCodec:
    """Return the codec that results of a store are written with."""
    return PLAIN_CODEC if results.codec.name == PLAIN_CODEC.name else RESULT_CODEC


def codec_of_frame(body: bytearray | memoryview) -> ResultCodec:
    """Return the codec that reads a frame; the storage has refused those that are not allowed.

    Raises:
        CorruptValueError: The frame is damaged.
    """
    return PLAIN_CODEC if codec_name(body) == PLAIN_CODEC.name else RESULT_CODEC
