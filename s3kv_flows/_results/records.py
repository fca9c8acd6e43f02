"""Records of results: metadata of the object whose body holds the value.

:func:`fetch_result` reads record and value in one request, and :func:`write_result` writes both in one PUT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from s3kv_flows._prefect import with_automatic_tags
from s3kv_flows._results.codec import RESULT_CODEC, codec_of_results
from s3kv_flows._results.payload import CacheAttempt, Payload, WriteOptions
from s3kv_flows.store import S3KV
from s3kv_flows.store._layout.marks import (
    ENDS,
    EXPIRES,
    FENCE,
    INPUTS,
    PARTS,
    PREFECT_VERSION,
    SECONDS,
    TTL,
    is_own,
    name_mark,
)
from s3kv_flows.store._layout.parsing import (
    clamped,
    optional,
    parse_count,
    parse_date,
    parse_duration,
    parse_text,
    required,
)
from s3kv_flows.store._layout.ttl import TTL_TAG, ttl_tags
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store._s3.types import ObjectInfo, Written
from s3kv_flows.store._values.codecs import executes_code
from s3kv_flows.store._values.rereading import read_and_decode
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    KeyNotFoundError,
    StaleWriterError,
    TamperedValueError,
)

__all__ = [
    "ExpiredResultError",
    "FoundResult",
    "Record",
    "WrittenResult",
    "amend",
    "fetch_result",
    "write_result",
]

_CLOCKS_AGREE = timedelta(seconds=2)
"""HTTP dates are whole seconds: a clock this close to the server's counts as equal to it."""


class ExpiredResultError(KeyNotFoundError):
    """The store has the result, and it has expired."""


@dataclass(frozen=True)
class Record:
    """Prefect's record of a result, without the fields that object name and content type already hold.

    It has to fit into the 2 KiB of user metadata that S3 accepts.

    Attributes:
        prefect_version: The Prefect version of the process that wrote the result.
        expires: When the result expires, by the clock of the machine that wrote it.
        ttl: The same, as a duration from the write on.
        seconds: How long the task took, which a hit saves.
        inputs: The key that code and inputs make, where the key of the result is a name.
        parts: What that was made of; see :meth:`s3kv_flows._keys.parts.KeyParts.to_metadata`.
        fence: The fencing number of the lease that the result was written under.
        ends: When the result expires, by the server's clock, as the writer knew it.
    """

    prefect_version: str
    expires: datetime | None = None
    ttl: timedelta | None = None
    seconds: float | None = None
    inputs: str | None = None
    parts: str | None = None
    fence: int | None = None
    ends: datetime | None = None

    def to_metadata(self, name: str) -> dict[str, str]:
        """Return the user metadata of the object."""
        metadata = {PREFECT_VERSION: self.prefect_version, **name_mark(name)}
        if self.expires is not None and self.ttl is not None:
            metadata[EXPIRES] = self.expires.astimezone(timezone.utc).isoformat()
            metadata[TTL] = f"{self.ttl.total_seconds():.6f}"
        if self.ends is not None:
            metadata[ENDS] = self.ends.astimezone(timezone.utc).isoformat()
        if self.seconds is not None:
            metadata[SECONDS] = f"{self.seconds:.3f}"
        if self.inputs is not None:
            metadata[INPUTS] = self.inputs
        if self.parts is not None:
            metadata[PARTS] = self.parts
        if self.fence is not None:
            metadata[FENCE] = str(self.fence)
        return metadata

    @classmethod
    def from_info(cls, info: ObjectInfo) -> Record:
        """Return the record of an object.

        Raises:
            CorruptValueError: It has no record, or that of another object (a copy under another name), or
                one that cannot be read.
        """
        metadata = info.metadata
        if not is_own(info.name, info.metadata):
            raise CorruptValueError(
                f"{info.name!r} is not a result that was written under this name", reason="metadata"
            )
        try:
            return cls(
                prefect_version=required(metadata, PREFECT_VERSION, parse_text),
                expires=optional(metadata, EXPIRES, parse_date),
                ttl=optional(metadata, TTL, parse_duration),
                ends=optional(metadata, ENDS, parse_date),
                seconds=optional(metadata, SECONDS, _parse_seconds),
                inputs=optional(metadata, INPUTS, parse_text),
                parts=optional(metadata, PARTS, parse_text),
                fence=optional(metadata, FENCE, parse_count),
            )
        except CorruptValueError as exc:
            raise exc.located(f"the record of {info.name!r} cannot be read") from exc

    def remaining(self, info: ObjectInfo) -> timedelta | None:
        """Return for how long the result is still valid; None for ever.

        The server's clock decides: the age is its Date minus Last-Modified, both in whole seconds. Where
        the clocks of the writer and of this machine agree with it, they decide within the second. All of it
        is done with durations, which no two dates can make too long, and ends within a hundred years.

        Whoever writes an object back gives it a new Last-Modified. So it also ends when its writer said, by
        the server's clock.
        """
        remaining = self._remaining(info)
        if remaining is None or self.ends is None:
            return remaining
        return min(remaining, clamped(self.ends + _CLOCKS_AGREE - info.server_time))

    def _remaining(self, info: ObjectInfo) -> timedelta | None:
        if self.expires is None or self.ttl is None:
            return None
        if not info.is_dated:  # the server does not say how old it is
            return clamped(self.expires - info.server_time)
        age = info.server_time - info.last_modified
        difference = self.expires - info.last_modified - self.ttl
        now = datetime.now(timezone.utc)
        if abs(difference) < _CLOCKS_AGREE and abs(now - info.server_time) < _CLOCKS_AGREE:
            return clamped(self.expires - now)
        return clamped(self.ttl - age)


@dataclass(frozen=True)
class FoundResult:
    """A valid result that was fetched and decoded.

    Attributes:
        record: Its record.
        remaining: For how long it is still valid; None for ever.
        value: Its value.
        size: Its stored size in bytes.
        was_locked: Whether it is or was under a lock.
    """

    record: Record
    remaining: timedelta | None
    value: Any
    size: int
    was_locked: bool

    @property
    def expiration(self) -> datetime | None:
        """When the result expires, by this machine's clock."""
        return None if self.remaining is None else datetime.now(timezone.utc) + self.remaining


@dataclass(frozen=True)
class WrittenResult:
    """A written result, which the record storage compares with Prefect's record."""

    results: S3KV
    key: str
    record: Record
    content_type: str
    written: Written
    tags: Mapping[str, str]


def fetch_result(
    results: S3KV, key: str, *, on_info: Callable[[ObjectInfo], object] = lambda _: None
) -> FoundResult:
    """Fetch, verify and decode a result: one request, without the body if it has expired.

    A frame that may have been damaged on its way here is fetched once more.

    Args:
        results: The results.
        key: The cache key.
        on_info: Called with the headers of the object, also if it cannot be used.

    Raises:
        KeyNotFoundError: The store has no such result.
        ExpiredResultError: The result has expired.
        CorruptValueError: The result cannot be verified or decoded.
    """
    codec = codec_of_results(results)
    (fetched, record), value = read_and_decode(
        lambda: _fetch(results, key, on_info),
        lambda found: codec.decode(found[0].body),
        lambda: results.clear_cache_for_key(key),
    )
    info = fetched.info
    was_locked = info.lock_mode is not None or info.legal_hold or bool(info.other_locks)
    return FoundResult(record, record.remaining(info), value, info.size, was_locked)


def _fetch(results: S3KV, key: str, on_info: Callable[[ObjectInfo], object]) -> tuple[_FetchedBody, Record]:
    """Return a valid result as it is stored, and its record."""
    content_type = results.codec.content_type

    def is_wanted(info: ObjectInfo) -> bool:
        on_info(info)  # a body that is too large is refused next
        return _is_body_needed(info, content_type=content_type)

    try:
        fetched = results.fetch(key, wanted=is_wanted)
    except TamperedValueError as exc:
        if exc.info is not None:
            on_info(exc.info)  # a write has to replace it
        raise
    info = fetched.info
    on_info(info)
    record = Record.from_info(info)
    if info.content_type != content_type:
        if not executes_code(results.codec) and info.content_type == RESULT_CODEC.content_type:
            raise CorruptValueError(
                f"{key!r} is a pickle, and the store has allow_pickle=False", reason="pickle_refused"
            )
        raise CorruptValueError(
            f"{key!r} is {info.content_type!r}, not a result of this codec", reason="codec"
        )
    if fetched.body is None:
        raise ExpiredResultError(f"the result {key!r} has expired")
    return _FetchedBody(info, fetched.body), record


class _FetchedBody(NamedTuple):
    info: ObjectInfo
    body: bytearray | memoryview


def write_result(results: S3KV, key: str, payload: Payload, prefect_version: str) -> WrittenResult:
    """Write a result with its record, tags and lock in one PUT.

    Raises:
        KeyLockedError: The key is under retention.
        UnsupportedByServerError: The options have a retention, and the bucket has no Object Lock.
        StaleWriterError: The lease of the run has passed to another holder, or another run has written
            since.
        ConflictError: Another run has written the result of other inputs under the same name.
    """
    name = results.namespace.name_of(key)
    options = payload.options.for_name(key)
    if options.forbidden_key == key:
        raise ValueError(f"this is not the result of the run with the key {key!r}, which has not completed")
    fence = _fencing_number(options.attempt)
    record = Record(
        prefect_version, seconds=options.seconds, inputs=options.inputs, parts=options.parts, fence=fence
    )
    if options.expires is not None:
        record = _expiring(record, options.expires, results)
    new = NewObject(
        body=payload.frame,
        content_type=payload.content_type,
        metadata=record.to_metadata(name),
        tags=options.tags,
        retention=options.retention,
        legal_hold=options.legal_hold,
    )
    if options.attempt is not None:
        written = _put_under_lease(results, name, new, options.attempt)
        if options.attempt.lease is not None:
            options.attempt.lease.result_ready = True
    elif options.inputs is not None and options.was_absent:
        written = _put_named(results, name, new, options)
    else:
        written = results.objects.put(name, new, probably_new=options.probably_new)
    return WrittenResult(results, key, record, payload.content_type, written, options.tags)


def _fencing_number(attempt: CacheAttempt | None) -> int | None:
    """Check that a run still holds its lease, and return the fencing number; None without a lease."""
    if attempt is None or attempt.lease is None:
        return None
    attempt.lease.require(above=attempt.fence)
    return attempt.lease.number


def _put_under_lease(results: S3KV, name: str, new: NewObject, attempt: CacheAttempt) -> Written:
    """Write the result of a run that holds a lease; replace what the run found, and nothing else."""
    mode = attempt.expected
    conditions = {"probably_new": mode == "create" and not attempt.found_delete_marker}
    puts = results.client.capabilities.conditional_puts(
        results.bucket_name, results.namespace.prefix, briefly=True
    )
    if not (puts.create == "atomic" if mode == "create" else puts.carry_updates):
        mode = "overwrite"
    try:
        return results.objects.put(name, new, mode=mode, **conditions)
    except ConflictError as exc:
        if mode != "create" and _is_absent(results, name):
            # A cleanup has removed the expired result.
            attempt.found_nothing()
            return _put_under_lease(results, name, new, attempt)
        raise StaleWriterError(f"another run has written the result in the meantime: {exc}") from exc


def _put_named(results: S3KV, name: str, new: NewObject, options: WriteOptions) -> Written:
    """Write a result under a name that had none; not over one of other inputs, if the server can."""
    puts = results.client.capabilities.known_conditional_puts(results.bucket_name)
    if puts is None or puts.create != "atomic":
        return results.objects.put(name, new, probably_new=options.probably_new)
    try:
        return results.objects.put(name, new, mode="create", probably_new=options.probably_new)
    except ConflictError as taken:
        if not _is_absent(results, name):
            record = Record.from_info(results.objects.head(name))
            if record.inputs != options.inputs:
                raise ConflictError(
                    f"{name!r} was written by a run with other inputs while this one was computing"
                ) from taken
        return results.objects.put(name, new)


def _is_absent(results: S3KV, name: str) -> bool:
    try:
        results.objects.head(name)
    except KeyNotFoundError:
        return True
    return False


def amend(result: WrittenResult, expires: datetime | None) -> None:
    """Change the expiration of a result that was just written: one copy of the object onto itself.

    One request more if the value of its tag ``ttl_days`` changes, too: not every server honours new tags on
    a copy.
    """
    name = result.results.namespace.name_of(result.key)
    record = replace(result.record, expires=None, ttl=None, ends=None)
    if expires is not None:
        record = _expiring(record, expires, result.results)
    written = result.results.objects.amend(
        name, result.written, record.to_metadata(name), result.content_type
    )
    tags, kept = ttl_tags(record.ttl), {key: tag for key, tag in result.tags.items() if key != TTL_TAG}
    if tags.get(TTL_TAG) != result.tags.get(TTL_TAG):
        client, bucket = result.results.client, result.results.bucket_name
        client.put_tags(bucket, name, with_automatic_tags(kept, tags), version_id=written.version_id)


def _expiring(record: Record, expires: datetime, results: S3KV) -> Record:
    ttl = expires - datetime.now(timezone.utc)
    ends = results.client.capabilities.now() + clamped(ttl)
    return replace(record, expires=expires, ttl=ttl, ends=ends)


def _is_body_needed(info: ObjectInfo, *, content_type: str) -> bool:
    """Return whether the body is to be downloaded: of a valid result of this codec."""
    if info.content_type != content_type:
        return False
    try:
        remaining = Record.from_info(info).remaining(info)
    except CorruptValueError:
        return False
    return remaining is None or remaining > timedelta(0)


def _parse_seconds(text: str) -> float:
    """Return how long a task took: not less than nothing, also where its clock was set back meanwhile."""
    return max(parse_duration(text).total_seconds(), 0.0)
