"""Objects on the wire: small ones in one request, large ones in parts, many at a time.

S3 gives a connection 80 to 100 MB/s, so that a large object wants several of them. The first request for
an object asks for its first 17 MiB: a small object is all of that. Its headers tell size and ETag; the
rest comes in ranges, with ``If-Match``, each into its own place of one buffer, and a connection that breaks
goes on where it broke. An upload is sent from the memory of the value.

s3transfer, boto3's own manager, was considered. Its uploads tell neither ETag nor version id, which the
guard of locked objects has to know; its downloads ask with a HEAD first, and write to files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s3kv_flows.store._layout.marks import WRITE_ID
from s3kv_flows.store._s3.bodies import Pieces, large_memory
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.transport.streams import OpenObject
from s3kv_flows.store._s3.types import Fetched, NotModified, ObjectInfo, Part, Written
from s3kv_flows.store.errors import (
    ConflictError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

__all__ = ["FIRST_BYTES", "download", "upload_in_parts"]

logger = logging.getLogger(__name__)

FIRST_BYTES = 17 << 20
"""What the first request for an object asks for; objects up to this size, such as the frame of 16 MiB, are
one request. More of them pay where a connection is slow, and cost where the server shares our cores."""

PART_BYTES = 8 << 20
_CONNECTIONS = 8
_LEAST_UPLOADS = 4
_MAX_PARTS = 10_000
_MAX_RANGE = 64 << 20
_RESUMPTIONS = 3
_RESTARTS = 3
_NO_SUCH_RANGE = {"InvalidRange", "416"}


def download(
    client: S3Client,
    bucket: str,
    name: str,
    *,
    version_id: str | None = None,
    if_none_match: str | None = None,
    wanted: Callable[[ObjectInfo], bool] | None = None,
) -> Fetched | NotModified:
    """Read an object into one new buffer: one request up to 17 MiB, and one more per 8 to 64 MiB.

    Args:
        client: The client.
        bucket: The bucket.
        name: The object name.
        version_id: A version; None for the current one.
        if_none_match: An ETag; an object that still has it is not sent.
        wanted: Asked with the headers; False leaves the body on the server.

    Returns:
        The object, or that it still has the ETag of ``if_none_match``.

    Raises:
        KeyNotFoundError: No such object or version.
        ConflictError: It was overwritten again and again while it was read.
    """
    for _ in range(_RESTARTS):
        first = _open_first(client, bucket, name, version_id=version_id, if_none_match=if_none_match)
        if isinstance(first, NotModified):
            return first
        if wanted is not None and not wanted(first.info):
            first.leave()
            return Fetched(first.info, None)
        try:
            return Fetched(first.info, _Download(client, bucket, version_id, first).read())
        except ConflictError:
            continue
        except KeyNotFoundError:  # deleted meanwhile: the first request of the next round says so
            continue
    raise ConflictError(f"{name!r} was changed by others {_RESTARTS} times while it was read")


def upload_in_parts(
    client: S3Client,
    bucket: str,
    name: str,
    body: Pieces,
    *,
    if_none_match: bool = False,
    if_match: str | None = None,
    **options: Any,
) -> Written:
    """Write an object in parts: three requests, and one per 8 MiB (more for more than 80 GB).

    Until the last request the old object stands, and after it the new one. Whatever goes wrong, the
    parts are given up; those of a process that was killed are for a sweep to remove.

    Args:
        client: The client.
        bucket: The bucket.
        name: The object name.
        body: The body.
        if_none_match: Write only where there is no object.
        if_match: Write only where the object has this ETag.
        options: What :meth:`S3Client.create_multipart_upload` takes. Its metadata must hold a write id.
    """
    size = _even(len(body), PART_BYTES, most=_MAX_PARTS)
    starts = range(0, len(body), size)
    upload_id = client.create_multipart_upload(bucket, name, **options)

    def upload(start: int) -> Part:
        part = body.part(start, start + size)
        return client.upload_part(bucket, name, upload_id, start // size + 1, part)

    try:
        workers = min(_CONNECTIONS, max(_LEAST_UPLOADS, len(body) // (6 * size)))
        parts = list(map_concurrently(upload, starts, workers=workers))
        return client.complete_multipart_upload(
            bucket, name, upload_id, parts, if_none_match=if_none_match, if_match=if_match
        )
    except KeyNotFoundError as exc:
        if exc.code != "NoSuchUpload":  # of If-Match: there is no object to replace
            _give_up(client, bucket, name, upload_id)
            raise
        return _completed_after_all(client, bucket, name, options["metadata"][WRITE_ID], exc)
    except BaseException:
        _give_up(client, bucket, name, upload_id)
        raise


def _even(size: int, share: int, *, most: int) -> int:
    """Return how large equal shares of a size are: about ``share``, and no more than ``most`` of them."""
    return -(-size // max(1, min(size // share, most)))


def _completed_after_all(
    client: S3Client, bucket: str, name: str, write_id: str, gone: KeyNotFoundError
) -> Written:
    """Tell an upload that somebody removed from one that was completed twice: its first answer was lost."""
    with suppress(KeyNotFoundError):
        info = client.head_object(bucket, name)
        if info.metadata.get(WRITE_ID) == write_id:
            return Written(info.etag, info.version_id)
    raise StoreUnavailableError(
        f"{name!r} was not written, or overwritten since: its upload is gone"
    ) from gone


def _give_up(client: S3Client, bucket: str, name: str, upload_id: str) -> None:
    try:
        client.abort_multipart_upload(bucket, name, upload_id)
    except S3KVError as exc:
        logger.warning("the parts of an upload of %r are left for a sweep: %s", name, exc)


def _open_first(
    client: S3Client, bucket: str, name: str, *, version_id: str | None, if_none_match: str | None
) -> OpenObject | NotModified:
    conditions: dict[str, Any] = {"version_id": version_id, "if_none_match": if_none_match}
    try:
        return client.open_object(bucket, name, byte_range=(0, FIRST_BYTES), **conditions)
    except UnsupportedByServerError as exc:
        if exc.code not in _NO_SUCH_RANGE:
            raise
    return client.open_object(bucket, name, **conditions)  # it is empty, and has no first byte


@dataclass(frozen=True)
class _Download:
    """One object that is being read, all of the same ETag."""

    client: S3Client
    bucket: str
    version_id: str | None
    first: OpenObject

    def read(self) -> bytearray | memoryview:
        size = self.first.info.size
        if self.first.stop >= size and size <= FIRST_BYTES:
            body = bytearray(size)
            self._read(memoryview(body), self.first.start, self.first.stop, self.first)
            return body
        view = large_memory(size)

        def fetch(span: tuple[int, int, OpenObject | None]) -> None:
            self._read(view, *span)

        for _ in map_concurrently(fetch, self._spans(), workers=_CONNECTIONS):
            pass
        return view

    def _spans(self) -> Iterator[tuple[int, int, OpenObject | None]]:
        """Yield what is to be read: what the first request brings, then ranges of equal size."""
        size, start = self.first.info.size, self.first.stop
        yield self.first.start, start, self.first
        step = min(_even(size - start, PART_BYTES, most=_CONNECTIONS), _MAX_RANGE)
        for begin in range(start, size, step):
            yield begin, min(begin + step, size), None

    def _read(self, view: memoryview, start: int, stop: int, opened: OpenObject | None) -> None:
        """Read a range into its place; where the connection breaks, go on from there."""
        for attempts_left in reversed(range(_RESUMPTIONS + 1)):
            opened = opened or self._open(start, stop)
            try:
                opened.read_into(view[start:stop])
            except StoreUnavailableError:
                if not attempts_left or not self.first.is_range:
                    raise
                start, opened = start + opened.done, None
            else:
                return

    def _open(self, start: int, stop: int) -> OpenObject:
        info = self.first.info
        opened = self.client.open_object(
            self.bucket,
            info.name,
            version_id=self.version_id,
            byte_range=(start, stop),
            if_match=info.etag,
        )
        # Not every server heeds If-Match, or ranges.
        if isinstance(opened, NotModified) or opened.info.etag != info.etag:
            raise ConflictError(f"{info.name!r} was changed while it was read")
        if (opened.start, opened.stop) != (start, stop):
            raise StoreUnavailableError(f"{info.name!r}: the server sent another range than was asked for")
        return opened
