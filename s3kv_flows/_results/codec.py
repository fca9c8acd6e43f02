"""The codec of results, and of the states of checkpoints."""

from __future__ import annotations

from s3kv_flows._results.classes.pickler import ClassPickler
from s3kv_flows._results.classes.unpickler import loads
from s3kv_flows.store._values.codecs import CloudpickleCodec

__all__ = ["RESULT_CODEC"]

RESULT_CODEC = CloudpickleCodec(ClassPickler, loads)
"""cloudpickle in frames, where instances of a script's classes come back as instances of the same classes."""
