"""A read-through cache of objects on local disk.

An entry is used only after the server confirmed, by ETag, that the object is still the same: then
the answer is 304, without a body. Entries are files named after a hash of what they cache, so that no
key can leave the directory; they are written beside and renamed, so that many processes may share
it; and a file that is damaged is a miss. The directory is the user's own (mode 0700).

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
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

__all__ = ["CachedObject", "LocalCache", "default_directory"]

_SUFFIX = ".cached"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class CachedObject:
    """What is remembered of an object."""

    etag: str
    content_type: str
    body: bytearray


def default_directory() -> Path:
    """Return the directory of all caches of this user, such as ``~/.cache/s3kv_flows``."""
    return Path(platformdirs.user_cache_dir("s3kv_flows", appauthor=False))


class LocalCache:
    """The cached objects of one bucket of one server.

    Args:
        scope: What the cache belongs to; caches of other scopes see none of its entries.
        directory: The directory of all caches; by default :func:`default_directory`.
        max_bytes: The size the files are kept under; the least recently used go first.
    """

    def __init__(self, scope: str, *, directory: Path | None = None, max_bytes: int = 1 << 30) -> None:
        root = directory or default_directory()
        self.directory = root / hashlib.sha256(scope.encode()).hexdigest()[:32]
        self.max_bytes = max_bytes

    def get(self, name: str) -> CachedObject | None:
        """Return what is cached of an object, None where there is nothing, or a damaged file."""
        path = self._path(name)
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        digest, content = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            return None
        head, _, body = content.partition(b"\n")
        entry = json.loads(head)
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: the least recently used go first
        return CachedObject(entry["etag"], entry["content_type"], bytearray(body))

    def put(self, name: str, cached: CachedObject) -> None:
        """Remember an object. Where the disk is full or read-only, nothing is remembered."""
        head = json.dumps({"etag": cached.etag, "content_type": cached.content_type}).encode()
        content = b"\n".join((head, cached.body))
        if len(content) > self.max_bytes:
            self.discard(name)
            return
        with contextlib.suppress(OSError):
            self._write(self._path(name), hashlib.sha256(content).digest() + content)
            self._shrink()

    def discard(self, name: str) -> None:
        """Forget an object."""
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
            if seconds == 0 or status.st_mtime < limit:
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed += path.suffix == _SUFFIX
        return removed

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(status.st_size for _, status in self._files())

    def _path(self, name: str) -> Path:
        return self.directory / f"{hashlib.sha256(name.encode()).hexdigest()}{_SUFFIX}"

    def _write(self, path: Path, raw: bytes) -> None:
        for directory in (self.directory.parent, self.directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.directory)  # 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
                file.write(raw)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _shrink(self) -> None:
        files = sorted(self._files(), key=lambda entry: entry[1].st_mtime)
        total = sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= self.max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the files of the cache; what another process just removed is left out."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in list(self.directory.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat()
