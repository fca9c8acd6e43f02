"""A read-through cache of objects on local disk.

An entry is used after the server confirmed, by ETag, that the object is still the same: then the
answer is 304, without a body; or, where the user allows it, while the last such answer is young
enough. Entries are files named after a hash of what they cache, so that no key can leave the
directory; they are written beside and renamed, so that many processes may share it; and a file that is
damaged is a miss. A file's modification time says when it was confirmed, its access time when it was
used. The directory is the user's own (mode 0700); one that others may write to is not used.

Well-kept libraries were considered. diskcache keeps values in SQLite and pickles, which would trust
what lies on disk, and locks a database where a rename does; requests-cache and hishel sit in HTTP
clients that boto3 does not use; fsspec's caches are tied to its own file systems. What remains to do
is a checksum, a rename and a walk over a directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import platformdirs
import xxhash

from s3kv_flows.store.pieces import Buffer
from s3kv_flows.store.s3_types import ObjectInfo

__all__ = ["CachedObject", "LocalCache", "default_directory"]

_SUFFIX = ".cached"
_DIGEST_BYTES = 16
_HEAD_LIMIT = 64 * 1024
_FORMAT = 4
_REMEMBERED = 4096


@dataclass(frozen=True)
class CachedObject:
    """What is remembered of an object.

    Attributes:
        info: What the server said of it when it sent the body; of locks nothing is kept.
        body: The body.
        confirmed: When the server last said that it is current, in seconds since 1970.
    """

    info: ObjectInfo
    body: bytearray | memoryview
    confirmed: float = field(default_factory=time.time, compare=False)


def default_directory() -> Path:
    """Return the directory of all caches of this user, such as ``~/.cache/s3kv_flows``."""
    return Path(platformdirs.user_cache_dir("s3kv_flows", appauthor=False))


class LocalCache:
    """The cached objects of one bucket of one server.

    Args:
        scope: What the cache belongs to; caches of other scopes see none of its entries.
        directory: The directory of all caches; by default :func:`default_directory`.
        max_bytes: The size the files are kept under; the least recently used go first. The directory
            is walked when an eighth of what was free has been written, and then left with an eighth
            free: eight processes may share it and keep to the size.
    """

    def __init__(self, scope: str, *, directory: Path | None = None, max_bytes: int = 1 << 30) -> None:
        root = directory or default_directory()
        self.directory = root / hashlib.sha256(scope.encode()).hexdigest()[:32]
        self.max_bytes = max_bytes
        self._room = 0  # bytes that may be written before the directory is walked again
        self._discarded: dict[str, float] = {}  # when; what was asked for before is not put any more

    def get(self, name: str) -> CachedObject | None:
        """Return what is cached of an object, None where there is nothing, or a damaged file."""
        path = self._path(name)
        try:
            if not _is_private(self.directory.lstat()):
                return None
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if not _is_private(status):
                    return None
                found = _read(file, status, name)
            os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))  # used now
        except OSError:
            return None
        return found

    def put(self, name: str, cached: CachedObject) -> None:
        """Remember an object, unless it was discarded since it was asked for.

        Where the disk is full or read-only, nothing is remembered.
        """
        if cached.confirmed <= self._discarded.get(name, -1):
            return
        head = _head(name, cached.info)
        size = _DIGEST_BYTES + len(head) + len(cached.body)
        if size > self.max_bytes:
            self.discard(name)
            return
        with contextlib.suppress(OSError):
            path = self._path(name)
            self._write(path, (_digest(head, cached.body), head, cached.body))
            os.utime(path, (time.time(), cached.confirmed))
            self._make_room(size)

    def confirm(self, name: str, moment: float) -> None:
        """Remember that an entry was current at this moment, in seconds since 1970."""
        with contextlib.suppress(OSError):
            os.utime(self._path(name), (time.time(), moment))

    def discard(self, name: str) -> None:
        """Forget an object."""
        self._discarded.pop(name, None)
        self._discarded[name] = time.time()
        if len(self._discarded) > _REMEMBERED:
            self._discarded.pop(next(iter(self._discarded)), None)
        with contextlib.suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def clear(self) -> int:
        """Forget everything; return how many entries there were."""
        return self.clear_older_than(0)

    def clear_older_than(self, seconds: float) -> int:
        """Forget what was not used for this many seconds; return how many entries that were."""
        limit = time.time() - seconds
        removed = 0
        for path, status in self._files():
            if seconds <= 0 or status.st_atime < limit:
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed += path.suffix == _SUFFIX
        return removed

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(status.st_size for _, status in self._files())

    def _path(self, name: str) -> Path:
        return self.directory / f"{hashlib.sha256(name.encode()).hexdigest()}{_SUFFIX}"

    def _write(self, path: Path, parts: Iterable[Buffer]) -> None:
        for directory in (self.directory.parent, self.directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(self.directory.lstat()):
            raise PermissionError(f"others may write to {self.directory}")
        descriptor, temporary = tempfile.mkstemp(dir=self.directory)  # 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
                file.writelines(parts)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _make_room(self, written: int) -> None:
        self._room -= written
        if self._room >= 0:
            return
        files = sorted(self._files(), key=lambda entry: entry[1].st_atime)
        total = sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= self.max_bytes * 7 // 8:
                break
            path.unlink(missing_ok=True)
            total -= status.st_size
        self._room = (self.max_bytes - total) // 8

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the files of the cache; what another process just removed is left out."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in list(self.directory.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat()


def _head(name: str, info: ObjectInfo) -> bytes:
    record = {
        "format": _FORMAT,
        "name": name,
        "etag": info.etag,
        "last_modified": info.last_modified.isoformat(),
        "version_id": info.version_id,
        "content_type": info.content_type,
        "metadata": dict(info.metadata),
    }
    return json.dumps(record).encode() + b"\n"


def _digest(head: bytes, body: Buffer) -> bytes:
    """Return what shows damage. Whoever may write here is the user, so it need not resist forgery."""
    digest = xxhash.xxh3_128(head)
    digest.update(body)
    return digest.digest()


def _read(file: BinaryIO, status: os.stat_result, name: str) -> CachedObject | None:
    """Read a file of the cache into one new buffer; None where it is damaged, or another's."""
    digest, head = file.read(_DIGEST_BYTES), file.readline(_HEAD_LIMIT)
    body = bytearray(max(status.st_size - len(digest) - len(head), 0))
    file.readinto(body)  # type: ignore[attr-defined]  # of a buffered reader
    if not head.endswith(b"\n") or _digest(head, body) != digest:
        return None
    record = json.loads(head)
    if record.get("format") != _FORMAT or record["name"] != name:
        return None
    last_modified = datetime.fromisoformat(record["last_modified"])
    info = ObjectInfo(
        name=name,
        etag=record["etag"],
        size=len(body),
        last_modified=last_modified,
        server_time=last_modified,
        version_id=record["version_id"],
        content_type=record["content_type"],
        metadata=record["metadata"],
    )
    return CachedObject(info, body, status.st_mtime)


def _is_private(status: os.stat_result) -> bool:
    """Tell whether a file or directory is this user's own, and no other's to write."""
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return mine and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(status.st_mode)
