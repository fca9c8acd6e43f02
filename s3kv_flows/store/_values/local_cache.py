"""A read-through cache of objects on local disk.

An entry is used after the server confirmed, by ETag, that the object is still the same: then the
answer is 304, without a body; or, where the user allows it, while the last such answer is young
enough. Entries are files named after a hash of what they cache, so that no key can leave the
directory; they are written beside and renamed, so that many processes may share it; and a file that is
damaged is a miss. A file's modification time says when it was confirmed, its access time when it was
used. The directory is the user's own (mode 0700); one that others may write to is not used.

The directory of all caches may be shared, or lie in ``/tmp``, where others plant what they like. So the
directory is opened once, without following a link, and all that is read, written and removed is named
relative to it. What is not a regular file of this user under a name of the cache is left as it is.

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
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import platformdirs
import xxhash

from s3kv_flows.store._s3.bodies import Buffer
from s3kv_flows.store._s3.types import ObjectInfo

__all__ = ["CachedObject", "LocalCache", "default_directory"]

_SUFFIX = ".cached"
_UNFINISHED = ".unfinished"
_FILE_NAME = re.compile(r"[0-9a-f]{64}(\.cached|\.[0-9a-f]{16}\.unfinished)")
"""All names of files that are this module's own."""

_BY_DESCRIPTOR = {os.scandir, os.utime} <= os.supports_fd and (
    {os.open, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)

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
        try:
            with self._opened() as directory, directory.read(self._file(name)) as file:
                status = os.fstat(file.fileno())
                if not (directory.is_private and _is_private(status)):
                    return None
                found = _read(file, status, name)
                directory.touch(file, self._file(name), used=time.time_ns(), modified=status.st_mtime_ns)
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
            self._write(name, (_digest(head, cached.body), head, cached.body), cached.confirmed)
            self._make_room(size)

    def confirm(self, name: str, moment: float) -> None:
        """Remember that an entry was current at this moment, in seconds since 1970."""
        with (
            contextlib.suppress(OSError),
            self._opened() as directory,
            directory.read(self._file(name)) as file,
        ):
            directory.touch(file, self._file(name), used=time.time_ns(), modified=int(moment * 1e9))

    def discard(self, name: str) -> None:
        """Forget an object."""
        self._discarded.pop(name, None)
        self._discarded[name] = time.time()
        if len(self._discarded) > _REMEMBERED:
            self._discarded.pop(next(iter(self._discarded)), None)
        with contextlib.suppress(OSError), self._opened() as directory:
            directory.remove(self._file(name))

    def clear(self) -> int:
        """Forget everything; return how many entries there were."""
        return self.clear_older_than(0)

    def clear_older_than(self, seconds: float) -> int:
        """Forget what was not used for this many seconds; return how many entries that were."""
        limit = time.time() - seconds
        old = [name for name, status in self._files() if seconds <= 0 or status.st_atime < limit]
        removed = 0
        with contextlib.suppress(OSError), self._opened() as directory:
            for name in old:
                with contextlib.suppress(OSError):
                    removed += directory.remove(name) and name.endswith(_SUFFIX)
        return removed

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(status.st_size for _, status in self._files())

    def _path(self, name: str) -> Path:
        return self.directory / self._file(name)

    @staticmethod
    def _file(name: str) -> str:
        return f"{hashlib.sha256(name.encode()).hexdigest()}{_SUFFIX}"

    def _write(self, name: str, parts: Iterable[Buffer], confirmed: float) -> None:
        for path in (self.directory.parent, self.directory):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._opened() as directory:
            if not directory.is_private:
                raise PermissionError(f"others may write to {self.directory}")
            directory.write(self._file(name), parts, used=time.time_ns(), modified=int(confirmed * 1e9))

    def _make_room(self, written: int) -> None:
        self._room -= written
        if self._room >= 0:
            return
        files = sorted(self._files(), key=lambda entry: entry[1].st_atime)
        total = sum(status.st_size for _, status in files)
        with self._opened() as directory:
            for name, status in files:
                if total <= self.max_bytes * 7 // 8:
                    break
                with contextlib.suppress(FileNotFoundError):
                    directory.remove(name)
                total -= status.st_size
        self._room = (self.max_bytes - total) // 8

    def _files(self) -> list[tuple[str, os.stat_result]]:
        """Return the files of the cache; what another process just removed is left out."""
        with contextlib.suppress(OSError), self._opened() as directory:
            return list(directory.files())
        return []

    @contextlib.contextmanager
    def _opened(self) -> Iterator[_Directory]:
        """Open the directory.

        Raises:
            OSError: It is not there, no directory but a link to one, or somebody else's.
        """
        if not _BY_DESCRIPTOR:
            yield _Directory(self.directory, None)
            return
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield _Directory(self.directory, descriptor)
        finally:
            os.close(descriptor)


class _Directory:
    """An open directory of this user, and the files in it.

    Args:
        path: Where it is.
        descriptor: Of the open directory, so that nothing can come to lie in its place; None where the
            platform cannot name files relative to one.

    Raises:
        OSError: It is no directory, or somebody else's.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor
        status = path.lstat() if descriptor is None else os.fstat(descriptor)
        if not (stat.S_ISDIR(status.st_mode) and _is_own(status)):
            raise PermissionError(f"{path} is no directory of this user")
        self.is_private = _is_private(status)

    def read(self, name: str) -> BinaryIO:
        """Open a file of the cache, without following a link or waiting for the other end of a pipe.

        Raises:
            OSError: It is not there, or not of the cache.
        """
        descriptor = self._open(name, os.O_RDONLY | _NO_WAITING)
        if not _is_own_file(os.fstat(descriptor)):
            os.close(descriptor)
            raise PermissionError(f"{name} is no file of the cache")
        return open(descriptor, "rb")  # noqa: PTH123  # a descriptor has no path

    def touch(self, file: BinaryIO, name: str, *, used: int, modified: int) -> None:
        """Set the times of an open file, in nanoseconds since 1970."""
        target = self._at(name) if self._descriptor is None else file.fileno()
        os.utime(target, ns=(used, modified))

    def write(self, name: str, parts: Iterable[Buffer], *, used: int, modified: int) -> None:
        """Write a file beside, with its times, and rename it.

        Raises:
            OSError: It cannot be written; or what has this name is not of the cache.
        """
        temporary = f"{name.removesuffix(_SUFFIX)}.{secrets.token_hex(8)}{_UNFINISHED}"
        descriptor = self._open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
                file.writelines(parts)
                file.flush()
                self.touch(file, temporary, used=used, modified=modified)
            if not self._is_free(name):
                raise FileExistsError(f"{name} is no file of the cache")
            here = self._descriptor
            os.replace(self._at(temporary), self._at(name), src_dir_fd=here, dst_dir_fd=here)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                self.remove(temporary)
            raise

    def remove(self, name: str) -> bool:
        """Remove a file of the cache; return whether it was one.

        Raises:
            FileNotFoundError: There is none.
        """
        if not (_FILE_NAME.fullmatch(name) and _is_own_file(self._stat(name))):
            return False
        os.unlink(self._at(name), dir_fd=self._descriptor)  # relative to the directory
        return True

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the files of the cache, and the unfinished ones."""
        with os.scandir(self._path if self._descriptor is None else self._descriptor) as entries:
            names = [entry.name for entry in entries if _FILE_NAME.fullmatch(entry.name)]
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if _is_own_file(status := self._stat(name)):
                    yield name, status

    def _is_free(self, name: str) -> bool:
        try:
            return _is_own_file(self._stat(name))
        except FileNotFoundError:
            return True

    def _open(self, name: str, flags: int, mode: int = 0o777) -> int:
        return os.open(self._at(name), flags | _NO_LINKS, mode, dir_fd=self._descriptor)

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)


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


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


def _is_own_file(status: os.stat_result) -> bool:
    """Tell whether it is a regular file of this user: no link, directory, pipe or device."""
    return stat.S_ISREG(status.st_mode) and _is_own(status)


def _is_private(status: os.stat_result) -> bool:
    """Tell whether nobody else may write to it."""
    return not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
