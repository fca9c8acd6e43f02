"""Payload: a frame with the options of its PUT.

The serializer makes a :class:`Payload`, and the result storage writes it. :class:`ResultOptions` is what the
user configured, :class:`CacheAttempt` what one task run has found out on its way to a result, and
:class:`WriteOptions` what follows from both for one PUT.
"""

from __future__ import annotations

import base64
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from prefect.client.schemas.objects import TaskRun
from typing_extensions import Self

from s3kv_flows._keys.identity import NotLoaded
from s3kv_flows.store._layout.marks import FENCE
from s3kv_flows.store._layout.parsing import optional, parse_count
from s3kv_flows.store._leases.renewer import RenewedLease
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import CorruptValueError, S3KVError

__all__ = [
    "CacheAttempt",
    "DecodedValue",
    "EditedError",
    "Payload",
    "ResultOptions",
    "WriteOptions",
    "fence_of",
]


@dataclass(frozen=True)
class ResultOptions:
    """The options that a user gave to ``caching()`` or ``finalizing()``: configuration only.

    Attributes:
        scope: Whose results the options apply to. Prefect lets the tasks within a flow, and the
            flows and tasks within a task, inherit a serializer: they must not inherit a lock.
        is_named: Whether the key is a name that the user gave.
        must_save: Whether a run fails whose result is not saved.
        excludes: Whether each key is computed once at a time.
        needs_store: Whether a run fails that cannot find out whether its result exists.
    """

    scope: Literal["task", "flow"] = "task"
    object_tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    legal_hold: bool = False
    is_named: bool = False
    must_save: bool = False
    excludes: bool = False
    needs_store: bool = False

    @property
    def locks(self) -> bool:
        """Whether results are written with a lock."""
        return self.retention is not None or self.legal_hold


class EditedError(ValueError):
    """A run used other code than that which its key names."""


@dataclass
class CacheAttempt:
    """One attempt of a task run to get or make a cached result, and what it has found so far.

    Attributes:
        key: The cache key of the run; a result under another name belongs to another run.
        tags: The automatic tags.
        started: When the run began the lookup of its result.
        cache_expiration: The task's expiration, ``with_options`` included.
        refreshes: Whether the run computes and overwrites whatever the cache holds.
        task_run: Prefect's object of the run, as long as it lives.
        inputs: The key that code and inputs make, where the key of the run is a name.
        parts: What that was made of, as metadata keeps it.
        code: The digests of what the task's code reaches, by name.
        not_loaded: Modules whose texts the key names, and that were not loaded when it was made.
        finalizes: Whether the result is written with a lock.
        needs_store: Whether the run fails if it cannot find out whether its result exists.
        allow_pickle: Whether the result may be a pickle.
        refusal: Why no key can be made, which fails the run before it computes.
        expected: What the run found under its key, as the mode of a write: ``"create"`` for nothing, an
            ETag, or ``"overwrite"`` where that is not known.
        fence: The fencing number of the object that it found.
        found_delete_marker: Whether the server reported a delete marker instead of an absence.
        lease: The lease under which the run computes.
        encoded: The value that the task returned, and the frame that was made of it then.
        saved: The value that the task returned, and the WrittenResult, if it was written then.
        unsavable: Why what the task returned must not be saved, though it could be encoded.
    """

    key: str
    tags: dict[str, str]
    started: datetime
    cache_expiration: timedelta | None
    refreshes: bool
    task_run: weakref.ref[TaskRun]
    inputs: str | None = None
    parts: str | None = None
    code: Mapping[str, bytes] = field(default_factory=dict)
    not_loaded: Collection[NotLoaded] = ()
    finalizes: bool = False
    needs_store: bool = False
    allow_pickle: bool = True
    refusal: Exception | None = None
    expected: str = field(default="overwrite", init=False)
    fence: int = field(default=0, init=False)
    found_delete_marker: bool = field(default=False, init=False)
    lease: RenewedLease | None = field(default=None, init=False)
    encoded: tuple[object, Body] | None = field(default=None, init=False)
    saved: tuple[object, object] | None = field(default=None, init=False)
    unsavable: Exception | None = field(default=None, init=False)
    _edited: Sequence[str] | None = field(default=None, init=False)
    _miss: S3KVError | None = field(default=None, init=False)
    _release: Callable[[], object] | None = field(default=None, init=False)
    _return_lease: Callable[[], object] | None = field(default=None, init=False)

    @property
    def fails_without_store(self) -> bool:
        """Whether the run fails now if it cannot find out whether its result exists: not under its lease."""
        return self.needs_store and self.lease is None

    def require_own_texts(self) -> None:
        """Refuse a result of other code than that which the key names.

        Raises:
            EditedError: The run imported a module from another text. That is looked at once, when the task
                has ended: what is edited later makes no difference to its result.
        """
        if self._edited is None:
            self._edited = sorted(one.name for one in self.not_loaded if one.is_other_now())
        if self._edited:
            raise EditedError(
                f"the run imported {', '.join(self._edited)} from a file that was found or changed after the "
                "key was made. Run it again"
            )

    def found(self, info: ObjectInfo) -> None:
        """Record the object under the key, usable or not: a write replaces that one and no other."""
        self.expected, self.fence = info.etag, fence_of(info.metadata)

    def found_nothing(self, *, deleted: bool = False) -> None:
        """Record that the key is absent.

        Args:
            deleted: Whether the key has a delete marker, and so older versions, which may be locked.
        """
        self.expected, self.fence, self.found_delete_marker = "create", 0, deleted

    def keep_miss(self, miss: S3KVError) -> None:
        """Keep the outcome of a prefetch, so that Prefect's lookup sends no request."""
        self._miss = miss

    def take_miss(self) -> S3KVError | None:
        """Return the outcome that was kept, once."""
        miss, self._miss = self._miss, None
        return miss

    def acquired(self, *, release: Callable[[], object], return_lease: Callable[[], object]) -> None:
        """Record how to release what a lock manager gave to the run.

        Args:
            release: Releases the lease or the right to read; does nothing where the run has neither.
            return_lease: Releases the lease, and lets the run read without one.
        """
        self._release, self._return_lease = release, return_lease

    def took_lease(self, lease: RenewedLease) -> None:
        """Record the lease that the run computes under."""
        self.lease = lease

    def returns_lease(self) -> None:
        """Release the lease, if the run has one: a valid result was found after all."""
        if self.lease is not None and self._return_lease is not None:
            self.lease = None
            self._return_lease()

    def interrupted(self) -> None:
        """Release what the run holds: it ends before Prefect would release it."""
        if self._release is not None:
            self._release()

    def __reduce__(self) -> tuple[Any, ...]:
        # An attempt does not leave its process: copies and pickles of the serializer are without it.
        return (_no_attempt, ())


@dataclass(frozen=True)
class WriteOptions:
    """The tags, lock and metadata that the PUT of a frame carries.

    Attributes:
        key: The name that these options are for; None for any.
        expires: When the result expires, by this machine's clock.
        seconds: How long the task took.
        legal_hold: Whether the object is put under a legal hold.
        probably_new: Whether the run found no result under this name.
        inputs: The key that code and inputs make, where the key is a name.
        parts: What that was made of, as metadata keeps it.
        was_absent: Whether a lookup of the run found nothing under the name.
        attempt: The attempt, where it computes under a lease.
        forbidden_key: A name that it must not be written under: the key of a run with another result.
    """

    key: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    expires: datetime | None = None
    seconds: float | None = None
    legal_hold: bool = False
    probably_new: bool = True
    inputs: str | None = None
    parts: str | None = None
    was_absent: bool = False
    attempt: CacheAttempt | None = None
    forbidden_key: str | None = None

    @property
    def locks(self) -> bool:
        """Whether the object is written with a lock."""
        return self.retention is not None or self.legal_hold

    def for_name(self, name: str) -> WriteOptions:
        """Return the options for a name: for another one than :attr:`key`, the tag ``flow`` alone."""
        if self.key is None or self.key == name:
            return self
        return WriteOptions(tags={key: value for key, value in self.tags.items() if key == "flow"})


def fence_of(metadata: Mapping[str, str]) -> int:
    """Return the fencing number in the metadata of a result; 0 where it has none that can be read."""
    try:
        return optional(metadata, FENCE, parse_count) or 0
    except CorruptValueError:  # such a result is not used, and replaced
        return 0


class Payload(bytes):
    """A frame on its way to the storage of the run that made it.

    Made by an inherited serializer, its bytes are the frame in base64: it may then be written by another
    storage, or into a record of Prefect, which is JSON. Otherwise it has no bytes, because only
    :class:`~s3kv_flows.blocks.S3KVStore` receives it.
    """

    frame: Body
    content_type: str
    options: WriteOptions
    written: object = None
    """The :class:`~s3kv_flows._results.records.WrittenResult`, where it was written when the task ended."""

    def __new__(cls, frame: Body, content_type: str, options: WriteOptions, *, inherited: bool) -> Self:
        """Return the payload of a frame."""
        payload = super().__new__(cls, base64.b64encode(bytes(frame)) if inherited else b"")
        payload.frame, payload.content_type, payload.options = frame, content_type, options
        return payload


@dataclass(frozen=True)
class DecodedValue:
    """A value that was fetched, verified and decoded already."""

    value: Any


def _no_attempt() -> None:
    return None
