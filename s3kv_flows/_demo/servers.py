"""Temporary S3 and Prefect servers, for the demo and for tests.

They run as long as a ``with`` block. The S3 server is moto in this process, behind waitress: the server that
moto ships closes the connection after every response. The Prefect server is a child process with a new
database.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["PrefectServer", "answers", "embedded_prefect", "embedded_s3"]

_START_SECONDS = 300
_STOP_SECONDS = 60
"""Limits for a hanging server: a start may take a minute on a busy machine."""


@contextmanager
def embedded_s3() -> Iterator[str]:
    """Run an S3 server in this process, on a free loopback port; yield its URL.

    It accepts any credentials, and deletes everything at the end.

    Raises:
        ModuleNotFoundError: The extra ``demo`` is not installed.
    """
    import waitress
    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import create_backend_app

    # waitress warns of every request that has to wait for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    sockets: dict[int, Any] = {}
    server = waitress.create_server(
        _one_request_at_a_time(create_backend_app("s3")),
        map=sockets,
        host="127.0.0.1",
        port=0,
        threads=16,
        connection_limit=1000,
        max_request_body_size=6 << 30,
        recv_bytes=256 << 10,
        inbuf_overflow=64 << 20,
        outbuf_overflow=64 << 20,
    )

    open_sockets: list[Any] = []

    def end_loop() -> None:
        open_sockets.extend(sockets.values())
        sockets.clear()

    thread = threading.Thread(target=server.run, name="embedded-s3", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(end_loop)
        thread.join(_STOP_SECONDS)
        server.task_dispatcher.shutdown(timeout=_STOP_SECONDS)
        # Closed last: threads that have just responded wake the loop through one of these.
        for open_socket in open_sockets:
            open_socket.close()
        get_backend("s3").reset()


def _one_request_at_a_time(app: Callable[..., Any]) -> Callable[..., Any]:
    """Serialize requests, so that they are atomic, as in S3.

    moto checks the condition of a write some time before it writes; and it fails to list a bucket
    that another thread changes.
    """
    serving = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        with serving:
            return app(environ, start_response)

    return serve


class PrefectServer:
    """A Prefect server that starts in a child process, on a free loopback port.

    Args:
        home: An empty directory for its database and its log.
        services: Whether to start the services that schedule runs, mark late ones and keep events.
    """

    def __init__(self, home: Path, *, services: bool = False) -> None:
        port = _free_port()
        self.api = f"http://127.0.0.1:{port}/api"
        self._log = home / "server.log"
        environment = os.environ | {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        }
        start = ["-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        with self._log.open("wb") as output:
            # In a new session: a Ctrl-C in the terminal reaches the parent only, which stops the server.
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter
                [sys.executable, *start, "--port", str(port), *([] if services else ["--no-services"])],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until the server responds.

        Raises:
            RuntimeError: The server does not start; with the end of its log.
        """
        give_up_at = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < give_up_at:
            if answers(self.api):
                return
            time.sleep(0.1)
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"the temporary Prefect server did not start:\n{tail}")

    def stop(self) -> None:
        """Stop the process group of the server."""
        try:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        finally:  # also if the wait is interrupted
            if self._process.poll() is None:
                self._signal(signal.SIGKILL)
                self._process.wait(_STOP_SECONDS)

    def _signal(self, signum: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signum)


@contextmanager
def embedded_prefect(home: Path, *, services: bool = False) -> Iterator[str]:
    """Run a :class:`PrefectServer`; yield the URL of its API once it responds.

    Raises:
        RuntimeError: The server does not start; with the end of its log.
    """
    started: list[PrefectServer] = []

    def start() -> None:
        started.append(PrefectServer(home, services=services))

    try:
        # In a thread: a signal in the main thread while the process starts would leave it running.
        with ThreadPoolExecutor(1, thread_name_prefix="embedded-prefect") as starter:
            starter.submit(start).result()
        started[0].wait()
        yield started[0].api
    finally:
        for server in started:
            server.stop()


def answers(api: str) -> bool:
    """Return whether a Prefect server responds at this URL: one request."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=10):  # noqa: S310  # our own URL
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
