"""What a server and its buckets can do: declared where it is known, else learned from answers.

Nothing here sends a request; what is learned is remembered per client. Declared, and how it shows:

========== ================================================ =========================================
server     conditional writes on versioned buckets          is known by
========== ================================================ =========================================
AWS        hold, in a race, too                             its endpoint
Ceph       16 ignores If-None-Match and refuses every       its request ids, ``tx000...-``
           If-Match; 20 lets two writers win a race
others     honoured as far as they answer 412, and not
           relied on
========== ================================================ =========================================
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from s3kv_flows.store.s3_types import S3Config

__all__ = ["Capabilities", "KnownObjectLock", "server_time"]

_RECHECK_SECONDS = 300
"""How long the answer that a bucket has no Object Lock is believed, where it has versions."""

_CEPH_REQUEST = re.compile(r"tx[0-9a-f]{17,}-")
"""How the request ids of Ceph's gateway begin."""


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


class Capabilities:
    """What the answers to one client have taught."""

    def __init__(self, config: S3Config) -> None:
        self._is_aws = config.is_aws
        self._is_ceph = False
        self._object_lock: dict[str, KnownObjectLock] = {}
        self._clock_offset = timedelta(0)

    @property
    def heeds_conditions(self) -> bool:
        """Whether conditional writes may be relied on in a race."""
        return self._is_aws

    @property
    def ignores_conditions(self) -> bool:
        """Whether the server has shown itself to be one that ignores ``If-None-Match``."""
        return self._is_ceph

    def now(self) -> datetime:
        """Return the server's time, as far as its answers tell."""
        return datetime.now(timezone.utc) + self._clock_offset

    def object_lock(self, bucket: str) -> KnownObjectLock | None:
        """Return what is known of a bucket, None where nothing is."""
        return self._object_lock.get(bucket)

    def knows_no_object_lock(self, bucket: str) -> bool:
        """Tell whether the bucket is known to be without Object Lock."""
        known = self._object_lock.get(bucket)
        return known is not None and not known.object_lock

    def remember(self, bucket: str, known: KnownObjectLock) -> None:
        """Remember an answer."""
        self._object_lock[bucket] = known

    def forget(self, bucket: str) -> None:
        """Forget what is known of a bucket."""
        self._object_lock.pop(bucket, None)

    def learn(self, response: Mapping[str, Any]) -> None:
        """Learn from the headers of any answer."""
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if _CEPH_REQUEST.match(headers.get("x-amz-request-id", "")):
            self._is_ceph = True
        if date := server_time(response):
            # Dates are whole seconds, cut off: of answers that agree, the latest date is the truest.
            offset, second = date - datetime.now(timezone.utc), timedelta(seconds=1)
            agrees = abs(offset - self._clock_offset) < second
            self._clock_offset = max(offset, self._clock_offset) if agrees else offset

    def learn_from_put(self, bucket: str, version_id: str | None) -> None:
        """Learn of a bucket from the answer to a PUT; not to a copy, where Ceph never shows a version id."""
        known = self._object_lock.get(bucket)
        if version_id is None and (known is None or known.inferred):
            # Object Lock needs versioning, and a versioned bucket answers with a version id.
            self._object_lock[bucket] = KnownObjectLock(object_lock=False, inferred=True)
        elif version_id is not None and known is not None and known.is_outdated_by_versions():
            # It may have been given versioning, and Object Lock, while this process ran.
            self.forget(bucket)


def server_time(response: Mapping[str, Any]) -> datetime | None:
    """Return the Date of an answer, None where it has none."""
    header = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(header) if header else None
