"""moto, in a process of its own: as the embedded server it would take turns with the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        print(url, flush=True)  # noqa: T201  # what the parent waits for
        sys.stdin.read()
