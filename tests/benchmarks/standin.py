"""A stand-in for a fast, distant S3: answers from memory, after a round trip.

What a benchmark compares is clients. A real server on the same two cores would take most of them, and
slow down whoever asks it faster; this one knows just enough of S3 for a listing, tags and deletions,
and for the probe that finds out whether a deletion heeds an ETag (here, as on AWS, it does). What was asked
so far, ``GET /requests`` tells.

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
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_TAGS = f"{_XML}<Tagging><TagSet><Tag><Key>module</Key><Value>users</Value></Tag></TagSet></Tagging>"
_PAGE = 1000
_ROOT = Path(__file__).parents[2]
_ETAG = '"0"'
_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


class _S3:
    def __init__(self, buckets: dict[str, list[str]]) -> None:
        self._buckets = buckets
        self._requests = 0

    def answer(self, method: str, url: str, body: bytes, *, other_etag: bool = False) -> tuple[int, str]:
        if url == "/requests":
            return 200, str(self._requests)
        self._requests += 1
        parts = urlsplit(url)
        _, bucket, *rest = parts.path.split("/", 2)
        name, query = unquote(rest[0]) if rest else "", parse_qs(parts.query, keep_blank_values=True)
        keys = self._buckets[bucket]
        if method == "GET" and "tagging" in query:
            return 200, _TAGS
        if method == "GET" and "object-lock" in query:
            error = "<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>"
            return 404, _XML + error
        if method == "GET" and "versioning" in query:
            return 200, f"{_XML}<VersioningConfiguration/>"
        if method == "GET" and "versions" in query:
            return 200, f"{_XML}<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>"
        if method == "PUT":
            insort(keys, name)
            return 200, ""
        if method == "HEAD":
            return (200 if not name or name in keys else 404), ""
        if method == "GET" and not name:
            return 200, self._listing(keys, query)
        if method == "DELETE":
            if other_etag:
                return 412, f"{_XML}<Error><Code>PreconditionFailed</Code></Error>"
            if name in keys:
                keys.remove(name)
            return 204, ""
        if method == "POST" and "delete" in query:
            return 200, self._delete(keys, body.decode())
        return 501, f"{_XML}<Error><Code>NotImplemented</Code></Error>"

    def _delete(self, keys: list[str], body: str) -> str:
        gone, errors = set(), ""
        for item in re.findall(r"<Object>(.*?)</Object>", body):
            key = re.findall(r"<Key>(.*?)</Key>", item)[0]
            etags = re.findall(r"<ETag>(.*?)</ETag>", item)
            if etags and unescape(etags[0], {"&quot;": '"'}) != _ETAG:
                errors += f"<Error><Key>{key}</Key><Code>PreconditionFailed</Code></Error>"
            else:
                gone.add(unescape(key))
        keys[:] = [key for key in keys if key not in gone]
        return f"{_XML}<DeleteResult>{errors}</DeleteResult>"

    def _listing(self, keys: list[str], query: dict[str, list[str]]) -> str:
        after = query.get("continuation-token") or query.get("start-after") or [""]
        prefix = query.get("prefix", [""])[0]
        start = max(bisect_right(keys, after[0]), bisect_left(keys, prefix))
        page = [key for key in keys[start : start + _PAGE] if key.startswith(prefix)]
        more = len(page) == _PAGE and start + _PAGE < len(keys)
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{_ETAG}</ETag><Size>1</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        flag = str(more).lower()
        return f"{_XML}<ListBucketResult><IsTruncated>{flag}</IsTruncated>{token}{items}</ListBucketResult>"


class _Http(asyncio.Protocol):
    def __init__(self, s3: _S3, round_trip: float) -> None:
        self._s3, self._round_trip = s3, round_trip
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            method, url, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            condition = re.search(rb"(?i)\r\nif-match: *(\S+)", head)
            other_etag = condition is not None and condition[1].decode() != _ETAG
            status, text = self._s3.answer(method, url, rest[:length], other_etag=other_etag)
            body = text.encode()
            answer = (
                f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\nContent-Type: application/xml\r\n"
                f"ETag: {_ETAG}\r\nLast-Modified: {_DATE}\r\nx-amz-request-id: 1\r\nDate: {_DATE}\r\n\r\n"
            ).encode() + body
            asyncio.get_running_loop().call_later(self._round_trip, self._transport.write, answer)


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
