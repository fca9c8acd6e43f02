"""Digests of bodies, and whether two of them hold the same."""

from __future__ import annotations

import hashlib

from s3kv_flows.store import frames
from s3kv_flows.store._s3.bodies import Body, Buffer, Pieces
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["same_content", "sha256_of"]


def sha256_of(body: Body) -> str:
    """Return the SHA-256 of a body in hex, without joining its pieces."""
    if not isinstance(body, Pieces):
        return hashlib.sha256(body).hexdigest()
    digest = hashlib.sha256()
    start = 0
    while view := body.view(start, len(body)):
        digest.update(view)
        start += len(view)
    return digest.hexdigest()


def same_content(codec: str, ours: Body, theirs: Buffer) -> bool:
    """Tell whether two bodies hold the same: byte by byte; for frames, whose heads differ, what is in them.

    What is damaged is not the same.
    """
    joined = bytes(ours)
    if not (frames.is_frame(joined) and frames.is_frame(theirs)):
        return joined == theirs
    try:
        mine, other = (frames.unpack(codec, bytearray(body)) for body in (joined, theirs))
    except CorruptValueError:
        return False
    return mine == other
