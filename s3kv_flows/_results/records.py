"""A cached result as one object: its record lies in the object's metadata, its value in the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from s3kv_flows._results.payload import CacheAttempt, Payload, WriteOptions
from s3kv_flows._runs import with_automatic_tags
from s3kv_flows.store import S3KV
from s3kv_flows.store._layout.marks import (
    EXPIRES,
    FENCE,
    INPUTS,
    PREFECT_VERSION,
    SECONDS,
    TTL,
    is_own,
    name_mark,
)
from s3kv_flows.store._layout.ttl import TTL_TAG, ttl_tags
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store._s3.types import ObjectInfo, Written
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    KeyNotFoundError,
    StaleWriterError,
)

__all__ = ["ExpiredResultError", "FoundResult", "Record", "WrittenResult", "amend", "look_up", "write_result"]

_CLOCKS_AGREE = timedelta(seconds=2)
"""Dates of HTTP are whole seconds: a clock this close to the server's counts as equal to it."""


class ExpiredResultError(KeyNotFoundError):
    """There is a result, and its time is over."""


@dataclass(frozen=True)
class Record:
    """What Prefect records of a result, without what the object's name and content type say.

    It has to fit into the 2 KiB of user metadata that S3 takes.

    Attributes:
        prefect_version: Of the process that wrote it.
        expires: When it expires, by the clock of the machine that wrote it.
        ttl: The same as a time from the moment of writing.
        seconds: How long the task took: what a hit saves.
        inputs: What it was made of, where its name does not say it.
        fence: The fencing number of the lease it was written under.
    """

    prefect_version: str
    expires: datetime | None = None
    ttl: timedelta | None = None
    seconds: float | None = None
    inputs: str | None = None
    fence: int | None = None

    def to_metadata(self, name: str) -> dict[str, str]:
        """Return the user metadata of the object."""
        metadata = {PREFECT_VERSION: self.prefect_version, **name_mark(name)}
        if self.expires is not None and self.ttl is not None:
            metadata[EXPIRES] = self.expires.astimezone(timezone.utc).isoformat()
            metadata[TTL] = f"{self.ttl.total_seconds():.6f}"
        if self.seconds is not None:
            metadata[SECONDS] = f"{self.seconds:.3f}"
        if self.inputs is not None:
            metadata[INPUTS] = self.inputs
        if self.fence is not None:
            metadata[FENCE] = str(self.fence)
        return metadata

    @classmethod
    def from_info(cls, info: ObjectInfo) -> Record:
        """Return the record of an object.

        Raises:
            CorruptValueError: It has none, or that of another object (a copy under another name).
        """
        metadata = info.metadata
        if not is_own(info.name, info.metadata):
            raise CorruptValueError(f"{info.name!r} is not a result that was written under this name")
        try:
            return cls(
                prefect_version=metadata[PREFECT_VERSION],
                expires=_optional(metadata, EXPIRES, datetime.fromisoformat),
                ttl=_optional(metadata, TTL, lambda text: timedelta(seconds=float(text))),
                seconds=_optional(metadata, SECONDS, float),
                inputs=metadata.get(INPUTS),
            )
        except (KeyError, ValueError) as exc:
            raise CorruptValueError(f"the record of {info.name!r} cannot be read: {exc!r}") from exc

    def remaining(self, info: ObjectInfo) -> timedelta | None:
        """Return how long the result is still valid; None for ever.

        Time is the server's: the age is its Date less Last-Modified, both in whole seconds. Where
        the clocks of the writer and of this machine agree with it, they decide within the second.
        """
        if self.expires is None or self.ttl is None:
            return None
        by_server = info.last_modified + self.ttl
        now = datetime.now(timezone.utc)
        if abs(self.expires - by_server) < _CLOCKS_AGREE and abs(now - info.server_time) < _CLOCKS_AGREE:
            return self.expires - now
        return by_server - info.server_time


@dataclass(frozen=True)
class FoundResult:
    """A valid result that was fetched and decoded.

    Attributes:
        record: Its record.
        remaining: How long it is still valid; None for ever.
        value: Its value.
        size: In bytes, as it is stored.
        was_locked: Whether it is or was under a lock.
    """

    record: Record
    remaining: timedelta | None
    value: Any
    size: int
    was_locked: bool

    @property
    def expiration(self) -> datetime | None:
        """When it expires, by this machine's clock."""
        return None if self.remaining is None else datetime.now(timezone.utc) + self.remaining


@dataclass(frozen=True)
class WrittenResult:
    """A result that was written, for the record face to compare with what Prefect says of it."""

    results: S3KV
    key: str
    record: Record
    content_type: str
    written: Written
    tags: Mapping[str, str]


def look_up(results: S3KV, key: str, *, seen: Callable[[ObjectInfo], object] = lambda _: None) -> FoundResult:
    """Fetch, verify and decode a result: one request, without the body where it has expired.

    Args:
        results: The results.
        key: The cache key.
        seen: Called with what is there, also where it cannot be used.

    Raises:
        KeyNotFoundError: There is none.
        ExpiredResultError: There is one, and its time is over.
        CorruptValueError: It cannot be verified or decoded.
    """
    content_type = results.codec.content_type
    fetched = results.fetch(key, wanted=partial(_is_wanted, content_type=content_type))
    info = fetched.info
    seen(info)
    record = Record.from_info(info)
    if info.content_type != content_type:
        raise CorruptValueError(f"{key!r} is {info.content_type!r}, which is no result of this codec")
    if fetched.body is None:
        raise ExpiredResultError(f"the result {key!r} has expired")
    value = results.codec.decode(fetched.body)
    was_locked = info.lock_mode is not None or info.legal_hold
    return FoundResult(record, record.remaining(info), value, info.size, was_locked)


def write_result(results: S3KV, key: str, payload: Payload, prefect_version: str) -> WrittenResult:
    """Write a result, complete, in one PUT.

    Raises:
        KeyLockedError: The key is under retention.
        UnsupportedByServerError: A retention is asked for, and the bucket has no Object Lock.
        StaleWriterError: The lease that it was computed under is another's by now, or another run has
            written since.
        ConflictError: Another run has written the result of other inputs under the same name.
    """
    name = results.namespace.name_of(key)
    options = payload.options.for_name(key)
    if options.forbidden_key == key:
        raise ValueError(f"this is not the result of the run with the key {key!r}, which has not ended")
    fence = _required_lease(options.attempt)
    record = Record(prefect_version, seconds=options.seconds, inputs=options.inputs, fence=fence)
    if options.expires is not None:
        record = _expiring(record, options.expires)
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


def _required_lease(attempt: CacheAttempt | None) -> int | None:
    """Return the number of the lease of a run, which still holds it."""
    if attempt is None or attempt.lease is None:
        return None
    attempt.lease.require(above=attempt.fence)
    return attempt.lease.number


def _put_under_lease(results: S3KV, name: str, new: NewObject, attempt: CacheAttempt) -> Written:
    """Write the result of a run that holds a lease, over what it found and nothing else."""
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
            # A cleanup has removed what had expired.
            attempt.found_nothing()
            return _put_under_lease(results, name, new, attempt)
        raise StaleWriterError(f"another run has written the result meanwhile: {exc}") from exc


def _put_named(results: S3KV, name: str, new: NewObject, options: WriteOptions) -> Written:
    """Write a result under a name that had none, and, where S3 can tell, not over one of other inputs."""
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


def amend(done: WrittenResult, expires: datetime | None) -> None:
    """Give a result that was just written another expiration: one copy onto itself.

    One request more where its class of lifetimes is another one, too: not every server heeds new tags on a
    copy.
    """
    name = done.results.namespace.name_of(done.key)
    record = replace(done.record, expires=None, ttl=None)
    if expires is not None:
        record = _expiring(record, expires)
    written = done.results.objects.amend(name, done.written, record.to_metadata(name), done.content_type)
    tags, kept = ttl_tags(record.ttl), {key: tag for key, tag in done.tags.items() if key != TTL_TAG}
    if tags.get(TTL_TAG) != done.tags.get(TTL_TAG):
        client, bucket = done.results.client, done.results.bucket_name
        client.put_tags(bucket, name, with_automatic_tags(kept, tags), version_id=written.version_id)


def _expiring(record: Record, expires: datetime) -> Record:
    return replace(record, expires=expires, ttl=expires - datetime.now(timezone.utc))


def _is_wanted(info: ObjectInfo, *, content_type: str) -> bool:
    """Tell whether the body is worth downloading."""
    if info.content_type != content_type:
        return False
    try:
        remaining = Record.from_info(info).remaining(info)
    except CorruptValueError:
        return False
    return remaining is None or remaining > timedelta(0)


def _optional(metadata: Mapping[str, str], name: str, parse: Any) -> Any:
    text = metadata.get(name)
    return None if text is None else parse(text)
