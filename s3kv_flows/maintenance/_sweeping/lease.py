"""One sweep at a time, where S3 would delete whatever stands under a name by then.

Two sweeps of one store meet where one of them has overrun, or a person begins a second one. With version ids
and ETags that does no harm. Where neither tells, it does::

    one sweep    lists k (old) ... deletes k
    a pipeline                               writes k (new)
    the other    lists k (old) ......................... deletes k: a value that no plan has seen

Under a lease, each looks and deletes without the other in between. It is taken for a batch: parts of one
sweep in this process take turns, which takes no request, and a sweep with a pace leaves room for others. One
without leaves little: the other mostly waits until it is done.

What it does not keep apart: a deletion that arrives later than the lease lasts, while nothing renews it; and,
on AWS, a sweep that may delete with ETags, and so takes no lease, from one that may not.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._leases.backend import open_leases
from s3kv_flows.store._leases.leases import HeldLease, Leases
from s3kv_flows.store._leases.renewer import RenewedLease, shared_renewer
from s3kv_flows.store.errors import AccessDeniedError, LeaseTimeoutError, UnsupportedByServerError

__all__ = ["SweepLease"]

logger = logging.getLogger(__name__)

_KEY = ".s3kv-sweep"
_SECONDS = 10.0
"""For how long a sweep that died keeps others waiting; one that lives renews its lease."""


class SweepLease:
    """The lease of whoever looks at keys of a store and deletes them by name.

    Args:
        store: The values of the store.
        lease_bucket: Where leases are; None for the bucket of the store.
    """

    def __init__(self, store: S3KV, lease_bucket: str | None = None) -> None:
        self._store, self._bucket = store, lease_bucket or store.bucket_name
        namespace = store.namespace.leases
        self._prefix, self._name = namespace.prefix, namespace.name_of(_KEY)
        self._leases: Leases | None = None
        self._is_impossible = self._has_waited = False
        self._place: Hashable = (store.client.server, self._bucket, self._name)

    @contextmanager
    def held(self) -> Iterator[RenewedLease | None]:
        """Hold the lease, waiting for whoever does. None where there can be no lease.

        Two requests; four where deletions heed no condition, for what is given back stays there, more
        on servers without ``If-Match``, and once what :func:`~s3kv_flows.store._leases.backend.backend_of`
        tries out. Who died holding it is waited for, ten seconds and a little.

        There is none where nothing on the server excludes two holders, or where these credentials may not
        write leases: that is logged, once per sweep or share of one.

        Raises:
            StoreUnavailableError: The server does not answer.
            CorruptValueError: Under its name is something else.
        """
        keeper, holder = shared_renewer(), f"a sweep {uuid.uuid4().hex}"
        with keeper.queue.entered(self._place, holder):
            kept = self._taken(holder)
            if kept is None:
                yield None
                return
            try:
                keeper.add(self._place, holder, kept)
                yield kept
            finally:
                keeper.release(self._place, holder, wait=True)

    def _taken(self, holder: str) -> RenewedLease | None:
        if self._is_impossible:
            return None
        try:
            leases = self._leases = self._leases or self._opened()
            return RenewedLease(leases, self._acquired(leases, holder))
        except (UnsupportedByServerError, AccessDeniedError) as exc:
            self._is_impossible = True
            logger.warning("two sweeps of %r at once are not kept apart: %s", self._store.bucket_name, exc)
            return None

    def _acquired(self, leases: Leases, holder: str) -> HeldLease:
        try:
            return leases.acquire(self._name, holder, timeout=None if self._has_waited else 0)
        except LeaseTimeoutError as exc:
            self._has_waited = True
            logger.warning("this sweep waits for another one: %s", exc)
        return leases.acquire(self._name, holder)

    def _opened(self) -> Leases:
        return open_leases(self._store.client, self._bucket, self._prefix, seconds=_SECONDS)
