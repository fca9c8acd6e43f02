"""A real S3 server: a Ceph RADOS Gateway with one monitor and one OSD, on loopback, in memory.

Its Debian packages are unpacked into a directory, so that nothing is installed::

    python -m tests.servers.ceph fetch DIRECTORY     downloads and unpacks them, once (66 MB)
    python -m tests.servers.ceph run DIRECTORY       runs a server until it is interrupted

``DIRECTORY`` is ``.ceph`` by default, and ``/`` where Ceph is installed. The configuration is the
least that makes a gateway start: no replication, no authentication between the daemons (Ceph 17 and
newer: cephx, without which its gateway cannot log in), no manager.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.server import Server, User
from tests.support.waiting import PATIENCE

PACKAGES = ("ceph-mon", "ceph-osd", "radosgw", "ceph-common")
DEFAULT_ROOT = Path(".ceph")

_MULTIARCH = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
_STOP_SECONDS = 60


class CephError(RuntimeError):
    """Ceph does not start; with what its programs said."""


def fetch(root: Path) -> None:
    """Download and unpack what apt would install, as an ordinary user may."""
    debs = root / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    plan = _output(["apt-get", "install", "-s", "--no-install-recommends", *PACKAGES])
    names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    subprocess.run(["apt-get", "download", "-qq", *names], cwd=debs, check=True)  # noqa: S607
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg", "-x", deb, root], check=True)  # noqa: S607
    shutil.rmtree(debs)
    (root / "complete").touch()


def available(root: Path) -> bool:
    """Tell whether there is a Ceph to run."""
    return (root / "usr/bin/radosgw").exists() and (root == Path("/") or (root / "complete").exists())


@contextmanager
def ceph(
    root: Path = DEFAULT_ROOT, *, port: int = 0, lifecycle_day_seconds: int | None = None
) -> Iterator[Server]:
    """Run a gateway; yield it once it answers. Its processes end with the block, also on failure.

    Args:
        root: Where Ceph's packages are unpacked.
        port: Where it listens; 0 for any free port.
        lifecycle_day_seconds: How long a day of lifecycle rules lasts; None for a real one. Rules are carried
            out as often, and no more of them than fit: about five a second.
    """
    settings: dict[str, object] = {}
    if lifecycle_day_seconds is not None:
        settings = {
            "rgw lc debug interval": lifecycle_day_seconds,
            "rgw lifecycle work time": "00:00-23:59",
            # It stops in the middle of the rules of a bucket, and begins anew, when a day is over, and rests
            # 0.2 s per rule for each of these.
            "rgw lc max wp worker": 1,
        }
    with tempfile.TemporaryDirectory(prefix="s3kv-ceph-") as state:
        cluster = _Cluster(root.resolve(), Path(state), port or _free_port(), settings)
        try:
            cluster.start()
            yield Server(
                "ceph", cluster.url, cluster.access_key, cluster.secret_key, new_user=cluster.new_user
            )
        finally:
            cluster.stop()


class _Cluster:
    def __init__(self, root: Path, state: Path, port: int, settings: Mapping[str, object]) -> None:
        self._bin = root / "usr/bin"
        self._libraries = root / "usr/lib" / _MULTIARCH
        self._state = state
        self._conf = state / "ceph.conf"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = os.environ | {"CEPH_CONF": str(self._conf), "CEPH_ARGS": ""}
        if root != Path("/"):
            paths = (self._libraries, self._libraries / "ceph", root / "lib" / _MULTIARCH)
            self._environment["LD_LIBRARY_PATH"] = ":".join(map(str, paths))
            self._environment["PYTHONPATH"] = str(root / "usr/lib/python3/dist-packages")
            self._environment.pop("PYTHONHOME", None)
        self._port, self._settings = port, settings
        self.url = f"http://127.0.0.1:{port}"
        self.access_key, self.secret_key = "contracts", "contracts-secret"

    def start(self) -> None:
        version = re.search(r"version (\d+)", self._run("ceph-mon", "--version"))
        self._configure(modern=version is not None and int(version[1]) >= 17)
        self._make_monitor()
        self._spawn("mon", "ceph-mon", "-i", "a")
        self._make_osd()
        self._spawn("osd", "ceph-osd", "-i", "0")
        self._make_user("contracts", self.access_key, self.secret_key)
        self._spawn("rgw", "radosgw", "-n", "client.rgw.a")
        self._wait_until("the gateway answers", self._answers)

    def stop(self) -> None:
        # The gateway first: the others have nobody left to wait for then.
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def new_user(self) -> User:
        name = f"user-{uuid.uuid4().hex[:8]}"
        secret = secrets.token_hex(16)
        self._make_user(name, name, secret)
        return User(f"arn:aws:iam:::user/{name}", name, secret)

    # --- how -----------------------------------------------------------------------------------

    def _configure(self, *, modern: bool) -> None:
        auth, protocol, other = ("cephx", 2, 1) if modern else ("none", 1, 2)
        settings = {
            "fsid": str(uuid.uuid4()),
            "mon initial members": "a",
            "mon host": f"[v{protocol}:127.0.0.1:{_free_port()}/0]",
            "public addr": "127.0.0.1",
            "cluster addr": "127.0.0.1",
            f"ms bind msgr{other}": "false",
            "ms bind ipv6": "false",
            "keyring": self._state / "keyring",
            **{f"auth {part} required": auth for part in ("cluster", "service", "client")},
            "auth allow insecure global id reclaim": "false",
            "run dir": self._state,
            "admin socket": self._state / "$name.asok",
            "log file": self._state / "$name.log",
            "mon cluster log file": self._state / "cluster.log",
            "crash dir": self._state,
            "plugin dir": self._libraries / "ceph",
            "osd class dir": self._libraries / "rados-classes",
            "erasure code dir": self._libraries / "ceph/erasure-code",
            # Logging takes a third of a small request's time.
            **{
                f"debug {part}": "0/0"
                for part in ("rgw", "osd", "ms", "mon", "objecter", "rados", "civetweb")
            },
            "osd pool default size": 1,
            "osd pool default min size": 1,
            "osd pool default pg num": 4,
            "osd pool default pgp num": 4,
            "osd pool default pg autoscale mode": "off",
            "mon allow pool size one": "true",
            "mon max pg per osd": 10000,
            "osd crush chooseleaf type": 0,
            "paxos propose interval": 0.02,
            "paxos min wait": 0.01,
            "mon osd full ratio": 0.999,
            "mon osd nearfull ratio": 0.98,
            "mon osd backfillfull ratio": 0.99,
            "mon data avail warn": 1,
            "mon data avail crit": 1,
            "osd failsafe full ratio": 0.999,
            "osd objectstore": "memstore",
            "memstore device bytes": 8 << 30,
            "osd memory target": 939524096,
            "rgw frontends": f"beast endpoint=127.0.0.1:{self._port} tcp_nodelay=1",
            "rgw crypt require ssl": "false",
            "rgw enable usage log": "false",
            # What is deleted gives its memory back now, and not in two hours.
            "rgw gc obj min wait": 1,
            "rgw gc processor period": 5,
            "rgw gc processor max time": 5,
            "rgw override bucket index max shards": 1,
            "rgw dynamic resharding": "false",
            "rgw thread pool size": 128,
            "rgw dns name": "",
            **self._settings,
        }
        lines = ["[global]", *(f"{name} = {value}" for name, value in settings.items())]
        for part, directory in (("mon.a", "mon data"), ("osd.0", "osd data"), ("client.rgw.a", "rgw data")):
            (self._state / part).mkdir()
            lines += [f"[{part}]", f"{directory} = {self._state / part}"]
        self._conf.write_text("\n".join(lines) + "\n")

    def _make_monitor(self) -> None:
        conf = self._conf.read_text()
        fsid = re.search(r"^fsid = (.*)", conf, re.MULTILINE)
        host = re.search(r"^mon host = (.*)", conf, re.MULTILINE)
        assert fsid
        assert host
        monmap, keyring = self._state / "monmap", self._state / "keyring"
        tool = "ceph-authtool"
        self._run("monmaptool", "--create", "--clobber", "--addv", "a", host[1], "--fsid", fsid[1], monmap)
        self._run(tool, keyring, "--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name, caps in (
            ("client.admin", {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}),
            ("osd.0", {"mon": "allow profile osd", "osd": "allow *"}),
            ("client.rgw.a", {"mon": "allow rw", "osd": "allow rwx", "mgr": "allow rw"}),
        ):
            flags = [flag for part, cap in caps.items() for flag in ("--cap", part, cap)]
            self._run(tool, keyring, "--gen-key", "-n", name, *flags)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)

    def _make_osd(self) -> None:
        identity = str(uuid.uuid4())
        # The system's Python: what the command imports is made for it.
        command: list[str | Path] = ["/usr/bin/python3", self._bin / "ceph", "-c", self._conf]
        command += ["--connect-timeout", "5", "osd", "new", identity]

        def registered() -> bool:
            done = subprocess.run(command, env=self._environment, capture_output=True, check=False)
            return done.returncode == 0

        self._wait_until("the monitor takes an OSD", registered)
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", identity)

    def _make_user(self, name: str, access_key: str, secret_key: str) -> None:
        """Make a user; the first one waits for the OSD, and for the pools it makes itself."""
        command: list[str | Path] = [
            self._bin / "radosgw-admin",
            "-c",
            self._conf,
            "user",
            "create",
            f"--uid={name}",
        ]
        command += [f"--display-name={name}", f"--access-key={access_key}", f"--secret-key={secret_key}"]
        creating = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            self._wait_until("a user is made", lambda: creating.poll() is not None)
        finally:
            creating.kill()
            output, errors = creating.communicate()
        if creating.returncode or json.loads(output)["user_id"] != name:
            raise CephError(f"no user could be made: {errors.decode()}")

    def _wait_until(self, what: str, condition: object) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():  # type: ignore[operator]
            self._revive()
            if time.monotonic() > deadline:
                raise CephError(f"after {PATIENCE:g} s it does not hold that {what}: {self._logs()}")
            time.sleep(0.05)

    def _revive(self) -> None:
        """Start again what ended: at its first start, the OSD of Ceph 16 may say "wrong fsid" and end."""
        for name, process in list(self._processes.items()):
            if process.poll() is None:
                continue
            if name != "osd":
                raise CephError(f"{name} ended with {process.returncode}: {self._logs()}")
            self._spawn("osd", "ceph-osd", "-i", "0")

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=30).close()  # noqa: S310  # http on loopback
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _spawn(self, name: str, program: str, *arguments: str) -> None:
        with (self._state / f"{name}.out").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [self._bin / program, "-f", "-c", self._conf, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _run(self, program: str, *arguments: str | Path) -> str:
        conf = ["-c", str(self._conf)] if program in ("ceph-mon", "ceph-osd") and self._conf.exists() else []
        return _output([self._bin / program, *conf, *arguments], self._environment)

    def _logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self._state.glob("*.out"))


def _output(command: list[str | Path], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode:
        raise CephError(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    action, root = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_ROOT
    if action == "fetch":
        if not available(root):
            fetch(root)
        return
    with ceph(root) as server, suppress(KeyboardInterrupt):
        print(f"{server.url} {server.access_key} {server.secret_key}", flush=True)  # noqa: T201  # a command
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
