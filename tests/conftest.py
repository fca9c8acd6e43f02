"""One S3 server and one Prefect server for all tests; a bucket, or two, for each."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import certifi
from hypothesis import HealthCheck, settings
from pydantic import SecretStr

# As users have them, whatever this machine is set to: children inherit both.
os.environ.pop("PYTHONUNBUFFERED", None)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
gc.disable()  # until all is imported: that makes hardly any garbage
_HOME = Path(tempfile.mkdtemp(prefix="s3kv-tests-"))
# Prefect reads all known authorities for each of its clients, which takes 20 ms or more; no test meets any.
_ONE_AUTHORITY = _HOME / "authority.pem"
_BEGIN, _END = (f"-----{mark} CERTIFICATE-----" for mark in ("BEGIN", "END"))
_ONE_AUTHORITY.write_text(_BEGIN + Path(certifi.where()).read_text().split(_BEGIN)[1].split(_END)[0] + _END)
# Before Prefect or boto3 are imported: nothing of the machine's own configuration is read.
os.environ.update(
    {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(_HOME / "cache"),
        "PREFECT_HOME": str(_HOME / "prefect"),
        "PREFECT_API_SSL_CERT_FILE": str(_ONE_AUTHORITY),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        # Prefect's own kinds of blocks; who saves one registers it. Two seconds for each server.
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    }
)
# Processes that tests start begin with its `sitecustomize`.
_STARTUP = str(Path(__file__).parent / "support" / "startup")
if _STARTUP not in (_paths := os.environ.get("PYTHONPATH", "").split(os.pathsep)):  # or it is handed on
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_STARTUP, *_paths]))
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "S3_BUCKET"):
    os.environ.pop(name, None)

if TYPE_CHECKING:
    from s3kv_flows import S3KVStore
    from tests.support.lake import Lake

import pytest  # noqa: E402

from s3kv_flows._demo.servers import PrefectServer, answers, embedded_prefect  # noqa: E402
from s3kv_flows.store import S3KV  # noqa: E402
from tests.servers import SERVERS, NotInstalledError, Server  # noqa: E402
from tests.servers.clean import remove_bucket  # noqa: E402
from tests.support.proxy import CountingProxy  # noqa: E402
from tests.support.signing import TEST_KEY  # noqa: E402
from tests.support.waiting import Clock, until  # noqa: E402

# How long an example takes says how busy the machine is.
settings.register_profile("at any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("at any speed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server", choices=sorted(SERVERS), default="moto", help="the S3 server that the tests run against"
    )


_PREFECT = pytest.StashKey[list[PrefectServer]]()


def pytest_configure() -> None:
    # What a shell starts in the background ignores it, and hands that on to what the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start the Prefect server of a worker of pytest-xdist now: it is there when the tests are collected."""
    gc.enable()  # in the process that collects no tests itself
    home = _HOME / f"prefect-server-{node.gateway.id}"
    home.mkdir()
    server = PrefectServer(home)
    node.config.stash.setdefault(_PREFECT, []).append(server)
    node.workerinput["prefect_api"] = server.api


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones: nothing has to wait for the last of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Exempt modules and tests, which live until the end, from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    for server in config.stash.get(_PREFECT, []):
        server.stop()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(SERVERS[request.config.getoption("server")]())
        except NotInstalledError as exc:
            pytest.skip(str(exc))
        os.environ["AWS_ACCESS_KEY_ID"] = running.access_key
        os.environ["AWS_SECRET_ACCESS_KEY"] = running.secret_key
        yield running


@pytest.fixture(scope="session")
def s3_url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="session")  # an endpoint for each test would be a boto3 client for each
def proxy(s3_url: str) -> Iterator[CountingProxy]:
    counting = CountingProxy(s3_url)
    yield counting
    counting.close()


_SEALING = {"signing_key", "trusted_keys", "accept_unsealed"}


@pytest.fixture
def make_store(server: Server, s3_url: str, tmp_path: Path) -> Iterator[Callable[..., S3KV]]:
    """Make a store over a new bucket, or over the bucket of ``bucket_name``."""
    made: list[S3KV] = []

    def make(*, object_lock: bool = False, endpoint_url: str = s3_url, **options: object) -> S3KV:
        options.setdefault("bucket_name", f"bucket-{uuid.uuid4().hex[:16]}")
        options.setdefault("enable_local_cache", False)
        options.setdefault("cache_directory", tmp_path / "cache")
        if options.get("codec") == "cloudpickle" and not options.keys() & _SEALING:
            options["signing_key"] = TEST_KEY  # or it would be refused
        store = S3KV(endpoint_url, **options)  # type: ignore[arg-type]
        if store.create_bucket(object_lock=object_lock):
            made.append(store)
        return store

    yield make
    if not server.is_ours:
        for store in made:
            remove_bucket(store)


@pytest.fixture
def store(make_store: Callable[..., S3KV]) -> S3KV:
    return make_store()


@pytest.fixture
def block(s3_url: str) -> S3KVStore:
    """Return a store that is not saved, over a new bucket."""
    from s3kv_flows import S3KVStore

    bucket = f"bucket-{uuid.uuid4().hex[:16]}"
    made = S3KVStore(bucket_name=bucket, endpoint_url=s3_url, signing_key=SecretStr(TEST_KEY))
    made.values.create_bucket()
    return made


@pytest.fixture(scope="session")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of the batches that ``tests.support.training`` learns from."""
    from tests.support import training

    path = tmp_path_factory.mktemp("flights") / "batches.npz"
    training.prepare(path)
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of all leases in this process: only its pauses make time pass."""
    clock = Clock()
    monkeypatch.setattr("s3kv_flows.store._leases.records.time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Collect processes; what is still there at the end is killed."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def locking_store(make_store: Callable[..., S3KV]) -> S3KV:
    return make_store(object_lock=True)


@pytest.fixture(scope="session")
def prefect_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if started := getattr(request.config, "workerinput", {}).get("prefect_api"):
        until(lambda: answers(started))
        yield started
    else:
        with embedded_prefect(tmp_path_factory.mktemp("prefect-server")) as api:
            yield api


@pytest.fixture(scope="session")
def prefect_api(prefect_url: str) -> Iterator[str]:
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # At the end of a flow, Prefect waits up to a second for the thread of its heartbeat.
    settings = {PREFECT_API_URL: prefect_url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(settings):
        yield prefect_url


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture what Prefect's loggers say, which do not propagate."""
    loggers = [
        logging.getLogger(name) for name in ("prefect.task_runs", "prefect.flow_runs", "prefect.s3kv_flows")
    ]
    for logger in loggers:
        logger.addHandler(caplog.handler)
    yield caplog
    for logger in loggers:
        logger.removeHandler(caplog.handler)


@pytest.fixture
def nothing_leased() -> Iterator[None]:
    """Require that a test leaves no lease, and nobody who waits for one, in this process."""
    from s3kv_flows.store._leases.renewer import shared_renewer
    from tests.support.waiting import until

    yield
    renewer = shared_renewer()
    until(lambda: renewer._thread is None)
    assert renewer._entries == {}
    assert renewer.queue._queues == {}


@pytest.fixture
def serving() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """Start HTTP servers, each with a handler; return the URL of each."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def answering(serving: Callable[[type[BaseHTTPRequestHandler]], str]) -> Callable[..., str]:
    """Return a function that starts a server with one answer to everything, and returns its URL."""

    def start(status: int, body: str, *, length: int | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(body)))
                self.send_header("Last-Modified", "Mon, 23 Nov 2026 08:00:00 GMT")
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body.encode())

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer  # noqa: N815  # of the standard library

            def log_message(self, *_: object) -> None:
                pass

        return serving(Handler)

    return start


@pytest.fixture
def lake(proxy: CountingProxy, prefect_api: str) -> Lake:
    from tests.support.lake import Lake

    return Lake(proxy, object_lock=False)


@pytest.fixture
def make_lake(proxy: CountingProxy, prefect_api: str) -> Callable[[], Lake]:
    from tests.support.lake import Lake

    return lambda: Lake(proxy, object_lock=False)


@pytest.fixture
def locked_lake(proxy: CountingProxy, prefect_api: str) -> Lake:
    from tests.support.lake import Lake

    return Lake(proxy, object_lock=True)
