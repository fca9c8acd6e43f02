"""Uploads: one PUT, or a multipart upload where that is faster.

Some servers drop tags, lock headers or conditions from multipart uploads. Tags are put again after such an
upload. Objects with a lock or a condition are written there in one PUT.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from s3kv_flows.store._layout.marks import WRITE_ID
from s3kv_flows.store._objects.transfer import upload_in_parts
from s3kv_flows.store._s3.bodies import Body, Pieces
from s3kv_flows.store._s3.capabilities import MultipartUploads
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Written
from s3kv_flows.store._seals.objects import NO_SEALS, ObjectSeals
from s3kv_flows.store.errors import UnsupportedByServerError

__all__ = ["MULTIPART_FROM", "Uploads"]

MULTIPART_FROM = 32 << 20
"""Bodies of at least this size are uploaded in parts: below it, the two additional requests take longer than
the parts save, whether the round trip takes 20 ms or none."""

_SINGLE_PUT_LIMIT = 5 << 30
"""The largest body that S3 accepts in one PUT, in bytes."""


class Uploads:
    """Writes objects of one bucket.

    Args:
        client: The shared client.
        bucket: The bucket.
        display_name: Returns the name of an object in messages.
        prefix: The prefix under which probes may write objects.
        seals: Seals what is written.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        display_name: Callable[[str], str] = str,
        *,
        prefix: str = "",
        seals: ObjectSeals = NO_SEALS,
    ) -> None:
        self._client, self._bucket, self._seals = client, bucket, seals
        self._display_name, self._prefix = display_name, prefix

    def put(
        self,
        name: str,
        body: Body,
        tags: Mapping[str, str],
        options: Mapping[str, Any],
        conditions: Mapping[str, Any],
        *,
        optional: bool,
    ) -> Written:
        """Write an object: one request below 32 MiB, else those of :func:`upload_in_parts`.

        From 32 MiB on, one more for tags that the server drops, and one to check the lock.

        Args:
            name: The object name.
            body: The body.
            tags: The tags, which ``options`` hold as a header.
            options: The arguments of :meth:`S3Client.put_object`, except the conditions.
            conditions: ``if_none_match`` and ``if_match``.
            optional: Whether the conditions may be left out where the server would drop them.

        Raises:
            UnsupportedByServerError: The server would drop the lock or the condition, and the object is too
                large for one PUT.
        """
        if len(body) < MULTIPART_FROM:
            return self._put_whole(name, body, options, conditions)
        uploads = self._client.capabilities.multipart_uploads(self._bucket, self._prefix)
        if (dropped := _dropped_by_parts(uploads, options, conditions)) and not (
            dropped == "conditions" and optional
        ):
            if len(body) > _SINGLE_PUT_LIMIT:
                raise UnsupportedByServerError(
                    f"{self._display_name(name)!r} has {len(body):,} bytes: S3 accepts 5 GiB in one PUT, and "
                    f"{self._client.server} drops {dropped} from multipart uploads"
                )
            return self._put_whole(name, body, options, conditions)
        options = {**options, "metadata": {WRITE_ID: secrets.token_hex(8), **options["metadata"]}}
        written = upload_in_parts(
            self._client,
            self._bucket,
            name,
            body if isinstance(body, Pieces) else Pieces([body]),
            **self._seals.sealed(name, body, options),
            **({} if dropped else conditions),
        )
        if tags and not uploads.tags:
            self._client.put_tags(self._bucket, name, tags, version_id=written.version_id)
        self._ensure_locked(name, written, options)
        return written

    def _put_whole(
        self, name: str, body: Body, options: Mapping[str, Any], conditions: Mapping[str, Any]
    ) -> Written:
        sealed = self._seals.sealed(name, body, options)
        return self._client.put_object(self._bucket, name, body, **sealed, **conditions)

    def _ensure_locked(self, name: str, written: Written, options: Mapping[str, Any]) -> None:
        """Check that a multipart upload has the requested lock; where it has not, lock it."""
        lock, hold = options["lock"], options["legal_hold"]
        if not lock and not hold:
            return
        info = self._client.head_object(self._bucket, name, version_id=written.version_id)
        if lock and info.lock_mode is None:
            self._client.put_retention(self._bucket, name, lock, version_id=written.version_id)
        if hold and not info.legal_hold:
            self._client.put_legal_hold(self._bucket, name, version_id=written.version_id)


def _dropped_by_parts(
    uploads: MultipartUploads, options: Mapping[str, Any], conditions: Mapping[str, Any]
) -> str:
    """Return what the server would drop from a multipart upload: ``locks``, ``conditions`` or nothing."""
    if (options["lock"] or options["legal_hold"]) and not uploads.locks:
        return "locks"
    honours = (uploads.create or not conditions["if_none_match"]) and (
        uploads.replace or not conditions["if_match"]
    )
    return "" if honours else "conditions"
