"""The record face of a cached result: what Prefect sees as the storage of its metadata.

A result is one object with two faces. The result face (:class:`~s3kv_flows.blocks.S3KVStore`) takes
and gives the value; this one shows the record that lies in the same object's metadata. When Prefect
asks it whether a record exists, it fetches the whole object, and leaves the decoded value for the
result face: that is why a hit costs one request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, ClassVar

from prefect.filesystems import WritableFileSystem
from pydantic import Field

from s3kv_flows._cache.lookup import _attempt_for, _find
from s3kv_flows._results import handoff as slots
from s3kv_flows._results.records import FoundResult, WrittenResult, amend
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows._runs import block_document_id, loaded_store, run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store.errors import (
    ConflictError,
    S3KVError,
)

__all__ = ["RecordStorage", "hand_over"]


class RecordStorage(WritableFileSystem):
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
        with _beginning(path):
            store = loaded_store(S3KVStore) or S3KVStore.of(self.store)
            record = self._recorded(store, path)
            if record is None:
                record = hand_over(store, path, _find(store, path))
            return record

    async def aread_path(self, path: str) -> bytes:
        """Do as :meth:`read_path`, in a worker thread."""
        with _beginning(path):
            store = loaded_store(S3KVStore)
            if store is None:
                store = await asyncio.to_thread(S3KVStore.of, self.store)
            record = self._recorded(store, path)
            if record is None:
                record = hand_over(store, path, await asyncio.to_thread(_find, store, path))
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


def hand_over(store: S3KVStore, path: str, found: FoundResult) -> bytes:
    """Leave a result for the next calls of this run; return its record."""
    results = store.results
    record = _record_of(store, path, found)
    slots.leave_value(repr(results), results.namespace.name_of(path), record, found.value)
    return record


@contextmanager
def _beginning(path: str) -> Iterator[None]:
    """Let no look of Prefect's fail in silence.

    Where a run is interrupted while it begins, its lease is given back: Prefect then does not. And Prefect
    takes whatever is raised for an absence, also what no server has said, but a fault of this package.
    """
    try:
        yield
    except BaseException as exc:
        if isinstance(exc, Exception):
            if not isinstance(exc, S3KVError):
                run_logger().exception("The look for %r failed, and Prefect takes that for an absence", path)
            raise
        attempt = _attempt_for(path)
        if attempt is not None:
            attempt.interrupted()
        raise


def _record_of(store: S3KVStore, path: str, found: FoundResult) -> bytes:
    """Return the record as Prefect writes it."""
    block_id = block_document_id(store)
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
