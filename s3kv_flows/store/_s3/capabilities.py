"""What a server and its buckets can do: declared where it is known, else probed, and remembered.

One instance belongs to one client. Every place of the package that depends on what a server may lack
asks here. Servers are known by their endpoint (AWS) or by the ids in their answers (Ceph ``tx000...-``,
moto ``x-amzn-requestid``); what is not in this table is found out by :mod:`s3kv_flows.store._s3.probes`,
once per client and bucket:

==================================== ======= ======= =========================== ======================
                                     AWS     moto    Ceph 16                     Ceph 20
==================================== ======= ======= =========================== ======================
PUT If-None-Match, no versions       atomic  atomic  atomic                      atomic
PUT If-None-Match, versioned bucket  atomic  atomic  ignored                     in sequence alone
PUT If-Match, no versions            atomic  atomic  atomic, ETag without quotes atomic
PUT If-Match, versioned bucket       atomic  atomic  always refused              in sequence alone
DELETE If-Match; ETag in a batch     yes     yes; no ignored; ignored            yes; not known
tags on multipart uploads            yes     yes     dropped                     yes
lock headers on multipart uploads    yes     dropped dropped                     yes
If-None-Match on multipart uploads   yes     yes     ignored                     not known
If-Match on multipart uploads        yes     ignored ignored                     not known
lock headers on copies               yes     dropped dropped                     yes
tags replaced by a copy              yes     yes     ignored                     ignored
copies under a customer key          yes     yes     refused                     not known
locks copied with the object         no      no      yes                         not known
lifecycle rules carried out          yes     no      yes                         yes
==================================== ======= ======= =========================== ======================

AWS and moto are declared; moto's own server leaves a gap between condition and write, which the
embedded one closes (:mod:`s3kv_flows._demo.servers`). Ceph does not tell its version, so it is probed, as
every other server is. ``tests/contracts/test_capabilities.py`` holds the columns of the servers that
run there.
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
"""How long an answer that can change for the better is believed: that a bucket has no Object Lock."""

_CEPH_REQUEST = re.compile(r"tx[0-9a-f]{17,}-")
"""How the request ids of Ceph's gateway begin."""

Carries = Literal["atomic", "sequential", "no"]
"""How far a condition holds: in a race, too; only where nobody else writes; or not at all."""

_THOROUGHLY, _BRIEFLY = "conditional puts", "conditional puts, briefly"

T = TypeVar("T")


@dataclass(frozen=True)
class ConditionalPuts:
    """What a bucket makes of conditional PUTs.

    Attributes:
        create: How far ``If-None-Match: *`` holds.
        replace: How far ``If-Match`` holds.
        quoted: Whether ``If-Match`` takes an ETag as the server itself writes it, in quotes.
    """

    create: Carries
    replace: Carries
    quoted: bool = True

    @property
    def carry_updates(self) -> bool:
        """Whether a compare-and-swap loses no concurrent change."""
        return self.create == self.replace == "atomic"


@dataclass(frozen=True)
class ConditionalDeletes:
    """Whether deletions heed an ETag: ``If-Match`` of a single one, and per key in a batch."""

    single: bool
    batch: bool


@dataclass(frozen=True)
class MultipartUploads:
    """What reaches the object of a multipart upload.

    Attributes:
        tags: Whether tags do that are given at its start.
        locks: Whether lock headers do.
        create: Whether its last request heeds ``If-None-Match``. No probe can show that it holds in a
            race, so it is false where it is not declared.
        replace: Whether it heeds ``If-Match``; likewise.
    """

    tags: bool
    locks: bool
    create: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Copies:
    """Whether a copy takes new tags instead of the source's, and lock headers."""

    replace_tags: bool
    locks: bool


@dataclass(frozen=True)
class Declared:
    """What is known of all buckets of a server; None: to be probed.

    Attributes:
        shows_locks: Whether HEAD shows locks to every caller; AWS and Ceph ask for permissions.
        tells_delete_markers: Whether a GET of a key under a delete marker says so.
        executes_lifecycle: Whether it carries lifecycle rules out, which no probe can wait for.
        takes_empty_tag_set: Whether tags go by putting an empty set. moto fails at that; deleting them
            fails on versioned buckets of Ceph 16, and does nothing on those of Ceph 20.
        lists_versions_after_any_name: Whether a listing of versions may begin after a name that no key has.
            moto leaves out the first version after it.
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
    "ceph": Declared(executes_lifecycle=True),
    "": Declared(),
}
"""What is declared of the servers that can be told; ``""`` is any other."""


@dataclass(frozen=True)
class KnownObjectLock:
    """Whether a bucket has Object Lock, and how that is known.

    Attributes:
        inferred: Whether it was concluded from another answer, or assumed, instead of asked.
        since: The moment, of ``time.monotonic()``.
    """

    object_lock: bool
    inferred: bool = False
    since: float = field(default_factory=time.monotonic)

    def is_outdated_by_versions(self) -> bool:
        """Tell whether a version id in an answer is reason to ask again."""
        return not self.object_lock and (self.inferred or time.monotonic() - self.since > _RECHECK_SECONDS)


class Prober(Protocol):
    """Finds out by experiment what is not declared; None where the experiment could not be made."""

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether the bucket keeps versions."""

    def has_default_retention(self, bucket: str) -> bool:
        """Tell whether the bucket locks whatever is written to it."""

    def conditional_puts(self, bucket: str, prefix: str, *, briefly: bool = False) -> ConditionalPuts | None:
        """Race conditional PUTs."""

    def conditional_deletes(self, bucket: str, prefix: str) -> ConditionalDeletes | None:
        """Delete with an ETag that does not match."""

    def multipart_uploads(self, bucket: str, prefix: str) -> MultipartUploads | None:
        """Upload in parts, with tags and a lock."""

    def copies(self, bucket: str, prefix: str) -> Copies | None:
        """Copy with new tags, and with a lock."""

    def require_visible_locks(self, bucket: str, name: str, version_id: str | None) -> bool:
        """Prove that these credentials see locks, or raise AccessDeniedError."""


class Capabilities:
    """What one client knows of its server and buckets.

    Args:
        probes: How to find out what is not declared.
        is_aws: Whether the server is AWS itself.
    """

    def __init__(self, probes: Prober, *, is_aws: bool) -> None:
        self.server = "aws" if is_aws else ""
        self._probes = probes
        self._object_lock: dict[str, KnownObjectLock] = {}
        self._answers: dict[tuple[str, str], Any] = {}
        self._asking: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._unversioned: set[str] = set()
        self._clock_offset = timedelta(0)

    @property
    def declared(self) -> Declared:
        """What is declared of this server, as far as its answers have told which it is."""
        return DECLARED[self.server]

    @property
    def ignores_conditions(self) -> bool:
        """Whether the server is of a kind that may ignore ``If-None-Match``."""
        return self.server == "ceph"

    @property
    def locks_travel(self) -> bool:
        """Whether a copy may bring the locks of its source along."""
        return self.server == "ceph"

    # --- asked -----------------------------------------------------------------------------------

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether the bucket keeps versions, or did: one request, once."""
        return self._remembered("versioned", bucket, lambda: self._probes.is_versioned(bucket))

    def conditional_puts(self, bucket: str, prefix: str, *, briefly: bool = False) -> ConditionalPuts:
        """Return what the bucket makes of conditional PUTs.

        Args:
            bucket: The bucket.
            prefix: Where objects of a probe may be written, and are deleted again.
            briefly: Whether few races will do. They do where a bucket keeps no versions: no server is
                known whose conditions hold there in sequence, and in races do not.
        """
        if not self.server:
            self.is_versioned(bucket)  # also tells which server this is
        known = self.known_conditional_puts(bucket, briefly=briefly)
        if known is not None:
            return known
        briefly = briefly and not self.is_versioned(bucket)
        return self._remembered(
            _BRIEFLY if briefly else _THOROUGHLY,
            bucket,
            lambda: (
                self._probes.conditional_puts(bucket, prefix, briefly=briefly) or ConditionalPuts("no", "no")
            ),
        )

    def known_conditional_puts(self, bucket: str, *, briefly: bool = True) -> ConditionalPuts | None:
        """Return the same where it is known already, None where nobody has asked yet."""
        known = self.declared.conditional_puts or self._answers.get((_THOROUGHLY, bucket))
        return known or (self._answers.get((_BRIEFLY, bucket)) if briefly else None)

    def locks_by_default(self, bucket: str) -> bool:
        """Tell whether the bucket locks whatever is written to it: one request, once."""
        return self._remembered(
            "default retention", bucket, lambda: self._probes.has_default_retention(bucket)
        )

    def conditional_deletes(self, bucket: str, prefix: str) -> ConditionalDeletes:
        """Return which deletions of the bucket heed an ETag."""
        return self.declared.conditional_deletes or self._remembered(
            "conditional deletes",
            bucket,
            lambda: (
                self._probes.conditional_deletes(bucket, prefix)
                or ConditionalDeletes(single=False, batch=False)
            ),
        )

    def multipart_uploads(self, bucket: str, prefix: str) -> MultipartUploads:
        """Return what reaches the object of a multipart upload."""
        return self.declared.multipart_uploads or self._remembered(
            "multipart uploads",
            bucket,
            lambda: (
                self._probes.multipart_uploads(bucket, prefix) or MultipartUploads(tags=False, locks=False)
            ),
        )

    def copies(self, bucket: str, prefix: str) -> Copies:
        """Return what a copy can be given."""
        return self.declared.copies or self._remembered(
            "copies",
            bucket,
            lambda: self._probes.copies(bucket, prefix) or Copies(replace_tags=False, locks=False),
        )

    def require_visible_locks(self, bucket: str, name: str, version_id: str | None) -> None:
        """Prove that a version which seems unlocked is so, instead of its lock being withheld.

        Servers leave lock headers out for callers without s3:GetObjectRetention and
        s3:GetObjectLegalHold. Two requests, once per client, bucket and first part of the name, which is
        what permissions are usually given for.

        Raises:
            AccessDeniedError: These credentials may not see locks.
        """
        if not self.declared.shows_locks:
            part = f"{bucket}/{name.split('/', 1)[0]}"
            self._remembered(
                "visible locks", part, lambda: self._probes.require_visible_locks(bucket, name, version_id)
            )

    def _remembered(self, question: str, bucket: str, ask: Callable[[], T]) -> T:
        key = (question, bucket)
        answer: T | None = self._answers.get(key)
        if answer is None:
            with self._asking[key]:  # many threads, one probe
                answer = self._answers.get(key)
                if answer is None:
                    answer = self._answers[key] = ask()
        return answer

    # --- learned ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the server's time, as far as its answers tell."""
        return datetime.now(timezone.utc) + self._clock_offset

    @property
    def clock_skew(self) -> timedelta:
        """How far this machine's clock is ahead of the server's, whose dates are whole seconds."""
        return -self._clock_offset

    def object_lock(self, bucket: str) -> KnownObjectLock | None:
        """Return what is known of a bucket, None where nothing is."""
        return self._object_lock.get(bucket)

    def knows_no_object_lock(self, bucket: str) -> bool:
        """Tell whether the bucket is known to be without Object Lock."""
        known = self._object_lock.get(bucket)
        return known is not None and not known.object_lock

    def remember(self, bucket: str, known: KnownObjectLock) -> None:
        """Remember whether a bucket has Object Lock."""
        self._object_lock[bucket] = known

    def forget(self, bucket: str) -> None:
        """Forget what is known of a bucket."""
        self._object_lock.pop(bucket, None)
        self._unversioned.discard(bucket)
        for key in list(self._answers):
            if key[1].split("/")[0] == bucket:
                self._answers.pop(key, None)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of any answer."""
        if not self.server:
            self.server = _server_of(headers)
        if date := date_of(headers, "date"):
            # Dates are whole seconds, cut off: of answers that agree, the latest date is the truest.
            offset, second = date - datetime.now(timezone.utc), timedelta(seconds=1)
            agrees = abs(offset - self._clock_offset) < second
            self._clock_offset = max(offset, self._clock_offset) if agrees else offset

    def learn_from_put(self, bucket: str, version_id: str | None) -> None:
        """Learn of a bucket from the answer to a PUT; not to a copy, where Ceph never shows a version id."""
        known = self._object_lock.get(bucket)
        if version_id is None:
            self._unversioned.add(bucket)
            if known is None or known.inferred:
                # Object Lock needs versioning, and a versioned bucket answers with a version id.
                self._object_lock[bucket] = KnownObjectLock(object_lock=False, inferred=True)
        self.learn_version(bucket, version_id)

    def learn_version(self, bucket: str, version_id: str | None) -> None:
        """Learn from a version id in any answer that a bucket was given versions, and maybe Object Lock."""
        if version_id is None:
            return
        known = self._object_lock.get(bucket)
        if bucket in self._unversioned or self._answers.get(("versioned", bucket)) is False:
            self.forget(bucket)
        elif known is not None and known.is_outdated_by_versions():
            self._object_lock.pop(bucket, None)


def _server_of(headers: Mapping[str, str]) -> str:
    if _CEPH_REQUEST.match(headers.get("x-amz-request-id", "")):
        return "ceph"
    software = headers.get("server", "").lower()
    if "x-amzn-requestid" in headers and software.startswith(("waitress", "werkzeug", "amazon.com")):
        return "" if "x-amz-request-id" in headers else "moto"
    return ""
