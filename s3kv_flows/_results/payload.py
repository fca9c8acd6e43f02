"""The serializer of cached results, and what travels from it to the object that is written.

Prefect hands what ``dumps`` returns to the storage untouched, wherever and whenever the transaction
commits, and knows nothing of tags or locks. So ``dumps`` returns more than bytes: a :class:`Payload`
with the frame and a :class:`WriteOptions`, what to put into the same PUT.
"""

from __future__ import annotations

import base64
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from prefect.client.schemas.objects import TaskRun
from typing_extensions import Self

from s3kv_flows.store._layout.marks import FENCE
from s3kv_flows.store._leases.renewer import RenewedLease
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import S3KVError

__all__ = ["CacheAttempt", "DecodedValue", "Payload", "ResultOptions", "WriteOptions", "fence_of"]


@dataclass(frozen=True)
class ResultOptions:
    """What the user asked of ``caching()`` or ``finalizing()``: configuration, nothing else.

    Attributes:
        scope: Whose results the options are meant for. Prefect lets the tasks within a flow, and the
            flows and tasks within a task, inherit a serializer: they must not inherit a lock.
        is_named: Whether the key is a name.
    """

    scope: Literal["task", "flow"] = "task"
    object_tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    legal_hold: bool = False
    is_named: bool = False

    @property
    def locks(self) -> bool:
        """Whether results are to be locked."""
        return self.retention is not None or self.legal_hold


@dataclass
class CacheAttempt:
    """One attempt of a task run to come to a cached result: what it is after, and what it has found so far.

    Attributes:
        key: The cache key of the run; a result under another name is not this run's.
        tags: The automatic tags.
        started: When the run began to look for its result.
        cache_expiration: The task's, with what ``with_options`` made of it.
        refreshes: Whether the run computes and overwrites whatever the cache holds.
        task_run: Prefect's own account of the run, as long as it lives.
        inputs: What the result is made of, where the key is a name and does not say it.
        finalizes: Whether the result is to be locked.
        refusal: Why there can be no key, which fails the run before it computes.
        expected: What the run found under its key, as the mode of a write: ``"create"`` for nothing, an
            ETag, or ``"overwrite"`` where that is not known.
        fence: The fencing number of what it found.
        found_delete_marker: Whether the server said that the result is not absent, but deleted.
        lease: The lease under which the run computes.
    """

    key: str
    tags: dict[str, str]
    started: datetime
    cache_expiration: timedelta | None
    refreshes: bool
    task_run: weakref.ref[TaskRun]
    inputs: str | None = None
    finalizes: bool = False
    refusal: Exception | None = None
    expected: str = field(default="overwrite", init=False)
    fence: int = field(default=0, init=False)
    found_delete_marker: bool = field(default=False, init=False)
    lease: RenewedLease | None = field(default=None, init=False)
    _miss: S3KVError | None = field(default=None, init=False)
    _release: Callable[[], object] | None = field(default=None, init=False)
    _return_lease: Callable[[], object] | None = field(default=None, init=False)

    def found(self, info: ObjectInfo) -> None:
        """Note what is under the key, usable or not: a write replaces that, and nothing else."""
        self.expected, self.fence = info.etag, fence_of(info.metadata)

    def found_nothing(self, *, deleted: bool = False) -> None:
        """Note that the key is absent.

        Args:
            deleted: Whether there is a delete marker, and thus versions beneath, which may be locked.
        """
        self.expected, self.fence, self.found_delete_marker = "create", 0, deleted

    def keep_miss(self, miss: S3KVError) -> None:
        """Keep the outcome of a lookup before Prefect's own, so that Prefect's need not ask again."""
        self._miss = miss

    def take_miss(self) -> S3KVError | None:
        """Return the outcome that was kept; it holds once."""
        miss, self._miss = self._miss, None
        return miss

    def entered(self, *, release: Callable[[], object], return_lease: Callable[[], object]) -> None:
        """Note how to leave again what a lock manager has let the run into.

        Args:
            release: Gives back what the run holds; does nothing where it holds nothing.
            return_lease: Gives the lease back, and lets the run read without one.
        """
        self._release, self._return_lease = release, return_lease

    def took_lease(self, lease: RenewedLease) -> None:
        """Note the lease that the run computes under."""
        self.lease = lease

    def returns_lease(self) -> None:
        """Give the lease back, if there is one, because a valid result turned up after all."""
        if self.lease is not None and self._return_lease is not None:
            self.lease = None
            self._return_lease()

    def interrupted(self) -> None:
        """Give back what the run holds: it ends before Prefect would release it."""
        if self._release is not None:
            self._release()

    def __reduce__(self) -> tuple[Any, ...]:
        # An attempt does not leave its process: copies and pickles of the serializer are without it.
        return (_no_attempt, ())


@dataclass(frozen=True)
class WriteOptions:
    """What goes into the PUT beside the frame.

    Attributes:
        key: The name that these options are for; None for any.
        expires: When the result expires, by this machine's clock.
        seconds: How long the task took.
        legal_hold: Whether it is to be held.
        probably_new: Whether the run found no result under this name.
        inputs: What the result is made of, where its key is a name.
        was_absent: Whether the run saw that there is nothing under the name.
        attempt: The attempt, where it computes under a lease.
        forbidden_key: A name that it must not be written under: of a run whose result this is not.
    """

    key: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    expires: datetime | None = None
    seconds: float | None = None
    legal_hold: bool = False
    probably_new: bool = True
    inputs: str | None = None
    was_absent: bool = False
    attempt: CacheAttempt | None = None
    forbidden_key: str | None = None

    @property
    def locks(self) -> bool:
        """Whether the object is to be locked."""
        return self.retention is not None or self.legal_hold

    def for_name(self, name: str) -> WriteOptions:
        """Return the options for a name: for another one than its own, the flow's tag and nothing else."""
        if self.key is None or self.key == name:
            return self
        return WriteOptions(tags={key: value for key, value in self.tags.items() if key == "flow"})


def fence_of(metadata: Mapping[str, str]) -> int:
    """Return the fencing number that a result was written under; 0 where it has none."""
    number = metadata.get(FENCE, "")
    return int(number) if number.isdecimal() else 0


class Payload(bytes):
    """A frame on its way to the storage of the run that made it.

    As bytes it is the frame in base64 where it was made for an inherited serializer: then it may end
    in another storage, or in a record of Prefect's own, which is JSON. Otherwise it is empty, for
    only :class:`~s3kv_flows.blocks.S3KVStore` will get it.
    """

    frame: Body
    content_type: str
    options: WriteOptions

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
