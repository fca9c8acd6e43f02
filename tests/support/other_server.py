"""A server of Prefect of a test's own, beside the one of the session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from s3kv_flows._demo.servers import embedded_prefect

__all__ = ["other_server"]


@contextmanager
def other_server(home: Path) -> Iterator[str]:
    """Run a server with services, and use it; yield the URL of its API.

    A process sends its events to the server that its first one went to. So those of before are sent before,
    and the next ones after it begin anew: else they would wait for a server that has ended.
    """
    EventsWorker.drain_all()
    with embedded_prefect(home, services=True) as api:
        try:
            with temporary_settings({PREFECT_API_URL: api}):
                yield api
        finally:
            EventsWorker.drain_all()
