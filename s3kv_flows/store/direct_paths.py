"""Which buckets can be read directly, and how: what the full client knows, and direct reads have to."""

from __future__ import annotations

import logging
from typing import Literal

from s3kv_flows.store.boto import MAX_CONNECTIONS, Boto
from s3kv_flows.store.direct_reads import Connections, DirectReads
from s3kv_flows.store.s3_types import S3Config
from s3kv_flows.store.signatures import Signer

__all__ = ["DirectPaths"]

logger = logging.getLogger(__name__)


class DirectPaths:
    """The direct reads of each bucket of a server.

    Args:
        config: The configuration of the client.
        boto: The full client.
    """

    def __init__(self, config: S3Config, boto: Boto) -> None:
        self._config, self._boto = config, boto
        self._connections: dict[str, Connections] = {}
        self._reads: dict[str, DirectReads | Literal[False]] = {}

    def to(self, bucket: str) -> DirectReads | Literal[False]:
        """Return the direct reads of a bucket; False where only the full client knows the way."""
        reads = self._reads.get(bucket)
        if reads is None:
            reads = self._reads[bucket] = self._new(bucket)
        return reads

    def _new(self, bucket: str) -> DirectReads | Literal[False]:
        options = self._boto.options
        if self._boto.credentials() is None:
            return False
        url = self._boto.base_url(bucket)
        if options.signature_version != "s3v4" or options.client_cert or not self._boto.verifies:
            return False
        if self._boto.has_proxy(url):
            return False
        signer = Signer(self._boto.region, self._boto.credentials)
        try:
            return DirectReads(url, signer, self._connections_to)
        except OSError as exc:  # the bundle cannot be read, which the full client will say
            logger.debug("the full client asks about bucket %r: %s", bucket, exc)
            return False

    def _connections_to(self, origin: str) -> Connections:
        """Return the connections to a server, which its buckets share."""
        options = self._boto.options
        found = self._connections.get(origin) or Connections(
            origin,
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            tls=self._boto.tls() if origin.startswith("https:") else None,
            keep=MAX_CONNECTIONS,
        )
        return self._connections.setdefault(origin, found)
