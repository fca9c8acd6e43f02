"""A stand-in for a fast, distant S3: answers from memory, after a round trip.

What a benchmark compares is clients. A real server on the same two cores would take most of them, and
slow down whoever asks it faster; this one knows just enough of S3 for listings, tags, deletions, conditions
and writes, whole or in parts, of which it keeps the size alone. It heeds conditions, as AWS does. What was
asked so far, ``GET /requests`` tells.

    python -m tests.benchmarks.standin ROUND_TRIP_SECONDS BUCKET=KEYS...
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_TAGS = f"{_XML}<Tagging><TagSet><Tag><Key>module</Key><Value>users</Value></Tag></TagSet></Tagging>"
_PAGE = 1000
_ROOT = Path(__file__).parents[2]
_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
_KEPT_BYTES = 1 << 20
"""Bodies up to this size are looked at; what is larger is an object's."""


@dataclass(frozen=True)
class _Object:
    size: int = 1
    etag: str = '"0"'


_FIRST = _Object()
"""What the buckets begin with."""


@dataclass
class _Request:
    method: str
    url: str
    if_match: str | None
    creates: bool
    size: int
    body: bytes = b""


@dataclass(frozen=True)
class _Answer:
    status: int
    text: str = ""
    etag: str = _FIRST.etag


@dataclass
class _Bucket:
    names: list[str]
    written: dict[str, _Object] = field(default_factory=dict)

    def found(self, name: str) -> _Object | None:
        place = bisect_left(self.names, name)
        if self.names[place : place + 1] == [name]:
            return self.written.get(name, _FIRST)
        return None

    def write(self, name: str, found: _Object) -> None:
        if self.found(name) is None:
            insort(self.names, name)
        self.written[name] = found

    def remove(self, name: str) -> None:
        if self.found(name) is not None:
            del self.names[bisect_left(self.names, name)]
            self.written.pop(name, None)


class _S3:
    def __init__(self, buckets: dict[str, list[str]]) -> None:
        self._buckets = {name: _Bucket(keys) for name, keys in buckets.items()}
        self._etags, self._uploads = count(1), dict[str, dict[str, int]]()
        self._requests = 0

    def answer(self, request: _Request) -> _Answer:
        if request.url == "/requests":
            return _Answer(200, str(self._requests))
        self._requests += 1
        parts = urlsplit(request.url)
        _, bucket, *rest = parts.path.split("/", 2)
        query = parse_qs(parts.query, keep_blank_values=True)
        name, there = unquote(rest[0]) if rest else "", self._buckets[bucket]
        if not name:
            return self._of_bucket(request, query, there)
        return self._of_object(request, query, there, name)

    def _of_bucket(self, request: _Request, query: dict[str, list[str]], there: _Bucket) -> _Answer:
        match request.method:
            case "GET" if "object-lock" in query:
                return _failed(404, "ObjectLockConfigurationNotFoundError")
            case "GET" if "versioning" in query:
                return _Answer(200, f"{_XML}<VersioningConfiguration/>")
            case "GET" if "versions" in query:
                return _Answer(200, self._listing(there, query, of_versions=True))
            case "GET":
                return _Answer(200, self._listing(there, query))
            case "POST" if "delete" in query:
                return _Answer(200, self._delete(there, request.body.decode()))
            case "HEAD":
                return _Answer(200)
        return _failed(501, "NotImplemented")

    def _of_object(
        self, request: _Request, query: dict[str, list[str]], there: _Bucket, name: str
    ) -> _Answer:
        found = there.found(name)
        match request.method:
            case "GET" if "tagging" in query:
                return _Answer(200, _TAGS)
            case "POST" if "uploads" in query:
                return self._begun(name)
            case "PUT" if "uploadId" in query:
                self._uploads[query["uploadId"][0]][query["partNumber"][0]] = request.size
                return _Answer(200)
            case "DELETE" if "uploadId" in query:
                del self._uploads[query["uploadId"][0]]
                return _Answer(204)
            case "PUT" | "POST" | "DELETE" if request.if_match and found is None:
                return _failed(404, "NoSuchKey")
            case "PUT" | "POST" | "DELETE" if not _holds(request, found):
                return _failed(412, "PreconditionFailed")
            case "POST" if "uploadId" in query:
                return self._written(there, name, sum(self._uploads.pop(query["uploadId"][0]).values()))
            case "PUT" if not query:
                return self._written(there, name, request.size)
            case "DELETE" if query in ({}, {"versionId": ["null"]}):
                there.remove(name)
                return _Answer(204)
            case "HEAD":
                return _Answer(404) if found is None else _Answer(200, etag=found.etag)
        return _failed(501, "NotImplemented")

    def _begun(self, name: str) -> _Answer:
        upload = f"upload-{next(self._etags)}"
        self._uploads[upload] = {}
        ids = f"<Bucket>b</Bucket><Key>{escape(name)}</Key><UploadId>{upload}</UploadId>"
        return _Answer(200, f"{_XML}<InitiateMultipartUploadResult>{ids}</InitiateMultipartUploadResult>")

    def _written(self, there: _Bucket, name: str, size: int) -> _Answer:
        etag = f'"{next(self._etags)}"'
        there.write(name, _Object(size, etag))
        told = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        return _Answer(200, _XML + told, etag)

    def _delete(self, there: _Bucket, body: str) -> str:
        gone, errors = set(), ""
        for item in re.findall(r"<Object>(.*?)</Object>", body):
            key = re.findall(r"<Key>(.*?)</Key>", item)[0]
            etags = re.findall(r"<ETag>(.*?)</ETag>", item)
            found = there.found(unescape(key))
            if etags and found and unescape(etags[0], {"&quot;": '"'}) != found.etag:
                errors += f"<Error><Key>{key}</Key><Code>PreconditionFailed</Code></Error>"
            else:
                gone.add(unescape(key))
        there.names[:] = [key for key in there.names if key not in gone]
        for key in gone:
            there.written.pop(key, None)
        return f"{_XML}<DeleteResult>{errors}</DeleteResult>"

    def _listing(self, there: _Bucket, query: dict[str, list[str]], *, of_versions: bool = False) -> str:
        names = there.names
        after = query.get("continuation-token") or query.get("start-after") or query.get("key-marker") or [""]
        prefix = query.get("prefix", [""])[0]
        start = max(bisect_right(names, after[0]), bisect_left(names, prefix))
        page = [name for name in names[start : start + _PAGE] if name.startswith(prefix)]
        more = len(page) == _PAGE and start + _PAGE < len(names)
        of, item, marker = ("ListBucketResult", "Contents", "NextContinuationToken")
        if of_versions:
            of, item, marker = ("ListVersionsResult", "Version", "NextKeyMarker")
        items = "".join(f"<{item}>{_listed(name, there.written.get(name, _FIRST))}</{item}>" for name in page)
        token = f"<{marker}>{page[-1]}</{marker}>" if more else ""
        return f"{_XML}<{of}><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</{of}>"


def _listed(name: str, found: _Object) -> str:
    return (
        f"<Key>{escape(name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><IsLatest>true</IsLatest>"
        f"<VersionId>null</VersionId><ETag>{found.etag}</ETag><Size>{found.size}</Size>"
    )


def _holds(request: _Request, found: _Object | None) -> bool:
    if request.creates and found is not None:
        return False
    return request.if_match is None or (found is not None and request.if_match in ("*", found.etag))


def _failed(status: int, code: str) -> _Answer:
    return _Answer(status, f"{_XML}<Error><Code>{code}</Code></Error>")


class _Http(asyncio.BufferedProtocol):
    """A connection. Large bodies are counted and dropped where they arrive, in one small buffer."""

    def __init__(self, s3: _S3, round_trip: float) -> None:
        self._s3, self._round_trip = s3, round_trip
        self._buffer, self._filled = bytearray(2 * _KEPT_BYTES), 0
        self._request: _Request | None = None
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the signature of asyncio
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        while self._take():
            pass

    def _take(self) -> bool:
        """Take a head, or what there is of a body; tell whether there may be more to take."""
        if self._request is None:
            end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
            if end < 0:
                return False
            self._begin(bytes(self._buffer[:end]))
            self._drop(end + 4)
            return True
        request = self._request
        if request.size <= _KEPT_BYTES and self._filled < self._missing:
            return False
        taken = min(self._filled, self._missing)
        if request.size <= _KEPT_BYTES:
            request.body = bytes(self._buffer[:taken])
        self._drop(taken)
        self._missing -= taken
        if self._missing:
            return False
        self._request = None
        self._end(request)
        return True

    def _drop(self, size: int) -> None:
        self._buffer[: self._filled - size] = self._buffer[size : self._filled]
        self._filled -= size

    def _begin(self, head: bytes) -> None:
        line, *lines = head.decode().split("\r\n")
        method, url, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        self._missing = int(headers.get("content-length", "0"))
        creates = headers.get("if-none-match") == "*"
        self._request = _Request(method, url, headers.get("if-match"), creates, self._missing)
        if headers.get("expect") == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _end(self, request: _Request) -> None:
        answer = self._s3.answer(request)
        body = answer.text.encode()
        sent = (
            f"HTTP/1.1 {answer.status} OK\r\nContent-Length: {len(body)}\r\nContent-Type: application/xml\r\n"
            f"ETag: {answer.etag}\r\nLast-Modified: {_DATE}\r\nx-amz-request-id: 1\r\nDate: {_DATE}\r\n\r\n"
        ).encode()
        if request.method != "HEAD":
            sent += body
        asyncio.get_running_loop().call_later(self._round_trip, self._transport.write, sent)


async def _serve(round_trip: float, buckets: dict[str, list[str]]) -> None:
    s3 = _S3(buckets)
    server = await asyncio.get_running_loop().create_server(lambda: _Http(s3, round_trip), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201  # to the parent
    await asyncio.to_thread(sys.stdin.read)  # it ends with its standard input


@contextmanager
def running(round_trip: float, **buckets: int) -> Iterator[str]:
    """Run the stand-in in a process of its own, with buckets of so many keys; yield its URL."""
    sizes = [f"{bucket}={keys}" for bucket, keys in buckets.items()]
    command = [sys.executable, "-m", "tests.benchmarks.standin", str(round_trip), *sizes]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate(timeout=20)


def main() -> None:
    buckets = {}
    for argument in sys.argv[2:]:
        bucket, _, count = argument.partition("=")
        buckets[bucket] = [f"s3kv/key{number:06}.json" for number in range(int(count))]
    asyncio.run(_serve(float(sys.argv[1]), buckets))


if __name__ == "__main__":
    main()
