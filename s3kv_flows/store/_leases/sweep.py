"""Delete leases that ended some time ago.

They are those of holders that died, or that could not delete them.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from s3kv_flows.store._leases.leases import HeldLease
from s3kv_flows.store._leases.records import MIN_ENDED_SECONDS, LeaseBackend, StoredRecord, lease_clock
from s3kv_flows.store._s3.concurrency import batched, map_concurrently
from s3kv_flows.store.errors import ConflictError, KeyNotFoundError

__all__ = ["LeaseSweep"]

_SWEEP_SECONDS = 60.0
_BATCH = 200


class LeaseSweep:
    """Sweeps the leases of a bucket.

    Args:
        backend: Stores the lease records.
    """

    def __init__(self, backend: LeaseBackend) -> None:
        self._backend = backend

    def run(self, prefix: str, now: datetime, grace: timedelta) -> list[str]:
        """Delete the leases that ended at least ``grace`` ago.

        One LIST per 1,000, and for each that is old enough two to four requests.

        Args:
            prefix: The prefix of their object names.
            now: The server's time.
            grace: How long ago they have to have ended; ten minutes at least.

        Returns:
            The names of the deleted ones.
        """
        grace = max(grace, timedelta(seconds=MIN_ENDED_SECONDS))
        old = (name for name, written in self._backend.keys(prefix) if now - written >= grace)
        deleted: list[str] = []
        for names in batched(old, _BATCH):
            retired = list(map_concurrently(lambda name: self._retire(name, now - grace), names))
            erased = map_concurrently(self._erase, [one for one in retired if one is not None])
            deleted += [name for name in erased if name is not None]
        return deleted

    def _read_ended(self, name: str, limit: datetime) -> StoredRecord | None:
        stored = self._backend.read(name)
        if stored is None or stored.written is None:
            return None
        lasted = timedelta(0) if stored.record.released else timedelta(seconds=stored.record.seconds)
        return stored if stored.written + lasted <= limit else None

    def _retire(self, name: str, limit: datetime) -> HeldLease | None:
        started = lease_clock()
        stored = self._read_ended(name, limit)
        if stored is None:
            return None
        record = replace(
            stored.record,
            holder="a sweep",
            host=socket.gethostname(),
            seconds=_SWEEP_SECONDS,
            token=secrets.token_hex(8),
            released=False,
        )
        with suppress(ConflictError):
            return HeldLease(name, self._backend.retire(name, stored, record), started + _SWEEP_SECONDS)
        return None

    def _erase(self, lease: HeldLease) -> str | None:
        if lease.seconds_left() <= 0:
            return None  # the next sweep deletes it
        with suppress(ConflictError, KeyNotFoundError):
            self._backend.erase(lease.name, lease.stored)
            return lease.name
        return None
