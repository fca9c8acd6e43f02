"""Record storage: Prefect's storage of the records of cached results.

A result is one object with two storages. The result storage (:class:`~s3kv_flows.blocks.S3KVStore`) reads
and writes the value; the record storage reads the record from the same object's metadata. When Prefect
asks it whether a record exists, it fetches the whole object, and offers the decoded value to the result
storage: that is why a hit costs one request.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, ClassVar

from prefect.filesystems import WritableFileSystem
from prefect.utilities.dispatch import register_type
from pydantic import Field

from s3kv_flows._cache.lookup import attempt_for, lookup_or_raise
from s3kv_flows._cache.store_reference import resolve
from s3kv_flows._prefect import block_document_id, is_awaited, loaded_store, run_logger
from s3kv_flows._results import handoff
from s3kv_flows._results.records import FoundResult, WrittenResult, amend
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store.errors import (
    ConflictError,
    S3KVError,
)

__all__ = ["RecordStorage", "hand_over"]


_SERIALIZER = FrameSerializer().model_dump()
"""What records say of the serializer of their values."""


class RecordStorage(WritableFileSystem, ABC):
    """Reads and compares the records of results, in the objects that hold the results.

    ``caching()`` makes it, and nobody configures one. Prefect takes a class with ABC among its bases for an
    interface, and does not list it among the types of blocks that users may create.
    """

    _block_type_name: ClassVar[str | None] = "S3KV Record Storage"
    _block_type_slug: ClassVar[str | None] = "s3kv-record-face"
    # A server within this process lists every class that it finds by a slug.
    _description: ClassVar[str | None] = (
        "Made by caching() of s3kv_flows for its tasks: there is nothing to configure. Create an S3KV Store."
    )
    _documentation_url: ClassVar[Any] = "https://docs.prefect.io/v3/advanced/results"

    store: str = Field(description="The store of the results, for readers outside of runs.")

    def read_path(self, path: str, *, _sync: bool | None = None) -> Any:
        """Return the record of a result: one request, which fetches the result, too.

        In an event loop it returns an awaitable, as Prefect's own storages do.

        Raises:
            KeyNotFoundError: The store has no such result, or it has expired.
            CorruptValueError: The result cannot be verified or decoded.
        """
        if is_awaited(blocking=_sync):
            return self.aread_path(path)
        with _reported(path):
            store = loaded_store(S3KVStore) or resolve(self.store)
            record = self._offered_record(store, path)
            if record is None:
                found = lookup_or_raise(store, path)
                record = hand_over(loaded_store(S3KVStore) or store, path, found)
            return record

    async def aread_path(self, path: str) -> bytes:
        """Do as :meth:`read_path`, in a worker thread."""
        with _reported(path):
            store = loaded_store(S3KVStore)
            if store is None:
                store = await asyncio.to_thread(resolve, self.store)
            record = self._offered_record(store, path)
            if record is None:
                found = await asyncio.to_thread(lookup_or_raise, store, path)
                record = hand_over(loaded_store(S3KVStore) or store, path, found)
            return record

    def write_path(self, path: str, content: bytes, *, _sync: bool | None = None) -> Any:
        """Compare Prefect's record with what the result storage wrote: no request if they are equal.

        A different expiration is written by one copy of the object onto itself. In an event loop it returns
        an awaitable, as :meth:`read_path`.

        Raises:
            ConflictError: The record is not of the object that was just written.
        """
        if is_awaited(blocking=_sync):
            return self.awrite_path(path, content)
        written, expires, differs = _compare(path, content)
        if differs:
            amend(written, expires)
        return None

    async def awrite_path(self, path: str, content: bytes) -> None:
        """Do as :meth:`write_path`; the copy, if any, is made in a worker thread."""
        written, expires, differs = _compare(path, content)
        if differs:
            await asyncio.to_thread(amend, written, expires)

    def _resolve_path(self, path: str) -> None:  # noqa: ARG002  # asked by Prefect for unsaved blocks
        """Leave storage keys unresolved: they are no paths of a file system."""
        return

    def _offered_record(self, store: S3KVStore, path: str) -> bytes | None:
        results = store.results
        return handoff.peek_record(results, path)


# Tasks that run elsewhere get the context of their caller, in which a storage is its slug and its fields.
register_type(RecordStorage)


def hand_over(store: S3KVStore, path: str, found: FoundResult) -> bytes:
    """Offer a result to the next calls of this run; return its record."""
    results = store.results
    record = _record_of(store, path, found)
    handoff.offer_value(results, path, record, found.value)
    return record


@contextmanager
def _reported(path: str) -> Iterator[None]:
    """Log errors of a lookup that are no :class:`S3KVError`: Prefect takes any exception for an absence.

    An interrupt releases the lease of the run, because Prefect does not.
    """
    try:
        yield
    except BaseException as exc:
        if isinstance(exc, Exception):
            if not isinstance(exc, S3KVError):
                run_logger().exception("The lookup of %r failed, and Prefect takes that for an absence", path)
            raise
        attempt = attempt_for(path)
        if attempt is not None:
            attempt.interrupted()
        raise


def _record_of(store: S3KVStore, path: str, found: FoundResult) -> bytes:
    """Return the record as Prefect writes it."""
    block_id = block_document_id(store)
    record: dict[str, Any] = {
        "storage_key": path,
        "expiration": found.expiration.isoformat() if found.expiration else None,
        "serializer": _SERIALIZER,
        "prefect_version": found.record.prefect_version,
        "storage_block_id": str(block_id) if block_id else None,
    }
    return json.dumps(record).encode()


def _compare(path: str, content: bytes) -> tuple[WrittenResult, datetime | None, bool]:
    """Return the written result, the expiration in Prefect's record, and whether they differ."""
    written = handoff.take_written()
    record = json.loads(content)
    if written is None or written.key != path or record["serializer"].get("type") != _SERIALIZER["type"]:
        raise ConflictError(f"the record {path!r} is not of the result that was just written")
    expires = _utc(record.get("expiration"))
    return written, expires, expires != written.record.expires


def _utc(text: str | None) -> datetime | None:
    if text is None:
        return None
    # datetime.fromisoformat of Python 3.10 does not parse the Z that pydantic writes.
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
