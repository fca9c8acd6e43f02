"""Downloads in ranges and multipart uploads, several requests at a time.

S3 gives a connection 80 to 100 MB/s, so a large object needs several of them. The first request for an object
fetches its first 17 MiB, which is all of a small object. Its headers give size and ETag; the rest is fetched
in ranges, with ``If-Match``, each into its slice of one buffer, and a broken connection is resumed where it
broke. An upload is sent from the memory of the value.

s3transfer, boto3's transfer manager, was considered. Its uploads return neither ETag nor version id, which
the guard of locked versions needs; its downloads begin with a HEAD, and write to files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from s3kv_flows.store._layout.marks import WRITE_ID
from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store._objects.value_limit import require_within
from s3kv_flows.store._s3.bodies import Pieces, large_memory
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.transport.streams import OpenObject
from s3kv_flows.store._s3.types import Fetched, NotModified, ObjectInfo, Part, Written
from s3kv_flows.store._seals.check import BodyCheck
from s3kv_flows.store._seals.objects import NO_SEALS, ObjectSeals
from s3kv_flows.store._seals.tree import LEAF_BYTES
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    TamperedValueError,
    UnsupportedByServerError,
)

__all__ = ["FIRST_BYTES", "download", "part_size", "upload_in_parts"]

logger = loggable(__name__)

FIRST_BYTES = 17 << 20
"""The size of the first range; objects up to this size, such as the frame of 16 MiB, take one request. More
requests pay where a connection is slow, and cost where the server shares our cores."""

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
    seals: ObjectSeals = NO_SEALS,
) -> Fetched | NotModified:
    """Read an object into one new buffer: one request up to 17 MiB, and one more per 8 to 64 MiB.

    Args:
        client: The client.
        bucket: The bucket.
        name: The object name.
        version_id: A version; None for the current one.
        if_none_match: An ETag; an object that still has it is not sent.
        wanted: Called with the headers; returns False to skip the body.
        seals: Verifies the head before anything else is done with it, and the body while it arrives.

    Returns:
        The object, or :class:`NotModified` where it still has the ETag of ``if_none_match``.

    Raises:
        KeyNotFoundError: There is no such object or version.
        ConflictError: Each of three attempts found it overwritten while it was read.
        CorruptValueError: It is larger than a value may be.
        TamperedValueError: Its seal is missing, wrong, or of nobody who is trusted; or it is another body,
            also when it was read once more.
    """
    is_damaged = False
    for _ in range(_RESTARTS):
        first = _open_first(client, bucket, name, version_id=version_id, if_none_match=if_none_match)
        if isinstance(first, NotModified):
            return first
        check = _examined(client, bucket, first, seals)
        if wanted is not None and not wanted(first.info):
            first.leave()
            return Fetched(first.info, None)
        try:
            require_within(first.info.size, repr(name))
        except CorruptValueError:
            first.leave()
            raise
        try:
            return Fetched(first.info, _Download(client, bucket, version_id, first, check).read())
        except TamperedValueError as exc:
            if is_damaged:
                exc.info = first.info
                raise
            is_damaged = True  # perhaps on its way here
        except ConflictError:
            continue
        except KeyNotFoundError:  # deleted meanwhile: the first request of the next round raises
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

    Readers get the old object until the last request, and then the new one. On any error the upload is
    aborted; a sweep removes the parts of a process that was killed.

    Args:
        client: The client.
        bucket: The bucket.
        name: The object name.
        body: The body.
        if_none_match: Write only where there is no object.
        if_match: Write only where the object has this ETag.
        options: Arguments of :meth:`S3Client.create_multipart_upload`; their metadata must hold a write id.
    """
    size = part_size(len(body))
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
        if exc.code != "NoSuchUpload":  # If-Match, and there is no object to replace
            _abort(client, bucket, name, upload_id)
            raise
        return _find_completed(client, bucket, name, options["metadata"][WRITE_ID], exc)
    except BaseException:
        _abort(client, bucket, name, upload_id)
        raise


def part_size(size: int) -> int:
    """Return the size of the parts of a body of this size; the last one may be smaller."""
    return _equal_size(size, PART_BYTES, most=_MAX_PARTS)


def _equal_size(size: int, target: int, *, most: int) -> int:
    """Return the size of equal parts: about ``target``, for at most ``most`` parts."""
    return -(-size // max(1, min(size // target, most)))


def _find_completed(
    client: S3Client, bucket: str, name: str, write_id: str, no_upload: KeyNotFoundError
) -> Written:
    """Return the object of an upload whose completion was sent twice; raise where the upload was aborted."""
    with suppress(KeyNotFoundError):
        info = client.head_object(bucket, name)
        if info.metadata.get(WRITE_ID) == write_id:
            return Written(info.etag, info.version_id)
    raise StoreUnavailableError(
        f"{name!r} was not written, or overwritten since: its upload no longer exists"
    ) from no_upload


def _abort(client: S3Client, bucket: str, name: str, upload_id: str) -> None:
    try:
        client.abort_multipart_upload(bucket, name, upload_id)
    except S3KVError as exc:
        logger.warning("the upload of %r could not be aborted, a sweep will remove its parts: %s", name, exc)


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


def _examined(client: S3Client, bucket: str, first: OpenObject, seals: ObjectSeals) -> BodyCheck | None:
    """Return the check of a body, after its head was verified."""
    try:
        check = seals.examine(first.info)
    except BaseException as exc:
        if isinstance(exc, TamperedValueError):
            exc.info = first.info
        first.leave()
        raise
    if check is None and seals.accepts_unsealed:
        client.counters.add("reads.unsealed")
        _warn_of_unsealed(bucket)
    return check


@cache
def _warn_of_unsealed(bucket: str) -> None:
    """Say once per process that this is not how it should stay."""
    logger.warning(
        "Objects of bucket %r are read that nobody has signed (accept_unsealed=True): the counter "
        "reads.unsealed says how many are left",
        bucket,
    )


@dataclass(frozen=True)
class _Download:
    """A download of one object, all of it with the same ETag."""

    client: S3Client
    bucket: str
    version_id: str | None
    first: OpenObject
    check: BodyCheck | None

    def read(self) -> bytearray | memoryview:
        body = self._read_all()
        if self.check is None:
            return body
        if self._is_hashed_as_it_arrives:
            self.check.finish()
        else:
            self.check.verify(body)
        return body

    @property
    def _is_hashed_as_it_arrives(self) -> bool:
        """Whether each leaf is in one range: servers may answer the first request with another range."""
        return self.first.stop % LEAF_BYTES == 0 or self.first.stop >= self.first.info.size

    def _read_all(self) -> bytearray | memoryview:
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
        """Yield the ranges to read: that of the first request, then ranges of equal size."""
        size, start = self.first.info.size, self.first.stop
        yield self.first.start, start, self.first
        if start >= size:  # the server sends the whole object, whatever it was asked for
            return
        step = min(_equal_size(size - start, PART_BYTES, most=_CONNECTIONS), _MAX_RANGE)
        step = -(-step // LEAF_BYTES) * LEAF_BYTES  # a leaf is hashed by one thread
        for begin in range(start, size, step):
            yield begin, min(begin + step, size), None

    def _read(self, view: memoryview, start: int, stop: int, opened: OpenObject | None) -> None:
        """Read a range into its slice of the buffer; resume where the connection breaks."""
        hasher = None
        if self.check is not None and self._is_hashed_as_it_arrives:
            hasher = self.check.range_from(start)
        for attempts_left in reversed(range(_RESUMPTIONS + 1)):
            opened = opened or self._open(start, stop)
            try:
                opened.read_into(view[start:stop], arrived=hasher.update if hasher else None)
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
        # Not every server honours If-Match, or ranges.
        if isinstance(opened, NotModified) or opened.info.etag != info.etag:
            raise ConflictError(f"{info.name!r} was changed while it was read")
        if (opened.start, opened.stop) != (start, stop):
            raise StoreUnavailableError(f"{info.name!r}: the server sent another range than requested")
        return opened
