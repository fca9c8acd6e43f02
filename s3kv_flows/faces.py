"""The record face of a cached result: what Prefect sees as the storage of its metadata.

A result is one object with two faces. The result face (:class:`~s3kv_flows.blocks.S3KVStore`) takes
and gives the value; this one shows the record that lies in the same object's metadata. When Prefect
asks it whether a record exists, it fetches the whole object, and leaves the decoded value for the
result face: that is why a hit costs one request.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from typing import Any, ClassVar

from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from pydantic import Field

from s3kv_flows import slots
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.results import ExpiredResultError, FoundResult, WrittenResult, amend, look_up
from s3kv_flows.runs import run_logger
from s3kv_flows.serializer import FrameSerializer
from s3kv_flows.store.counters import Counters
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    KeyNotFoundError,
    S3KVError,
)

__all__ = ["RecordFace"]


class RecordFace(WritableFileSystem):
    """Shows the record of a result, out of the object that holds the result."""

    _block_type_name: ClassVar[str | None] = "S3KV Record Face"
    _block_type_slug: ClassVar[str | None] = "s3kv-record-face"

    store: str = Field(description="The store, for a reader outside of any run.")

    def read_path(self, path: str, *, _sync: bool | None = None) -> bytes:  # type: ignore[override]  # Prefect declares it async, and calls this
        """Return the record of a result: one request, which fetches the result, too.

        Raises:
            KeyNotFoundError: There is no result, or its time is over.
            CorruptValueError: It cannot be verified or decoded.
        """
        store = _store_of_run() or S3KVStore.of(self.store)
        record = self._recorded(store, path)
        if record is None:
            record = self._leave(store, path, _find(store, path))
        return record

    async def aread_path(self, path: str) -> bytes:
        """Do as :meth:`read_path`, in a worker thread."""
        store = _store_of_run()
        if store is None:
            store = await asyncio.to_thread(S3KVStore.of, self.store)
        record = self._recorded(store, path)
        if record is None:
            record = self._leave(store, path, await asyncio.to_thread(_find, store, path))
        return record

    def write_path(self, path: str, content: bytes, *, _sync: bool | None = None) -> None:  # type: ignore[override]  # see read_path
        """Compare Prefect's record with what the result face wrote: equal, no request.

        Another expiration is written by one copy of the object onto itself.

        Raises:
            ConflictError: The record is of another object than the one that was just written.
        """
        done, expires, amends = _compare(path, content)
        if amends:
            amend(done, expires)

    async def awrite_path(self, path: str, content: bytes) -> None:
        """Do as :meth:`write_path`; a copy is made in a worker thread."""
        done, expires, amends = _compare(path, content)
        if amends:
            await asyncio.to_thread(amend, done, expires)

    def _resolve_path(self, path: str) -> None:  # noqa: ARG002  # asked by Prefect for unsaved blocks
        """Keep storage keys as they are: they are no paths of a file system."""
        return

    def _recorded(self, store: S3KVStore, path: str) -> bytes | None:
        results = store.results
        return slots.peek_record(repr(results), results.namespace.name_of(path))

    def _leave(self, store: S3KVStore, path: str, found: FoundResult) -> bytes:
        results = store.results
        record = _record_of(store, path, found)
        slots.leave_value(repr(results), results.namespace.name_of(path), record, found.value)
        return record


def _store_of_run() -> S3KVStore | None:
    """Return the block that the result store of this run has loaded: credentials may rotate."""
    run = TaskRunContext.get()
    storage = run.result_store.result_storage if run is not None else None
    return storage if isinstance(storage, S3KVStore) else None


def _find(store: S3KVStore, path: str) -> FoundResult:
    """Look a result up, count the outcome, and say aloud what Prefect takes for a plain absence."""
    results = store.results
    counters = results.client.counters
    try:
        found = look_up(results, path)
    except S3KVError as exc:
        outcome = _count_miss(counters, exc)
        if isinstance(exc, KeyNotFoundError) and exc.is_deleted:
            _note_delete_marker()
        if outcome == "undecodable":
            run_logger().warning("The cached result %r cannot be used and is computed anew: %s", path, exc)
        elif outcome == "unreachable":
            run_logger().error("Cannot tell whether %r is cached, so it is computed: %s", path, exc)
        raise
    counters.add("results.hits")
    counters.add("results.hit_bytes", found.size)
    counters.add("results.seconds_saved", found.record.seconds or 0)
    return found


def _note_delete_marker() -> None:
    """Tell the writer of this run that there are versions beneath, which may be locked."""
    run = TaskRunContext.get()
    serializer = run.result_store.serializer if run is not None else None
    if isinstance(serializer, FrameSerializer) and serializer.run is not None:
        serializer.run.found_delete_marker = True


def _count_miss(counters: Counters, exc: S3KVError) -> str:
    outcome = {
        ExpiredResultError: "expired",
        KeyNotFoundError: "absent",
        CorruptValueError: "undecodable",
    }.get(type(exc), "unreachable")
    counters.add("results.misses")
    counters.add(f"results.misses.{outcome}")
    return outcome


def _record_of(store: S3KVStore, path: str, found: FoundResult) -> bytes:
    """Return the record as Prefect writes it."""
    block_id = store._block_document_id  # noqa: SLF001  # Prefect's name for it, there is no other
    record: dict[str, Any] = {
        "storage_key": path,
        "expiration": found.expiration.isoformat() if found.expiration else None,
        "serializer": FrameSerializer().model_dump(),
        "prefect_version": found.record.prefect_version,
        "storage_block_id": str(block_id) if block_id else None,
    }
    return json.dumps(record).encode()


def _compare(path: str, content: bytes) -> tuple[WrittenResult, datetime | None, bool]:
    """Return what was written, the expiration that Prefect wants, and whether that is another one."""
    done = slots.take_written()
    record = json.loads(content)
    if done is None or done.key != path or record["serializer"].get("type") != FrameSerializer().type:
        raise ConflictError(f"the record {path!r} is not of the result that was just written")
    expires = _moment(record.get("expiration"))
    return done, expires, expires != done.record.expires


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    # fromisoformat of Python 3.10 does not know the Z that pydantic writes.
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
