"""Removes leases that ended a while ago: of holders that died, or that had to leave them."""

from __future__ import annotations

import logging
import secrets
import socket
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from s3kv_flows.store._leases.leases import HeldLease
from s3kv_flows.store._leases.records import LEAST_DEAD_SECONDS, LeaseBackend, StoredRecord, lease_clock
from s3kv_flows.store._s3.concurrency import batched, map_concurrently
from s3kv_flows.store.errors import ConflictError, CorruptValueError, KeyNotFoundError

__all__ = ["LeaseSweep"]

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 60.0
_SWEPT_AT_ONCE = 200


class LeaseSweep:
    """Sweeps the leases of a bucket.

    Args:
        backend: Where they are written down.
    """

    def __init__(self, backend: LeaseBackend) -> None:
        self._backend = backend

    def run(self, prefix: str, now: datetime, grace: timedelta) -> list[str]:
        """Remove the leases that ended a while ago.

        One LIST per 1,000, and for each that is old enough two to four requests.

        Args:
            prefix: What their names begin with.
            now: The server's time.
            grace: For how long they have to have ended; ten minutes at least.

        Returns:
            The names of those that are gone.
        """
        grace = max(grace, timedelta(seconds=LEAST_DEAD_SECONDS))
        old = (name for name, written in self._backend.keys(prefix) if now - written >= grace)
        swept: list[str] = []
        for names in batched(old, _SWEPT_AT_ONCE):
            retired = list(map_concurrently(lambda name: self._retired(name, now - grace), names))
            erased = map_concurrently(self._erased, [one for one in retired if one is not None])
            swept += [name for name in erased if name is not None]
        return swept

    def _dead(self, name: str, since: datetime) -> StoredRecord | None:
        try:
            stored = self._backend.look(name)
        except CorruptValueError as exc:
            logger.warning("left alone: %s", exc)
            return None
        if stored is None or stored.written is None:
            return None
        lasted = timedelta(0) if stored.record.released else timedelta(seconds=stored.record.seconds)
        return stored if stored.written + lasted <= since else None

    def _retired(self, name: str, since: datetime) -> HeldLease | None:
        started = lease_clock()
        stored = self._dead(name, since)
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

    def _erased(self, lease: HeldLease) -> str | None:
        if lease.seconds_left() <= 0:
            return None  # the next sweep will
        with suppress(ConflictError, KeyNotFoundError):
            self._backend.erase(lease.name, lease.stored)
            return lease.name
        return None
