"""Handoff: data that one call of Prefect leaves for the next.

Prefect asks the record storage whether a record exists, then reads the record, then the result. The first
of these calls fetches and decodes the whole object, so it offers the value to the next ones. An offered
value is bound to the task run, its attempt, the store and the object, and ends with the run: a process-wide
memo would serve values that another process has replaced since. An absence is never handed over.

A write uses the same way: the result storage offers what it wrote to the record storage.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.context import TaskRunContext

from s3kv_flows._results.payload import DecodedValue
from s3kv_flows._results.records import WrittenResult
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.config import S3Config

__all__ = ["clear_value", "offer_value", "offer_written", "peek_record", "take_value", "take_written"]


@dataclass(frozen=True)
class _Target:
    """One object of a store, for one attempt of one task run."""

    task_run_id: UUID
    run_count: int
    config: S3Config
    bucket: str
    name: str


@dataclass(frozen=True)
class _Handoff:
    target: _Target
    record: bytes
    value: DecodedValue


class _HandoffRef:
    """Refers to a handoff from the context variable, so that the end of a run clears it in any context."""

    handoff: _Handoff | None = None

    def clear(self) -> None:
        self.handoff = None


_read: ContextVar[_HandoffRef | None] = ContextVar("s3kv_flows_read", default=None)
_written: ContextVar[WrittenResult | None] = ContextVar("s3kv_flows_written", default=None)


def offer_value(results: S3KV, key: str, record: bytes, value: Any) -> None:
    """Offer a decoded value, and its record, to the next calls of this run; do nothing outside of runs."""
    run = TaskRunContext.get()
    if run is None:
        return
    ref = _HandoffRef()
    ref.handoff = _Handoff(_target(run, results, key), record, DecodedValue(value))
    weakref.finalize(run, ref.clear)
    _read.set(ref)


def clear_value() -> None:
    """Withdraw the offered value: it may have been replaced before the lease was taken."""
    _read.set(None)


def peek_record(results: S3KV, key: str) -> bytes | None:
    """Return the record that this run was offered for an object, and keep the offer."""
    handoff = _current(results, key)
    return handoff.record if handoff else None


def take_value(results: S3KV, key: str) -> DecodedValue | None:
    """Return the value that this run was offered for an object, once."""
    handoff = _current(results, key)
    if handoff is None:
        return None
    _read.set(None)
    return handoff.value


def offer_written(written: WrittenResult | None) -> None:
    """Offer a written result to the record storage, which Prefect calls next."""
    _written.set(written)


def take_written() -> WrittenResult | None:
    """Return the result that the result storage has just written, once."""
    written = _written.get()
    _written.set(None)
    return written


def _current(results: S3KV, key: str) -> _Handoff | None:
    run, ref = TaskRunContext.get(), _read.get()
    if run is None or ref is None or ref.handoff is None:
        return None
    return ref.handoff if ref.handoff.target == _target(run, results, key) else None


def _target(run: TaskRunContext, results: S3KV, key: str) -> _Target:
    # What the environment adds to a configuration does not change within a run.
    name = results.namespace.name_of(key)
    return _Target(run.task_run.id, run.task_run.run_count, results.config, results.bucket_name, name)
