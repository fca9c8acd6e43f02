"""A read-only view of the leases of a bucket."""

from __future__ import annotations

from datetime import datetime, timedelta

from s3kv_flows.store._leases.records import MIN_ENDED_SECONDS, read_record
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.concurrency import map_concurrently

__all__ = ["LeaseObserver"]


class LeaseObserver:
    """The leases of a bucket, as listed when this was made: one LIST per 1,000.

    Args:
        client: The shared client.
        bucket: The bucket of the leases.
        prefix: The prefix of their object names.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._keys = {one.name.removeprefix(prefix) for one in client.list_objects(bucket, prefix)}

    def may_be_held(self, key: str) -> bool:
        """Tell whether the key has a lease object: no request."""
        return key in self._keys

    def is_held(self, key: str) -> bool:
        """Tell whether the lease of the key is held: one request, if there is one.

        A lease that does not exist any more counts as held; what is no lease does not.
        """
        if key not in self._keys:
            return False
        stored = read_record(self._client, self._bucket, self._prefix + key)
        if stored is None:
            return True
        # HTTP dates are whole seconds.
        return not stored.record.released and stored.age < timedelta(seconds=stored.record.seconds + 1)

    def ended(self, now: datetime, grace: timedelta) -> list[str]:
        """Return the names of leases that ended at least ``grace`` ago: one read request each.

        Args:
            now: The server's time.
            grace: How long ago they have to have ended; ten minutes at least.
        """
        limit = now - max(grace, timedelta(seconds=MIN_ENDED_SECONDS))
        names = map_concurrently(
            lambda key: self._prefix + key if self._has_ended(key, limit) else None, sorted(self._keys)
        )
        return [name for name in names if name is not None]

    def __bool__(self) -> bool:
        """Tell whether there are leases."""
        return bool(self._keys)

    def _has_ended(self, key: str, limit: datetime) -> bool:
        stored = read_record(self._client, self._bucket, self._prefix + key)
        if stored is None or stored.written is None:
            return False
        lasted = timedelta(0) if stored.record.released else timedelta(seconds=stored.record.seconds)
        return stored.written + lasted <= limit
