"""The shared clients of a process: one per configuration and environment."""

from __future__ import annotations

import os
import threading

from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store._s3.probes import Probes

__all__ = ["forget_clients", "new_client", "shared_client"]

_clients: dict[tuple[S3Config, tuple[str | None, ...]], S3Client] = {}
_clients_lock = threading.Lock()

_MOST = 64
"""Credentials that rotate make a client each time: of more than these, the least recently used goes."""

_CHAIN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
)
"""What a client is made of, beside its configuration: who it is, which server it asks, whom it trusts."""


def new_client(config: S3Config) -> S3Client:
    """Return a client of its own, which nobody shares."""
    return S3Client(config, Probes)


def shared_client(config: S3Config) -> S3Client:
    """Return the client of this configuration in this process.

    This registry and that of leases are the mutable globals of the package. A client is made once per
    configuration and per state of the environment that boto3's chain reads, and never shared with a
    forked child, whose copies of the sockets would mix up answers.
    """
    key = (config, tuple(os.environ.get(name) for name in _CHAIN))
    with _clients_lock:
        client = _clients.pop(key, None) or new_client(config)
        _clients[key] = client  # the last used one is the last
        if len(_clients) > _MOST:
            del _clients[next(iter(_clients))]
        return client


def forget_clients() -> None:
    """Forget all shared clients; who holds one may go on using it."""
    global _clients_lock  # after a fork, the old lock may be held by nobody alive
    _clients_lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=forget_clients)
