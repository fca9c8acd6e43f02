"""Whether somebody holds the lease of a key, for those who take none: read only."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime, timedelta

from s3kv_flows.store.bulk import concurrently
from s3kv_flows.store.errors import CorruptValueError
from s3kv_flows.store.lease_records import LEAST_DEAD_SECONDS, read_claim
from s3kv_flows.store.s3 import S3Client

__all__ = ["LeaseSight"]

_NUMBERED = re.compile(r"(.+)/(\d{12})")
"""A claim under a number; see :mod:`s3kv_flows.store.numbered_claims`."""


class LeaseSight:
    """The leases of a bucket, as they were when this was made: one LIST per 1,000.

    Args:
        client: The shared client.
        bucket: Where leases are.
        prefix: What their names begin with.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._claims: dict[str, list[str]] = defaultdict(list)
        for listed in client.list_objects(bucket, prefix):
            key = listed.name.removeprefix(prefix)
            numbered = _NUMBERED.fullmatch(key)
            self._claims[key].append(listed.name)
            if numbered:
                self._claims[numbered[1]].append(listed.name)

    def may_be_held(self, key: str) -> bool:
        """Tell whether there is a lease of the key: no request."""
        return key in self._claims

    def is_held(self, key: str) -> bool:
        """Tell whether somebody holds the lease of the key: one request, where there is one.

        What cannot be read counts as held, and so does what was replaced meanwhile.
        """
        if key not in self._claims:
            return False
        name = max(self._claims[key])
        try:
            claim = read_claim(self._client, self._bucket, name)
        except CorruptValueError:
            return True
        if claim is None:
            return True
        # Dates of HTTP are whole seconds.
        return not claim.record.released and claim.age < timedelta(seconds=claim.record.seconds + 1)

    def ended(self, now: datetime, grace: timedelta) -> list[str]:
        """Return the names of leases that ended so long ago: one request each, and nothing is written.

        Args:
            now: The server's time.
            grace: For how long they have to have ended; ten minutes at least.
        """
        since = now - max(grace, timedelta(seconds=LEAST_DEAD_SECONDS))
        names = concurrently(
            lambda key: self._prefix + key if self._ended(key, since) else None, self._keys()
        )
        return [name for name in names if name is not None]

    def __bool__(self) -> bool:
        """Tell whether there are leases."""
        return bool(self._claims)

    def _keys(self) -> list[str]:
        """Return the keys of leases; a claim under a number is of the key before it."""
        return [key for key in self._claims if not _NUMBERED.fullmatch(key)]

    def _ended(self, key: str, since: datetime) -> bool:
        try:
            claim = read_claim(self._client, self._bucket, max(self._claims[key]))
        except CorruptValueError:
            return False
        if claim is None or claim.written is None:
            return False
        lasted = timedelta(0) if claim.record.released else timedelta(seconds=claim.record.seconds)
        return claim.written + lasted <= since
