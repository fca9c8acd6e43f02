"""Exclude a second sweep by a lease, where deletions carry no condition.

Two sweeps of one store overlap if one of them overruns, or a person starts a second one. With version ids or
ETags that does no harm. Without them it does::

    one sweep    lists k (old) ... deletes k
    a pipeline                               writes k (new)
    the other    lists k (old) ......................... deletes k: a value that is in no plan

Under a lease, each sweep lists and deletes without the other in between. The lease is held for one batch:
shards of one sweep in this process queue for it without a request, and a sweep with a pace leaves time for
others. A sweep without a pace leaves little: the other mostly waits until it ends.

The lease does not exclude a deletion that arrives after the lease has ended because nothing renewed it; nor,
on AWS, a sweep that may delete with ETags, and so takes no lease, while another one may not.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store._leases.backend import open_leases
from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.renewer import RenewedLease, shared_renewer
from s3kv_flows.store.errors import AccessDeniedError, LeaseTimeoutError, UnsupportedByServerError

__all__ = ["SweepLease"]

logger = loggable(__name__)

_KEY = ".s3kv-sweep"
_SECONDS = 10.0
"""How long a sweep that died keeps others waiting; a running one renews its lease."""


class SweepLease:
    """The lease of a sweep that deletes keys by name, without a condition.

    Args:
        store: The values of the store.
        lease_bucket: Where leases are; None for the bucket of the store.
    """

    def __init__(self, store: S3KV, lease_bucket: str | None = None) -> None:
        self._store, self._bucket = store, lease_bucket or store.bucket_name
        namespace = store.namespace.leases
        self._prefix, self._name = namespace.prefix, namespace.name_of(_KEY)
        self._leases: Leases | None = None
        self._is_unavailable = self._has_waited = False
        self._queue_key: Hashable = (store.client.server, self._bucket, self._name)

    @contextmanager
    def held(self) -> Iterator[RenewedLease | None]:
        """Wait for the lease and hold it; yield None if there can be no lease.

        Two requests; four where deletions honour no condition, since a released lease stays as an object;
        more on servers without ``If-Match``; and once the probes of
        :func:`~s3kv_flows.store._leases.backend.backend_of`. The lease of a holder that died ends after ten
        seconds and a little.

        There is no lease if nothing on the server excludes two holders, or if these credentials may not write
        leases: that is logged, once per sweep or shard of one.

        Raises:
            StoreUnavailableError: The server does not answer.
        """
        renewer, holder = shared_renewer(), f"a sweep {uuid.uuid4().hex}"
        with renewer.queue.entered(self._queue_key, holder):
            lease = self._acquire_if_possible(holder)
            if lease is None:
                yield None
                return
            try:
                renewer.add(self._queue_key, holder, lease)
                yield lease
            finally:
                renewer.release(self._queue_key, holder, wait=True)

    def _acquire_if_possible(self, holder: str) -> RenewedLease | None:
        if self._is_unavailable:
            return None
        try:
            leases = self._leases = self._leases or self._open()
            return RenewedLease(leases, self._acquire(leases, holder))
        except (UnsupportedByServerError, AccessDeniedError) as exc:
            self._is_unavailable = True
            logger.warning("No lease excludes a second sweep of bucket %r: %s", self._store.bucket_name, exc)
            return None

    def _acquire(self, leases: Leases, holder: str) -> HeldLease:
        try:
            return leases.acquire(self._name, holder, timeout=None if self._has_waited else 0)
        except LeaseTimeoutError as exc:
            self._has_waited = True
            logger.warning("Waiting for another sweep to release its lease: %s", exc)
        return leases.acquire(self._name, holder)

    def _open(self) -> Leases:
        return open_leases(self._store.client, self._bucket, self._prefix, seconds=_SECONDS)
