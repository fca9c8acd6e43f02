"""What one call of Prefect leaves for its next one, within one run.

Prefect asks the record face whether a record exists, then reads the record, then the result. The
first of these fetched and decoded the object already, so it leaves the value in a slot. A slot is
bound to the task run, its attempt, the store and the object, and dies with the run: a process-wide
memo would serve values that another process has replaced since. It never holds an absence.

Writing has such a slot, too: the result face leaves what it wrote for the record face.
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

__all__ = ["drop_value", "leave_value", "leave_written", "peek_record", "take_value", "take_written"]


@dataclass(frozen=True)
class _Place:
    """Which object of which store, for which attempt of which task run."""

    task_run_id: UUID
    run_count: int
    store: str
    name: str


@dataclass(frozen=True)
class _Slot:
    place: _Place
    record: bytes
    value: DecodedValue


class _Holder:
    """Holds the slot for the context variable, so that the end of a run can empty it from any context."""

    slot: _Slot | None = None

    def clear(self) -> None:
        self.slot = None


_read: ContextVar[_Holder | None] = ContextVar("s3kv_flows_read", default=None)
_written: ContextVar[WrittenResult | None] = ContextVar("s3kv_flows_written", default=None)


def leave_value(store: str, name: str, record: bytes, value: Any) -> None:
    """Leave a decoded value, and its record, for the next calls of this run; outside a run, nothing."""
    run = TaskRunContext.get()
    if run is None:
        return
    holder = _Holder()
    holder.slot = _Slot(_place(run, store, name), record, DecodedValue(value))
    weakref.finalize(run, holder.clear)
    _read.set(holder)


def drop_value() -> None:
    """Empty the slot: what was found before a lease was taken may have been replaced since."""
    _read.set(None)


def peek_record(store: str, name: str) -> bytes | None:
    """Return the record that this run left for an object."""
    slot = _slot(store, name)
    return slot.record if slot else None


def take_value(store: str, name: str) -> DecodedValue | None:
    """Return the value that this run left for an object, and empty the slot."""
    slot = _slot(store, name)
    if slot is None:
        return None
    _read.set(None)
    return slot.value


def leave_written(written: WrittenResult | None) -> None:
    """Leave what was written for the record face, which Prefect calls next."""
    _written.set(written)


def take_written() -> WrittenResult | None:
    """Return what the result face has just written, and empty the slot."""
    written = _written.get()
    _written.set(None)
    return written


def _slot(store: str, name: str) -> _Slot | None:
    run, holder = TaskRunContext.get(), _read.get()
    if run is None or holder is None or holder.slot is None:
        return None
    return holder.slot if holder.slot.place == _place(run, store, name) else None


def _place(run: TaskRunContext, store: str, name: str) -> _Place:
    return _Place(run.task_run.id, run.task_run.run_count, store, name)
