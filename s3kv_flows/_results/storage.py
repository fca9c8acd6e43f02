"""Result storage: reads and writes results for Prefect.

Prefect calls :meth:`ResultStorage.read_path` and :meth:`ResultStorage.write_path`. A result of ``caching()``
is written complete, in one PUT: body, record, tags and lock.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import prefect

from s3kv_flows._prefect import is_awaited, run_logger
from s3kv_flows._results import handoff
from s3kv_flows._results.codec import PLAIN_CODEC, codec_of_results
from s3kv_flows._results.payload import DecodedValue, Payload
from s3kv_flows._results.records import WrittenResult, write_result
from s3kv_flows._results.reporting import report_unsaved
from s3kv_flows.store import S3KV
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store.errors import (
    EncodingError,
    KeyLockedError,
    KeyNotFoundError,
    PathNotFoundError,
    S3KVError,
    StaleWriterError,
    StoreUnavailableError,
)

__all__ = ["ResultStorage"]

_PLAIN = "application/octet-stream"


class ResultStorage:
    """The methods that a block needs to be Prefect's ``result_storage``.

    It is a plain class and not a block, so that Prefect does not register it as a block type. A block that
    inherits from it has a property ``results``.
    """

    if TYPE_CHECKING:

        @property
        def results(self) -> S3KV:
            """The cached results, by cache key."""

    def renewed(self, refused: Exception) -> ResultStorage | None:  # noqa: ARG002
        """Return this storage as it is configured now, if it differs, and an error may come from that.

        Args:
            refused: What a request ended with.
        """
        return None

    def read_path(self, path: str, *, _sync: bool | None = None) -> Any:
        """Return the stored bytes of a result, or the value that the record storage has just decoded.

        A store with ``allow_pickle=False`` always decodes it: its bytes are given to no other serializer.

        In an event loop it returns an awaitable of them, as Prefect's own storages do.

        Raises:
            PathNotFoundError: The store has no such result.
        """
        if is_awaited(blocking=_sync):
            return self.aread_path(path)
        results = self.results
        value = handoff.take_value(results, path)
        return self._read(path) if value is None else value

    async def aread_path(self, path: str) -> Any:
        """Do as :meth:`read_path`, in a worker thread."""
        results = self.results
        value = handoff.take_value(results, path)
        return await asyncio.to_thread(self._read, path) if value is None else value

    def write_path(self, path: str, content: Any, *, _sync: bool | None = None) -> Any:
        """Write a result in one PUT: bytes as they are, a payload of ``caching()`` with tags and lock.

        In an event loop it returns an awaitable, as Prefect's own storages do.

        Raises:
            KeyLockedError: The key is under retention.
        """
        if is_awaited(blocking=_sync):
            return self.awrite_path(path, content)
        handoff.offer_written(self._write(path, content))
        return None

    async def awrite_path(self, path: str, content: Any) -> None:
        """Do as :meth:`write_path`, in a worker thread."""
        handoff.offer_written(await asyncio.to_thread(self._write, path, content))

    def _resolve_path(self, path: str) -> None:  # noqa: ARG002  # asked by Prefect for unsaved blocks
        """Leave storage keys unresolved: they are no paths of a file system."""
        return

    def write_result(self, path: str, payload: Payload) -> WrittenResult:
        """Write a result in one PUT, with tags and lock; a failure is logged, counted and emitted, too.

        Raises:
            S3KVError: It was not written.
        """
        written = self._write(path, payload)
        assert written is not None  # noqa: S101  # of a payload
        return written

    def _read(self, path: str) -> Any:
        results = self.results
        try:
            body = results.fetch(path).body or bytearray()
            if codec_of_results(results) is PLAIN_CODEC:
                # Not as bytes: Prefect takes some for a record that names a serializer, and its own
                # serializers unpickle what they find between other bytes, in a frame as anywhere.
                return DecodedValue(PLAIN_CODEC.decode(body))
            return bytes(body)
        except KeyNotFoundError as exc:
            raise PathNotFoundError(f"Path {path} does not exist: {exc}") from exc
        except S3KVError as exc:
            renewed = self.renewed(exc)
            if renewed is None:
                raise
            return renewed._read(path)  # noqa: SLF001  # of the same class

    def _write(self, path: str, content: Any) -> WrittenResult | None:
        written = content.written if isinstance(content, Payload) else None
        if isinstance(written, WrittenResult) and written.key == path:
            return written
        results = self.results
        _require_allowed(results, content)
        options = content.options.for_name(path) if isinstance(content, Payload) else None
        must_report = options is not None and (options.locks or options.inputs is not None)
        try:
            if isinstance(content, Payload):
                self._report_unused(results, path)
                return write_result(results, path, content, prefect.__version__)
            new = NewObject(body=bytes(content), content_type=_PLAIN)
            results.objects.put(results.namespace.name_of(path), new)
        except (S3KVError, ValueError) as exc:
            renewed = self.renewed(exc)
            if renewed is not None:
                return renewed._write(path, content)  # noqa: SLF001  # of the same class
            if isinstance(exc, StoreUnavailableError):
                results.client.counters.add("results.unsaved")
            if must_report or isinstance(exc, (KeyLockedError, StaleWriterError, StoreUnavailableError)):
                report_unsaved(results, results.namespace.name_of(path), exc)
            raise
        return None

    def _report_unused(self, results: S3KV, path: str) -> None:
        """Warn if this run found a result and computed nevertheless: Prefect does not say why."""
        if handoff.peek_record(results, path) is not None:
            run_logger().warning(
                "The cached result %r existed, and was computed anew: Prefect did not accept its record, or "
                "it expired a moment later",
                path,
            )


def _require_allowed(results: S3KV, content: Any) -> None:
    """Refuse to write what the store would not read.

    Raises:
        EncodingError: It may be a pickle, and the store has ``allow_pickle=False``.
        ValueError: There is no key to seal it with.
    """
    codec = codec_of_results(results)
    if codec is PLAIN_CODEC and not (
        isinstance(content, Payload) and content.content_type == codec.content_type
    ):
        raise EncodingError(
            "the store has allow_pickle=False: it keeps what tasks with caching() return, as JSON or bytes"
        )
    results.seals_of_objects.require_can_seal()
