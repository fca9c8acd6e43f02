"""Whether somebody holds the lease of a key, for those who take none: read only."""

from __future__ import annotations

from datetime import datetime, timedelta

from s3kv_flows.store._leases.records import LEAST_DEAD_SECONDS, read_record
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently
from s3kv_flows.store.errors import CorruptValueError

__all__ = ["LeaseObserver"]


class LeaseObserver:
    """The leases of a bucket, as they were when this was made: one LIST per 1,000.

    Args:
        client: The shared client.
        bucket: Where leases are.
        prefix: What their names begin with.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._keys = {one.name.removeprefix(prefix) for one in client.list_objects(bucket, prefix)}

    def may_be_held(self, key: str) -> bool:
        """Tell whether there is a lease of the key: no request."""
        return key in self._keys

    def is_held(self, key: str) -> bool:
        """Tell whether somebody holds the lease of the key: one request, where there is one.

        What cannot be read counts as held, and so does what was replaced meanwhile.
        """
        if key not in self._keys:
            return False
        try:
            stored = read_record(self._client, self._bucket, self._prefix + key)
        except CorruptValueError:
            return True
        if stored is None:
            return True
        # Dates of HTTP are whole seconds.
        return not stored.record.released and stored.age < timedelta(seconds=stored.record.seconds + 1)

    def ended(self, now: datetime, grace: timedelta) -> list[str]:
        """Return the names of leases that ended so long ago: one request each, and nothing is written.

        Args:
            now: The server's time.
            grace: For how long they have to have ended; ten minutes at least.
        """
        since = now - max(grace, timedelta(seconds=LEAST_DEAD_SECONDS))
        names = map_concurrently(
            lambda key: self._prefix + key if self._ended(key, since) else None, sorted(self._keys)
        )
        return [name for name in names if name is not None]

    def __bool__(self) -> bool:
        """Tell whether there are leases."""
        return bool(self._keys)

    def _ended(self, key: str, since: datetime) -> bool:
        try:
            stored = read_record(self._client, self._bucket, self._prefix + key)
        except CorruptValueError:
            return False
        if stored is None or stored.written is None:
            return False
        lasted = timedelta(0) if stored.record.released else timedelta(seconds=stored.record.seconds)
        return stored.written + lasted <= since
