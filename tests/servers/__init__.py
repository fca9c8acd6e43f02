"""How each server that the tests can run against is started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from tests.servers.ceph import DEFAULT_ROOT, ceph
from tests.servers.endpoint import endpoint
from tests.servers.moto import moto
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import NotInstalledError, Server, User

__all__ = ["SERVERS", "NotInstalledError", "Server", "User"]


def _ceph() -> AbstractContextManager[Server]:
    return ceph(Path(os.environ.get("S3KV_CEPH_ROOT", DEFAULT_ROOT)))


SERVERS: Mapping[str, Callable[[], AbstractContextManager[Server]]] = {
    "ceph": _ceph,
    "endpoint": endpoint,
    "moto": moto,
    "seaweedfs": seaweedfs,
}
