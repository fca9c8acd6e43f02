"""Capabilities of servers and buckets: declared, or probed and cached.

Each client has one instance. All code that depends on a feature which a server may lack consults it. Servers
are recognized by their endpoint (AWS), by the ids in their responses (Ceph ``tx000...-``, moto
``x-amzn-requestid``) or by the name that these have (SeaweedFS); capabilities that are not in this table are
probed by :mod:`s3kv_flows.store._s3.probes`, once per client and bucket:

=================================== ====== ======= ================= ================= ===========
                                    AWS    moto    Ceph 16           Ceph 20           SeaweedFS 4
=================================== ====== ======= ================= ================= ===========
PUT If-None-Match, no versions      atomic atomic  atomic            atomic            atomic
PUT If-None-Match, versioned bucket atomic atomic  ignored           in sequence alone atomic
PUT If-Match, no versions           atomic atomic  atomic, bare ETag atomic            atomic
PUT If-Match, versioned bucket      atomic atomic  always refused    in sequence alone atomic
DELETE If-Match; ETag in a batch    yes    yes; no ignored; ignored  yes; not known    yes; yes
tags on multipart uploads           yes    yes     dropped           yes               yes
lock headers on multipart uploads   yes    dropped dropped           yes               yes
If-None-Match on multipart uploads  yes    yes     ignored           not known         in sequence
If-Match on multipart uploads       yes    ignored ignored           not known         in sequence
lock headers on copies              yes    dropped dropped           yes               dropped
tags replaced by a copy             yes    yes     ignored           ignored           yes
copies under a customer key         yes    yes     refused           not known         yes
locks copied with the object        no     no      yes               not known         yes
HEAD shows locks to everybody       no     yes     no                not known         yes
lifecycle rules carried out         yes    no      yes               yes               not known
=================================== ====== ======= ================= ================= ===========

AWS, moto and SeaweedFS are declared. moto's standalone server has a gap between condition and write, which
the embedded one closes (:mod:`s3kv_flows._demo.servers`); for a race of eight, SeaweedFS takes seconds. Ceph
does not report its version, so it is probed, like every other server.
``tests/contracts/test_capabilities.py`` verifies the columns of the servers that it runs on.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, Protocol, TypeVar

from s3kv_flows.store._s3.transport.responses import date_of

__all__ = [
    "DECLARED",
    "Capabilities",
    "ConditionalDeletes",
    "ConditionalPuts",
    "Copies",
    "Declared",
    "KnownObjectLock",
    "MultipartUploads",
    "Prober",
]

_RECHECK_SECONDS = 300
"""How long to cache that a bucket has no Object Lock, which may be enabled later."""

_CEPH_REQUEST = re.compile(r"tx[0-9a-f]{17,}-")
"""The prefix of the request ids of Ceph's gateway."""

Atomicity = Literal["atomic", "sequential", "no"]
"""Whether a condition holds: even in a race; only without concurrent writers; or not at all."""

_THOROUGH, _BRIEF = "conditional puts", "conditional puts, briefly"

T = TypeVar("T")


@dataclass(frozen=True)
class ConditionalPuts:
    """The support of a bucket for conditional PUTs.

    Attributes:
        create: Whether ``If-None-Match: *`` holds.
        replace: Whether ``If-Match`` holds.
        quoted: Whether ``If-Match`` accepts an ETag in quotes, as the server itself returns it.
    """

    create: Atomicity
    replace: Atomicity
    quoted: bool = True

    @property
    def carry_updates(self) -> bool:
        """Whether a compare-and-swap loses no concurrent change."""
        return self.create == self.replace == "atomic"


@dataclass(frozen=True)
class ConditionalDeletes:
    """Whether deletions honour an ETag: ``If-Match`` of a single one, and per key in a batch."""

    single: bool
    batch: bool


@dataclass(frozen=True)
class MultipartUploads:
    """Which parameters of a multipart upload take effect.

    Attributes:
        tags: Whether the tags of its first request do.
        locks: Whether its lock headers do.
        create: Whether its last request honours ``If-None-Match``. No probe can show that it holds in a race,
            so it is false unless it is declared.
        replace: Whether it honours ``If-Match``; likewise.
    """

    tags: bool
    locks: bool
    create: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Copies:
    """Whether a copy honours new tags instead of the source's, and lock headers."""

    replace_tags: bool
    locks: bool


@dataclass(frozen=True)
class Declared:
    """The known capabilities of all buckets of a server; None has to be probed.

    Attributes:
        shows_locks: Whether HEAD shows locks to every caller; AWS and Ceph require permissions.
        tells_delete_markers: Whether the response to a GET reports a delete marker.
        executes_lifecycle: Whether it carries out lifecycle rules, which no probe can wait for.
        takes_empty_tag_set: Whether putting an empty tag set removes the tags. On moto it fails; deleting the
            tags fails on versioned buckets of Ceph 16, and does nothing on those of Ceph 20.
        lists_versions_after_any_name: Whether a listing of versions can start after a name that no key has.
            moto omits the first version after it.
        racers: How many writers of one key it serves at once within milliseconds.
    """

    conditional_puts: ConditionalPuts | None = None
    conditional_deletes: ConditionalDeletes | None = None
    multipart_uploads: MultipartUploads | None = None
    copies: Copies | None = None
    shows_locks: bool = False
    tells_delete_markers: bool = False
    executes_lifecycle: bool | None = None
    takes_empty_tag_set: bool = True
    lists_versions_after_any_name: bool = True
    racers: int = 32


DECLARED: Mapping[str, Declared] = {
    "aws": Declared(
        ConditionalPuts("atomic", "atomic"),
        ConditionalDeletes(single=True, batch=True),
        MultipartUploads(tags=True, locks=True, create=True, replace=True),
        Copies(replace_tags=True, locks=True),
        tells_delete_markers=True,
        executes_lifecycle=True,
    ),
    "moto": Declared(
        ConditionalPuts("atomic", "atomic"),
        ConditionalDeletes(single=True, batch=False),
        MultipartUploads(tags=True, locks=False, create=True),
        Copies(replace_tags=True, locks=False),
        shows_locks=True,
        executes_lifecycle=False,
        takes_empty_tag_set=False,
        lists_versions_after_any_name=False,
    ),
    "seaweedfs": Declared(
        ConditionalPuts("atomic", "atomic"),
        ConditionalDeletes(single=True, batch=True),
        # Of uploads that are completed at once, several meet the same condition.
        MultipartUploads(tags=True, locks=True),
        Copies(replace_tags=True, locks=False),
        shows_locks=True,
        racers=4,
    ),
    "ceph": Declared(executes_lifecycle=True),
    "": Declared(),
}
"""The declared capabilities of the servers that can be recognized; ``""`` is any other."""


@dataclass(frozen=True)
class KnownObjectLock:
    """Whether a bucket has Object Lock, and how that is known.

    Attributes:
        inferred: Whether it was inferred from another response, or assumed, instead of requested.
        since: When, by ``time.monotonic()``.
    """

    object_lock: bool
    inferred: bool = False
    since: float = field(default_factory=time.monotonic)

    def is_outdated_by_versions(self) -> bool:
        """Tell whether a version id in a response is a reason to request it again."""
        return not self.object_lock and (self.inferred or time.monotonic() - self.since > _RECHECK_SECONDS)


class Prober(Protocol):
    """Probes undeclared capabilities; its methods return None if the experiment was not possible."""

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether the bucket keeps versions."""

    def has_default_retention(self, bucket: str) -> bool:
        """Tell whether the bucket has a default retention, which locks every new version."""

    def conditional_puts(self, bucket: str, prefix: str, *, briefly: bool = False) -> ConditionalPuts | None:
        """Race conditional PUTs."""

    def conditional_deletes(self, bucket: str, prefix: str) -> ConditionalDeletes | None:
        """Delete with an ETag that does not match."""

    def multipart_uploads(self, bucket: str, prefix: str) -> MultipartUploads | None:
        """Make a multipart upload with tags and a lock."""

    def copies(self, bucket: str, prefix: str) -> Copies | None:
        """Copy with new tags, and with a lock."""

    def require_visible_locks(self, bucket: str, name: str, version_id: str | None) -> bool:
        """Verify that these credentials may read locks, or raise AccessDeniedError."""


class Capabilities:
    """The capabilities of the server and the buckets of one client.

    Args:
        prober: Probes capabilities that are not declared.
        is_aws: Whether the server is AWS itself.
    """

    def __init__(self, prober: Prober, *, is_aws: bool) -> None:
        self.server = "aws" if is_aws else ""
        self._prober = prober
        self._object_lock: dict[str, KnownObjectLock] = {}
        self._probed: dict[tuple[str, str], Any] = {}
        self._probing: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._unversioned: set[str] = set()
        self._clock_offset = timedelta(0)

    @property
    def declared(self) -> Declared:
        """The declared capabilities of this server, as recognized from its responses so far."""
        return DECLARED[self.server]

    @property
    def ignores_conditions(self) -> bool:
        """Whether the server may ignore ``If-None-Match``."""
        return self.server == "ceph"

    @property
    def locks_travel(self) -> bool:
        """Whether a copy may have the locks of its source."""
        return self.server in ("ceph", "seaweedfs")

    # --- probed ----------------------------------------------------------------------------------

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether the bucket keeps versions, or did: one request, once."""
        return self._probe_once("versioned", bucket, lambda: self._prober.is_versioned(bucket))

    def conditional_puts(self, bucket: str, prefix: str, *, briefly: bool = False) -> ConditionalPuts:
        """Return the support of the bucket for conditional PUTs.

        Args:
            bucket: The bucket.
            prefix: The prefix for the objects of a probe, which are deleted again.
            briefly: Whether few races are enough. They are in a bucket without versions: no server is known
                whose conditions hold there in sequence but not in races.
        """
        if not self.server:
            self.is_versioned(bucket)  # its response also identifies the server
        known = self.known_conditional_puts(bucket, briefly=briefly)
        if known is not None:
            return known
        briefly = briefly and not self.is_versioned(bucket)
        return self._probe_once(
            _BRIEF if briefly else _THOROUGH,
            bucket,
            lambda: (
                self._prober.conditional_puts(bucket, prefix, briefly=briefly) or ConditionalPuts("no", "no")
            ),
        )

    def known_conditional_puts(self, bucket: str, *, briefly: bool = True) -> ConditionalPuts | None:
        """Return the same if it is declared or was probed already, else None: no request."""
        known = self.declared.conditional_puts or self._probed.get((_THOROUGH, bucket))
        return known or (self._probed.get((_BRIEF, bucket)) if briefly else None)

    def locks_by_default(self, bucket: str) -> bool:
        """Tell whether the bucket has a default retention: one request, once."""
        return self._probe_once(
            "default retention", bucket, lambda: self._prober.has_default_retention(bucket)
        )

    def conditional_deletes(self, bucket: str, prefix: str) -> ConditionalDeletes:
        """Return which deletions of the bucket honour an ETag."""
        return self.declared.conditional_deletes or self._probe_once(
            "conditional deletes",
            bucket,
            lambda: (
                self._prober.conditional_deletes(bucket, prefix)
                or ConditionalDeletes(single=False, batch=False)
            ),
        )

    def multipart_uploads(self, bucket: str, prefix: str) -> MultipartUploads:
        """Return which parameters of multipart uploads take effect."""
        return self.declared.multipart_uploads or self._probe_once(
            "multipart uploads",
            bucket,
            lambda: (
                self._prober.multipart_uploads(bucket, prefix) or MultipartUploads(tags=False, locks=False)
            ),
        )

    def copies(self, bucket: str, prefix: str) -> Copies:
        """Return which parameters of copies take effect."""
        return self.declared.copies or self._probe_once(
            "copies",
            bucket,
            lambda: self._prober.copies(bucket, prefix) or Copies(replace_tags=False, locks=False),
        )

    def require_visible_locks(self, bucket: str, name: str, version_id: str | None) -> None:
        """Verify that a version without lock headers is not locked, instead of its lock being withheld.

        Servers omit lock headers for callers without s3:GetObjectRetention and s3:GetObjectLegalHold. Two
        requests, once per client, bucket and first part of the name, to which permissions usually apply.

        Raises:
            AccessDeniedError: The credentials lack the permission to read locks.
        """
        if not self.declared.shows_locks:
            part = f"{bucket}/{name.split('/', 1)[0]}"
            self._probe_once(
                "visible locks", part, lambda: self._prober.require_visible_locks(bucket, name, version_id)
            )

    def _probe_once(self, capability: str, bucket: str, probe: Callable[[], T]) -> T:
        key = (capability, bucket)
        result: T | None = self._probed.get(key)
        if result is None:
            with self._probing[key]:  # many threads, one probe
                result = self._probed.get(key)
                if result is None:
                    result = self._probed[key] = probe()
        return result

    # --- learned ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the server's time, estimated from its responses."""
        return datetime.now(timezone.utc) + self._clock_offset

    @property
    def clock_skew(self) -> timedelta:
        """How far this machine's clock is ahead of the server's, whose dates are whole seconds."""
        return -self._clock_offset

    def object_lock(self, bucket: str) -> KnownObjectLock | None:
        """Return whether a bucket has Object Lock, None if that is not known."""
        return self._object_lock.get(bucket)

    def knows_no_object_lock(self, bucket: str) -> bool:
        """Tell whether the bucket is known to have no Object Lock."""
        known = self._object_lock.get(bucket)
        return known is not None and not known.object_lock

    def remember(self, bucket: str, known: KnownObjectLock) -> None:
        """Cache whether a bucket has Object Lock."""
        self._object_lock[bucket] = known

    def forget(self, bucket: str) -> None:
        """Drop all cached capabilities of a bucket."""
        self._object_lock.pop(bucket, None)
        self._unversioned.discard(bucket)
        for key in list(self._probed):
            if key[1].split("/")[0] == bucket:
                self._probed.pop(key, None)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Learn the kind and the clock of the server from the headers of any response."""
        if not self.server:
            self.server = _server_of(headers)
        if date := date_of(headers, "date"):
            # Dates are truncated to whole seconds: of responses that agree, the latest date is the closest.
            offset, second = date - datetime.now(timezone.utc), timedelta(seconds=1)
            agrees = abs(offset - self._clock_offset) < second
            self._clock_offset = max(offset, self._clock_offset) if agrees else offset

    def learn_from_put(self, bucket: str, version_id: str | None) -> None:
        """Learn from the response to a PUT; not to a copy, in which Ceph never returns a version id."""
        known = self._object_lock.get(bucket)
        if version_id is None:
            self._unversioned.add(bucket)
            if known is None or known.inferred:
                # Object Lock needs versioning, and a versioned bucket returns a version id.
                self._object_lock[bucket] = KnownObjectLock(object_lock=False, inferred=True)
        self.learn_version(bucket, version_id)

    def learn_version(self, bucket: str, version_id: str | None) -> None:
        """Learn from a version id in a response that versioning, and maybe Object Lock, was enabled."""
        if version_id is None:
            return
        known = self._object_lock.get(bucket)
        if bucket in self._unversioned or self._probed.get(("versioned", bucket)) is False:
            self.forget(bucket)
        elif known is not None and known.is_outdated_by_versions():
            self._object_lock.pop(bucket, None)


def _server_of(headers: Mapping[str, str]) -> str:
    if _CEPH_REQUEST.match(headers.get("x-amz-request-id", "")):
        return "ceph"
    software = headers.get("server", "").lower()
    if software.startswith("seaweedfs"):
        return "seaweedfs"
    if "x-amzn-requestid" in headers and software.startswith(("waitress", "werkzeug", "amazon.com")):
        return "" if "x-amz-request-id" in headers else "moto"
    return ""
