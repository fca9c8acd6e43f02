"""Whether a version holds the bytes that were sent.

Not every server verifies the checksums that boto3 sends, and what is damaged and locked cannot be replaced.
The ETag of a version is the MD5 of its body, or of the MD5s of its parts, on every known server, except under
keys of KMS or of a customer. Any other ETag says nothing, and the version is read back.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from s3kv_flows.store._objects.transfer import download, part_size
from s3kv_flows.store._s3.bodies import Body, Pieces
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Fetched, Written

__all__ = ["is_stored"]

_OF_PARTS = re.compile(r"[0-9a-f]{32}-\d+")


def is_stored(client: S3Client, bucket: str, name: str, written: Written, body: Body) -> bool:
    """Tell whether a version holds a body: no request where its ETag shows it, else a download.

    Raises:
        KeyNotFoundError: The version was deleted.
        AccessDeniedError: These credentials may not read it.
    """
    etag = written.etag.strip('"')
    if etag == (_md5_of_parts(body) if _OF_PARTS.fullmatch(etag) else _md5(body).hexdigest()):
        return True
    fetched = download(client, bucket, name, version_id=written.version_id)
    if not isinstance(fetched, Fetched) or fetched.body is None:
        return False
    ours: bytes = _digest(hashlib.sha256(), body).digest()
    return ours == hashlib.sha256(fetched.body).digest()


def _md5_of_parts(body: Body) -> str:
    pieces = body if isinstance(body, Pieces) else Pieces([body])
    size = part_size(len(pieces))
    starts = range(0, len(pieces), size)
    digests = b"".join(_md5(pieces.part(start, start + size)).digest() for start in starts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(starts)}"


def _md5(body: Body) -> Any:
    return _digest(hashlib.md5(usedforsecurity=False), body)


def _digest(digest: Any, body: Body) -> Any:
    """Update a digest with a body, without copying it into one buffer; return the digest."""
    pieces, start = body if isinstance(body, Pieces) else Pieces([body]), 0
    while view := pieces.view(start, len(pieces)):
        digest.update(view)
        start += len(view)
    return digest
