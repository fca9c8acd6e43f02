"""moto, in a process of its own: as the embedded server it would take turns with the tests."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3kv_flows._demo.servers import embedded_s3
from tests.servers.server import Server
from tests.support.waiting import PATIENCE

_ROOT = Path(__file__).parents[2]


@contextmanager
def moto() -> Iterator[Server]:
    command = [sys.executable, "-c", "from tests.servers.moto import main; main()"]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield Server("moto", process.stdout.readline().strip(), "test", "test-secret")
        finally:
            try:
                process.communicate(timeout=PATIENCE)  # it ends with its standard input
            finally:
                process.kill()


def main() -> None:
    with embedded_s3() as url:
        _list_without_copies()
        gc.collect()
        gc.freeze()  # its modules stay until the end
        print(url, flush=True)  # noqa: T201  # what the parent waits for
        sys.stdin.read()


def _list_without_copies() -> None:
    """Let moto list versions without copying all objects of the bucket, with their bytes, each time.

    It copies them for a flag that it sets in them: whether one is the latest. The guard of what is locked
    lists versions at every write, which made these copies up to half of what moto did in larger buckets.
    """
    from moto.s3.models import FakeDeleteMarker, FakeKey

    class Listed(FakeKey):
        """A version in a listing: it shares its bytes with the one in the bucket, and does not free them."""

        def __del__(self) -> None:
            pass

    def listed(version: Any, _: dict[int, Any]) -> Any:
        made = object.__new__(Listed)  # moto notes what `FakeKey` makes
        made.__dict__.update(version.__dict__)
        return made

    keys: Any = FakeKey
    markers: Any = FakeDeleteMarker
    keys.__deepcopy__ = listed
    markers.__deepcopy__ = lambda marker, _: copy.copy(marker)
