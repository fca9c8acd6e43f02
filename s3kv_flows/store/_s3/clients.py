"""Share one client per configuration and environment within a process."""

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
"""The limit of shared clients, as rotating credentials add more; the least recently used is dropped."""

_ENVIRONMENT = (
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
"""Environment variables that a client depends on: credentials, the endpoint, and trusted authorities."""


def new_client(config: S3Config) -> S3Client:
    """Return a new client, which is not shared."""
    return S3Client(config, Probes)


def shared_client(config: S3Config) -> S3Client:
    """Return the client of this configuration in this process.

    This registry and the lease renewer are the mutable globals of the package. A client is created once per
    configuration and per state of the environment that boto3's chain reads. It is never shared with a forked
    child, whose copies of the sockets would mix up responses.
    """
    key = (config, tuple(map(os.environ.get, _ENVIRONMENT)))
    with _clients_lock:
        client = _clients.pop(key, None) or new_client(config)
        _clients[key] = client  # most recently used last
        if len(_clients) > _MOST:
            del _clients[next(iter(_clients))]
        return client


def forget_clients() -> None:
    """Drop all shared clients from the registry; existing references stay usable."""
    global _clients_lock  # after a fork, the old lock may be held by a thread that does not exist
    _clients_lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=forget_clients)
