"""A read-through cache of objects on local disk.

An entry is used once the server has confirmed, by ETag, that the object is unchanged (the response is a 304
without a body), or, where the user allows it, while the last confirmation is young enough. Entries are files
named after a hash of the object name, so that no key can leave the directory; they are written under a
temporary name and renamed, so that many processes may share the directory; and a damaged file is a miss. The
modification time of a file says when it was confirmed, its access time when it was used. The directory
belongs to the user (mode 0700); one that others may write to is not used.

The directory of all caches may be shared, or be in ``/tmp``, where others may create anything. So the
directory is opened once, without following a link, and all files are read, written and removed relative to
it. Anything but a regular file of this user with a file name of the cache is left alone.

Well-maintained libraries were considered. diskcache keeps values in SQLite and pickles, which would trust
files on disk, and locks a database where a rename suffices; requests-cache and hishel plug into HTTP clients
that boto3 does not use; fsspec's caches are tied to its file systems. The rest is a checksum, a rename and a
walk over a directory.
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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs
import xxhash

from s3kv_flows.store._layout.documents import is_date_text, is_number, read_document
from s3kv_flows.store._s3.bodies import Buffer
from s3kv_flows.store._s3.types import ObjectInfo

__all__ = ["CachedObject", "LocalCache", "default_directory"]

_SUFFIX = ".cached"
_UNFINISHED = ".unfinished"
_FILE_NAME = re.compile(r"[0-9a-f]{64}(\.cached|\.[0-9a-f]{16}\.unfinished)")
"""The file names of the cache."""

_BY_DESCRIPTOR = {os.scandir, os.utime} <= os.supports_fd and (
    {os.open, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_BLOCKING = getattr(os, "O_NONBLOCK", 0)

_DIGEST_BYTES = 16
_MAX_HEAD_BYTES = 64 * 1024
_FORMAT = 5
_MAX_DISCARDED = 4096


@dataclass(frozen=True)
class CachedObject:
    """The cached copy of an object.

    Attributes:
        info: The headers that came with the body; locks are not kept.
        body: The body.
        confirmed: When the server last confirmed that it is current, in seconds since 1970.
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
        scope: The server and bucket of the cache; caches of other scopes share none of its entries.
        directory: The directory of all caches; by default :func:`default_directory`.
        max_bytes: The limit for the size of all files; the least recently used are evicted first. The
            directory is walked when an eighth of the free bytes has been written, and then left with an
            eighth free: eight processes may share it and keep to the limit.
    """

    def __init__(self, scope: str, *, directory: Path | None = None, max_bytes: int = 1 << 30) -> None:
        root = directory or default_directory()
        self.directory = root / hashlib.sha256(scope.encode()).hexdigest()[:32]
        self.max_bytes = max_bytes
        self._bytes_until_walk = 0  # that may be written before the directory is walked again
        self._discarded: dict[str, float] = {}  # when: what was requested before then is not put

    def get(self, name: str) -> CachedObject | None:
        """Return the cached copy of an object; None where there is none, or a damaged one."""
        try:
            with self._opened() as directory, directory.read(self._file(name)) as file:
                status = os.fstat(file.fileno())
                if not (directory.is_private and _is_private(status)):
                    return None
                cached = _read(file, status.st_size, name, self.max_bytes)
                if cached is None:
                    return None
                cached = replace(cached, confirmed=status.st_mtime)
                directory.touch(file, self._file(name), used=time.time_ns(), modified=status.st_mtime_ns)
        except OSError:
            return None
        return cached

    def put(self, name: str, cached: CachedObject) -> None:
        """Cache an object, unless it was discarded after it was requested.

        Where the disk is full or read-only, nothing is cached.
        """
        if cached.confirmed <= self._discarded.get(name, -1):
            return
        head = _encode_head(name, cached.info, len(cached.body))
        size = _DIGEST_BYTES + len(head) + len(cached.body)
        if size > self.max_bytes:
            self.discard(name)
            return
        with contextlib.suppress(OSError):
            self._write(name, (_digest(head, cached.body), head, cached.body), cached.confirmed)
            self._evict(size)

    def confirm(self, name: str, moment: float) -> None:
        """Record that an entry was current at this moment, in seconds since 1970."""
        with (
            contextlib.suppress(OSError),
            self._opened() as directory,
            directory.read(self._file(name)) as file,
        ):
            directory.touch(file, self._file(name), used=time.time_ns(), modified=int(moment * 1e9))

    def discard(self, name: str) -> None:
        """Remove an entry."""
        self._discarded.pop(name, None)
        self._discarded[name] = time.time()
        if len(self._discarded) > _MAX_DISCARDED:
            self._discarded.pop(next(iter(self._discarded)), None)
        with contextlib.suppress(OSError), self._opened() as directory:
            directory.remove(self._file(name))

    def clear(self) -> int:
        """Remove all entries; return their number."""
        return self.clear_older_than(0)

    def clear_older_than(self, seconds: float) -> int:
        """Remove the entries that were not used for this many seconds; return their number."""
        limit = time.time() - seconds
        old = [name for name, status in self._files() if seconds <= 0 or status.st_atime < limit]
        removed = 0
        with contextlib.suppress(OSError), self._opened() as directory:
            for name in old:
                with contextlib.suppress(OSError):
                    removed += directory.remove(name) and name.endswith(_SUFFIX)
        return removed

    def size(self) -> int:
        """Return the total size of all files, in bytes."""
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

    def _evict(self, written: int) -> None:
        self._bytes_until_walk -= written
        if self._bytes_until_walk >= 0:
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
        self._bytes_until_walk = (self.max_bytes - total) // 8

    def _files(self) -> list[tuple[str, os.stat_result]]:
        """Return the files of the cache, without those that another process just removed."""
        with contextlib.suppress(OSError), self._opened() as directory:
            return list(directory.files())
        return []

    @contextlib.contextmanager
    def _opened(self) -> Iterator[_Directory]:
        """Open the directory.

        Raises:
            OSError: It does not exist, is a link to a directory, or belongs to somebody else.
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
        path: The path of the directory.
        descriptor: The descriptor of the open directory, so that nobody can replace it; None where the
            platform cannot name files relative to one.

    Raises:
        OSError: It is not a directory, or belongs to somebody else.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor
        status = path.lstat() if descriptor is None else os.fstat(descriptor)
        if not (stat.S_ISDIR(status.st_mode) and _is_owned(status)):
            raise PermissionError(f"{path} is not a directory of this user")
        self.is_private = _is_private(status)

    def read(self, name: str) -> BinaryIO:
        """Open a file of the cache, without following a link or waiting for the other end of a pipe.

        Raises:
            OSError: It does not exist, or does not belong to the cache.
        """
        descriptor = self._open(name, os.O_RDONLY | _NO_BLOCKING)
        if not _is_owned_file(os.fstat(descriptor)):
            os.close(descriptor)
            raise PermissionError(f"{name} is not a file of the cache")
        return open(descriptor, "rb")  # noqa: PTH123  # a descriptor has no path

    def touch(self, file: BinaryIO, name: str, *, used: int, modified: int) -> None:
        """Set the times of an open file, in nanoseconds since 1970."""
        target = self._target(name) if self._descriptor is None else file.fileno()
        os.utime(target, ns=(used, modified))

    def write(self, name: str, parts: Iterable[Buffer], *, used: int, modified: int) -> None:
        """Write a file under a temporary name, with its times, and rename it.

        Raises:
            OSError: It cannot be written; or something else has its name.
        """
        temporary = f"{name.removesuffix(_SUFFIX)}.{secrets.token_hex(8)}{_UNFINISHED}"
        descriptor = self._open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
                file.writelines(parts)
                file.flush()
                self.touch(file, temporary, used=used, modified=modified)
            if not self._is_replaceable(name):
                raise FileExistsError(f"{name} is not a file of the cache")
            directory = self._descriptor
            os.replace(
                self._target(temporary), self._target(name), src_dir_fd=directory, dst_dir_fd=directory
            )
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                self.remove(temporary)
            raise

    def remove(self, name: str) -> bool:
        """Remove a file of the cache; return whether it belonged to the cache.

        Raises:
            FileNotFoundError: There is no such file.
        """
        if not (_FILE_NAME.fullmatch(name) and _is_owned_file(self._stat(name))):
            return False
        os.unlink(self._target(name), dir_fd=self._descriptor)  # relative to the directory
        return True

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the files of the cache, including unfinished ones."""
        with os.scandir(self._path if self._descriptor is None else self._descriptor) as entries:
            names = [entry.name for entry in entries if _FILE_NAME.fullmatch(entry.name)]
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if _is_owned_file(status := self._stat(name)):
                    yield name, status

    def _is_replaceable(self, name: str) -> bool:
        try:
            return _is_owned_file(self._stat(name))
        except FileNotFoundError:
            return True

    def _open(self, name: str, flags: int, mode: int = 0o777) -> int:
        return os.open(self._target(name), flags | _NO_LINKS, mode, dir_fd=self._descriptor)

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(self._target(name), dir_fd=self._descriptor, follow_symlinks=False)

    def _target(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)


def _encode_head(name: str, info: ObjectInfo, size: int) -> bytes:
    record = {
        "format": _FORMAT,
        "name": name,
        "size": size,
        "etag": info.etag,
        "last_modified": info.last_modified.isoformat(),
        "version_id": info.version_id,
        "content_type": info.content_type,
        "metadata": dict(info.metadata),
    }
    return json.dumps(record).encode() + b"\n"


def _digest(head: bytes, body: Buffer) -> bytes:
    """Return the digest that shows damage. Only the user may write here: it need not resist forgery."""
    digest = xxhash.xxh3_128(head)
    digest.update(body)
    return digest.digest()


def _read(file: BinaryIO, size: int, name: str, max_bytes: int) -> CachedObject | None:
    """Read a file of the cache into one new buffer; None where it is damaged, or of another object.

    No memory is taken for a file that is larger than the cache may be, or than its head says: a sparse file
    claims any size. Where it grows or shrinks meanwhile, its digest does not match.
    """
    if size > max_bytes:
        return None
    digest, head = file.read(_DIGEST_BYTES), file.readline(_MAX_HEAD_BYTES)
    info = _decode_head(head, name)
    if info is None or info.size != size - len(digest) - len(head):
        return None
    body = bytearray(info.size)
    read: int = file.readinto(body)  # type: ignore[attr-defined]  # of a buffered reader
    if read != info.size or _digest(head, body) != digest:
        return None
    return CachedObject(info, body)


def _decode_head(head: bytes, name: str) -> ObjectInfo | None:
    """Return the headers in a file; None where they are malformed, or those of another object."""
    try:
        record = read_document(head, max_bytes=_MAX_HEAD_BYTES) if head.endswith(b"\n") else None
        if not isinstance(record, dict) or not _is_head(record) or record["name"] != name:
            return None
        last_modified = datetime.fromisoformat(record["last_modified"])
    except ValueError:
        return None
    return ObjectInfo(
        name=name,
        etag=record["etag"],
        size=record["size"],
        last_modified=last_modified,
        server_time=last_modified,
        version_id=record["version_id"],
        content_type=record["content_type"],
        metadata=record["metadata"],
    )


def _is_head(record: Mapping[str, Any]) -> bool:
    version_id, metadata = record.get("version_id"), record.get("metadata")
    return (
        record.get("format") == _FORMAT
        and is_number(record.get("size"))
        and is_date_text(record.get("last_modified"))
        and all(isinstance(record.get(one), str) for one in ("name", "etag", "content_type"))
        and "version_id" in record
        and (version_id is None or isinstance(version_id, str))
        and isinstance(metadata, dict)
        and all(isinstance(one, str) for one in metadata.values())
    )


def _is_owned(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


def _is_owned_file(status: os.stat_result) -> bool:
    """Return whether this is a regular file of the user: no link, directory, pipe or device."""
    return stat.S_ISREG(status.st_mode) and _is_owned(status)


def _is_private(status: os.stat_result) -> bool:
    """Return whether nobody else may write to it."""
    return not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
