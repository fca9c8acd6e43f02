"""Find and abort incomplete multipart uploads.

Writers that were killed leave them. No listing of objects shows their parts, and S3 bills them like objects.
"""

from __future__ import annotations

from datetime import datetime

from s3kv_flows.maintenance._inventory.listing import namespaces
from s3kv_flows.store._durations import DurationLike, length_before
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store._s3.types import IncompleteUpload
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["abort_incomplete", "find_incomplete"]


def find_incomplete(store: S3KV, now: datetime, grace: DurationLike) -> list[IncompleteUpload]:
    """Return the incomplete uploads to a store that were begun before the grace period.

    Three requests, and more for more than 1,000 uploads.

    Args:
        store: The values of the store; its results and checkpoints lie beside them.
        now: The time, by the server's clock.
        grace: How long an upload may take.

    Raises:
        AccessDeniedError: s3:ListBucketMultipartUploads is not granted.
        ValueError: The grace period has no unit.
    """
    least = length_before(grace, now)
    return [
        upload
        for space in namespaces(store.namespace)
        for upload in store.client.list_multipart_uploads(store.bucket_name, space.prefix)
        if now - upload.begun >= least and space.key_of(upload.name) is not None
    ]


def abort_incomplete(store: S3KV, uploads: list[IncompleteUpload]) -> list[str]:
    """Abort uploads, which frees their parts; return their object names. One request each.

    An upload that was completed meanwhile is left out: its object stays.
    """

    def abort(upload: IncompleteUpload) -> str | None:
        try:
            store.client.abort_multipart_upload(store.bucket_name, upload.name, upload.upload_id)
        except KeyNotFoundError:
            return None
        return upload.name

    return [name for name in map_concurrently(abort, uploads) if name is not None]
