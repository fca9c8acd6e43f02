"""What the contracts need to know of the server they run against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["NotInstalledError", "Server", "User"]


class NotInstalledError(RuntimeError):
    """A server is not on this machine; with how it would get there."""


@dataclass(frozen=True)
class User:
    """Somebody with keys, and no permission but what a bucket policy gives."""

    arn: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Server:
    """A running S3 server.

    Attributes:
        name: ``moto``, ``ceph``, ``seaweedfs``, or ``endpoint`` for one that was running already.
        new_user: Makes another user, where the server has users.
        racers: How many writers of one key it serves at once within milliseconds.
        is_ours: Whether all of it goes away at the end; otherwise buckets have to be emptied.
    """

    name: str
    url: str
    access_key: str
    secret_key: str
    new_user: Callable[[], User] | None = None
    racers: int = 16
    is_ours: bool = True
