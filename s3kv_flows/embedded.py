"""Servers that live as long as a ``with`` block, for the demo and for tests.

The S3 server is moto's, in this process, behind waitress: moto's own server closes the connection
after every answer. The Prefect server is a child process with a database of its own.
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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["embedded_prefect", "embedded_s3"]

_START_SECONDS = 90


@contextmanager
def embedded_s3() -> Iterator[str]:
    """Run an S3 server in this process, on a free loopback port; yield its URL.

    It takes any credentials, and forgets everything at the end.

    Raises:
        ModuleNotFoundError: The extra ``demo`` is not installed.
    """
    import waitress
    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    # It warns of every request that has to wait for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    sockets: dict[int, Any] = {}
    server = waitress.create_server(
        _one_request_at_a_time(DomainDispatcherApplication(create_backend_app)),
        map=sockets,
        host="127.0.0.1",
        port=0,
        threads=16,
        connection_limit=1000,
        max_request_body_size=6 << 30,
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
        thread.join(timeout=10)
        server.task_dispatcher.shutdown()
        # Only now: threads that have just answered wake the loop, by one of these.
        for open_socket in open_sockets:
            open_socket.close()
        get_backend("s3").reset()


def _one_request_at_a_time(app: Callable[..., Any]) -> Callable[..., Any]:
    """Make requests atomic, as S3's are.

    moto checks the condition of a write, and writes a while later; and it fails to list a bucket
    that another thread changes meanwhile.
    """
    serving = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        with serving:
            return app(environ, start_response)

    return serve


@contextmanager
def embedded_prefect(home: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Run a Prefect server in a child process, on a free loopback port; yield the URL of its API.

    Args:
        home: An empty directory for its database and its log.
        waiting: Called now and then until it answers.

    Raises:
        RuntimeError: It does not start; with the end of its log.
    """
    port = _free_port()
    api = f"http://127.0.0.1:{port}/api"
    log = home / "server.log"
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        # In a session of its own: a Ctrl-C in the terminal is for the parent, which stops it in order.
        server = subprocess.Popen(  # noqa: S603  # our own interpreter
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(f"{api}/health", server, log, waiting)
        yield api
    finally:
        _stop(server)


def _wait_until_healthy(
    url: str, server: subprocess.Popen[bytes], log: Path, waiting: Callable[[], None]
) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < give_up_at:
        if _is_healthy(url):
            return
        waiting()
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise RuntimeError(f"the temporary Prefect server did not start:\n{tail}")


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  # our own URL
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and whatever it started: its process group."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, signum)
        except ProcessLookupError:
            break
        try:
            server.wait(timeout=10)
            break
        except subprocess.TimeoutExpired:
            continue
    server.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
